/* SPDX-License-Identifier: BSD-3-Clause */
/* Moves between memory and vector registers, which live in the program's XSAVE area. */
#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "supervisor/insn_internal.h"

/* The XSAVE area (Intel's manual, volume 1, chapter 13). */
#define XSAVE_FSW 2
#define XSAVE_FTW 4
#define XSAVE_ST 32
#define XSAVE_XMM 160
#define XSAVE_BV 512 /* which components are not in their initial state */
#define XSAVE_MIN 576

enum xsave_component {
	XSAVE_X87 = 0,
	XSAVE_SSE = 1,
	XSAVE_YMM_HIGH = 2, /* bits 128-255 of registers 0-15 */
	XSAVE_MASKS = 5,
	XSAVE_ZMM_HIGH = 6, /* bits 256-511 of registers 0-15 */
	XSAVE_ZMM_16_31 = 7,
};

#define VECTOR_MAX 64

/* Of components 0-7 in the standard form; 0: the CPU has none. CPUID is slow in a virtual machine.
 */
static unsigned int component_offset[8], component_size[8];
static pthread_once_t component_once = PTHREAD_ONCE_INIT;

struct xsave {
	u8 *area;
	size_t size;
};

static int get_xsave(struct insn *insn, struct xsave *xs)
{
	xs->area = insn->ops->xstate(insn->opaque, &xs->size);
	if (!xs->area || xs->size < XSAVE_MIN)
		return insn_fail(insn, "vector registers that cannot be read");
	return 0;
}

static void find_components(void)
{
	unsigned int ecx, edx;

	for (unsigned int c = XSAVE_YMM_HIGH; c < ARRAY_SIZE(component_size); c++) {
		if (!__get_cpuid_count(0xd, c, &component_size[c], &component_offset[c], &ecx,
				       &edx) ||
		    component_offset[c] < XSAVE_MIN)
			component_size[c] = 0;
	}
	component_offset[XSAVE_X87] = XSAVE_ST;
	component_size[XSAVE_X87] = 128;
	component_offset[XSAVE_SSE] = XSAVE_XMM;
	component_size[XSAVE_SSE] = 256;
}

/* NULL if this area has none. */
static u8 *component(const struct xsave *xs, enum xsave_component c, size_t *len)
{
	pthread_once(&component_once, find_components);
	*len = component_size[c];
	if (!*len || component_offset[c] + *len > xs->size)
		return NULL;
	return xs->area + component_offset[c];
}

static void component_get(const struct xsave *xs, enum xsave_component c, size_t at, u8 *out,
			  size_t len)
{
	size_t size = 0;
	const u8 *from = component(xs, c, &size);
	u64 present;

	memcpy(&present, xs->area + XSAVE_BV, sizeof(present));
	if (from && at + len <= size && (present & BIT_ULL(c)))
		memcpy(out, from + at, len);
	else
		memset(out, 0, len);
}

static void component_set(const struct xsave *xs, enum xsave_component c, size_t at, const u8 *in,
			  size_t len)
{
	static const u8 zero[VECTOR_MAX];
	size_t size = 0;
	u8 *to = component(xs, c, &size);
	u64 present;

	memcpy(&present, xs->area + XSAVE_BV, sizeof(present));
	if (!to || at + len > size || (!(present & BIT_ULL(c)) && !memcmp(in, zero, len)))
		return; /* its initial state is zeros */
	if (!(present & BIT_ULL(c)))
		memset(to, 0, size);
	present |= BIT_ULL(c);
	memcpy(xs->area + XSAVE_BV, &present, sizeof(present));
	memcpy(to + at, in, len);
}

static void vector_get(const struct xsave *xs, unsigned int id, u8 out[VECTOR_MAX])
{
	if (id >= 16) {
		component_get(xs, XSAVE_ZMM_16_31, (id - 16) * 64, out, 64);
		return;
	}
	component_get(xs, XSAVE_SSE, id * 16, out, 16);
	component_get(xs, XSAVE_YMM_HIGH, id * 16, out + 16, 16);
	component_get(xs, XSAVE_ZMM_HIGH, id * 32, out + 32, 32);
}

