/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seccomp filter: which system calls of a program come to the supervisor.
 *
 * By command number: every ioctl of type ';' (VFIO and IOMMUFD). By offset: reads, writes and mmaps
 * at 1 TiB and beyond, where the regions of device files lie. By name: calls that take a path, or
 * describe a descriptor. All else costs a program what any filter costs.
 */
#ifndef SUPERVISOR_FILTER_H
#define SUPERVISOR_FILTER_H

#include <linux/filter.h>

/* The program is malloc'ed: filter_free(). 0 or -errno. */
int filter_build(struct sock_fprog *prog);
void filter_free(struct sock_fprog *prog);

/*
 * Installs @prog in the calling thread, after no_new_privs, with a listener; returns the listener,
 * or -errno: -ENOSYS or -EINVAL where the kernel lacks it, -EBUSY where the thread has a listener
 * already, -EACCES where a sandbox forbids it. Async-signal-safe.
 */
int filter_install(const struct sock_fprog *prog);

#endif
