/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the view that change as drivers come and go. */
#include <stdio.h>
#include <string.h>

#include "host/internal.h"

static void group_node(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	unsigned int id = fn->group->id;
	char dir[64], path[128];
	int minor = vfio_group_minor(fn->host->vfio, id);

	snprintf(dir, sizeof(dir), "/sys/devices/virtual/vfio/%u", id);
	if (minor < 0 || host_tree_exists(tree, dir))
		return;
	host_tree_mkdir(tree, dir);
	snprintf(path, sizeof(path), "%s/dev", dir);
	host_tree_write(tree, path, 0444, "%d:%d\n", VFIO_GROUP_MAJOR, minor);
	snprintf(path, sizeof(path), "%s/uevent", dir);
	host_tree_write(tree, path, 0644, "MAJOR=%d\nMINOR=%d\nDEVNAME=vfio/%u\n", VFIO_GROUP_MAJOR,
			minor, id);
	snprintf(path, sizeof(path), "%s/subsystem", dir);
	host_tree_link(tree, path, "/sys/class/vfio");
	host_sysfs_power(tree, dir, "auto", "unsupported");
	snprintf(path, sizeof(path), "/sys/class/vfio/%u", id);
	host_tree_link(tree, path, dir);
	snprintf(path, sizeof(path), "/sys/dev/char/%d:%d", VFIO_GROUP_MAJOR, minor);
	host_tree_link(tree, path, dir);
	snprintf(path, sizeof(path), "/dev/vfio/%u", id);
	host_tree_node(tree, path, 0600);
}

/* After the last of its devices has gone; the minor is read back from the tree's own link. */
static void group_node_gone(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	unsigned int id = fn->group->id;
	char path[128];

	if (vfio_group_exists(fn->host->vfio, id))
		return;
	snprintf(path, sizeof(path), "/sys/dev/char/%d:%u", VFIO_GROUP_MAJOR,
		 fn->host->group_minors[id]);
	host_tree_remove(tree, path);
	snprintf(path, sizeof(path), "/sys/class/vfio/%u", id);
	host_tree_remove(tree, path);
	snprintf(path, sizeof(path), "/sys/devices/virtual/vfio/%u", id);
	host_tree_remove(tree, path);
	snprintf(path, sizeof(path), "/dev/vfio/%u", id);
	host_tree_remove(tree, path);
}

static void vfio_dev(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	char dir[512], path[640];

	snprintf(dir, sizeof(dir), "%s/vfio-dev", fn->dir);
	host_tree_mkdir(tree, dir);
	snprintf(dir, sizeof(dir), "%s/vfio-dev/vfio%u", fn->dir, fn->vfio_nr);
	host_tree_mkdir(tree, dir);
	snprintf(path, sizeof(path), "%s/device", dir);
	host_tree_link(tree, path, fn->dir);
	snprintf(path, sizeof(path), "%s/subsystem", dir);
	host_tree_link(tree, path, "/sys/class/vfio-dev");
	snprintf(path, sizeof(path), "%s/uevent", dir);
	host_tree_write(tree, path, 0644, "%s", "");
	host_sysfs_power(tree, dir, "auto", "unsupported");
	snprintf(path, sizeof(path), "/sys/class/vfio-dev/vfio%u", fn->vfio_nr);
	host_tree_link(tree, path, dir);
}

void host_sysfs_bound(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	char path[512], driver[128];

	snprintf(driver, sizeof(driver), "/sys/bus/pci/drivers/%s", fn->driver);
	snprintf(path, sizeof(path), "%s/driver", fn->dir);
	host_tree_link(tree, path, driver);
	snprintf(path, sizeof(path), "%s/%s", driver, fn->name);
	host_tree_link(tree, path, fn->dir);
	if (fn->vdev) {
		vfio_dev(fn);
		fn->host->group_minors[fn->group->id] =
			(unsigned int)vfio_group_minor(fn->host->vfio, fn->group->id);
		group_node(fn);
	}
	host_sysfs_uevent(fn);
	host_attr_show_all(fn);
}

void host_sysfs_unbound(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	char path[512];

	snprintf(path, sizeof(path), "%s/driver", fn->dir);
	host_tree_remove(tree, path);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/%s", fn->driver, fn->name);
	host_tree_remove(tree, path);
	if (strcmp(fn->driver, "vfio-pci"))
		return;
	snprintf(path, sizeof(path), "/sys/class/vfio-dev/vfio%u", fn->vfio_nr);
	host_tree_remove(tree, path);
	snprintf(path, sizeof(path), "%s/vfio-dev", fn->dir);
	host_tree_remove(tree, path);
	group_node_gone(fn);
}
