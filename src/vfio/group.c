/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "vfio/internal.h"

static const struct vfio_file_ops group_file_ops;

static struct vfio_group *group_find(struct vfio_core *core, unsigned int id)
{
	struct vfio_group *group;

	cds_list_for_each_entry(group, &core->groups, node)
		if (group->iommu_group && group->id == id)
			return group;
	return NULL;
}

bool vfio_group_exists(struct vfio_core *core, unsigned int id)
{
	return group_find(core, id);
}

int vfio_group_minor(struct vfio_core *core, unsigned int id)
{
	struct vfio_group *group = group_find(core, id);

	return group ? (int)group->file.minor : -ENODEV;
}

bool vfio_group_claimed(struct vfio_core *core, unsigned int id)
{
	struct vfio_group *group = group_find(core, id);

	return group && group->container;
}

struct vfio_group *vfio_group_of_file(struct vfio_file *file)
{
	return file->ops == &group_file_ops ? container_of(file, struct vfio_group, file) : NULL;
}

/* The lowest minor that no group has, be its node there or its file merely open still. */
static unsigned int group_free_minor(struct vfio_core *core)
{
	struct vfio_group *group;
	unsigned int minor = 0;
	bool taken;

	do {
		taken = false;
		cds_list_for_each_entry(group, &core->groups, node)
			if (group->file.minor == minor)
				taken = true;
		minor += taken;
	} while (taken);
	return minor;
}

static int group_new(struct vfio_core *core, struct iommu_group *iommu_group,
		     struct vfio_group **out)
{
	cleanup_free struct vfio_group *group = calloc(1, sizeof(*group));
	char name[16];
	int ret;

	if (!group)
		return -ENOMEM;
	snprintf(name, sizeof(name), "%u", iommu_group->id);
	ret = vfio_file_init(&group->file, &group_file_ops, name);
	if (ret)
		return ret;
	group->file.mode = S_IFCHR | 0600;
	group->file.major = VFIO_GROUP_MAJOR;
	group->file.minor = group_free_minor(core);
	group->core = core;
	group->id = iommu_group->id;
	group->iommu_group = iommu_group;
	CDS_INIT_LIST_HEAD(&group->devices);
	cds_list_add(&group->node, &core->groups);
	*out = steal_ptr(&group);
	return 0;
}

static void group_free_unused(struct vfio_group *group)
{
	if (group->nr_devices || group->opens)
		return;
	cds_list_del(&group->node);
	vfio_file_gone(group->core, &group->file);
	close(group->file.memfd);
	free(group);
}

int vfio_group_add_device(struct vfio_device *vdev)
{
	struct iommu_group *iommu_group = vdev->dev->ep.group;
	struct vfio_group *group;
	int ret;

	if (!iommu_group)
		return -EINVAL;
	group = group_find(vdev->core, iommu_group->id);
	if (!group) {
		ret = group_new(vdev->core, iommu_group, &group);
		if (ret)
			return ret;
	}
	group->nr_devices++;
	cds_list_add(&vdev->group_node, &group->devices);
	vdev->group = group;
	return 0;
}

void vfio_group_hide_device(struct vfio_device *vdev)
{
	cds_list_del(&vdev->group_node);
}

void vfio_group_remove_device(struct vfio_device *vdev)
{
	struct vfio_group *group = vdev->group;

	if (--group->nr_devices)
		return;
	if (group->container)
		vfio_container_detach(group);
	group->iommu_group = NULL;
	group_free_unused(group);
}

int vfio_group_use(struct vfio_group *group)
{
	if (!vfio_container_has_iommu(group->container))
		return -EINVAL;
	group->container_users++;
	group->opens++;
	return 0;
}

/* Also the release of the group's own file, which is not a user of the container. */
static void group_put_open(struct vfio_group *group)
{
	if (--group->opens)
		return;
	if (group->container)
		vfio_container_detach(group);
	group_free_unused(group);
}

void vfio_group_unuse(struct vfio_group *group)
{
	group->container_users--;
	group_put_open(group);
}

static void group_release(struct vfio_file *file)
{
	group_put_open(container_of(file, struct vfio_group, file));
}

int vfio_group_open(struct vfio_core *core, unsigned int id, struct vfio_file **out)
{
	struct vfio_group *group = group_find(core, id);

	if (!group)
		return -ENODEV;
	if (group->opens)
		return -EBUSY;
	group->opens = 1;
	*out = &group->file;
	return 0;
}

