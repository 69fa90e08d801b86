/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes of a program that cannot be trusted, as the emulator sees them: 15 of code, one of options,
 * then registers, the vector state and what memory holds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/insn.h"

#define OPTION_COMPAT BIT(0)
#define OPTION_SHORT BIT(1) /* the code ends early */
#define OPTION_NO_XSTATE BIT(2)
#define OPTION_FAILING BIT(3) /* some accesses fail */
#define OPTION_ALL_MMIO BIT(4)
#define OPTION_SMALL_XSTATE BIT(5)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

struct world {
	const u8 *data;
	size_t size, at;
	u8 options;
	u8 xstate[4096];
	size_t accesses;
};

static u8 next(struct world *w)
{
	return w->size ? w->data[w->at++ % w->size] : 0;
}

static bool is_mmio(void *opaque, u64 va)
{
	struct world *w = opaque;

	return (w->options & OPTION_ALL_MMIO) || (va >> 12 & 1);
}

static int access_result(struct world *w, int err)
{
	w->accesses++;
	return (w->options & OPTION_FAILING) && next(w) < 8 ? err : 0;
}

static void check_width(unsigned int width)
{
	if (width != 1 && width != 2 && width != 4 && width != 8)
		abort();
}

static int mmio_read(void *opaque, u64 va, unsigned int width, u64 *value)
{
	check_width(width);
	*value = 0;
	for (unsigned int i = 0; i < width; i++)
		*value |= (u64)next(opaque) << (8 * i);
	return access_result(opaque, -EIO);
}

static int mmio_write(void *opaque, u64 va, unsigned int width, u64 value)
{
	check_width(width);
	if (width < 8 && value >> (8 * width))
		abort();
	return access_result(opaque, -EIO);
}

static int mem_read(void *opaque, u64 va, void *buf, size_t len)
{
	if (!len || len > 64)
		abort();
	for (size_t i = 0; i < len; i++)
		((u8 *)buf)[i] = next(opaque);
	return access_result(opaque, -EFAULT);
}

static int mem_write(void *opaque, u64 va, const void *buf, size_t len)
{
	if (!len || len > 64)
		abort();
	return access_result(opaque, -EFAULT);
}

static void *xstate(void *opaque, size_t *size)
{
	struct world *w = opaque;

	*size = w->options & OPTION_SMALL_XSTATE ? 832 : sizeof(w->xstate);
	return w->options & OPTION_NO_XSTATE ? NULL : w->xstate;
}

static const struct insn_ops ops = {
	.is_mmio = is_mmio,
	.mmio_read = mmio_read,
	.mmio_write = mmio_write,
	.mem_read = mem_read,
	.mem_write = mem_write,
	.xstate = xstate,
};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct user_regs_struct regs, before;
	struct insn_outcome out;
	u8 code[INSN_MAX_LENGTH] = { 0 };
	struct world *w;
	int err;

	if (size < sizeof(code) + 1)
		return 0;
	memcpy(code, data, sizeof(code));
	w = calloc(1, sizeof(*w));
	if (!w)
		return 0;
	*w = (struct world){ .options = data[15], .data = data + 16, .size = size - 16 };
	for (size_t i = 0; i < sizeof(regs); i++)
		((u8 *)&regs)[i] = next(w);
	for (size_t i = 0; i < 640; i++)
		w->xstate[i] = next(w);
	regs.cs = w->options & OPTION_COMPAT ? 0x23 : 0x33;
	before = regs;
	err = insn_emulate(&ops, w, code, w->options & OPTION_SHORT ? data[15] >> 4 : sizeof(code),
			   &regs, &out);
	/* An instruction that fails has done nothing, and says why. */
	if (err && memcmp(&regs, &before, sizeof(regs)))
		abort();
	if ((err == -ENOTSUP || err == -EINVAL) && !out.reason)
		abort();
	if (!err && (regs.eflags & 0x10000))
		abort();
	if (w->accesses > 3 * INSN_MAX_REPEAT)
		abort();
	free(w);
	return 0;
}
