/* SPDX-License-Identifier: BSD-3-Clause */
/* The tracing thread's side: which threads are traced, and what each of their stops means. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/mmio_internal.h"

#define FOLLOW_NS 1000000 /* between two looks at where the tracee runs */

#define TRACE_OPTIONS \
	(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC)

static struct cds_list_head *bucket(struct mmio *mmio, pid_t tid)
{
	return &mmio->tracees[(unsigned int)tid % MMIO_TRACEE_BUCKETS];
}

static struct tracee *tracee_find(struct mmio *mmio, pid_t tid)
{
	struct tracee *tracee;

	cds_list_for_each_entry(tracee, bucket(mmio, tid), node) {
		if (tracee->tid == tid)
			return tracee;
	}
	return NULL;
}

/* NULL: no memory. */
static struct tracee *tracee_get(struct mmio *mmio, pid_t tid)
{
	struct tracee *tracee = tracee_find(mmio, tid);

	if (tracee)
		return tracee;
	tracee = calloc(1, sizeof(*tracee));
	if (!tracee)
		return NULL;
	tracee->tid = tid;
	cds_list_add(&tracee->node, bucket(mmio, tid));
	mmio->tracee_count++;
	return tracee;
}

static void tracee_free(struct mmio *mmio, struct tracee *tracee)
{
	mmio_forget_maps(mmio, tracee->tid);
	cds_list_del(&tracee->node);
	mmio->tracee_count--;
	free(tracee);
}

static void tracee_gone(struct mmio *mmio, pid_t tid)
{
	struct tracee *tracee = tracee_find(mmio, tid);

	if (tracee)
		tracee_free(mmio, tracee);
}

void mmio_trace_free(struct mmio *mmio)
{
	struct tracee *tracee, *next;

	for (size_t i = 0; i < MMIO_TRACEE_BUCKETS; i++) {
		cds_list_for_each_entry_safe(tracee, next, &mmio->tracees[i], node)
			tracee_free(mmio, tracee);
	}
	for (size_t i = 0; i < MMIO_MAPS_CACHE; i++)
		mmio_forget_maps(mmio, mmio->maps[i].tgid);
}

int mmio_read_status(pid_t tid, struct mmio_status *status)
{
	cleanup_file FILE *f = NULL;
	char path[40], line[128];

	memset(status, 0, sizeof(*status));
	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "State:\t%c", &status->state);
		sscanf(line, "Tgid:\t%d", &status->tgid);
		sscanf(line, "PPid:\t%d", &status->ppid);
		if (sscanf(line, "TracerPid:\t%d", &status->tracer) == 1)
			return 0; /* the last of them */
	}
	return -ESRCH;
}

/* 1: traced from now on, 0: was already, or is about to end. */
static int seize(struct mmio *mmio, pid_t tid)
{
	struct mmio_status status;
	struct tracee *tracee;
	int err;

	if (!ptrace(PTRACE_SEIZE, tid, NULL, (void *)(uintptr_t)TRACE_OPTIONS)) {
		tracee = tracee_get(mmio, tid);
		if (!tracee)
			return -ENOMEM;
		tracee->tgid = 0;
		tracee->interrupted = false;
		return 1;
	}
	err = -errno;
	if (err == -ESRCH || mmio_read_status(tid, &status) < 0 || status.state == 'Z' ||
	    status.state == 'X')
		return 0;
	if (status.tracer == mmio->tid)
		return 0;
	return status.tracer ? -EBUSY : err;
}

static int seize_threads(struct mmio *mmio, pid_t tgid, int *added)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char path[40];
	int ret;

	*added = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (!tid)
			continue;
		ret = seize(mmio, tid);
		if (ret < 0)
			return ret;
		*added += ret;
	}
	return 0;
}

/* A thread that appears during a pass is traced from its birth if its maker was, and else seen in
 * the next pass. */
int mmio_trace_attach(struct mmio *mmio, pid_t tgid)
{
	int added, err;

	mmio->letting_go = false;
	do {
		err = seize_threads(mmio, tgid, &added);
	} while (!err && added);
	if (err == -EBUSY)
		mmio_report(mmio,
			    "process %d is traced by a debugger: its accesses to the device's "
			    "registers cannot be emulated",
			    tgid);
	else if (err && err != -ESRCH)
		mmio_report(mmio,
			    "process %d cannot be traced (%s): its accesses to the device's "
			    "registers cannot be emulated",
			    tgid, strerror(-err));
	return err;
}

/*
 * Whether @tid waits in a system call that would return EINTR to the program if it were
 * interrupted, be it only to let it go (signal(7), "Interruption by stop signals").
 */
static bool would_notice(pid_t tid)
{
	static const int calls[] = {
		SYS_epoll_wait,	    SYS_epoll_pwait,	 SYS_epoll_pwait2, SYS_semop,
		SYS_semtimedop,	    SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_pgetevents,
		SYS_io_uring_enter, SYS_recvfrom,	 SYS_recvmsg,	   SYS_recvmmsg,
		SYS_sendto,	    SYS_sendmsg,	 SYS_sendmmsg,	   SYS_accept,
		SYS_accept4,	    SYS_connect,
	};
	cleanup_fd int fd = -1;
	char path[40], text[32];
	ssize_t len;
	int number;

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	if (sscanf(text, "%d", &number) != 1)
		return false; /* "running" */
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i] == number)
			return true;
	}
	return false;
}

