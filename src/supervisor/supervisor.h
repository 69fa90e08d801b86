/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a program, and everything it starts, on an emulated host.
 *
 * The program's process is a child of the caller's. Nothing here prints or exits: what a user
 * should read is handed to ->message as one line, or returned.
 */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

#include "host/host.h"

enum supervisor_memlock {
	SUPERVISOR_MEMLOCK_LIMIT, /* RLIMIT_MEMLOCK of the program, as the kernel does */
	SUPERVISOR_MEMLOCK_UNLIMITED,
	SUPERVISOR_MEMLOCK_SIZE, /* ->memlock_size */
};

struct supervisor_options {
	char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
	const struct host_config *config;
	enum supervisor_memlock memlock;
	u64 memlock_size; /* bytes */
	int fault_log;	  /* descriptor for JSON lines, or -1 */
	void (*message)(void *opaque, const char *line);
	void *opaque;
};

struct supervisor_result {
	int status;		   /* exit status of the program, if it was not ended by a signal */
	int signal;		   /* the signal that ended it, or 0 */
	int exec_errno;		   /* the program could not be executed; 0 otherwise */
	bool memlock_exceeded;	   /* a map failed for the limit of locked memory */
	u64 faults;		   /* failed DMAs */
	struct iommu_fault *first; /* the first of them, malloc'ed */
	unsigned int nr_first;
};

/*
 * Returns when the program and all its descendants have ended. 0 with *result; or -errno with
 * *error a malloc'ed line that says which piece is missing. One at a time in a process, whose other
 * children it would reap: meanwhile it takes over SIGCHLD, the signals it forwards, orphans and the
 * soft limit of descriptors, and gives them back as they were.
 */
int supervisor_run(const struct supervisor_options *options, struct supervisor_result *result,
		   char **error);

#endif
