/* SPDX-License-Identifier: BSD-3-Clause */
/* Integer arithmetic and its flags. */
#include <errno.h>

#include "supervisor/insn_internal.h"

/* PF, ZF and SF of a result. */
static u64 flags_of_result(u64 result, unsigned int width)
{
	u64 flags = 0;

	if (!__builtin_parity((unsigned int)(result & 0xff)))
		flags |= FLAG_PF;
	if (!(result & insn_mask(width)))
		flags |= FLAG_ZF;
	if (result >> (width * 8 - 1) & 1)
		flags |= FLAG_SF;
	return flags;
}

static u64 flags_add(u64 flags, u64 a, u64 b, u64 carry, unsigned int width)
{
	u64 result = (a + b + carry) & insn_mask(width);
	u64 carries = (a & b) | ((a | b) & ~result);
	u64 out = flags_of_result(result, width);

	if (carries >> (width * 8 - 1) & 1)
		out |= FLAG_CF;
	if (carries >> 3 & 1)
		out |= FLAG_AF;
	if (((a ^ result) & (b ^ result)) >> (width * 8 - 1) & 1)
		out |= FLAG_OF;
	return (flags & ~FLAGS_ARITH) | out;
}

u64 insn_flags_sub(u64 flags, u64 a, u64 b, u64 borrow, unsigned int width)
{
	u64 result = (a - b - borrow) & insn_mask(width);
	u64 borrows = (~a & b) | ((~a | b) & result);
	u64 out = flags_of_result(result, width);

	if (borrows >> (width * 8 - 1) & 1)
		out |= FLAG_CF;
	if (borrows >> 3 & 1)
		out |= FLAG_AF;
	if (((a ^ b) & (a ^ result)) >> (width * 8 - 1) & 1)
		out |= FLAG_OF;
	return (flags & ~FLAGS_ARITH) | out;
}

/* @a becomes the result; false for what only compares. */
static bool compute(ZydisMnemonic what, u64 *a, u64 b, unsigned int width, unsigned long long *fl)
{
	u64 carry = *fl & FLAG_CF;

	switch (what) {
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_ADD:
		carry = what == ZYDIS_MNEMONIC_ADC ? carry : 0;
		*fl = flags_add(*fl, *a, b, carry, width);
		*a += b + carry;
		return true;
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
		carry = what == ZYDIS_MNEMONIC_SBB ? carry : 0;
		*fl = insn_flags_sub(*fl, *a, b, carry, width);
		*a -= b + carry;
		return what != ZYDIS_MNEMONIC_CMP;
	case ZYDIS_MNEMONIC_OR:
		*a |= b;
		break;
	case ZYDIS_MNEMONIC_XOR:
		*a ^= b;
		break;
	default: /* AND, TEST */
		*a &= b;
		break;
	}
	*fl = (*fl & ~FLAGS_ARITH) | flags_of_result(*a, width);
	return what != ZYDIS_MNEMONIC_TEST;
}

static int do_binary(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	u64 a, b;
	int err = insn_get(insn, 0, &a);

	if (!err)
		err = insn_get(insn, 1, &b);
	if (err)
		return err;
	b &= insn_mask(width);
	if (compute(insn->in.mnemonic, &a, b, width, &insn->regs.eflags))
		err = insn_set(insn, 0, a);
	return err;
}

static int do_xadd(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	u64 a, b;
	int err = insn_get(insn, 0, &a);

	if (!err)
		err = insn_get(insn, 1, &b);
	if (!err)
		err = insn_set(insn, 0, a + b);
	if (!err)
		err = insn_set(insn, 1, a);
	if (!err)
		insn->regs.eflags = flags_add(insn->regs.eflags, a, b, 0, width);
	return err;
}

