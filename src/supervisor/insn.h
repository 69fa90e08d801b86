/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Performs one x86 instruction that reads or writes memory, on behalf of a stopped program.
 *
 * Pure: everything outside the registers is reached through callbacks. Registers change only when
 * the whole instruction is done; a repeated string instruction counts each element as one
 * instruction, as the CPU does.
 *
 * Threads: no state of its own; any number of instructions at once.
 */
#ifndef SUPERVISOR_INSN_H
#define SUPERVISOR_INSN_H

#include <stdbool.h>
#include <sys/user.h>

#include "base/util.h"

#define INSN_MAX_LENGTH 15
/* Elements of one repeated string instruction that one call performs; the program then runs into
 * the next. */
#define INSN_MAX_REPEAT 4096

struct insn_ops {
	/* Whether the byte at @va belongs to a trapped BAR. */
	bool (*is_mmio)(void *opaque, u64 va);
	/* One device access, width 1, 2, 4 or 8. 0 or -errno. */
	int (*mmio_read)(void *opaque, u64 va, unsigned int width, u64 *value);
	int (*mmio_write)(void *opaque, u64 va, unsigned int width, u64 value);
	/* The program's plain memory: 0 or -EFAULT. */
	int (*mem_read)(void *opaque, u64 va, void *buf, size_t len);
	int (*mem_write)(void *opaque, u64 va, const void *buf, size_t len);
	/*
	 * The XSAVE area of the program (standard form, at least 576 bytes), called for
	 * instructions with vector registers alone; NULL if it cannot be had. The caller writes it
	 * back when ->xstate_changed says so.
	 */
	void *(*xstate)(void *opaque, size_t *size);
};

struct insn_outcome {
	const char *reason;   /* -EINVAL, -ENOTSUP: what is wrong with it, a few words */
	const char *mnemonic; /* or NULL when it could not be decoded */
	u64 fault;	      /* -EFAULT, and errors of devices: the address of the access */
	bool fault_write;
	bool xstate_changed;
};

/*
 * Emulates the instruction at regs->rip, whose first @len bytes are @bytes. 0: done, and @regs says
 * what follows (also: a part of a repeated instruction is done, go on at the same one). Else
 * nothing of the instruction, or of the element of a repeated one, has been done to the registers:
 *   -EINVAL   the bytes are no instruction
 *   -ENOTSUP  it is one that is not emulated
 *   -EFAULT   plain memory could not be accessed: the program deserves SIGSEGV for ->fault
 *   -EDOM     division error: the program deserves SIGFPE
 *   others    from mmio_read and mmio_write
 */
int insn_emulate(const struct insn_ops *ops, void *opaque, const u8 *bytes, size_t len,
		 struct user_regs_struct *regs, struct insn_outcome *out);

#endif
