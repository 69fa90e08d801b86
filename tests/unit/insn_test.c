/* SPDX-License-Identifier: BSD-3-Clause */
/* The instruction emulator against the CPU, form by form, and what no form shows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "insn_forms.h"
#include "supervisor/insn.h"

#define SEEDS 25
#define MAX_LOG 256

struct access {
	u64 va;
	unsigned int width;
	bool write;
};

/* The machine of the emulated run: the areas where they are, device accesses logged. */
struct machine {
	u8 *xsave;
	struct access log[MAX_LOG];
	size_t accesses;
	u64 fail_mmio, fail_mem; /* addresses that fail, or 0 */
};

static bool is_mmio(void *opaque, u64 va)
{
	return va >= FORM_DEV && va < FORM_DEV + FORM_DEV_SIZE;
}

static void note(struct machine *m, u64 va, unsigned int width, bool write)
{
	assert_true(width == 1 || width == 2 || width == 4 || width == 8);
	assert_true(is_mmio(m, va) && is_mmio(m, va + width - 1));
	if (m->accesses < MAX_LOG)
		m->log[m->accesses] = (struct access){ va, width, write };
	m->accesses++;
}

static int mmio_read(void *opaque, u64 va, unsigned int width, u64 *value)
{
	struct machine *m = opaque;

	if (va == m->fail_mmio)
		return -EIO;
	note(opaque, va, width, false);
	*value = 0;
	memcpy(value, (void *)(uintptr_t)va, width);
	return 0;
}

static int mmio_write(void *opaque, u64 va, unsigned int width, u64 value)
{
	struct machine *m = opaque;

	if (va == m->fail_mmio)
		return -EIO;
	note(opaque, va, width, true);
	memcpy((void *)(uintptr_t)va, &value, width);
	return 0;
}

static bool is_plain(u64 va, size_t len)
{
	return va >= FORM_PLAIN && va + len <= FORM_PLAIN + FORM_PLAIN_SIZE;
}

static int mem_read(void *opaque, u64 va, void *buf, size_t len)
{
	struct machine *m = opaque;

	if (!is_plain(va, len) || va == m->fail_mem)
		return -EFAULT;
	memcpy(buf, (void *)(uintptr_t)va, len);
	return 0;
}

static int mem_write(void *opaque, u64 va, const void *buf, size_t len)
{
	struct machine *m = opaque;

	if (!is_plain(va, len) || va == m->fail_mem)
		return -EFAULT;
	memcpy((void *)(uintptr_t)va, buf, len);
	return 0;
}

static void *xstate(void *opaque, size_t *size)
{
	struct machine *m = opaque;

	*size = sizeof(((struct form_regs *)NULL)->xsave);
	return m->xsave;
}

static const struct insn_ops ops = {
	.is_mmio = is_mmio,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.mem_read = mem_read,
	.mem_write = mem_write,
	.xstate = xstate,
};

static void to_user(const struct form_regs *from, struct user_regs_struct *to)
{
	const u64 *g = from->gpr;

	*to = (struct user_regs_struct){
		.rax = g[0],
		.rcx = g[1],
		.rdx = g[2],
		.rbx = g[3],
		.rsp = g[4],
		.rbp = g[5],
		.rsi = g[6],
		.rdi = g[7],
		.r8 = g[8],
		.r9 = g[9],
		.r10 = g[10],
		.r11 = g[11],
		.r12 = g[12],
		.r13 = g[13],
		.r14 = g[14],
		.r15 = g[15],
		.cs = 0x33,
		.rip = FORM_CODE,
		.gs_base = FORM_DEV,
		.eflags = from->flags | 0x10000, /* RF, as in every fault */
	};
}

static void from_user(const struct user_regs_struct *from, struct form_regs *to)
{
	const u64 g[16] = { from->rax, from->rcx, from->rdx, from->rbx, from->rsp, from->rbp,
			    from->rsi, from->rdi, from->r8,  from->r9,	from->r10, from->r11,
			    from->r12, from->r13, from->r14, from->r15 };

	memcpy(to->gpr, g, sizeof(g));
	to->flags = from->eflags;
}