static int do_unary(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	u64 a, flags = insn->regs.eflags;
	int err = insn_get(insn, 0, &a);

	if (err)
		return err;
	switch (insn->in.mnemonic) {
	case ZYDIS_MNEMONIC_INC:
		flags = (flags_add(flags, a, 1, 0, width) & ~FLAG_CF) | (flags & FLAG_CF);
		a++;
		break;
	case ZYDIS_MNEMONIC_DEC:
		flags = (insn_flags_sub(flags, a, 1, 0, width) & ~FLAG_CF) | (flags & FLAG_CF);
		a--;
		break;
	case ZYDIS_MNEMONIC_NEG:
		flags = insn_flags_sub(flags, 0, a, 0, width);
		a = -a;
		break;
	default: /* NOT */
		a = ~a;
		break;
	}
	err = insn_set(insn, 0, a);
	if (!err)
		insn->regs.eflags = flags;
	return err;
}

static int do_shift(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0), bits = width * 8;
	u64 a, count, flags = insn->regs.eflags, result, carry, top;
	int err = insn_get(insn, 0, &a);

	if (!err)
		err = insn_get(insn, 1, &count);
	if (err)
		return err;
	count &= width == 8 ? 63 : 31;
	if (!count)
		return insn_set(insn, 0, a);
	switch (insn->in.mnemonic) {
	case ZYDIS_MNEMONIC_SHL:
		result = count < 64 ? a << count : 0;
		carry = count <= bits ? a >> (bits - count) & 1 : 0;
		top = carry ^ (result >> (bits - 1) & 1);
		break;
	case ZYDIS_MNEMONIC_SHR:
		result = a >> count;
		carry = a >> (count - 1) & 1;
		top = a >> (bits - 1) & 1;
		break;
	default: /* SAR */
		a = insn_sign_extend(a, width);
		result = (u64)((int64_t)a >> count);
		carry = (u64)((int64_t)a >> (count - 1)) & 1;
		top = 0;
		break;
	}
	flags = (flags & ~FLAGS_ARITH) | flags_of_result(result & insn_mask(width), width);
	flags |= (carry ? FLAG_CF : 0) | (top ? FLAG_OF : 0);
	err = insn_set(insn, 0, result);
	if (!err)
		insn->regs.eflags = flags;
	return err;
}

/* A bit number in a register reaches beyond the operand; one in the instruction does not. */
static int do_bit(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0), bits = width * 8;
	const ZydisDecodedOperandMem *mem = &insn->op[0].mem;
	u64 index, va, value = 0, bit;
	int err = insn_get(insn, 1, &index);

	if (err)
		return err;
	if (insn->op[0].type != ZYDIS_OPERAND_TYPE_MEMORY || width > 8)
		return insn_fail(insn, "an operand of an unusual kind");
	va = insn_address(insn, mem);
	if (insn->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		int64_t offset = (int64_t)insn_sign_extend(index, insn_width(insn, 1));

		va += (u64)(offset >> (width == 8 ? 6 : width == 4 ? 5 : 4)) * width;
		if (insn->compat)
			va = (u32)va;
	}
	err = insn_load(insn, va, &value, width);
	if (err)
		return err;
	bit = 1ULL << (index & (bits - 1));
	insn->regs.eflags = (insn->regs.eflags & ~FLAG_CF) | (value & bit ? FLAG_CF : 0);
	switch (insn->in.mnemonic) {
	case ZYDIS_MNEMONIC_BTS:
		value |= bit;
		break;
	case ZYDIS_MNEMONIC_BTR:
		value &= ~bit;
		break;
	case ZYDIS_MNEMONIC_BTC:
		value ^= bit;
		break;
	default: /* BT */
		return 0;
	}
	return insn_store(insn, va, &value, width);
}

/* A double-width product or dividend: AX for bytes, DX:AX and its wider kin else. */
static void set_pair(struct insn *insn, unsigned int width, u64 low, u64 high)
{
	static const ZydisRegister regs[][2] = {
		[2] = { ZYDIS_REGISTER_AX, ZYDIS_REGISTER_DX },
		[4] = { ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_EDX },
		[8] = { ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_RDX },
	};

	if (width == 1) {
		insn_set_reg(insn, ZYDIS_REGISTER_AL, low);
		insn_set_reg(insn, ZYDIS_REGISTER_AH, high);
		return;
	}
	insn_set_reg(insn, regs[width][0], low);
	insn_set_reg(insn, regs[width][1], high);
}

