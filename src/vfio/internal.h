/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this folder share. Everything belongs to the control thread, but for what a
 * device's watcher thread does to its interrupts and BARs under the watch's lock
 * (vfio_pci_eventfd.c).
 */
#ifndef VFIO_INTERNAL_H
#define VFIO_INTERNAL_H

#include <urcu/list.h>

#include "vfio/vfio.h"

struct vfio_container;
struct vfio_pci;
struct vfio_pci_signaller;

/*
 * What SET_IOMMU chooses from: one kind of container (Linux: struct vfio_iommu_driver_ops). A
 * backend belongs to one container from open() to release(), during which at least one group is
 * attached, but for the moments inside SET_IOMMU and the last detach.
 */
struct vfio_iommu_backend {
	const char *name;
	/* @type is the argument of SET_IOMMU. 0, or -errno. */
	int (*open)(u64 type, void **data);
	void (*release)(void *data);
	/*
	 * Every ioctl of the container that the core does not answer itself. @data is NULL for a
	 * CHECK_EXTENSION before SET_IOMMU: > 0 there offers the backend for that type.
	 */
	long (*ioctl)(void *data, struct vfio_task *task, unsigned int cmd, u64 arg);
	int (*attach_group)(void *data, struct iommu_group *group);
	void (*detach_group)(void *data, struct iommu_group *group);
};

extern const struct vfio_iommu_backend vfio_type1_backend;

#define VFIO_MAX_BACKENDS 4

struct vfio_core {
	const struct vfio_core_ops *ops;
	void *opaque;
	struct cds_list_head groups; /* struct vfio_group.node */
	/* The last one registered is asked first. */
	const struct vfio_iommu_backend *backends[VFIO_MAX_BACKENDS];
	unsigned int nr_backends;
	struct vfio_pci_signaller *signaller; /* of all devices */
};

/* 0; -EINVAL (registered already), -ENOSPC. */
int vfio_register_backend(struct vfio_core *core, const struct vfio_iommu_backend *backend);

/*
 * A group of the IOMMU with at least one device bound to vfio-pci. It lives while it has devices or
 * is open; once the last device is unbound it has no iommu_group and no node any more.
 */
struct vfio_group {
	struct vfio_file file;
	struct vfio_core *core;
	struct cds_list_head node;
	struct cds_list_head devices; /* struct vfio_device.group_node: those that can be opened */
	unsigned int nr_devices;      /* bound, those being unbound included */
	unsigned int id;
	struct iommu_group *iommu_group; /* NULL: all devices are gone, and the node with them */
	unsigned int opens;		 /* 1 for the program's open file, 1 for each open device */
	struct vfio_container *container;
	struct cds_list_head container_node;
	unsigned int container_users; /* 1 for being attached, 1 for each open device */
};

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
/* What signals eventfds (vfio_pci_eventfd.c): NULL with errno. */
struct vfio_pci_signaller *vfio_pci_signaller_new(void);
void vfio_pci_signaller_free(struct vfio_pci_signaller *s);
/* Signals the REQ interrupt (vfio_device_request). */
void vfio_pci_request(struct vfio_device *vdev);

/* For hot reset: the device bound to vfio-pci that is @dev, or NULL. */
struct vfio_device *vfio_device_of(struct device *dev);
/* Whether @file is a group file, and its group; else NULL. */
struct vfio_group *vfio_group_of_file(struct vfio_file *file);
/* Whether @file is a device file, and its device; else NULL. */
struct vfio_device *vfio_device_of_file(struct vfio_file *file);
struct vfio_core *vfio_device_core(struct vfio_device *vdev);

/* vfio_main.c. An empty file that programs can hold but not grow or write: 0 or -errno. */
int vfio_file_init(struct vfio_file *file, const struct vfio_file_ops *ops, const char *name);
/* Before the memory of @file goes. */
void vfio_file_gone(struct vfio_core *core, struct vfio_file *file);
/* What read, write and mmap answer on files that have none of them. */
ssize_t vfio_file_no_rw(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			u64 pos);
int vfio_file_no_mmap(struct vfio_file *file, struct vfio_task *task, u64 len, int prot, int flags,
		      u64 pos);
/* One more open of the device, whose group is in a container. 0 or -errno. */
int vfio_device_open(struct vfio_device *vdev);
void vfio_device_close(struct vfio_device *vdev);

/* group.c. @vdev joins the group of its endpoint, which is made if need be. 0 or -errno. */
int vfio_group_add_device(struct vfio_device *vdev);
/* No more opens of @vdev by its name. */
void vfio_group_hide_device(struct vfio_device *vdev);
/* @vdev leaves its group, which may go with it. */
void vfio_group_remove_device(struct vfio_device *vdev);
/* An open device uses its group's container and keeps the group open. 0, -EINVAL: no IOMMU yet. */
int vfio_group_use(struct vfio_group *group);
void vfio_group_unuse(struct vfio_group *group);

/* container.c. Whether @file is a container, and which; else NULL. */
struct vfio_container *vfio_container_of_file(struct vfio_file *file);
/* 0; -EPERM: the group is not viable; or what the backend says. */
int vfio_container_attach(struct vfio_container *container, struct vfio_group *group);
void vfio_container_detach(struct vfio_group *group);
bool vfio_container_has_iommu(const struct vfio_container *container);

#endif
