/* SPDX-License-Identifier: BSD-3-Clause */
/* Eventfds whose signal is a write to a BAR (Linux: vfio_pci_ioeventfd()). */
#include <errno.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

#define MAX_IOEVENTFDS 1000

struct vfio_pci_ioeventfd {
	struct cds_list_head node;
	struct vfio_pci *pci;
	struct vfio_pci_virqfd *virqfd;
	u64 offset, data;
	unsigned int bar, width;
};

static void ioeventfd_event(void *opaque)
{
	struct vfio_pci_ioeventfd *io = opaque;

	/* Lost while the device does not decode. */
	device_bar_write(io->pci->dev, io->bar, io->offset, io->width, io->data);
}

static struct vfio_pci_ioeventfd *ioeventfd_find(struct vfio_pci *pci,
						 const struct vfio_pci_ioeventfd *like)
{
	struct vfio_pci_ioeventfd *io;

	cds_list_for_each_entry(io, &pci->ioeventfds, node)
		if (io->offset == like->offset && io->bar == like->bar && io->data == like->data &&
		    io->width == like->width)
			return io;
	return NULL;
}

static void ioeventfd_remove(struct vfio_pci_ioeventfd *io)
{
	vfio_pci_virqfd_disable(io->pci, &io->virqfd);
	cds_list_del(&io->node);
	io->pci->nr_ioeventfds--;
	free(io);
}

static long ioeventfd_add(struct vfio_pci *pci, struct vfio_task *task,
			  const struct vfio_pci_ioeventfd *like, int fd)
{
	cleanup_free struct vfio_pci_ioeventfd *io = NULL;
	int ret;

	if (pci->nr_ioeventfds >= MAX_IOEVENTFDS)
		return -ENOSPC;
	io = malloc(sizeof(*io));
	if (!io)
		return -ENOMEM;
	*io = *like;
	ret = vfio_pci_virqfd_enable(pci, task, &io->virqfd, fd, ioeventfd_event, io);
	if (ret)
		return ret;
	cds_list_add(&io->node, &pci->ioeventfds);
	pci->nr_ioeventfds++;
	steal_ptr(&io);
	return 0;
}

long vfio_pci_ioeventfd(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_ioeventfd, fd);
	struct vfio_pci_ioeventfd like = { .pci = pci }, *found;
	struct vfio_device_ioeventfd req;
	u64 index, start, end;

	if (task->ops->copy_in(task, &req, arg, minsz))
		return -EFAULT;
	if (req.argsz < minsz || req.flags & ~VFIO_DEVICE_IOEVENTFD_SIZE_MASK)
		return -EINVAL;
	like.width = req.flags;
	if (__builtin_popcount(like.width) != 1 || req.fd < -1)
		return -EINVAL;

	index = vfio_pci_region(pci, req.offset, &like.offset);
	if (index > VFIO_PCI_BAR5_REGION_INDEX ||
	    like.offset + like.width > vfio_pci_bar_size(pci, index))
		return -EINVAL;
	like.bar = (unsigned int)index;
	like.data = req.data;
	vfio_pci_msix_window(pci, like.bar, &start, &end);
	if (start != end && like.offset + like.width > start && like.offset < end)
		return -EINVAL;
	if (like.width == 8)
		return -EINVAL;

	found = ioeventfd_find(pci, &like);
	if (found && req.fd == -1) {
		ioeventfd_remove(found);
		return 0;
	}
	if (found)
		return -EEXIST;
	return req.fd < 0 ? -ENODEV : ioeventfd_add(pci, task, &like, req.fd);
}

void vfio_pci_ioeventfds_fini(struct vfio_pci *pci)
{
	struct vfio_pci_ioeventfd *io, *next;

	cds_list_for_each_entry_safe(io, next, &pci->ioeventfds, node)
		ioeventfd_remove(io);
}
