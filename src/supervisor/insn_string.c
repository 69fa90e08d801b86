/* SPDX-License-Identifier: BSD-3-Clause */
/* String instructions: each element is one access to each side. */
#include "supervisor/insn_internal.h"

enum string_kind { STRING_NONE, STRING_MOVS, STRING_STOS, STRING_LODS, STRING_CMPS, STRING_SCAS };

static enum string_kind kind_of(ZydisMnemonic mnemonic, unsigned int *width)
{
	static const struct {
		ZydisMnemonic names[4]; /* of 1, 2, 4 and 8 bytes */
		enum string_kind kind;
	} table[] = {
		{ { ZYDIS_MNEMONIC_MOVSB, ZYDIS_MNEMONIC_MOVSW, ZYDIS_MNEMONIC_MOVSD,
		    ZYDIS_MNEMONIC_MOVSQ },
		  STRING_MOVS },
		{ { ZYDIS_MNEMONIC_STOSB, ZYDIS_MNEMONIC_STOSW, ZYDIS_MNEMONIC_STOSD,
		    ZYDIS_MNEMONIC_STOSQ },
		  STRING_STOS },
		{ { ZYDIS_MNEMONIC_LODSB, ZYDIS_MNEMONIC_LODSW, ZYDIS_MNEMONIC_LODSD,
		    ZYDIS_MNEMONIC_LODSQ },
		  STRING_LODS },
		{ { ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, ZYDIS_MNEMONIC_CMPSD,
		    ZYDIS_MNEMONIC_CMPSQ },
		  STRING_CMPS },
		{ { ZYDIS_MNEMONIC_SCASB, ZYDIS_MNEMONIC_SCASW, ZYDIS_MNEMONIC_SCASD,
		    ZYDIS_MNEMONIC_SCASQ },
		  STRING_SCAS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned int w = 0; w < 4; w++) {
			if (table[i].names[w] != mnemonic)
				continue;
			*width = 1U << w;
			return table[i].kind;
		}
	}
	return STRING_NONE;
}

static u8 repeat_prefix(const ZydisDecodedInstruction *in)
{
	u8 found = 0;

	for (unsigned int i = 0; i < in->raw.prefix_count; i++) {
		u8 prefix = in->raw.prefixes[i].value;

		if (prefix == 0xf2 || prefix == 0xf3)
			found = prefix;
	}
	return found;
}

static ZydisRegister source_segment(const ZydisDecodedInstruction *in)
{
	if (in->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
		return ZYDIS_REGISTER_FS;
	if (in->attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
		return ZYDIS_REGISTER_GS;
	return ZYDIS_REGISTER_DS;
}

/* What is written to a 32-bit address register clears the upper half, as the CPU does. */
static void advance(unsigned long long *reg, u64 step, u64 mask)
{
	u64 value = (*reg + step) & mask;

	*reg = mask == 0xffff ? (*reg & ~mask) | value : value;
}

static int one_element(struct insn *insn, enum string_kind kind, unsigned int width)
{
	struct user_regs_struct *r = &insn->regs;
	u64 mask = insn_mask(insn->in.address_width / 8);
	u64 from = (r->rsi & mask) + insn_segment_base(insn, source_segment(&insn->in));
	u64 to = r->rdi & mask, step = r->eflags & FLAG_DF ? -(u64)width : width;
	u64 a = r->rax & insn_mask(width), b = 0;
	bool uses_from = kind == STRING_MOVS || kind == STRING_LODS || kind == STRING_CMPS;
	int err = 0;

	if (insn->compat)
		from = (u32)from;
	if (uses_from) {
		a = 0;
		err = insn_load(insn, from, &a, width);
	}
	if (!err && (kind == STRING_CMPS || kind == STRING_SCAS))
		err = insn_load(insn, to, &b, width);
	if (!err && (kind == STRING_MOVS || kind == STRING_STOS))
		err = insn_store(insn, to, &a, width);
	if (err)
		return err;
	if (kind == STRING_CMPS || kind == STRING_SCAS)
		r->eflags = insn_flags_sub(r->eflags, a, b, 0, width);
	if (kind == STRING_LODS)
		r->rax = width >= 4 ? a : (r->rax & ~insn_mask(width)) | a;
	if (uses_from)
		advance(&r->rsi, step, mask);
	if (kind != STRING_LODS)
		advance(&r->rdi, step, mask);
	return 0;
}

/* Whether the next element touches a device: if not, the program goes on by itself. */
static bool next_is_mmio(struct insn *insn, enum string_kind kind)
{
	u64 mask = insn_mask(insn->in.address_width / 8);
	u64 from = (insn->regs.rsi & mask) + insn_segment_base(insn, source_segment(&insn->in));

	if (kind != STRING_LODS && insn->ops->is_mmio(insn->opaque, insn->regs.rdi & mask))
		return true;
	return kind != STRING_STOS && kind != STRING_SCAS &&
	       insn->ops->is_mmio(insn->opaque, insn->compat ? (u32)from : from);
}

static int do_string(struct insn *insn)
{
	u64 mask = insn_mask(insn->in.address_width / 8);
	u8 repeat = repeat_prefix(&insn->in);
	unsigned int width = 0;
	enum string_kind kind = kind_of(insn->in.mnemonic, &width);
	int err;

	if (!repeat)
		return one_element(insn, kind, width);
	for (unsigned int n = 0; insn->regs.rcx & mask; n++) {
		if (n && (n == INSN_MAX_REPEAT || !next_is_mmio(insn, kind))) {
			insn->rip_set = true;
			return 0;
		}
		err = one_element(insn, kind, width);
		if (err && !n)
			return err;
		if (err) { /* the program meets it again, as its first element */
			insn->rip_set = true;
			return 0;
		}
		advance(&insn->regs.rcx, ~0ULL, mask);
		if ((kind == STRING_CMPS || kind == STRING_SCAS) &&
		    !(insn->regs.eflags & FLAG_ZF) == (repeat == 0xf3))
			return 0;
	}
	return 0;
}

insn_handler insn_string_handler(const ZydisDecodedInstruction *in)
{
	unsigned int width;

	/* The category tells the string MOVSD and CMPSD from those of SSE. */
	if (in->meta.category != ZYDIS_CATEGORY_STRINGOP)
		return NULL;
	return kind_of(in->mnemonic, &width) == STRING_NONE ? NULL : do_string;
}
