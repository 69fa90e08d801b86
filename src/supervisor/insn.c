/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/insn.h"

#include <errno.h>
#include <string.h>

#include "supervisor/insn_internal.h"

#define CS_COMPAT 0x23 /* Linux: __USER32_CS */

int insn_fail(struct insn *insn, const char *reason)
{
	insn->out->reason = reason;
	return -ENOTSUP;
}

static int note_fault(struct insn *insn, u64 va, bool write, int err)
{
	insn->out->fault = va;
	insn->out->fault_write = write;
	return err;
}

/* 1: device, 0: plain memory, or -ENOTSUP. */
static int classify(struct insn *insn, u64 va, size_t len)
{
	bool first = insn->ops->is_mmio(insn->opaque, va);

	if (len > 1 && insn->ops->is_mmio(insn->opaque, va + len - 1) != first)
		return insn_fail(insn, "an access that crosses the edge of a BAR");
	return first;
}

/* The widest access a device knows that fits: ascending pieces of 8 bytes, then the rest. */
static unsigned int piece(size_t left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

int insn_load(struct insn *insn, u64 va, void *buf, size_t len)
{
	int kind = classify(insn, va, len), err;

	if (kind < 0)
		return kind;
	if (!kind) {
		err = insn->ops->mem_read(insn->opaque, va, buf, len);
		return err ? note_fault(insn, va, false, err) : 0;
	}
	for (size_t done = 0; done < len;) {
		unsigned int width = piece(len - done);
		u64 value = 0;

		err = insn->ops->mmio_read(insn->opaque, va + done, width, &value);
		if (err)
			return note_fault(insn, va + done, false, err);
		memcpy((u8 *)buf + done, &value, width);
		done += width;
	}
	return 0;
}

int insn_store(struct insn *insn, u64 va, const void *buf, size_t len)
{
	int kind = classify(insn, va, len), err;

	if (kind < 0)
		return kind;
	if (!kind) {
		err = insn->ops->mem_write(insn->opaque, va, buf, len);
		return err ? note_fault(insn, va, true, err) : 0;
	}
	for (size_t done = 0; done < len;) {
		unsigned int width = piece(len - done);
		u64 value = 0;

		memcpy(&value, (const u8 *)buf + done, width);
		err = insn->ops->mmio_write(insn->opaque, va + done, width, value);
		if (err)
			return note_fault(insn, va + done, true, err);
		done += width;
	}
	return 0;
}

unsigned long long *insn_gpr(struct insn *insn, unsigned int id)
{
	struct user_regs_struct *r = &insn->regs;
	unsigned long long *const all[] = {
		&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
		&r->r8,	 &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
	};

	return all[id & 15];
}

/* Bytes of a general register, or 0 for any other; *shift is 8 for AH, CH, DH and BH. */
static unsigned int gpr_of(ZydisRegister reg, unsigned int *id, unsigned int *shift)
{
	*shift = 0;
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
		*id = reg - ZYDIS_REGISTER_AH;
		*shift = 8;
		return 1;
	}
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B) {
		*id = reg - ZYDIS_REGISTER_SPL + 4;
		return 1;
	}
	*id = (unsigned int)ZydisRegisterGetId(reg);
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8: /* AL, CL, DL, BL */
		return 1;
	case ZYDIS_REGCLASS_GPR16:
		return 2;
	case ZYDIS_REGCLASS_GPR32:
		return 4;
	case ZYDIS_REGCLASS_GPR64:
		return 8;
	default:
		return 0;
	}
}

int insn_get_reg(struct insn *insn, ZydisRegister reg, u64 *value)
{
	unsigned int id, shift, width = gpr_of(reg, &id, &shift);

	if (!width)
		return insn_fail(insn, "a register of an unusual kind");
	*value = *insn_gpr(insn, id) >> shift & insn_mask(width);
	return 0;
}

