/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the MMIO engine share. */
#ifndef SUPERVISOR_MMIO_INTERNAL_H
#define SUPERVISOR_MMIO_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <urcu/list.h>

#include "supervisor/mmio.h"

#define MMIO_TRACEE_BUCKETS 256
#define MMIO_MAPS_CACHE 8
#define MMIO_XSTATE_SIZE 16384

/* A thread of a program that we trace. It may be gone without our having been told. */
struct tracee {
	struct cds_list_head node;
	pid_t tid;
	pid_t tgid;	  /* 0: not asked yet */
	bool interrupted; /* on its way to being let go */
};

/* An open /proc/PID/maps: it stays bound to the address space that the process had then. */
struct mmio_maps {
	pid_t tgid; /* 0: unused */
	int fd;
	u64 used; /* when, in traps */
};

struct mmio_file {
	struct cds_list_head node;
	dev_t dev;
	ino_t ino;
	struct device *device;
};

enum mmio_command { MMIO_NONE, MMIO_ATTACH, MMIO_DETACH_ALL, MMIO_QUIT };

struct mmio {
	const struct mmio_ops *ops;
	void *opaque;
	pthread_t thread;
	pid_t tid;	   /* of the tracing thread */
	_Atomic u64 traps; /* written by the tracing thread */
	atomic_uint reports;

	/* The one command under way, from the control thread to the tracing thread. */
	pthread_mutex_t lock;
	pthread_cond_t done;
	_Atomic enum mmio_command command; /* lock; read without it to see whether there is one */
	pid_t command_tgid;		   /* lock */
	int command_result;		   /* lock */

	pthread_mutex_t files_lock;
	struct cds_list_head files; /* files_lock: struct mmio_file */

	/* The rest is the tracing thread's. */
	struct cds_list_head tracees[MMIO_TRACEE_BUCKETS];
	size_t tracee_count;
	bool letting_go; /* every tracee is detached at its next stop */
	pid_t zombie;	 /* a child of this process that waits to be reaped by it, or 0 */
	struct mmio_maps maps[MMIO_MAPS_CACHE];
	int cpu; /* where the tracing thread is kept, or -1 */
	u64 cpu_checked_ns;
	u8 xstate[MMIO_XSTATE_SIZE];
};

/* mmio.c */
void mmio_report(struct mmio *mmio, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The device of a file, with files_lock held; or NULL. */
struct device *mmio_find_device(struct mmio *mmio, dev_t dev, ino_t ino);

/* mmio_trace.c: the tracing thread's side. */
struct mmio_status { /* of /proc/TID/status */
	pid_t tgid, ppid, tracer;
	char state;
};
int mmio_read_status(pid_t tid, struct mmio_status *status);
int mmio_trace_attach(struct mmio *mmio, pid_t tgid);
void mmio_trace_let_go(struct mmio *mmio);
void mmio_trace_event(struct mmio *mmio, const siginfo_t *info);
void mmio_trace_free(struct mmio *mmio);

/*
 * mmio_fault.c: answers a SIGBUS at which @tracee is stopped. The signal to resume it with: 0 when
 * the access has been emulated; else SIGBUS, or another whose siginfo has been set.
 */
int mmio_fault(struct mmio *mmio, struct tracee *tracee);
void mmio_forget_maps(struct mmio *mmio, pid_t tgid);

#endif
