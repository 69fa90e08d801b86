/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory of programs: each file is mapped once, whatever the number of DMA mappings that lie
 * in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"

struct shared_backing {
	struct iommu_backing base;
	struct cds_list_head node;
	dev_t dev;
	ino_t ino;
	bool writable;
};

/* A device's BAR as DMA reaches it: peer to peer. */
struct peer_backing {
	struct iommu_backing base;
	struct device *dev;
};

static int peer_access(struct iommu_backing *base, u64 offset, void *buf, size_t len, bool write)
{
	struct peer_backing *peer = container_of(base, struct peer_backing, base);
	unsigned int bar;
	u64 bar_offset;

	if (device_file_offset(peer->dev, offset, &bar, &bar_offset))
		return -EFAULT;
	for (size_t done = 0; done < len;) {
		unsigned int width = MIN(4 - ((bar_offset + done) & 3), len - done);
		u64 value = 0;

		if (width == 3)
			width = 2;
		if (write) {
			memcpy(&value, (char *)buf + done, width);
			if (device_bar_write(peer->dev, bar, bar_offset + done, width, value))
				return -EFAULT;
		} else {
			if (device_bar_read(peer->dev, bar, bar_offset + done, width, &value))
				return -EFAULT;
			memcpy((char *)buf + done, &value, width);
		}
		done += width;
	}
	return 0;
}

static int peer_read(struct iommu_backing *base, u64 offset, void *buf, size_t len)
{
	return peer_access(base, offset, buf, len, false);
}

static int peer_write(struct iommu_backing *base, u64 offset, const void *buf, size_t len)
{
	return peer_access(base, offset, (void *)buf, len, true);
}

static void peer_free(struct iommu_backing *base)
{
	free(container_of(base, struct peer_backing, base));
}

static const struct iommu_backing_ops peer_ops = { .read = peer_read,
						   .write = peer_write,
						   .free = peer_free };

static struct iommu_backing *peer_new(struct device *dev)
{
	struct peer_backing *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return NULL;
	peer->base.ops = &peer_ops;
	peer->base.refs = 1;
	peer->base.unaccounted = true;
	peer->dev = dev;
	return &peer->base;
}

static void shared_free(struct iommu_backing *base)
{
	struct shared_backing *shared = container_of(base, struct shared_backing, base);

	munmap(base->host, base->size);
	cds_list_del(&shared->node);
	free(shared);
}

static const struct iommu_backing_ops shared_ops = { .free = shared_free };

static bool is_file(int fd, dev_t dev, ino_t ino)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == dev && st.st_ino == ino;
}

/* The descriptor of the program's that the memory was mapped from, if it still has one. */
static int open_by_descriptor(pid_t tgid, const struct vma *vma)
{
	cleanup_fd int pidfd = pidfd_open(tgid, 0);
	cleanup_dir DIR *dir = NULL;
	const struct dirent *e;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", tgid);
	dir = opendir(path);
	if (pidfd < 0 || !dir)
		return -ENOENT;
	while ((e = readdir(dir))) {
		struct stat st;
		int fd;

		if (fstatat(dirfd(dir), e->d_name, &st, 0) || st.st_dev != vma->dev ||
		    st.st_ino != vma->ino)
			continue;
		fd = pidfd_getfd(pidfd, atoi(e->d_name), 0);
		if (fd < 0)
			continue;
		if (is_file(fd, vma->dev, vma->ino))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

static int open_memory(pid_t tgid, const struct vma *vma)
{
	char path[96];
	int fd;

	/* Needs CAP_CHECKPOINT_RESTORE, and works for memory whose descriptors are closed. */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, tgid, vma->start,
		 vma->end);
	fd = open(path, (vma->write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	return fd >= 0 ? fd : open_by_descriptor(tgid, vma);
}

static struct iommu_backing *shared_new(struct supervisor *sv, pid_t tgid, const struct vma *vma)
{
	cleanup_free struct shared_backing *shared = calloc(1, sizeof(*shared));
	cleanup_fd int fd = open_memory(tgid, vma);
	struct stat st;

	if (!shared || fd < 0 || fstat(fd, &st) || st.st_size <= 0)
		return NULL;
	shared->base.size = ALIGN_UP((u64)st.st_size, PAGE_SIZE_4K);
	shared->base.host = mmap(NULL, shared->base.size, PROT_READ | (vma->write ? PROT_WRITE : 0),
				 MAP_SHARED, fd, 0);
	if (shared->base.host == MAP_FAILED)
		return NULL;
	shared->base.ops = &shared_ops;
	shared->base.refs = 1;
	shared->dev = vma->dev;
	shared->ino = vma->ino;
	shared->writable = vma->write;
	cds_list_add(&shared->node, &sv->backings);
	return &steal_ptr(&shared)->base;
}

struct iommu_backing *backing_get(struct supervisor *sv, pid_t tgid, const struct vma *vma)
{
	struct tracked *t = files_find(sv, vma->dev, vma->ino);
	struct shared_backing *shared;
	struct iommu_backing *backing;
	struct device *dev;

	if (t) {
		dev = vfio_file_device(t->file);
		return dev ? peer_new(dev) : NULL;
	}
	cds_list_for_each_entry(shared, &sv->backings, node) {
		if (shared->ino == vma->ino && shared->dev == vma->dev &&
		    shared->writable >= vma->write &&
		    vma->offset + (vma->end - vma->start) <= shared->base.size)
			return iommu_backing_get(&shared->base);
	}
	backing = shared_new(sv, tgid, vma);
	if (backing && vma->offset + (vma->end - vma->start) > backing->size) {
		iommu_backing_put(backing);
		return NULL;
	}
	return backing;
}