/* Makes what a component's absence means explicit, and drops what instructions do not define. */
static void normalize(u8 *xsave)
{
	static const u8 fresh[32] = { 0x7f, 0x03 };
	unsigned int size, offset, c, d;
	u64 present;

	memcpy(&present, xsave + 512, sizeof(present));
	if (!(present & 1)) {
		memcpy(xsave, fresh, 24);
		memset(xsave + 32, 0, 128);
	}
	memset(xsave + 6, 0, 18); /* last x87 instruction and operand */
	memset(xsave + 28, 0, 4); /* the valid bits of MXCSR */
	if (!(present & 2))
		memset(xsave + 160, 0, 256);
	for (unsigned int i = 2; i < 8; i++) {
		if (!(form_xsave_mask >> i & 1) || (present >> i & 1))
			continue;
		if (!__get_cpuid_count(0xd, i, &size, &offset, &c, &d))
			abort();
		memset(xsave + offset, 0, size);
	}
	memset(xsave + 416, 0, 160); /* software's own, and the header */
}

static int emulate(struct machine *m, struct user_regs_struct *regs, struct insn_outcome *out)
{
	return insn_emulate(&ops, m, (const u8 *)(uintptr_t)FORM_CODE, INSN_MAX_LENGTH, regs, out);
}

static void compare(const struct form *form, unsigned int seed, struct form_regs *want,
		    struct form_regs *got, bool changed, const u8 *xsave_before)
{
	want->flags &= ~(u64)form->ignore;
	got->flags &= ~(u64)form->ignore;
	if (!changed)
		memcpy(got->xsave, xsave_before, sizeof(got->xsave));
	normalize(want->xsave);
	normalize(got->xsave);
	for (unsigned int i = 0; i < 16; i++) {
		if (want->gpr[i] != got->gpr[i])
			fail_msg("%s, seed %u: register %u is %llx, not %llx", form->text, seed, i,
				 (unsigned long long)got->gpr[i], (unsigned long long)want->gpr[i]);
	}
	if (want->flags != got->flags)
		fail_msg("%s, seed %u: flags are %llx, not %llx", form->text, seed,
			 (unsigned long long)got->flags, (unsigned long long)want->flags);
	for (unsigned int i = 0; i < sizeof(want->xsave); i++) {
		if (want->xsave[i] != got->xsave[i])
			fail_msg("%s, seed %u: byte %u of the vector state is %x, not %x",
				 form->text, seed, i, got->xsave[i], want->xsave[i]);
	}
}

static void compare_memory(const struct form *form, const char *name, const u8 *want, u64 va,
			   size_t len)
{
	const u8 *got = (const u8 *)(uintptr_t)va;

	for (size_t i = 0; i < len; i++) {
		if (want[i] != got[i])
			fail_msg("%s: %s memory at %zx is %x, not %x", form->text, name, i, got[i],
				 want[i]);
	}
}

static void run_form(const struct form *form, unsigned int seed)
{
	static struct form_regs start, native, emulated;
	static u8 dev[FORM_DEV_SIZE], plain[FORM_PLAIN_SIZE];
	u8 *dev_va = (u8 *)(uintptr_t)FORM_DEV, *plain_va = (u8 *)(uintptr_t)FORM_PLAIN;
	struct machine m = { .xsave = emulated.xsave };
	struct user_regs_struct regs;
	struct insn_outcome out;
	bool changed = false;
	int steps = 0;
	u64 end = FORM_CODE + (u64)(form->end - form->start);

	form_place(form);
	form_setup(form, seed, &start, dev_va, plain_va);
	native = start;
	form_run(&native);
	memcpy(dev, dev_va, sizeof(dev));
	memcpy(plain, plain_va, sizeof(plain));

	form_setup(form, seed, &emulated, dev_va, plain_va);
	to_user(&emulated, &regs);
	do {
		int err = emulate(&m, &regs, &out);

		if (err)
			fail_msg("%s, seed %u: %d (%s)", form->text, seed, err,
				 out.reason ? out.reason : "");
		changed |= out.xstate_changed;
	} while (regs.rip == FORM_CODE && ++steps < 10);
	if (strstr(form->text, "jmp") || strstr(form->text, "call"))
		end = FORM_LANDING;
	if (regs.rip != end)
		fail_msg("%s: goes on at %llx", form->text, regs.rip);
	from_user(&regs, &emulated);
	compare(form, seed, &native, &emulated, changed, start.xsave);
	compare_memory(form, "device", dev, FORM_DEV, sizeof(dev));
	compare_memory(form, "plain", plain, FORM_PLAIN, sizeof(plain));
}

static void test_forms(void **state)
{
	unsigned int skipped = 0;

	for (size_t i = 0; i < form_count; i++) {
		struct form form = form_at(i);

		if (!form_supported(&form)) {
			skipped++;
			continue;
		}
		for (unsigned int seed = 0; seed < SEEDS; seed++)
			run_form(&form, seed);
	}
	print_message("%zu forms, %u not known to this CPU\n", form_count - skipped, skipped);
}

