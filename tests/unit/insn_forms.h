/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory instructions of every form that is emulated, and a way to run one on the CPU itself: what
 * the CPU makes of it is what the emulator must.
 *
 * A form is run at FORM_CODE with this in the registers (FORM_SWAP exchanges RSI and RDI):
 *   rbx FORM_DEV + 0x400     rsi FORM_DEV + 0x800     rdi FORM_PLAIN + 0x400
 *   r8  FORM_DEV + 0xc00     rsp FORM_PLAIN + 0x800   r9 3     r10 -37     rcx 5     gs FORM_DEV
 * and random values in the others. In memory, which is random else, FORM_DEV + 0x4f0 holds
 * FORM_LANDING and FORM_DEV + 0x4e0 a divisor.
 */
#ifndef TESTS_INSN_FORMS_H
#define TESTS_INSN_FORMS_H

#include <asm/prctl.h>
#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"

#define FORM_DEV 0x20000000UL
#define FORM_DEV_SIZE 0x2000UL
#define FORM_PLAIN 0x20010000UL
#define FORM_PLAIN_SIZE 0x1000UL
#define FORM_CODE 0x20020000UL
#define FORM_LANDING (FORM_CODE + 0x100)

#define FORM_SWAP BIT(0)  /* RSI and RDI exchanged */
#define FORM_BOTH BIT(1)  /* RDI in the device too */
#define FORM_DOWN BIT(2)  /* direction flag */
#define FORM_DIV BIT(3)	  /* RDX 0, RAX small */
#define FORM_SAME BIT(4)  /* string comparisons: both sides the same but for the fourth element */
#define FORM_MATCH BIT(5) /* RAX (and RDX) as in memory at rbx */

enum form_feature { F_BASE, F_AVX, F_AVX2, F_AVX512, F_MOVDIR };

#define IGN_SHIFT 0x810 /* AF, OF */
#define IGN_MUL 0xd4	/* SF, ZF, AF, PF */
#define IGN_DIV 0x8d5	/* all */

struct form_regs {
	u64 gpr[16]; /* in the CPU's order */
	u64 flags;
	u64 pad[7];
	u8 xsave[4096] __attribute__((aligned(64)));
};

struct form {
	const u8 *start, *end;
	const char *text;
	unsigned int setup;
	unsigned int ignore; /* flags that are undefined after it */
	enum form_feature feature;
};

extern const size_t form_count;
extern u64 form_xsave_mask;

struct form form_at(size_t i);
bool form_supported(const struct form *form);
/* Maps FORM_CODE, FORM_PLAIN and (anonymous) FORM_DEV, and sets gs. */
void form_map(void);
/* The code at FORM_CODE. */
void form_place(const struct form *form);
/* Registers and the contents of both areas, from @seed. */
void form_setup(const struct form *form, unsigned int seed, struct form_regs *regs, u8 *dev,
		u8 *plain);
/* Runs what is at FORM_CODE. */
void form_run(struct form_regs *regs);

#endif
