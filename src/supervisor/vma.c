/* SPDX-License-Identifier: BSD-3-Clause */
/* The mapping at an address: by one ioctl from Linux 6.11 on, by reading the file before. */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/vma.h"

/* One line of /proc/PID/maps. */
static int parse_line(const char *line, u64 addr, struct vma *vma)
{
	unsigned int major, minor;
	u64 start, end, offset, ino;
	char r, w, x, s;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c%c%c%c %" SCNx64 " %x:%x %" SCNu64, &start,
		   &end, &r, &w, &x, &s, &offset, &major, &minor, &ino) != 10)
		return -EINVAL;
	if (addr >= end)
		return -EAGAIN;
	if (addr < start)
		return -ENOENT;
	*vma = (struct vma){ .start = start,
			     .end = end,
			     .offset = offset,
			     .dev = makedev(major, minor),
			     .ino = ino,
			     .read = r == 'r',
			     .write = w == 'w',
			     .shared = s == 's' };
	return 0;
}

static int query_by_reading(int maps_fd, u64 addr, struct vma *vma)
{
	cleanup_file FILE *f = NULL;
	char line[8192];
	int fd;

	fd = dup(maps_fd);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	if (fseeko(f, 0, SEEK_SET))
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		int r = parse_line(line, addr, vma);

		if (r != -EAGAIN)
			return r;
	}
	return -ENOENT;
}

int vma_query(int maps_fd, u64 addr, struct vma *vma)
{
#ifdef PROCMAP_QUERY
	struct procmap_query q = { .size = sizeof(q), .query_addr = addr };

	if (!ioctl(maps_fd, PROCMAP_QUERY, &q)) {
		*vma = (struct vma){ .start = q.vma_start,
				     .end = q.vma_end,
				     .offset = q.vma_offset,
				     .dev = makedev(q.dev_major, q.dev_minor),
				     .ino = q.inode,
				     .read = q.vma_flags & PROCMAP_QUERY_VMA_READABLE,
				     .write = q.vma_flags & PROCMAP_QUERY_VMA_WRITABLE,
				     .shared = q.vma_flags & PROCMAP_QUERY_VMA_SHARED };
		return 0;
	}
	if (errno != ENOTTY && errno != EINVAL)
		return -errno;
#endif
	return query_by_reading(maps_fd, addr, vma);
}