/* Starts from seed 1 with @code in place. */
static void start_code(const void *code, size_t len, struct form_regs *frame,
		       struct user_regs_struct *regs)
{
	struct form form = { .text = "", .start = code, .end = (const u8 *)code + len };

	form_place(&form);
	form_setup(&form, 1, frame, (u8 *)(uintptr_t)FORM_DEV, (u8 *)(uintptr_t)FORM_PLAIN);
	to_user(frame, regs);
}

#define START(m, frame, regs, ...) \
	do { \
		static const u8 code_[] = { __VA_ARGS__ }; \
		m = (struct machine){ .xsave = (frame)->xsave }; \
		start_code(code_, sizeof(code_), frame, regs); \
	} while (0)

static struct form_regs frame;

/* Accesses have the width of the instruction, and wide ones go in ascending pieces of 8 bytes. */
static void test_widths(void **state)
{
	struct user_regs_struct regs;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0x66, 0x89, 0x43, 0x02); /* movw %ax, 2(%rbx) */
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 1);
	assert_int_equal(m.log[0].width, 2);
	assert_int_equal(m.log[0].va, FORM_DEV + 0x402);

	START(m, &frame, &regs, 0xc5, 0xfe, 0x6f, 0x03); /* vmovdqu (%rbx), %ymm0 */
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 4);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(m.log[i].width, 8);
		assert_int_equal(m.log[i].va, FORM_DEV + 0x400 + 8 * i);
		assert_false(m.log[i].write);
	}

	START(m, &frame, &regs, 0xf0, 0xff, 0x03); /* lock incl (%rbx) */
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 2);
	assert_true(!m.log[0].write && m.log[1].write);

	START(m, &frame, &regs, 0xf3, 0xa4); /* rep movsb: from the device */
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 5);
	assert_int_equal(regs.rcx, 0);
	assert_int_equal(m.log[4].width, 1);
}

/* Instructions that this CPU may not have. */
static void test_movdir(void **state)
{
	struct user_regs_struct regs;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0x0f, 0x38, 0xf9, 0x03); /* movdiri %eax, (%rbx) */
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 1);
	assert_int_equal(*(u32 *)(uintptr_t)(FORM_DEV + 0x400), (u32)regs.rax);

	/* movdir64b (%r12), %rbx */
	START(m, &frame, &regs, 0x66, 0x41, 0x0f, 0x38, 0xf8, 0x1c, 0x24);
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 8);
	assert_memory_equal((void *)(uintptr_t)(FORM_DEV + 0x400),
			    (void *)(uintptr_t)(FORM_PLAIN + 0x40), 64);
	assert_int_equal(regs.rip, FORM_CODE + 7);
}

static void test_segments(void **state)
{
	struct user_regs_struct regs;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0x64, 0x8b, 0x03); /* movl %fs:(%rbx), %eax */
	regs.fs_base = 0x200;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.log[0].va, FORM_DEV + 0x600);
	START(m, &frame, &regs, 0x64, 0xa4); /* movsb %fs:(%rsi), (%rdi): the source alone */
	regs.fs_base = 0x200;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.log[0].va, FORM_DEV + 0xa00);
	assert_int_equal(m.accesses, 1);
}

/* 32-bit code. */
static void test_compat(void **state)
{
	struct user_regs_struct regs;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0x40, 0x8b, 0x03); /* inc %eax there, a REX prefix here */
	regs.cs = 0x23;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 0);
	assert_int_equal(regs.rip, FORM_CODE + 1);
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 0); /* still at FORM_CODE: the bytes are those of the first */
	START(m, &frame, &regs, 0x8b, 0x04, 0x8b); /* mov (%ebx,%ecx,4), %eax */
	regs.cs = 0x23;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.log[0].va, FORM_DEV + 0x414);
}

