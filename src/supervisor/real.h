/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of the real machine that the kernel would not find where the program looks (WHERE_REAL):
 * acted on in its stead, if it may do just what we may; else -EACCES. Nothing here waits, and no
 * symbolic link is followed that the walk has not: one that appears meanwhile could lead to what
 * only we may have, such as /proc/self.
 */
#ifndef SUPERVISOR_REAL_H
#define SUPERVISOR_REAL_H

#include "supervisor/internal.h"

/* The reply to open(). Without O_NONBLOCK too, a FIFO nobody has open for reading is -ENXIO. */
long real_open(struct caller *c, const char *path, u64 flags, mode_t mode);
/* A descriptor of ours, or -errno. @flags and @mode are as above. */
int real_open_fd(struct caller *c, const char *path, u64 flags, mode_t mode);
int real_stat(struct caller *c, const char *path, bool follow, struct stat *st);
int real_statx(struct caller *c, const char *path, bool follow, unsigned int mask,
	       struct statx *stx);
int real_access(struct caller *c, const char *path, bool follow, int mode);
ssize_t real_readlink(struct caller *c, const char *path, char *buf, size_t size);

#endif