/* Instructions of SSE keep what lies above bit 127; those of AVX clear what they do not write. */
static void vector_set(struct insn *insn, const struct xsave *xs, unsigned int id,
		       const u8 in[VECTOR_MAX])
{
	insn->out->xstate_changed = true;
	if (id >= 16) {
		component_set(xs, XSAVE_ZMM_16_31, (id - 16) * 64, in, 64);
		return;
	}
	component_set(xs, XSAVE_SSE, id * 16, in, 16);
	if (insn->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return;
	component_set(xs, XSAVE_YMM_HIGH, id * 16, in + 16, 16);
	component_set(xs, XSAVE_ZMM_HIGH, id * 32, in + 32, 32);
}

/* MMX registers lie over those of the x87, which every MMX instruction marks as in use. */
static void mmx_set(struct insn *insn, const struct xsave *xs, unsigned int id, const u8 *in)
{
	static const u8 exponent[2] = { 0xff, 0xff };
	u8 st[10];
	u64 present;

	component_get(xs, XSAVE_X87, id * 16, st, sizeof(st));
	if (in) {
		memcpy(st, in, 8);
		memcpy(st + 8, exponent, 2);
	}
	memcpy(&present, xs->area + XSAVE_BV, sizeof(present));
	if (!(present & BIT_ULL(XSAVE_X87)))
		memcpy(xs->area, (const u8[]){ 0x7f, 0x03, 0, 0, 0, 0 }, 6);
	component_set(xs, XSAVE_X87, id * 16, st, sizeof(st));
	xs->area[XSAVE_FSW + 1] &= (u8)~0x38; /* top of stack */
	xs->area[XSAVE_FTW] = 0xff;
	insn->out->xstate_changed = true;
}

/* The @n-th operand, not counting a mask register. */
static const ZydisDecodedOperand *operand(const struct insn *insn, unsigned int n)
{
	static const ZydisDecodedOperand none = { .type = ZYDIS_OPERAND_TYPE_UNUSED };

	for (unsigned int i = 0; i < insn->in.operand_count; i++) {
		if (insn->op[i].encoding == ZYDIS_OPERAND_ENCODING_MASK)
			continue;
		if (!n--)
			return &insn->op[i];
	}
	return &none;
}

static bool is_vector(const ZydisDecodedOperand *op)
{
	ZydisRegisterClass class = ZYDIS_REGCLASS_INVALID;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		class = ZydisRegisterGetClass(op->reg.value);
	return class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM ||
	       class == ZYDIS_REGCLASS_ZMM;
}

static bool is_mmx(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MMX;
}

static bool is_memory(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
	       op->size % 8 == 0 && op->size / 8 <= VECTOR_MAX;
}

static unsigned int reg_id(const ZydisDecodedOperand *op)
{
	return (unsigned int)ZydisRegisterGetId(op->reg.value);
}

static bool masked(const struct insn *insn)
{
	return insn->in.avx.mask.reg != ZYDIS_REGISTER_NONE &&
	       insn->in.avx.mask.reg != ZYDIS_REGISTER_K0;
}

/* One bit for each element. */
static u64 mask_bits(const struct insn *insn, const struct xsave *xs)
{
	u64 bits = ~0ULL;

	if (masked(insn))
		component_get(xs, XSAVE_MASKS,
			      (size_t)ZydisRegisterGetId(insn->in.avx.mask.reg) * 8, (u8 *)&bits,
			      sizeof(bits));
	return bits;
}

/* Elements whose bit is clear are not accessed. */
static int load_elements(struct insn *insn, u64 va, u8 *buf, size_t len, size_t element, u64 bits)
{
	int err = 0;

	for (size_t i = 0; i * element < len && !err; i++) {
		if (bits >> i & 1)
			err = insn_load(insn, va + i * element, buf + i * element, element);
	}
	return err;
}

static int store_elements(struct insn *insn, u64 va, const u8 *buf, size_t len, size_t element,
			  u64 bits)
{
	int err = 0;

	for (size_t i = 0; i * element < len && !err; i++) {
		if (bits >> i & 1)
			err = insn_store(insn, va + i * element, buf + i * element, element);
	}
	return err;
}

static bool element_of(const ZydisDecodedOperand *mem, size_t *element)
{
	*element = mem->element_size / 8;
	return *element && *element <= 8 && mem->size / 8 / *element <= 64;
}

static int move_load(struct insn *insn, const struct xsave *xs, const ZydisDecodedOperand *to,
		     const ZydisDecodedOperand *mem)
{
	size_t len = mem->size / 8, element;
	u64 va = insn_address(insn, &mem->mem);
	u8 buf[VECTOR_MAX] = { 0 };
	int err;

	if (!masked(insn)) {
		err = insn_load(insn, va, buf, len);
	} else {
		if (!element_of(mem, &element))
			return insn_fail(insn, "a mask of an unusual kind");
		if (insn->in.avx.mask.mode == ZYDIS_MASK_MODE_MERGING) {
			vector_get(xs, reg_id(to), buf);
			memset(buf + len, 0, sizeof(buf) - len);
		}
		err = load_elements(insn, va, buf, len, element, mask_bits(insn, xs));
	}
	if (err)
		return err;
	vector_set(insn, xs, reg_id(to), buf);
	return 0;
}

static int move_store(struct insn *insn, const struct xsave *xs, const ZydisDecodedOperand *mem,
		      const ZydisDecodedOperand *from)
{
	size_t len = mem->size / 8, element;
	u64 va = insn_address(insn, &mem->mem);
	u8 buf[VECTOR_MAX];

	vector_get(xs, reg_id(from), buf);
	if (!masked(insn))
		return insn_store(insn, va, buf, len);
	if (!element_of(mem, &element))
		return insn_fail(insn, "a mask of an unusual kind");
	return store_elements(insn, va, buf, len, element, mask_bits(insn, xs));
}

static int move_mmx(struct insn *insn, const struct xsave *xs, const ZydisDecodedOperand *to,
		    const ZydisDecodedOperand *from)
{
	u8 buf[16] = { 0 };
	int err;

	if (is_memory(from)) {
		err = insn_load(insn, insn_address(insn, &from->mem), buf, from->size / 8);
		if (!err)
			mmx_set(insn, xs, reg_id(to), buf);
		return err;
	}
	component_get(xs, XSAVE_X87, reg_id(from) * 16, buf, 8);
	err = insn_store(insn, insn_address(insn, &to->mem), buf, to->size / 8);
	if (!err)
		mmx_set(insn, xs, reg_id(from), NULL);
	return err;
}

static int do_move(struct insn *insn)
{
	const ZydisDecodedOperand *to = operand(insn, 0), *from = operand(insn, 1);
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	if (is_vector(to) && is_memory(from))
		return move_load(insn, &xs, to, from);
	if (is_memory(to) && is_vector(from))
		return move_store(insn, &xs, to, from);
	if ((is_mmx(to) && is_memory(from)) || (is_memory(to) && is_mmx(from)))
		return move_mmx(insn, &xs, to, from);
	return insn_fail(insn, "an operand of an unusual kind");
}

/* MOVLPS, MOVHPS and their kin: one half of the low 128 bits. */
static int do_half(struct insn *insn)
{
	bool high = false, two = insn->in.operand_count_visible == 2;
	const ZydisDecodedOperand *to = operand(insn, 0), *mem = operand(insn, two ? 1 : 2);
	u8 buf[VECTOR_MAX];
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	switch (insn->in.mnemonic) {
	case ZYDIS_MNEMONIC_MOVHPS:
	case ZYDIS_MNEMONIC_MOVHPD:
	case ZYDIS_MNEMONIC_VMOVHPS:
	case ZYDIS_MNEMONIC_VMOVHPD:
		high = true;
		break;
	default:
		break;
	}
	if (is_memory(to) && is_vector(operand(insn, 1))) {
		vector_get(&xs, reg_id(operand(insn, 1)), buf);
		return insn_store(insn, insn_address(insn, &to->mem), buf + 8 * high, 8);
	}
	if (!is_vector(to) || !is_memory(mem) || (!two && !is_vector(operand(insn, 1))))
		return insn_fail(insn, "an operand of an unusual kind");
	vector_get(&xs, reg_id(two ? to : operand(insn, 1)), buf);
	memset(buf + 16, 0, sizeof(buf) - 16);
	err = insn_load(insn, insn_address(insn, &mem->mem), buf + 8 * high, 8);
	if (!err)
		vector_set(insn, &xs, reg_id(to), buf);
	return err;
}

static int do_broadcast(struct insn *insn)
{
	const ZydisDecodedOperand *to = operand(insn, 0), *mem = operand(insn, 1);
	u8 buf[VECTOR_MAX] = { 0 };
	size_t len = mem->size / 8, size = to->size / 8;
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	if (!is_vector(to) || !is_memory(mem) || masked(insn) || !len || size > sizeof(buf))
		return insn_fail(insn, "an operand of an unusual kind");
	err = insn_load(insn, insn_address(insn, &mem->mem), buf, len);
	if (err)
		return err;
	for (size_t i = len; i + len <= size; i += len)
		memcpy(buf + i, buf, len);
	vector_set(insn, &xs, reg_id(to), buf);
	return 0;
}

/* Part of a register to memory: PEXTRx, EXTRACTPS, VEXTRACTF128 and its kin. */
static int do_extract(struct insn *insn)
{
	const ZydisDecodedOperand *mem = operand(insn, 0), *from = operand(insn, 1);
	size_t len = mem->size / 8, parts = len ? from->size / 8 / len : 0;
	u8 buf[VECTOR_MAX];
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	if (!is_memory(mem) || !is_vector(from) || masked(insn) || !parts || parts > 16)
		return insn_fail(insn, "an operand of an unusual kind");
	vector_get(&xs, reg_id(from), buf);
	return insn_store(insn, insn_address(insn, &mem->mem),
			  buf + len * (insn->in.raw.imm[0].value.u & (parts - 1)), len);
}

/* Memory to a part of a register: PINSRx, VINSERTF128 and its kin. */
static int do_insert(struct insn *insn)
{
	bool two = insn->in.operand_count_visible == 3; /* the immediate is the third */
	const ZydisDecodedOperand *to = operand(insn, 0), *mem = operand(insn, two ? 1 : 2);
	const ZydisDecodedOperand *base = two ? to : operand(insn, 1);
	size_t len = mem->size / 8, size = to->size / 8, parts = len ? size / len : 0;
	u8 buf[VECTOR_MAX];
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	if (!is_vector(to) || !is_vector(base) || !is_memory(mem) || masked(insn) || !parts ||
	    parts > 16 || size > sizeof(buf))
		return insn_fail(insn, "an operand of an unusual kind");
	vector_get(&xs, reg_id(base), buf);
	memset(buf + size, 0, sizeof(buf) - size);
	err = insn_load(insn, insn_address(insn, &mem->mem),
			buf + len * (insn->in.raw.imm[0].value.u & (parts - 1)), len);
	if (!err)
		vector_set(insn, &xs, reg_id(to), buf);
	return err;
}

/* VMASKMOVPS and its kin: the top bit of each element of the second operand selects. */
static int do_maskmov(struct insn *insn)
{
	const ZydisDecodedOperand *to = operand(insn, 0), *last = operand(insn, 2);
	const ZydisDecodedOperand *mem = is_memory(to) ? to : last;
	u8 selector[VECTOR_MAX], buf[VECTOR_MAX] = { 0 };
	size_t element;
	u64 bits = 0;
	struct xsave xs;
	int err = get_xsave(insn, &xs);

	if (err)
		return err;
	if (!is_memory(mem) || !is_vector(operand(insn, 1)) || !element_of(mem, &element) ||
	    !is_vector(mem == to ? last : to))
		return insn_fail(insn, "an operand of an unusual kind");
	vector_get(&xs, reg_id(operand(insn, 1)), selector);
	for (size_t i = 0; (i + 1) * element <= mem->size / 8U; i++)
		bits |= (u64)(selector[(i + 1) * element - 1] >> 7) << i;
	if (mem == to) {
		vector_get(&xs, reg_id(last), buf);
		return store_elements(insn, insn_address(insn, &mem->mem), buf, mem->size / 8,
				      element, bits);
	}
	err = load_elements(insn, insn_address(insn, &mem->mem), buf, mem->size / 8, element, bits);
	if (!err)
		vector_set(insn, &xs, reg_id(to), buf);
	return err;
}

static const struct {
	insn_handler handler;
	ZydisMnemonic mnemonics[40];
} vector_table[] = {
	{ do_move, { ZYDIS_MNEMONIC_MOVD,      ZYDIS_MNEMONIC_MOVQ,	 ZYDIS_MNEMONIC_MOVSS,
		     ZYDIS_MNEMONIC_MOVSD,     ZYDIS_MNEMONIC_MOVUPS,	 ZYDIS_MNEMONIC_MOVUPD,
		     ZYDIS_MNEMONIC_MOVAPS,    ZYDIS_MNEMONIC_MOVAPD,	 ZYDIS_MNEMONIC_MOVDQU,
		     ZYDIS_MNEMONIC_MOVDQA,    ZYDIS_MNEMONIC_LDDQU,	 ZYDIS_MNEMONIC_MOVNTDQ,
		     ZYDIS_MNEMONIC_MOVNTDQA,  ZYDIS_MNEMONIC_MOVNTPS,	 ZYDIS_MNEMONIC_MOVNTPD,
		     ZYDIS_MNEMONIC_MOVNTQ,    ZYDIS_MNEMONIC_VMOVD,	 ZYDIS_MNEMONIC_VMOVQ,
		     ZYDIS_MNEMONIC_VMOVSS,    ZYDIS_MNEMONIC_VMOVSD,	 ZYDIS_MNEMONIC_VMOVUPS,
		     ZYDIS_MNEMONIC_VMOVUPD,   ZYDIS_MNEMONIC_VMOVAPS,	 ZYDIS_MNEMONIC_VMOVAPD,
		     ZYDIS_MNEMONIC_VMOVDQU,   ZYDIS_MNEMONIC_VMOVDQA,	 ZYDIS_MNEMONIC_VLDDQU,
		     ZYDIS_MNEMONIC_VMOVNTDQ,  ZYDIS_MNEMONIC_VMOVNTDQA, ZYDIS_MNEMONIC_VMOVNTPS,
		     ZYDIS_MNEMONIC_VMOVNTPD,  ZYDIS_MNEMONIC_VMOVDQU8,	 ZYDIS_MNEMONIC_VMOVDQU16,
		     ZYDIS_MNEMONIC_VMOVDQU32, ZYDIS_MNEMONIC_VMOVDQU64, ZYDIS_MNEMONIC_VMOVDQA32,
		     ZYDIS_MNEMONIC_VMOVDQA64, ZYDIS_MNEMONIC_VMOVW,	 ZYDIS_MNEMONIC_VMOVSH } },
	{ do_half,
	  { ZYDIS_MNEMONIC_MOVLPS, ZYDIS_MNEMONIC_MOVLPD, ZYDIS_MNEMONIC_MOVHPS,
	    ZYDIS_MNEMONIC_MOVHPD, ZYDIS_MNEMONIC_VMOVLPS, ZYDIS_MNEMONIC_VMOVLPD,
	    ZYDIS_MNEMONIC_VMOVHPS, ZYDIS_MNEMONIC_VMOVHPD } },
	{ do_broadcast,
	  { ZYDIS_MNEMONIC_VBROADCASTSS, ZYDIS_MNEMONIC_VBROADCASTSD, ZYDIS_MNEMONIC_VBROADCASTF128,
	    ZYDIS_MNEMONIC_VBROADCASTI128, ZYDIS_MNEMONIC_VBROADCASTF32X4,
	    ZYDIS_MNEMONIC_VBROADCASTF64X2, ZYDIS_MNEMONIC_VBROADCASTF32X8,
	    ZYDIS_MNEMONIC_VBROADCASTF64X4, ZYDIS_MNEMONIC_VBROADCASTI32X4,
	    ZYDIS_MNEMONIC_VBROADCASTI64X2, ZYDIS_MNEMONIC_VBROADCASTI32X8,
	    ZYDIS_MNEMONIC_VBROADCASTI64X4, ZYDIS_MNEMONIC_VPBROADCASTB,
	    ZYDIS_MNEMONIC_VPBROADCASTW, ZYDIS_MNEMONIC_VPBROADCASTD,
	    ZYDIS_MNEMONIC_VPBROADCASTQ } },
	{ do_extract,
	  { ZYDIS_MNEMONIC_PEXTRB, ZYDIS_MNEMONIC_PEXTRW, ZYDIS_MNEMONIC_PEXTRD,
	    ZYDIS_MNEMONIC_PEXTRQ, ZYDIS_MNEMONIC_EXTRACTPS, ZYDIS_MNEMONIC_VPEXTRB,
	    ZYDIS_MNEMONIC_VPEXTRW, ZYDIS_MNEMONIC_VPEXTRD, ZYDIS_MNEMONIC_VPEXTRQ,
	    ZYDIS_MNEMONIC_VEXTRACTPS, ZYDIS_MNEMONIC_VEXTRACTF128, ZYDIS_MNEMONIC_VEXTRACTI128,
	    ZYDIS_MNEMONIC_VEXTRACTF32X4, ZYDIS_MNEMONIC_VEXTRACTF64X2,
	    ZYDIS_MNEMONIC_VEXTRACTF64X4, ZYDIS_MNEMONIC_VEXTRACTI32X4,
	    ZYDIS_MNEMONIC_VEXTRACTI64X2, ZYDIS_MNEMONIC_VEXTRACTI64X4 } },
	{ do_insert,
	  { ZYDIS_MNEMONIC_PINSRB, ZYDIS_MNEMONIC_PINSRW, ZYDIS_MNEMONIC_PINSRD,
	    ZYDIS_MNEMONIC_PINSRQ, ZYDIS_MNEMONIC_VPINSRB, ZYDIS_MNEMONIC_VPINSRW,
	    ZYDIS_MNEMONIC_VPINSRD, ZYDIS_MNEMONIC_VPINSRQ, ZYDIS_MNEMONIC_VINSERTF128,
	    ZYDIS_MNEMONIC_VINSERTI128, ZYDIS_MNEMONIC_VINSERTF32X4, ZYDIS_MNEMONIC_VINSERTF64X2,
	    ZYDIS_MNEMONIC_VINSERTF64X4, ZYDIS_MNEMONIC_VINSERTI32X4, ZYDIS_MNEMONIC_VINSERTI64X2,
	    ZYDIS_MNEMONIC_VINSERTI64X4 } },
	{ do_maskmov,
	  { ZYDIS_MNEMONIC_VMASKMOVPS, ZYDIS_MNEMONIC_VMASKMOVPD, ZYDIS_MNEMONIC_VPMASKMOVD,
	    ZYDIS_MNEMONIC_VPMASKMOVQ } },
};

insn_handler insn_vector_handler(const ZydisDecodedInstruction *in)
{
	for (size_t i = 0; i < ARRAY_SIZE(vector_table); i++) {
		const ZydisMnemonic *m = vector_table[i].mnemonics;

		for (size_t n = 0; n < ARRAY_SIZE(vector_table[i].mnemonics) && m[n]; n++) {
			if (m[n] == in->mnemonic)
				return vector_table[i].handler;
		}
	}
	return NULL;
}