/* Nothing is done to the registers by an instruction that fails. */
static void test_failures(void **state)
{
	struct user_regs_struct regs, before;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0x48, 0x87, 0x03); /* xchg %rax, (%rbx) */
	before = regs;
	m.fail_mmio = FORM_DEV + 0x400;
	assert_int_equal(emulate(&m, &regs, &out), -EIO);
	assert_int_equal(out.fault, FORM_DEV + 0x400);
	assert_memory_equal(&regs, &before, sizeof(regs));

	START(m, &frame, &regs, 0xff, 0x33); /* push (%rbx), onto a stack that is not there */
	before = regs;
	m.fail_mem = FORM_PLAIN + 0x7f8;
	assert_int_equal(emulate(&m, &regs, &out), -EFAULT);
	assert_int_equal(out.fault, FORM_PLAIN + 0x7f8);
	assert_true(out.fault_write);
	assert_memory_equal(&regs, &before, sizeof(regs));

	START(m, &frame, &regs, 0xf3, 0xa4); /* rep movsb, the third byte fails */
	m.fail_mem = FORM_PLAIN + 0x402;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(regs.rcx, 3);
	assert_int_equal(regs.rip, FORM_CODE);
	assert_int_equal(emulate(&m, &regs, &out), -EFAULT);
	assert_int_equal(regs.rcx, 3);
	assert_int_equal(regs.rdi, FORM_PLAIN + 0x402);

	START(m, &frame, &regs, 0xf7, 0x33); /* div (%rbx) */
	*(u32 *)(uintptr_t)(FORM_DEV + 0x400) = 0;
	assert_int_equal(emulate(&m, &regs, &out), -EDOM);
	START(m, &frame, &regs, 0xf7, 0x3b); /* idiv (%rbx): the quotient that overflows */
	*(u32 *)(uintptr_t)(FORM_DEV + 0x400) = ~0U;
	regs.rax = 0;
	regs.rdx = 0x80000000;
	assert_int_equal(emulate(&m, &regs, &out), -EDOM);
	START(m, &frame, &regs, 0x48, 0xf7, 0x3b); /* idivq (%rbx) */
	*(u64 *)(uintptr_t)(FORM_DEV + 0x400) = ~0ULL;
	regs.rax = 0;
	regs.rdx = 1ULL << 63;
	assert_int_equal(emulate(&m, &regs, &out), -EDOM);

	START(m, &frame, &regs, 0xd9, 0x03); /* flds (%rbx) */
	before = regs;
	assert_int_equal(emulate(&m, &regs, &out), -ENOTSUP);
	assert_string_equal(out.mnemonic, "fld");
	assert_non_null(out.reason);
	assert_memory_equal(&regs, &before, sizeof(regs));
	START(m, &frame, &regs, 0x06); /* no instruction in 64-bit code */
	assert_int_equal(emulate(&m, &regs, &out), -EINVAL);
	assert_null(out.mnemonic);
	START(m, &frame, &regs, 0x8b, 0x83, 0, 0, 0, 0); /* cut off */
	assert_int_equal(insn_emulate(&ops, &m, (const u8 *)(uintptr_t)FORM_CODE, 4, &regs, &out),
			 -EINVAL);
	START(m, &frame, &regs, 0x48, 0x8b, 0x03); /* mov (%rbx), %rax across the edge of the BAR */
	regs.rbx = FORM_DEV + FORM_DEV_SIZE - 4;
	assert_int_equal(emulate(&m, &regs, &out), -ENOTSUP);
	START(m, &frame, &regs, 0x62, 0xf2, 0x7d, 0x49, 0x90, 0x04, 0x0b); /* vpgatherdd */
	assert_int_equal(emulate(&m, &regs, &out), -ENOTSUP);
}

/* A long repetition is done in parts, and leaves a device's memory at its edge. */
static void test_repeat(void **state)
{
	struct user_regs_struct regs;
	struct insn_outcome out;
	struct machine m;

	START(m, &frame, &regs, 0xf3, 0xaa); /* rep stosb */
	regs.rdi = FORM_DEV;
	regs.rcx = INSN_MAX_REPEAT + 10;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(regs.rcx, 10);
	assert_int_equal(regs.rip, FORM_CODE);
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(regs.rcx, 0);
	assert_int_equal(regs.rip, FORM_CODE + 2);
	assert_int_equal(m.accesses, INSN_MAX_REPEAT + 10);

	START(m, &frame, &regs, 0xf3, 0xaa);
	regs.rdi = FORM_DEV + FORM_DEV_SIZE - 3;
	regs.rcx = 8;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(regs.rcx, 5);
	assert_int_equal(regs.rip, FORM_CODE);

	START(m, &frame, &regs, 0xf3, 0xaa);
	regs.rcx = 0;
	assert_int_equal(emulate(&m, &regs, &out), 0);
	assert_int_equal(m.accesses, 0);
	assert_int_equal(regs.rip, FORM_CODE + 2);
}

static int setup(void **state)
{
	form_map();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),  cmocka_unit_test(test_widths),
		cmocka_unit_test(test_movdir), cmocka_unit_test(test_segments),
		cmocka_unit_test(test_compat), cmocka_unit_test(test_failures),
		cmocka_unit_test(test_repeat),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
