/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors for ranges of BARs (Linux: drivers/vfio/pci/vfio_pci_dmabuf.c).
 *
 * A dma-buf can be held, measured (lseek to its end) and handed to who can attach to it; the
 * exporter's cannot be mapped. Ours is an empty file of that size: it holds none of the BAR's
 * contents, and cannot be written or mapped for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

/* The kernel's limit: the largest piece of memory that it takes from its page allocator. */
#define MAX_RANGES_SIZE (4UL << 20)

struct dma_buf {
	struct vfio_file file;
	struct vfio_core *core;
};

static long dma_buf_ioctl(struct vfio_file *file, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	return -ENOTTY;
}

static int dma_buf_mmap(struct vfio_file *file, struct vfio_task *task, u64 len, int prot,
			int flags, u64 pos)
{
	return -EINVAL;
}

static void dma_buf_release(struct vfio_file *file)
{
	struct dma_buf *buf = container_of(file, struct dma_buf, file);

	vfio_file_gone(buf->core, file);
	close(file->memfd);
	free(buf);
}

static const struct vfio_file_ops dma_buf_ops = {
	.ioctl = dma_buf_ioctl,
	.read = vfio_file_no_rw,
	.write = vfio_file_no_rw,
	.mmap = dma_buf_mmap,
	.release = dma_buf_release,
};

static int dma_buf_export(struct vfio_pci *pci, struct vfio_task *task, u64 size, u32 open_flags)
{
	cleanup_fd int fd = memfd_create("dmabuf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct dma_buf *buf;
	int ret;

	if (fd < 0 || ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL))
		return -ENOMEM;
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return -ENOMEM;
	buf->core = pci->vdev->core;
	buf->file.ops = &dma_buf_ops;
	buf->file.memfd = steal_fd(&fd);
	buf->file.mode = 0600;
	snprintf(buf->file.link, sizeof(buf->file.link), "/dmabuf:");
	ret = task->ops->install(task, &buf->file,
				 (int)open_flags & (O_ACCMODE | O_CLOEXEC | O_NONBLOCK));
	if (ret < 0)
		dma_buf_release(&buf->file);
	return ret;
}

/* The total size of the ranges in @size. */
static int ranges_check(struct vfio_pci *pci, unsigned int bar,
			const struct vfio_region_dma_range *ranges, size_t count, u64 *size)
{
	u64 base = pci_bar_address(&pci->dev->pci, bar);
	u64 last = base + vfio_pci_bar_size(pci, bar), start, end;

	*size = 0;
	for (size_t i = 0; i < count; i++)
		if (!ranges[i].length || !IS_ALIGNED(ranges[i].offset, PAGE_SIZE_4K) ||
		    !IS_ALIGNED(ranges[i].length, PAGE_SIZE_4K) ||
		    __builtin_add_overflow(*size, ranges[i].length, size))
			return -EINVAL;
	if (*size >> 63)
		return -EINVAL;
	if (!vfio_pci_bar_is_mem(pci, bar))
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (__builtin_add_overflow(base, ranges[i].offset, &start) ||
		    __builtin_add_overflow(start, ranges[i].length, &end))
			return -EOVERFLOW;
		if (end > last)
			return -EINVAL;
	}
	return 0;
}

long vfio_pci_dma_buf(struct vfio_pci *pci, struct vfio_task *task, u64 va)
{
	cleanup_free struct vfio_region_dma_range *ranges = NULL;
	struct vfio_device_feature_dma_buf req;
	size_t bytes;
	u64 size;
	int ret;

	if (task->ops->copy_in(task, &req, va, sizeof(req)))
		return -EFAULT;
	if (!req.nr_ranges || req.flags)
		return -EINVAL;
	if (req.region_index >= VFIO_PCI_ROM_REGION_INDEX ||
	    !vfio_pci_bar_size(pci, req.region_index))
		return -ENODEV;
	bytes = req.nr_ranges * sizeof(*ranges);
	if (bytes > MAX_RANGES_SIZE)
		return -ENOMEM;
	ranges = malloc(bytes);
	if (!ranges)
		return -ENOMEM;
	if (task->ops->copy_in(task, ranges, va + sizeof(req), bytes))
		return -EFAULT;
	ret = ranges_check(pci, req.region_index, ranges, req.nr_ranges, &size);
	return ret ? ret : dma_buf_export(pci, task, size, req.open_flags);
}