int insn_set_reg(struct insn *insn, ZydisRegister reg, u64 value)
{
	unsigned int id, shift, width = gpr_of(reg, &id, &shift);
	unsigned long long *r;

	if (!width)
		return insn_fail(insn, "a register of an unusual kind");
	r = insn_gpr(insn, id);
	if (width >= 4) /* a 32-bit result clears the upper half */
		*r = value & insn_mask(width);
	else
		*r = (*r & ~(insn_mask(width) << shift)) | (value & insn_mask(width)) << shift;
	return 0;
}

u64 insn_segment_base(const struct insn *insn, ZydisRegister segment)
{
	if (segment == ZYDIS_REGISTER_FS)
		return insn->regs.fs_base;
	if (segment == ZYDIS_REGISTER_GS)
		return insn->regs.gs_base;
	return 0;
}

u64 insn_address(struct insn *insn, const ZydisDecodedOperandMem *mem)
{
	u64 address = (u64)mem->disp.value;
	unsigned int id, shift;

	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		address += insn->regs.rip + insn->in.length;
	else if (gpr_of(mem->base, &id, &shift))
		address += *insn_gpr(insn, id);
	if (gpr_of(mem->index, &id, &shift))
		address += *insn_gpr(insn, id) * mem->scale;
	address &= insn_mask(insn->in.address_width / 8);
	address += insn_segment_base(insn, mem->segment);
	return insn->compat ? (u32)address : address;
}

int insn_get(struct insn *insn, unsigned int operand, u64 *value)
{
	const ZydisDecodedOperand *op = &insn->op[operand];

	*value = 0;
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return insn_get_reg(insn, op->reg.value, value);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		*value = op->imm.value.u;
		return 0;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->size > 64 || op->size % 8)
			break;
		return insn_load(insn, insn_address(insn, &op->mem), value, op->size / 8);
	default:
		break;
	}
	return insn_fail(insn, "an operand of an unusual kind");
}

int insn_set(struct insn *insn, unsigned int operand, u64 value)
{
	const ZydisDecodedOperand *op = &insn->op[operand];

	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return insn_set_reg(insn, op->reg.value, value);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->size > 64 || op->size % 8)
			break;
		return insn_store(insn, insn_address(insn, &op->mem), &value, op->size / 8);
	default:
		break;
	}
	return insn_fail(insn, "an operand of an unusual kind");
}

static int decode(struct insn *insn, const u8 *bytes, size_t len)
{
	ZydisDecoder decoder;
	ZyanStatus status;

	if (insn->compat)
		status = ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
					  ZYDIS_STACK_WIDTH_32);
	else
		status = ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
					  ZYDIS_STACK_WIDTH_64);
	if (ZYAN_SUCCESS(status))
		status = ZydisDecoderDecodeFull(&decoder, bytes, len, &insn->in, insn->op);
	if (ZYAN_SUCCESS(status))
		return 0;
	insn->out->reason = "not an instruction";
	return -EINVAL;
}

static insn_handler find_handler(const ZydisDecodedInstruction *in)
{
	insn_handler handler = insn_move_handler(in);

	if (!handler)
		handler = insn_string_handler(in);
	if (!handler)
		handler = insn_alu_handler(in);
	if (!handler)
		handler = insn_vector_handler(in);
	return handler;
}

int insn_emulate(const struct insn_ops *ops, void *opaque, const u8 *bytes, size_t len,
		 struct user_regs_struct *regs, struct insn_outcome *out)
{
	struct insn insn = { .ops = ops, .opaque = opaque, .regs = *regs, .out = out };
	insn_handler handler;
	u64 next;
	int err;

	memset(out, 0, sizeof(*out));
	insn.compat = regs->cs == CS_COMPAT;
	err = decode(&insn, bytes, MIN(len, (size_t)INSN_MAX_LENGTH));
	if (err)
		return err;
	out->mnemonic = ZydisMnemonicGetString(insn.in.mnemonic);
	handler = find_handler(&insn.in);
	if (!handler)
		return insn_fail(&insn, "an instruction that is not emulated");
	err = handler(&insn);
	if (err)
		return err;
	if (!insn.rip_set) {
		next = insn.regs.rip + insn.in.length;
		insn.regs.rip = insn.compat ? (u32)next : next;
	}
	insn.regs.eflags &= ~FLAG_RF;
	*regs = insn.regs;
	return 0;
}
