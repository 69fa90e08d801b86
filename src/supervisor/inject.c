/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread is seized while it waits for its answer, stopped on its way back to user mode, made to
 * repeat its system call instruction with other registers, and let go with the registers it would
 * have had.
 */
#include "supervisor/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifndef __x86_64__
#error "the registers of a system call are known for x86-64 only"
#endif

/* The length of the instruction "syscall". */
#define SYSCALL_INSN 2

struct injection {
	pid_t tid;
	int pending[16]; /* signals that came in between */
	unsigned int nr_pending;
	struct user_regs_struct home; /* as the thread shall go on */
};

/* Waits for the next stop that is not the delivery of a signal. 0, or -ESRCH: the thread is gone.
 */
static int wait_stop(struct injection *in, int restart)
{
	siginfo_t info;
	int status;

	for (;;) {
		/* An end is not ours to take: mmio_wait_child(). */
		if (waitid(P_PID, in->tid, &info, WSTOPPED | WEXITED | WNOWAIT | __WALL) ||
		    info.si_code == CLD_EXITED || info.si_code == CLD_KILLED ||
		    info.si_code == CLD_DUMPED)
			return -ESRCH;
		if (waitpid(in->tid, &status, __WALL | WNOHANG) != in->tid || !WIFSTOPPED(status))
			return -ESRCH;
		if (status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80))
			return 0;
		if (in->nr_pending < sizeof(in->pending) / sizeof(in->pending[0]))
			in->pending[in->nr_pending++] = WSTOPSIG(status);
		if (ptrace(restart, in->tid, NULL, NULL))
			return -ESRCH;
	}
}

/* Makes the stopped thread perform one system call; its result. */
static long perform(struct injection *in, long nr, u64 arg0, u64 arg1, u64 arg2)
{
	struct user_regs_struct regs = in->home;

	regs.rip -= SYSCALL_INSN;
	regs.rax = nr;
	regs.orig_rax = -1;
	regs.rdi = arg0;
	regs.rsi = arg1;
	regs.rdx = arg2;
	if (ptrace(PTRACE_SETREGS, in->tid, NULL, &regs))
		return -ESRCH;
	/* Its entry, then its exit. */
	for (int i = 0; i < 2; i++) {
		if (ptrace(PTRACE_SYSCALL, in->tid, NULL, NULL) || wait_stop(in, PTRACE_SYSCALL))
			return -ESRCH;
	}
	return ptrace(PTRACE_GETREGS, in->tid, NULL, &regs) ? -ESRCH : (long)regs.rax;
}

static void let_go(struct injection *in)
{
	for (unsigned int i = 0; i < in->nr_pending; i++)
		syscall(__NR_tkill, in->tid, in->pending[i]);
	ptrace(PTRACE_DETACH, in->tid, NULL, NULL);
}

/*
 * Gives the thread a duplicate of @fd, and stops it on its way out of its call. The number of the
 * duplicate; -EPERM: nothing has been done; -ESRCH: the call is answered, and the thread needs no
 * more.
 */
static long stop(struct injection *in, struct caller *c, int fd)
{
	long number;

	if (ptrace(PTRACE_SEIZE, in->tid, NULL, PTRACE_O_TRACESYSGOOD))
		return -EPERM;
	number = caller_add_fd(c, fd, true);
	if (ptrace(PTRACE_INTERRUPT, in->tid, NULL, NULL))
		return -EPERM;
	supervisor_reply(c->sv, c->req->id, number < 0 ? number : 0);
	if (wait_stop(in, PTRACE_CONT))
		return -ESRCH;
	if (number >= 0 && !ptrace(PTRACE_GETREGS, in->tid, NULL, &in->home))
		return number;
	let_go(in);
	return -ESRCH;
}

/* Lets the thread go on with @result. */
static long finish(struct injection *in, long result)
{
	in->home.rax = result;
	in->home.orig_rax = -1;
	ptrace(PTRACE_SETREGS, in->tid, NULL, &in->home);
	let_go(in);
	return REPLY_LATER;
}

long inject_fchdir(struct caller *c, int fd)
{
	struct injection in = { .tid = c->tid };
	long number = stop(&in, c, fd), result;

	if (number < 0)
		return number == -EPERM ? number : REPLY_LATER;
	result = perform(&in, __NR_fchdir, number, 0, 0);
	perform(&in, __NR_close, number, 0, 0);
	return finish(&in, result);
}

long inject_open_path(struct caller *c, int dir, u64 name, bool cloexec)
{
	struct injection in = { .tid = c->tid };
	long number = stop(&in, c, dir), result;

	if (number < 0)
		return number == -EPERM ? number : REPLY_LATER;
	result = perform(&in, __NR_open_tree, number, name, AT_SYMLINK_NOFOLLOW);
	if (result < 0) {
		perform(&in, __NR_close, number, 0, 0);
		return finish(&in, result);
	}
	/* The lowest number, as of any open. */
	perform(&in, __NR_dup3, result, number, cloexec ? O_CLOEXEC : 0);
	perform(&in, __NR_close, result, 0, 0);
	return finish(&in, number);
}