static int do_mul(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	bool is_signed = insn->in.mnemonic == ZYDIS_MNEMONIC_IMUL, lost;
	u64 a = insn->regs.rax & insn_mask(width), b, high;
	unsigned __int128 product;
	int err = insn_get(insn, 0, &b);

	if (err)
		return err;
	if (is_signed) {
		product = (unsigned __int128)((__int128)(int64_t)insn_sign_extend(a, width) *
					      (int64_t)insn_sign_extend(b, width));
		high = (u64)(product >> (width * 8)) & insn_mask(width);
		lost = product !=
		       (unsigned __int128)(__int128)(int64_t)insn_sign_extend((u64)product, width);
	} else {
		product = (unsigned __int128)a * b;
		high = (u64)(product >> (width * 8)) & insn_mask(width);
		lost = high != 0;
	}
	set_pair(insn, width, (u64)product, high);
	insn->regs.eflags &= ~FLAGS_ARITH;
	insn->regs.eflags |= flags_of_result((u64)product & insn_mask(width), width) & ~FLAG_ZF;
	insn->regs.eflags |= lost ? FLAG_CF | FLAG_OF : 0;
	return 0;
}

/* The two- and three-operand forms. */
static int do_imul(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0), count = insn->in.operand_count_visible;
	__int128 product;
	u64 a, b;
	int err;

	if (count < 2)
		return do_mul(insn);
	err = insn_get(insn, count - 2, &a);
	if (!err)
		err = insn_get(insn, count - 1, &b);
	if (err)
		return err;
	product =
		(__int128)(int64_t)insn_sign_extend(a, width) * (int64_t)insn_sign_extend(b, width);
	insn->regs.eflags &= ~FLAGS_ARITH;
	insn->regs.eflags |= flags_of_result((u64)product & insn_mask(width), width) & ~FLAG_ZF;
	if (product != (int64_t)insn_sign_extend((u64)product, width))
		insn->regs.eflags |= FLAG_CF | FLAG_OF;
	return insn_set(insn, 0, (u64)product);
}

static int divide_signed(unsigned __int128 dividend, u64 divisor, unsigned int width, u64 *quot,
			 u64 *rest)
{
	unsigned int bits = width * 8;
	__int128 a = (__int128)(dividend << (128 - 2 * bits)) >> (128 - 2 * bits), q;
	int64_t b = (int64_t)insn_sign_extend(divisor, width);

	/* The one quotient that overflows even the wide type. */
	if (!b || (b == -1 && dividend << (128 - 2 * bits) == (unsigned __int128)1 << 127))
		return -EDOM;
	q = a / b;
	if (q != (int64_t)insn_sign_extend((u64)q, width))
		return -EDOM;
	*quot = (u64)q;
	*rest = (u64)(a % b);
	return 0;
}

static int do_div(struct insn *insn)
{
	unsigned int width = insn_width(insn, 0);
	unsigned __int128 dividend;
	u64 divisor, quot, rest;
	int err = insn_get(insn, 0, &divisor);

	if (err)
		return err;
	if (width == 1)
		dividend = insn->regs.rax & 0xffff;
	else
		dividend = (unsigned __int128)(insn->regs.rdx & insn_mask(width)) << (width * 8) |
			   (insn->regs.rax & insn_mask(width));
	if (insn->in.mnemonic == ZYDIS_MNEMONIC_IDIV) {
		err = divide_signed(dividend, divisor, width, &quot, &rest);
		if (err)
			return err;
	} else {
		if (!divisor || dividend / divisor > insn_mask(width))
			return -EDOM;
		quot = (u64)(dividend / divisor);
		rest = (u64)(dividend % divisor);
	}
	set_pair(insn, width, quot, rest);
	return 0;
}

insn_handler insn_alu_handler(const ZydisDecodedInstruction *in)
{
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_TEST:
		return do_binary;
	case ZYDIS_MNEMONIC_XADD:
		return do_xadd;
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
		return do_unary;
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
		return do_shift;
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return do_bit;
	case ZYDIS_MNEMONIC_MUL:
		return do_mul;
	case ZYDIS_MNEMONIC_IMUL:
		return do_imul;
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		return do_div;
	default:
		return NULL;
	}
}
