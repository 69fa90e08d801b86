/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs without a supervisor: the test itself is the program. Its memory is this process's
 * memory, checked as a kernel checks it; its descriptors are real descriptors of this process.
 *
 * A fake_machine is a host with one VT-d unit and devices of a model that does nothing, each in a
 * group of its own unless told otherwise. A fake_files is a descriptor table; a fake_task is a
 * process that uses it, with an address space, capabilities and limits of its own.
 */
#ifndef UNIT_FAKE_TASK_H
#define UNIT_FAKE_TASK_H

#include "iommu/fault.h"
#include "iommu/vtd.h"
#include "vfio/vfio.h"

#define FAKE_MAX_FILES 64
#define FAKE_MAX_SHARED 8
#define FAKE_MAX_DEVICES 8

struct fake_open {
	struct vfio_file *file;
	unsigned int refs; /* descriptors */
};

struct fake_files {
	struct vfio_core *core;
	struct {
		int fd;
		struct fake_open *open; /* NULL: the slot is free */
	} slots[FAKE_MAX_FILES];
};

/* A part of the address space that is shared memory: its lookup gives a backing. */
struct fake_shared {
	u64 va;
	u64 len;
	struct iommu_backing *backing; /* a reference */
};

struct fake_mm {
	struct iommu_mm mm;
	struct fake_shared shared[FAKE_MAX_SHARED];
	unsigned int nr_shared;
	unsigned int lookups;
};

struct fake_task {
	struct vfio_task task;
	struct fake_files *files;
	struct fake_mm *mm; /* a reference; NULL: gone */
	bool ipc_lock;	    /* CAP_IPC_LOCK */
	u64 memlock;	    /* bytes */
	unsigned int memlock_exceeded;
	int install_error; /* what install() fails with, once */
	unsigned int copies_in, copies_out;
};

struct fake_machine {
	struct iommu_fault_log *faults;
	struct iommu_unit *units[2];
	unsigned int nr_units;
	struct iommu_group *groups[FAKE_MAX_DEVICES];
	struct device *devices[FAKE_MAX_DEVICES];
	struct vfio_device *bound[FAKE_MAX_DEVICES]; /* NULL: not bound to vfio-pci */
	unsigned int nr_devices;
	struct device_thread *thread;
	struct vfio_core *core;
	struct fake_files files;
	struct fake_task task; /* a first process */
	unsigned int files_gone;
	void (*file_gone)(struct vfio_file *file); /* or NULL */
};

void fake_machine_init(struct fake_machine *m, unsigned int width);
/* Closes what is open and checks that nothing stays behind. */
void fake_machine_fini(struct fake_machine *m);
/* Another unit, of another width; returns its index. */
unsigned int fake_machine_add_unit(struct fake_machine *m, unsigned int width);
/* A device "0000:NN:00.0" behind @unit, in group @group; bound to vfio-pci. Returns its index. */
unsigned int fake_machine_add(struct fake_machine *m, unsigned int unit, unsigned int group);
/* Binds a device that was unbound. */
void fake_machine_bind(struct fake_machine *m, unsigned int index);

void fake_task_init(struct fake_task *t, struct fake_files *files);
void fake_task_fini(struct fake_task *t);
/* Declares [va, va + len), a MAP_SHARED mapping of @memfd at @offset 0, as shared memory. */
void fake_task_share(struct fake_task *t, void *va, size_t len, int memfd, bool unaccounted);
/* exec(): a new address space, the same files. */
void fake_task_exec(struct fake_task *t);

/* System calls: >= 0, or -errno. */
int fake_open_container(struct fake_task *t);
int fake_open_group(struct fake_task *t, unsigned int group);
int fake_close(struct fake_task *t, int fd);
int fake_dup(struct fake_task *t, int fd);
long fake_ioctl(struct fake_task *t, int fd, unsigned int cmd, const void *arg);
ssize_t fake_pread(struct fake_task *t, int fd, void *buf, size_t count, u64 pos);
ssize_t fake_pwrite(struct fake_task *t, int fd, const void *buf, size_t count, u64 pos);
/* The file behind @fd, or NULL. */
struct vfio_file *fake_file(struct fake_task *t, int fd);
/* Closes everything. */
void fake_files_close(struct fake_files *files);

#endif
