/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls that a thread of the program must make itself. */
#ifndef SUPERVISOR_INJECT_H
#define SUPERVISOR_INJECT_H

#include "supervisor/internal.h"

/*
 * Lets the calling thread change to the directory that is open at @fd of ours, in place of the call
 * it is in, which is answered. -EPERM while a debugger has the thread. REPLY_LATER on success.
 */
long inject_fchdir(struct caller *c, int fd);

#endif
