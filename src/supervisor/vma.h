/* SPDX-License-Identifier: BSD-3-Clause */
/* The mappings of a process, from /proc/PID/maps. */
#ifndef SUPERVISOR_VMA_H
#define SUPERVISOR_VMA_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/util.h"

struct vma {
	u64 start, end; /* end is exclusive */
	u64 offset;	/* in the file, of start */
	dev_t dev;
	ino_t ino;
	bool read, write, shared;
};

/* The mapping at @addr; @maps_fd is that file, open for reading. -ENOENT: none; -ESRCH: the memory
 * is gone. Any thread, each with a descriptor of its own. */
int vma_query(int maps_fd, u64 addr, struct vma *vma);

#endif