static long group_get_status(struct vfio_group *group, struct vfio_task *task, u64 arg)
{
	struct vfio_group_status status;

	if (task->ops->copy_in(task, &status, arg, sizeof(status)))
		return -EFAULT;
	if (status.argsz < sizeof(status))
		return -EINVAL;
	if (!group->iommu_group)
		return -ENODEV;
	status.flags = 0;
	if (group->container)
		status.flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	else if (!group->iommu_group->kernel_drivers)
		status.flags = VFIO_GROUP_FLAGS_VIABLE;
	return task->ops->copy_out(task, arg, &status, sizeof(status)) ? -EFAULT : 0;
}

static long group_set_container(struct vfio_group *group, struct vfio_task *task, u64 arg)
{
	struct vfio_container *container;
	struct vfio_file *file = NULL;
	int fd, ret;

	if (task->ops->copy_in(task, &fd, arg, sizeof(fd)))
		return -EFAULT;
	ret = task->ops->get_file(task, fd, &file);
	if (ret && ret != -ENOENT)
		return ret;
	if (group->container)
		return -EINVAL;
	if (!group->iommu_group)
		return -ENODEV;
	container = ret ? NULL : vfio_container_of_file(file);
	if (!container)
		return -EBADFD;
	return vfio_container_attach(container, group);
}

static long group_unset_container(struct vfio_group *group)
{
	if (!group->container)
		return -EINVAL;
	if (group->container_users > 1)
		return -EBUSY;
	vfio_container_detach(group);
	return 0;
}

/* Reads a string of at most PAGE_SIZE_4K bytes, its NUL included, page by page: what follows the
 * NUL may not be there. -EFAULT, -EINVAL (longer). */
static int group_copy_name(struct vfio_task *task, char *name, u64 va)
{
	size_t have = 0, chunk;

	while (have < PAGE_SIZE_4K) {
		chunk = PAGE_SIZE_4K - ((va + have) & (PAGE_SIZE_4K - 1));
		chunk = MIN(chunk, PAGE_SIZE_4K - have);
		if (task->ops->copy_in(task, name + have, va + have, chunk))
			return -EFAULT;
		if (memchr(name + have, 0, chunk))
			return 0;
		have += chunk;
	}
	return -EINVAL;
}

/*
 * Whether @name, "BDF[ OPTION]...", means @vdev: 1, 0, or -EINVAL for an option. The one option,
 * vf_token=UUID, is an error for a device that neither is a virtual function nor has any.
 */
static int group_match(const struct vfio_device *vdev, const char *name)
{
	const char *bdf = vdev->dev->ep.name;
	size_t len = strlen(bdf);

	if (strncmp(bdf, name, len))
		return 0;
	name += len;
	if (*name && *name != ' ')
		return 0;
	return name[strspn(name, " ")] ? -EINVAL : 1;
}

static int group_find_device(struct vfio_group *group, const char *name, struct vfio_device **out)
{
	struct vfio_device *vdev;
	int ret;

	cds_list_for_each_entry(vdev, &group->devices, group_node) {
		ret = group_match(vdev, name);
		if (ret < 0)
			return ret;
		if (ret) {
			*out = vdev;
			return 0;
		}
	}
	return -ENODEV;
}

static long group_get_device_fd(struct vfio_group *group, struct vfio_task *task, u64 arg)
{
	char name[PAGE_SIZE_4K];
	struct vfio_device *vdev;
	int ret;

	ret = group_copy_name(task, name, arg);
	if (ret)
		return ret;
	ret = group_find_device(group, name, &vdev);
	if (ret)
		return ret;
	if (!group->container)
		return -EINVAL;
	ret = vfio_device_open(vdev);
	if (ret)
		return ret;
	ret = task->ops->install(task, &vdev->file, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		vfio_device_close(vdev);
	return ret;
}

static long group_ioctl(struct vfio_file *file, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	struct vfio_group *group = container_of(file, struct vfio_group, file);

	switch (cmd) {
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device_fd(group, task, arg);
	case VFIO_GROUP_GET_STATUS:
		return group_get_status(group, task, arg);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(group, task, arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(group);
	default:
		return -ENOTTY;
	}
}

static const struct vfio_file_ops group_file_ops = {
	.ioctl = group_ioctl,
	.read = vfio_file_no_rw,
	.write = vfio_file_no_rw,
	.mmap = vfio_file_no_mmap,
	.release = group_release,
};
