/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "vfio/internal.h"

static const struct vfio_file_ops device_file_ops;

struct vfio_core *vfio_core_new(const struct vfio_core_ops *ops, void *opaque)
{
	struct vfio_core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->signaller = vfio_pci_signaller_new();
	if (!core->signaller) {
		free(core);
		return NULL;
	}
	core->ops = ops;
	core->opaque = opaque;
	CDS_INIT_LIST_HEAD(&core->groups);
	core->backends[core->nr_backends++] = &vfio_type1_backend;
	return core;
}

void vfio_core_free(struct vfio_core *core)
{
	if (!core)
		return;
	vfio_pci_signaller_free(core->signaller);
	free(core);
}

int vfio_register_backend(struct vfio_core *core, const struct vfio_iommu_backend *backend)
{
	for (unsigned int i = 0; i < core->nr_backends; i++)
		if (core->backends[i] == backend)
			return -EINVAL;
	if (core->nr_backends == VFIO_MAX_BACKENDS)
		return -ENOSPC;
	core->backends[core->nr_backends++] = backend;
	return 0;
}

int vfio_file_init(struct vfio_file *file, const struct vfio_file_ops *ops, const char *name)
{
	cleanup_fd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL))
		return -errno;
	file->ops = ops;
	file->memfd = steal_fd(&fd);
	snprintf(file->link, sizeof(file->link), "/dev/vfio/%s", name);
	return 0;
}

void vfio_file_gone(struct vfio_core *core, struct vfio_file *file)
{
	if (core->ops && core->ops->file_gone)
		core->ops->file_gone(core->opaque, file);
}

ssize_t vfio_file_no_rw(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			u64 pos)
{
	return -EINVAL;
}

int vfio_file_no_mmap(struct vfio_file *file, struct vfio_task *task, u64 len, int prot, int flags,
		      u64 pos)
{
	return -ENODEV;
}

struct vfio_device *vfio_device_of_file(struct vfio_file *file)
{
	return file->ops == &device_file_ops ? container_of(file, struct vfio_device, file) : NULL;
}

struct device *vfio_file_device(const struct vfio_file *file)
{
	return file->ops == &device_file_ops ? container_of(file, struct vfio_device, file)->dev
					     : NULL;
}

struct vfio_device *vfio_device_of(struct device *dev)
{
	return dev->driver_data;
}

struct vfio_core *vfio_device_core(struct vfio_device *vdev)
{
	return vdev->core;
}

unsigned int vfio_device_opens(const struct vfio_device *vdev)
{
	return vdev->opens;
}

static void device_free_bound(struct vfio_device *vdev)
{
	vfio_group_remove_device(vdev);
	vdev->dev->driver_data = NULL;
	vfio_file_gone(vdev->core, &vdev->file);
	free(vdev);
}

int vfio_device_open(struct vfio_device *vdev)
{
	int ret;

	if (!vdev->opens) {
		ret = vfio_group_use(vdev->group);
		if (ret)
			return ret;
		ret = vfio_pci_open(vdev);
		if (ret) {
			vfio_group_unuse(vdev->group);
			return ret;
		}
	}
	vdev->opens++;
	return 0;
}

void vfio_device_close(struct vfio_device *vdev)
{
	void (*unbound)(void *opaque) = vdev->unbound;
	void *opaque = vdev->unbound_opaque;
	bool unbinding = vdev->unbinding;

	if (vdev->opens > 1) {
		vdev->opens--;
		return;
	}
	vfio_pci_close(vdev);
	vdev->opens = 0;
	vfio_group_unuse(vdev->group);
	if (!unbinding)
		return;
	device_free_bound(vdev);
	if (unbound)
		unbound(opaque);
}

static long device_ioctl(struct vfio_file *file, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	return vfio_pci_ioctl(container_of(file, struct vfio_device, file), task, cmd, arg);
}

static ssize_t device_read(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			   u64 pos)
{
	return vfio_pci_read(container_of(file, struct vfio_device, file), task, buf, count, pos);
}

static ssize_t device_write(struct vfio_file *file, struct vfio_task *task, u64 buf, size_t count,
			    u64 pos)
{
	return vfio_pci_write(container_of(file, struct vfio_device, file), task, buf, count, pos);
}

static int device_mmap(struct vfio_file *file, struct vfio_task *task, u64 len, int prot, int flags,
		       u64 pos)
{
	return vfio_pci_mmap(container_of(file, struct vfio_device, file), task, len, prot, flags,
			     pos);
}

static void device_release(struct vfio_file *file)
{
	vfio_device_close(container_of(file, struct vfio_device, file));
}

static const struct vfio_file_ops device_file_ops = {
	.ioctl = device_ioctl,
	.read = device_read,
	.write = device_write,
	.mmap = device_mmap,
	.release = device_release,
};

int vfio_device_bind(struct vfio_core *core, struct device *dev, unsigned int nr,
		     struct vfio_device **out)
{
	cleanup_free struct vfio_device *vdev = calloc(1, sizeof(*vdev));
	int ret;

	if (!vdev)
		return -ENOMEM;
	vdev->core = core;
	vdev->dev = dev;
	vdev->nr = nr;
	vdev->file.ops = &device_file_ops;
	vdev->file.memfd = dev->memfd; /* the device's own */
	vdev->file.mode = 0600;
	snprintf(vdev->file.link, sizeof(vdev->file.link), "anon_inode:[vfio-device]");
	ret = vfio_group_add_device(vdev);
	if (ret)
		return ret;
	dev->driver_data = vdev;
	*out = steal_ptr(&vdev);
	return 0;
}

int vfio_device_unbind(struct vfio_device *vdev, void (*done)(void *opaque), void *opaque)
{
	if (!vdev->unbinding) {
		vdev->unbinding = true;
		vfio_group_hide_device(vdev);
	}
	if (vdev->opens) {
		vdev->unbound = done;
		vdev->unbound_opaque = opaque;
		vfio_device_request(vdev);
		return -EBUSY;
	}
	device_free_bound(vdev);
	return 0;
}

void vfio_device_request(struct vfio_device *vdev)
{
	if (vdev->opens)
		vfio_pci_request(vdev);
}
