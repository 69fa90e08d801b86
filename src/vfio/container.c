/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "vfio/internal.h"

/* Lives while its file is open or a group is attached. */
struct vfio_container {
	struct vfio_file file;
	struct vfio_core *core;
	unsigned int refs;	     /* the file's opens, and the groups */
	struct cds_list_head groups; /* struct vfio_group.container_node, the newest first */
	const struct vfio_iommu_backend *backend; /* or NULL: before SET_IOMMU */
	void *data;				  /* the backend's */
};

static const struct vfio_file_ops container_file_ops;

struct vfio_container *vfio_container_of_file(struct vfio_file *file)
{
	return file->ops == &container_file_ops ? container_of(file, struct vfio_container, file)
						: NULL;
}

bool vfio_container_has_iommu(const struct vfio_container *container)
{
	return container->backend;
}

int vfio_container_open(struct vfio_core *core, struct vfio_file **out)
{
	cleanup_free struct vfio_container *container = calloc(1, sizeof(*container));
	int ret;

	if (!container)
		return -ENOMEM;
	ret = vfio_file_init(&container->file, &container_file_ops, "vfio");
	if (ret)
		return ret;
	container->file.mode = S_IFCHR | 0666;
	container->file.major = 10;
	container->file.minor = VFIO_CONTAINER_MINOR;
	container->core = core;
	container->refs = 1;
	CDS_INIT_LIST_HEAD(&container->groups);
	*out = &steal_ptr(&container)->file;
	return 0;
}

static void container_put(struct vfio_container *container)
{
	if (--container->refs)
		return;
	vfio_file_gone(container->core, &container->file);
	close(container->file.memfd);
	free(container);
}

static void container_release(struct vfio_file *file)
{
	container_put(container_of(file, struct vfio_container, file));
}

int vfio_container_attach(struct vfio_container *container, struct vfio_group *group)
{
	int ret;

	if (group->iommu_group->kernel_drivers)
		return -EPERM;
	if (container->backend) {
		ret = container->backend->attach_group(container->data, group->iommu_group);
		if (ret)
			return ret;
	}
	group->container = container;
	group->container_users = 1;
	cds_list_add(&group->container_node, &container->groups);
	container->refs++;
	return 0;
}

/* The last group takes the backend with it, and with that all mappings. */
void vfio_container_detach(struct vfio_group *group)
{
	struct vfio_container *container = group->container;

	if (container->backend)
		container->backend->detach_group(container->data, group->iommu_group);
	group->container = NULL;
	group->container_users = 0;
	cds_list_del(&group->container_node);
	if (container->backend && cds_list_empty(&container->groups)) {
		container->backend->release(container->data);
		container->backend = NULL;
		container->data = NULL;
	}
	container_put(container);
}

/* All groups, or none. */
static int container_attach_all(struct vfio_container *container,
				const struct vfio_iommu_backend *backend, void *data)
{
	struct vfio_group *group, *undo;
	int ret;

	cds_list_for_each_entry(group, &container->groups, container_node) {
		ret = backend->attach_group(data, group->iommu_group);
		if (!ret)
			continue;
		cds_list_for_each_entry(undo, &container->groups, container_node) {
			if (undo == group)
				break;
			backend->detach_group(data, undo->iommu_group);
		}
		return ret;
	}
	return 0;
}

/* Every backend that offers @type is tried; the last one's error counts. */
static long container_set_iommu(struct vfio_container *container, struct vfio_task *task, u64 type)
{
	const struct vfio_core *core = container->core;
	const struct vfio_iommu_backend *backend;
	long ret = -ENODEV;
	void *data;

	if (cds_list_empty(&container->groups) || container->backend)
		return -EINVAL;
	for (unsigned int i = core->nr_backends; i-- > 0;) {
		backend = core->backends[i];
		if (backend->ioctl(NULL, task, VFIO_CHECK_EXTENSION, type) <= 0)
			continue;
		ret = backend->open(type, &data);
		if (ret)
			continue;
		ret = container_attach_all(container, backend, data);
		if (ret) {
			backend->release(data);
			continue;
		}
		container->backend = backend;
		container->data = data;
		return 0;
	}
	return ret;
}

static long container_check_extension(struct vfio_container *container, struct vfio_task *task,
				      u64 arg)
{
	const struct vfio_core *core = container->core;
	long ret = 0;

	if (container->backend)
		return container->backend->ioctl(container->data, task, VFIO_CHECK_EXTENSION, arg);
	for (unsigned int i = core->nr_backends; i-- > 0 && ret <= 0;)
		ret = core->backends[i]->ioctl(NULL, task, VFIO_CHECK_EXTENSION, arg);
	return ret;
}

static long container_ioctl(struct vfio_file *file, struct vfio_task *task, unsigned int cmd,
			    u64 arg)
{
	struct vfio_container *container = container_of(file, struct vfio_container, file);

	switch (cmd) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return container_check_extension(container, task, arg);
	case VFIO_SET_IOMMU:
		return container_set_iommu(container, task, arg);
	default:
		if (!container->backend)
			return -EINVAL;
		return container->backend->ioctl(container->data, task, cmd, arg);
	}
}

static const struct vfio_file_ops container_file_ops = {
	.ioctl = container_ioctl,
	.read = vfio_file_no_rw,
	.write = vfio_file_no_rw,
	.mmap = vfio_file_no_mmap,
	.release = container_release,
};
