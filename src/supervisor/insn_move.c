/* SPDX-License-Identifier: BSD-3-Clause */
/* Moves of general registers, exchanges, the stack, jumps, and what does nothing. */
#include <errno.h>
#include <string.h>

#include "supervisor/insn_internal.h"

static int do_nothing(struct insn *insn)
{
	return 0;
}

static int do_mov(struct insn *insn)
{
	u64 value;
	int err = insn_get(insn, 1, &value);

	return err ? err : insn_set(insn, 0, value);
}

static int do_movsx(struct insn *insn)
{
	u64 value;
	int err = insn_get(insn, 1, &value);

	return err ? err : insn_set(insn, 0, insn_sign_extend(value, insn_width(insn, 1)));
}

static int do_movbe(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	u64 value;
	int err = insn_get(insn, 1, &value);

	return err ? err : insn_set(insn, 0, __builtin_bswap64(value) >> (64 - width * 8));
}

static int do_movdir64b(struct insn *insn)
{
	u64 to = 0;
	u8 line[64];
	int err;

	if (insn->op[1].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return insn_fail(insn, "an operand of an unusual kind");
	if (insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
		to = insn_address(insn, &insn->op[0].mem);
	} else {
		err = insn_get(insn, 0, &to);
		if (err)
			return err;
		to &= insn_mask(insn->in.address_width / 8);
	}
	err = insn_load(insn, insn_address(insn, &insn->op[1].mem), line, sizeof(line));
	return err ? err : insn_store(insn, to, line, sizeof(line));
}

static int do_xchg(struct insn *insn)
{
	unsigned int mem = insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? 0 : 1;
	u64 a, b;
	int err = insn_get(insn, mem, &a);

	if (!err)
		err = insn_get(insn, !mem, &b);
	if (!err)
		err = insn_set(insn, mem, b);
	return err ? err : insn_set(insn, !mem, a);
}

static int do_cmpxchg(struct insn *insn)
{
	static const ZydisRegister accumulators[] = {
		[1] = ZYDIS_REGISTER_AL, /* by width; insn_get() knows no other */
		[2] = ZYDIS_REGISTER_AX,
		[4] = ZYDIS_REGISTER_EAX,
		[8] = ZYDIS_REGISTER_RAX,
	};
	unsigned int width = insn_width(insn, 0);
	ZydisRegister accumulator;
	u64 old, new, expected;
	int err = insn_get(insn, 0, &old);

	if (!err)
		err = insn_get(insn, 1, &new);
	if (err)
		return err;
	accumulator = accumulators[width];
	expected = insn->regs.rax & insn_mask(width);
	insn->regs.eflags = insn_flags_sub(insn->regs.eflags, expected, old, 0, width);
	/* The destination is written in either case, as the CPU does. */
	err = insn_set(insn, 0, expected == old ? new : old);
	if (!err && expected != old)
		err = insn_set_reg(insn, accumulator, old);
	return err;
}

static int do_cmpxchg_pair(struct insn *insn)
{
	unsigned int half = insn_width(insn, 0) / 2;
	struct user_regs_struct *r = &insn->regs;
	u64 va, old[2] = { 0 }, new[2] = { r->rbx, r->rcx }, mask = insn_mask(half);
	u8 bytes[16];
	bool equal;
	int err;

	if (insn->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY || (half != 4 && half != 8))
		return insn_fail(insn, "an operand of an unusual kind");
	va = insn_address(insn, &insn->op[0].mem);
	err = insn_load(insn, va, bytes, 2 * half);
	if (err)
		return err;
	memcpy(&old[0], bytes, half);
	memcpy(&old[1], bytes + half, half);
	equal = old[0] == (r->rax & mask) && old[1] == (r->rdx & mask);
	memcpy(bytes, equal ? &new[0] : &old[0], half);
	memcpy(bytes + half, equal ? &new[1] : &old[1], half);
	err = insn_store(insn, va, bytes, 2 * half);
	if (err)
		return err;
	r->eflags = equal ? r->eflags | FLAG_ZF : r->eflags & ~FLAG_ZF;
	if (!equal) {
		r->rax = old[0];
		r->rdx = old[1];
	}
	return 0;
}

/* The CPU's sixteen conditions, by the low half of the opcode. */
static bool condition(u64 flags, unsigned int code)
{
	bool sf_of = !(flags & FLAG_SF) != !(flags & FLAG_OF), value = false;

	switch (code >> 1) {
	case 0:
		value = flags & FLAG_OF;
		break;
	case 1:
		value = flags & FLAG_CF;
		break;
	case 2:
		value = flags & FLAG_ZF;
		break;
	case 3:
		value = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		value = flags & FLAG_SF;
		break;
	case 5:
		value = flags & FLAG_PF;
		break;
	case 6:
		value = sf_of;
		break;
	case 7:
		value = sf_of || (flags & FLAG_ZF);
		break;
	}
	return value != (code & 1);
}

static int do_setcc(struct insn *insn)
{
	return insn_set(insn, 0, condition(insn->regs.eflags, insn->in.opcode & 15));
}

static int do_cmov(struct insn *insn)
{
	u64 value;
	int err = insn_get(insn, 1, &value);

	/* Memory is read whatever the condition; a 32-bit register loses its upper half. */
	if (!err && !condition(insn->regs.eflags, insn->in.opcode & 15))
		err = insn_get(insn, 0, &value);
	return err ? err : insn_set(insn, 0, value);
}

static int push(struct insn *insn, u64 value, unsigned int width)
{
	u64 sp = insn->regs.rsp - width;
	int err;

	if (insn->compat)
		sp = (u32)sp;
	err = insn_store(insn, sp, &value, width);
	if (!err)
		insn->regs.rsp = sp;
	return err;
}

static int do_push(struct insn *insn)
{
	u64 value;
	int err = insn_get(insn, 0, &value);

	return err ? err : push(insn, value, insn_width(insn, 0));
}

static int do_pop(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	u64 value = 0;
	int err;

	if (width > 8)
		return insn_fail(insn, "an operand of an unusual kind");
	err = insn_load(insn, insn->regs.rsp, &value, width);
	if (err)
		return err;
	insn->regs.rsp += width; /* before the address of the destination is computed */
	return insn_set(insn, 0, value);
}

static int do_jump(struct insn *insn)
{
	u64 target;
	int err;

	if (insn->in.meta.branch_type != ZYDIS_BRANCH_TYPE_NEAR)
		return insn_fail(insn, "a far jump");
	err = insn_get(insn, 0, &target);
	if (!err && insn->in.mnemonic == ZYDIS_MNEMONIC_CALL)
		err = push(insn, insn->regs.rip + insn->in.length, insn->compat ? 4 : 8);
	if (err)
		return err;
	insn->regs.rip = target;
	insn->rip_set = true;
	return 0;
}

insn_handler insn_move_handler(const ZydisDecodedInstruction *in)
{
	if (in->meta.category == ZYDIS_CATEGORY_CMOV)
		return do_cmov;
	if (in->meta.category == ZYDIS_CATEGORY_SETCC)
		return do_setcc;
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_MOVDIRI:
	case ZYDIS_MNEMONIC_MOVZX:
		return do_mov;
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return do_movsx;
	case ZYDIS_MNEMONIC_MOVBE:
		return do_movbe;
	case ZYDIS_MNEMONIC_MOVDIR64B:
		return do_movdir64b;
	case ZYDIS_MNEMONIC_XCHG:
		return do_xchg;
	case ZYDIS_MNEMONIC_CMPXCHG:
		return do_cmpxchg;
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		return do_cmpxchg_pair;
	case ZYDIS_MNEMONIC_PUSH:
		return do_push;
	case ZYDIS_MNEMONIC_POP:
		return do_pop;
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return do_jump;
	case ZYDIS_MNEMONIC_CLFLUSH:
	case ZYDIS_MNEMONIC_CLFLUSHOPT:
	case ZYDIS_MNEMONIC_CLWB:
	case ZYDIS_MNEMONIC_CLDEMOTE:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHW:
	case ZYDIS_MNEMONIC_PREFETCHWT1:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
		return do_nothing;
	default:
		return NULL;
	}
}
