/* SPDX-License-Identifier: BSD-3-Clause */
/* The program's first process: fork, filter, hand over of the listener, exec. */
#ifndef SUPERVISOR_START_H
#define SUPERVISOR_START_H

#include <linux/filter.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

struct start {
	char *const *argv;
	struct sock_fprog filter; /* of length 0: none, and no listener */
	sigset_t signals;	  /* the mask that the program shall have */
	void (*chld)(int);	  /* SIGCHLD as the program shall find it, if that is SIG_IGN */
	struct rlimit files;	  /* the limit that it shall have */
	pid_t pid;		  /* out */
	int listener;		  /* out; the caller's */
	int exec_status;	  /* a pipe on which an errno arrives if exec fails */
};

/* 0; or -errno with *error a malloc'ed line that says what the machine lacks. No process is left
 * then. */
int start_program(struct start *start, char **error);
/* Once the process has ended: why it could not be executed, or 0. */
int start_exec_errno(struct start *start);

#endif