void mmio_trace_let_go(struct mmio *mmio)
{
	struct tracee *tracee, *next;

	for (size_t i = 0; i < MMIO_TRACEE_BUCKETS; i++) {
		cds_list_for_each_entry_safe(tracee, next, &mmio->tracees[i], node) {
			if (tracee->interrupted || would_notice(tracee->tid))
				continue;
			if (!ptrace(PTRACE_INTERRUPT, tracee->tid, NULL, NULL))
				tracee->interrupted = true;
			else
				tracee_free(mmio, tracee);
		}
	}
}

/* The CPU on which @tid ran last, or -1. */
static int last_cpu(pid_t tid)
{
	cleanup_fd int fd = -1;
	char path[40], text[1024], *p;
	ssize_t len;
	int field = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	p = strrchr(text, ')'); /* the name, which may hold anything */
	while (p && field < 39) {
		p = strchr(p + 1, ' ');
		field++;
	}
	return p ? atoi(p) : -1;
}

/*
 * Keeps the tracing thread on the CPU of the thread that traps: there, the one runs as soon as the
 * other sleeps, without waking another CPU. Looked up now and then, for it costs as much as a trap.
 */
static void follow(struct mmio *mmio, pid_t tid)
{
	struct timespec now;
	cpu_set_t set;
	int cpu;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec < mmio->cpu_checked_ns + FOLLOW_NS)
		return;
	mmio->cpu_checked_ns = (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
	cpu = last_cpu(tid);
	if (cpu < 0 || cpu >= CPU_SETSIZE || cpu == mmio->cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (!sched_setaffinity(0, sizeof(set),
			       &set)) /* fails where the program may run and we not */
		mmio->cpu = cpu;
}

static void exited(struct mmio *mmio, pid_t tid)
{
	struct mmio_status status;
	siginfo_t info;

	/* A child of this process stays for its parent to reap. */
	if (!mmio_read_status(tid, &status) && status.tgid == tid && status.ppid == getpid())
		mmio->zombie = tid;
	else
		waitid(P_PID, (id_t)tid, &info, WEXITED | WNOHANG | __WALL | __WNOTHREAD);
	tracee_gone(mmio, tid);
}

static void resume(struct mmio *mmio, struct tracee *tracee, int sig)
{
	pid_t tid = tracee->tid;

	if (mmio->letting_go) {
		/* ESRCH: killed meanwhile; its exit will be seen. */
		if (!ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)sig))
			tracee_free(mmio, tracee);
		return;
	}
	tracee->interrupted = false;
	ptrace(PTRACE_CONT, tid, NULL, (void *)(uintptr_t)sig);
}

/* The new program has none of the old one's mappings, and may be debugged. */
static void executed(struct mmio *mmio, struct tracee *tracee)
{
	unsigned long former = 0;
	siginfo_t info;

	/* Linux refuses requests to a thread that took its leader's number until this is consumed.
	 */
	waitid(P_PID, (id_t)tracee->tid, &info, WSTOPPED | WNOHANG | __WALL | __WNOTHREAD);
	if (!ptrace(PTRACE_GETEVENTMSG, tracee->tid, NULL, &former) && (pid_t)former != tracee->tid)
		tracee_gone(mmio, (pid_t)former);
	if (!ptrace(PTRACE_DETACH, tracee->tid, NULL, NULL))
		tracee_free(mmio, tracee);
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void stopped(struct mmio *mmio, struct tracee *tracee, int sig, int event)
{
	switch (event) {
	case 0: /* about to receive a signal */
		if (sig == SIGBUS) {
			follow(mmio, tracee->tid);
			sig = mmio_fault(mmio, tracee);
		}
		resume(mmio, tracee, sig);
		break;
	case PTRACE_EVENT_STOP:
		/* A new thread, whose number may have been another's before; an interruption; the
		 * begin or the end of a stop of the whole process. */
		tracee->tgid = 0;
		if (is_stop_signal(sig) && !mmio->letting_go)
			ptrace(PTRACE_LISTEN, tracee->tid, NULL, NULL);
		else
			resume(mmio, tracee, 0);
		break;
	case PTRACE_EVENT_EXEC:
		executed(mmio, tracee);
		break;
	default:
		resume(mmio, tracee, 0);
		break;
	}
}

void mmio_trace_event(struct mmio *mmio, const siginfo_t *info)
{
	struct tracee *tracee;

	if (info->si_code != CLD_TRAPPED && info->si_code != CLD_STOPPED) {
		exited(mmio, info->si_pid);
		return;
	}
	tracee = tracee_get(mmio, info->si_pid);
	if (tracee)
		stopped(mmio, tracee, info->si_status & 0xff, info->si_status >> 8);
	else /* out of memory: a thread we cannot remember is let go */
		ptrace(PTRACE_DETACH, info->si_pid, NULL,
		       (void *)(uintptr_t)(info->si_status >> 8 ? 0 : info->si_status & 0xff));
}
