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

/*
 * Lets it open the file @name (an address of its own) in the directory that is open at @dir of
 * ours, as openat() with O_PATH and O_NOFOLLOW does, but not by openat(), which would come to us.
 * Errors as above.
 */
long inject_open_path(struct caller *c, int dir, u64 name, bool cloexec);

#endif
