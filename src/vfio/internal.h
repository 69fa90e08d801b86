/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share. Everything belongs to the control thread. */
#ifndef VFIO_INTERNAL_H
#define VFIO_INTERNAL_H

#include <urcu/list.h>

#include "vfio/vfio.h"

struct vfio_group;
struct vfio_pci;

/* A device bound to vfio-pci. Each GET_DEVICE_FD is one more open of the same file. */
struct vfio_device {
	struct vfio_file file;
	struct vfio_core *core;
	struct vfio_group *group;
	struct cds_list_head group_node;
	struct device *dev;
	unsigned int nr;    /* vfio-dev/vfioN */
	unsigned int opens; /* open file descriptions */
	bool unbinding;	    /* no new opens */
	void (*unbound)(void *opaque);
	void *unbound_opaque;
	struct vfio_pci *pci; /* vfio_pci.c's state while open */
};

/*
 * The device file of a PCI device (vfio_pci*.c; Linux: drivers/vfio/pci). The core calls
 * vfio_pci_open() at the first open (the function is enabled, reset if it can be, its interrupts
 * are off, bus mastering is off) and vfio_pci_close() after the last close; the rest is what the
 * open file answers.
 */
int vfio_pci_open(struct vfio_device *vdev);
void vfio_pci_close(struct vfio_device *vdev);
long vfio_pci_ioctl(struct vfio_device *vdev, struct vfio_task *task, unsigned int cmd, u64 arg);
ssize_t vfio_pci_read(struct vfio_device *vdev, struct vfio_task *task, u64 buf, size_t count,
		      u64 pos);
ssize_t vfio_pci_write(struct vfio_device *vdev, struct vfio_task *task, u64 buf, size_t count,
		       u64 pos);
int vfio_pci_mmap(struct vfio_device *vdev, struct vfio_task *task, u64 len, int prot, int flags,
		  u64 pos);
/* Signals the REQ interrupt (vfio_device_request). */
void vfio_pci_request(struct vfio_device *vdev);

/* For hot reset: the device bound to vfio-pci that is @dev, or NULL. */
struct vfio_device *vfio_device_of(struct device *dev);
/* Whether @file is a group file, and its group; else NULL. */
struct vfio_group *vfio_group_of_file(struct vfio_file *file);
/* Whether @file is a device file, and its device; else NULL. */
struct vfio_device *vfio_device_of_file(struct vfio_file *file);
struct vfio_core *vfio_device_core(struct vfio_device *vdev);

#endif
