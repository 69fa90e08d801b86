/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the emulator share: the instruction under way. */
#ifndef SUPERVISOR_INSN_INTERNAL_H
#define SUPERVISOR_INSN_INTERNAL_H

#include <Zydis/Zydis.h>

#include "supervisor/insn.h"

#define FLAG_CF BIT_ULL(0)
#define FLAG_PF BIT_ULL(2)
#define FLAG_AF BIT_ULL(4)
#define FLAG_ZF BIT_ULL(6)
#define FLAG_SF BIT_ULL(7)
#define FLAG_DF BIT_ULL(10)
#define FLAG_OF BIT_ULL(11)
#define FLAG_RF BIT_ULL(16) /* set by the CPU in what a fault saves */
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

struct insn {
	const struct insn_ops *ops;
	void *opaque;
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct user_regs_struct regs; /* committed when all is done */
	struct insn_outcome *out;
	bool compat;  /* 32-bit code */
	bool rip_set; /* by a jump, or to stay within a repetition */
};

typedef int (*insn_handler)(struct insn *insn);

/* insn.c: operands. Values are at most 8 bytes wide. */
int insn_fail(struct insn *insn, const char *reason); /* -ENOTSUP */
int insn_load(struct insn *insn, u64 va, void *buf, size_t len);
int insn_store(struct insn *insn, u64 va, const void *buf, size_t len);
u64 insn_address(struct insn *insn, const ZydisDecodedOperandMem *mem);
u64 insn_segment_base(const struct insn *insn, ZydisRegister segment);
int insn_get(struct insn *insn, unsigned int operand, u64 *value);
int insn_set(struct insn *insn, unsigned int operand, u64 value);
int insn_get_reg(struct insn *insn, ZydisRegister reg, u64 *value);
int insn_set_reg(struct insn *insn, ZydisRegister reg, u64 value);
/* The general register with that number of the CPU's, whole. */
unsigned long long *insn_gpr(struct insn *insn, unsigned int id);

static inline unsigned int insn_width(const struct insn *insn, unsigned int operand)
{
	return insn->op[operand].size / 8;
}

static inline u64 insn_mask(unsigned int width)
{
	return width >= 8 ? ~0ULL : (1ULL << (width * 8)) - 1;
}

static inline u64 insn_sign_extend(u64 value, unsigned int width)
{
	unsigned int shift = 64 - width * 8;

	return (u64)((int64_t)(value << shift) >> shift);
}

/* What to do for a mnemonic; NULL if this file has none for it. */
insn_handler insn_move_handler(const ZydisDecodedInstruction *in);
insn_handler insn_alu_handler(const ZydisDecodedInstruction *in);
insn_handler insn_string_handler(const ZydisDecodedInstruction *in);
insn_handler insn_vector_handler(const ZydisDecodedInstruction *in);

/* insn_alu.c: flags of a comparison a - b. */
u64 insn_flags_sub(u64 flags, u64 a, u64 b, u64 borrow, unsigned int width);

#endif
