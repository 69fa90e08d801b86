/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trapped BARs: the accesses of programs to mappings that lie past the end of a device's file raise
 * SIGBUS; a tracing thread sees it by ptrace, and emulates the instruction.
 *
 * The tracing thread makes every ptrace call, and follows the programs wherever they fork. It
 * consumes no exit status of a child of this process. But Linux shows the stops of a traced child
 * to every wait of every thread of its parent, whatever it asks for, and a wait that takes one
 * takes it away from the tracing thread. Therefore, while an engine lives, this process
 *   - waits for its children by mmio_wait_child() alone, or peeks with WNOWAIT and ignores what has
 *     not ended (pidfd_open() tells when to look);
 *   - leaves SA_NOCLDSTOP set for SIGCHLD (mmio_new() sets it);
 *   - does not use MMIO_WAKE_SIGNAL.
 *
 * Known limit: the kernel forces SIGBUS on a thread that blocks or ignores it, and thereby
 * unblocks it there and resets its handler; this cannot be undone from outside.
 *
 * Threads: the functions below belong to the control thread, which must not hold the lock of a
 * device while it calls them.
 */
#ifndef SUPERVISOR_MMIO_H
#define SUPERVISOR_MMIO_H

#include <signal.h>
#include <sys/types.h>

#include "base/util.h"

/* Sent to the tracing thread alone; its handler does nothing. */
#define MMIO_WAKE_SIGNAL (SIGRTMAX - 7)

struct device;
struct mmio;

struct mmio_ops {
	/* One line for the user, without a newline: an instruction that cannot be emulated, a
	 * program under a debugger. Tracing thread or control thread. At most
	 * MMIO_MAX_REPORTS in the life of an engine. */
	void (*report)(void *opaque, const char *line);
};

#define MMIO_MAX_REPORTS 16

/* NULL with errno. */
struct mmio *mmio_new(const struct mmio_ops *ops, void *opaque);
/* Programs still traced go on untraced. NULL is allowed. */
void mmio_free(struct mmio *mmio);

/* Accesses to mappings of the file @ino on @dev are accesses to @device's BARs. -ENOMEM, -EEXIST.
 */
int mmio_add_file(struct mmio *mmio, dev_t dev, ino_t ino, struct device *device);
/* On return, the tracing thread does not use the device any more. */
void mmio_remove_file(struct mmio *mmio, dev_t dev, ino_t ino);

/*
 * Traces all threads of @tgid, and whatever they fork from now on until it executes another
 * program. Stops nothing: also while a thread waits in a notification. Again for a traced process:
 * 0. -EBUSY: a debugger has it (reported); -EPERM: not allowed; -ESRCH: it is gone.
 */
int mmio_attach(struct mmio *mmio, pid_t tgid);
/*
 * For when no trapped mapping is left: lets go of every program, each thread as soon as it can be
 * done without its noticing.
 */
void mmio_detach_all(struct mmio *mmio);

/*
 * Reaps the child @pid of this process if it has ended: 1, and *info is waitid()'s. 0: it has not.
 * -ECHILD. Does not block.
 */
int mmio_wait_child(pid_t pid, siginfo_t *info);

/* Instructions emulated so far. Any thread. */
u64 mmio_traps(const struct mmio *mmio);

#endif
