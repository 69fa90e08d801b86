/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO: containers, groups and device files (Linux: drivers/vfio, include/uapi/linux/vfio.h,
 * Documentation/driver-api/vfio.rst).
 *
 * This folder answers what programs ask; how a question arrives is the business of whoever
 * implements struct vfio_task_ops (the supervisor by notifications, a test by plain calls).
 *
 * Threads: the control thread. Interrupts arrive from device threads through device/device.h.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <sys/types.h>

#include "base/util.h"
#include "device/device.h"
#include "iommu/mm.h"

struct vfio_core;
struct vfio_device;
struct vfio_file;
struct vfio_task;

/* The caller of an operation: one thread of a program, in the middle of a system call. */
struct vfio_task_ops {
	/* 0 or -EFAULT. A partial copy may have happened. */
	int (*copy_in)(struct vfio_task *task, void *dst, u64 va, size_t len);
	int (*copy_out)(struct vfio_task *task, u64 va, const void *src, size_t len);
	/* The file of ours that the program has open at @fd: 0; -EBADF: nothing is open there;
	 * -ENOENT: a file of somebody else's. Borrowed. */
	int (*get_file)(struct vfio_task *task, int fd, struct vfio_file **file);
	/* A descriptor of ours for the program's eventfd: >= 0, owned by the caller; -EBADF, or
	 * -EINVAL for what is no eventfd. */
	int (*get_eventfd)(struct vfio_task *task, int fd);
	/*
	 * Opens @file for the program: a new open file description. Returns the program's new
	 * descriptor, or -errno (-EMFILE, ...). For each success, file->ops->release is called
	 * once, when its last descriptor and mapping are gone. @open_flags: O_ACCMODE, O_CLOEXEC,
	 * O_NONBLOCK.
	 */
	int (*install)(struct vfio_task *task, struct vfio_file *file, int open_flags);
	/* Gives the program a descriptor for @fd of ours (a dma-buf, say); @fd stays the caller's.
	 * The program's descriptor or -errno. */
	int (*install_fd)(struct vfio_task *task, int fd, int open_flags);
	/* The address space; borrowed. NULL: gone. */
	struct iommu_mm *(*mm)(struct vfio_task *task);
	/* Linux: capable(). @cap is CAP_*. */
	bool (*capable)(struct vfio_task *task, int cap);
	/* RLIMIT_MEMLOCK's soft limit in bytes; ~0 is unlimited. */
	u64 (*memlock_limit)(struct vfio_task *task);
	/* A map failed for that limit: for the summary at the end. May be NULL. */
	void (*memlock_exceeded)(struct vfio_task *task);
};

struct vfio_task {
	const struct vfio_task_ops *ops;
};

struct vfio_file_ops {
	/* Each returns what the system call returns: >= 0, or -errno. @arg and @buf are addresses
	 * in the program. */
	long (*ioctl)(struct vfio_file *file, struct vfio_task *task, unsigned int cmd, u64 arg);
	ssize_t (*read)(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			u64 pos);
	ssize_t (*write)(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			 u64 pos);
	/* 0: let the kernel map that part of the memfd. */
	int (*mmap)(struct vfio_file *file, struct vfio_task *task, u64 len, int prot, int flags,
		    u64 pos);
	/* One open file description is gone. The file may be freed by it (with the last). */
	void (*release)(struct vfio_file *file);
};

/*
 * What a program has open: a container, a group, a device. Embedded in each. Programs hold the
 * memfd, by which they are known: descriptor numbers mean nothing.
 */
struct vfio_file {
	const struct vfio_file_ops *ops;
	int memfd;     /* owned by the object that embeds this */
	char link[32]; /* what readlink of /proc/self/fd/N shows: "/dev/vfio/vfio", "/dev/vfio/12",
			  "anon_inode:[vfio-device]" */
	u32 mode; /* st_mode: S_IFCHR | permissions, or 0600 without a type for an anonymous inode
		   */
	u32 major, minor; /* st_rdev, of a character device */
	void *tag; /* of whoever implements vfio_task_ops, by which he finds the file again; NULL at
		      first */
};

/* Called when a vfio_file's memory is about to go, so that the owner of ->tag can forget it. */
struct vfio_core_ops {
	void (*file_gone)(void *opaque, struct vfio_file *file);
};

/* The major number of group nodes, in this machine (Linux allocates one from the dynamic range). */
#define VFIO_GROUP_MAJOR 242
#define VFIO_CONTAINER_MINOR 196 /* of major 10, misc */

/* One VFIO subsystem: one emulated kernel. NULL with errno. */
struct vfio_core *vfio_core_new(const struct vfio_core_ops *ops, void *opaque);
/* All devices must be unbound and all files released. */
void vfio_core_free(struct vfio_core *core);

/* open("/dev/vfio/vfio"): a new container; the caller installs it, and calls ->release itself if
 * that fails. */
int vfio_container_open(struct vfio_core *core, struct vfio_file **out);
/* open("/dev/vfio/N"): -ENODEV (no such group), -EBUSY (already open). */
int vfio_group_open(struct vfio_core *core, unsigned int group, struct vfio_file **out);

/*
 * Binds vfio-pci to @dev (its endpoint is in a group): the group's node appears with its first
 * device. -errno.
 * @nr is the N of vfio-dev/vfioN.
 */
int vfio_device_bind(struct vfio_core *core, struct device *dev, unsigned int nr,
		     struct vfio_device **out);
/*
 * Asks for the device back. 0: nobody has it open, and it is unbound and freed. -EBUSY: it is in
 * use; its user has been asked by the REQ interrupt, no new descriptor is given out, and @done is
 * called from the release that frees it. The remover calls vfio_device_request() each second to
 * repeat the question.
 */
int vfio_device_unbind(struct vfio_device *vdev, void (*done)(void *opaque), void *opaque);
void vfio_device_request(struct vfio_device *vdev);
/* Number of open files of the device. */
unsigned int vfio_device_opens(const struct vfio_device *vdev);
/* The device that @file is a file of, or NULL. */
struct device *vfio_file_device(const struct vfio_file *file);
/* Whether group @id has a node now. */
bool vfio_group_exists(struct vfio_core *core, unsigned int id);
/* The minor number of the node of group @id (its major is VFIO_GROUP_MAJOR), or -ENODEV. */
int vfio_group_minor(struct vfio_core *core, unsigned int id);
/* Whether a container owns the DMA of group @id: no other driver than vfio-pci may then bind to its
 * devices (Linux: iommu_device_use_default_domain() gives -EBUSY). */
bool vfio_group_claimed(struct vfio_core *core, unsigned int id);

#endif
