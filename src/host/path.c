/* SPDX-License-Identifier: BSD-3-Clause */
/* What a path of the program's means. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/internal.h"

/* The number of a group node's name: decimal, no leading zero; -1 if it is none. */
static long group_number(const char *name)
{
	char *end;
	long id;

	if (*name < '0' || *name > '9' || (*name == '0' && name[1]))
		return -1;
	errno = 0;
	id = strtol(name, &end, 10);
	return *end || errno || id > INT32_MAX ? -1 : id;
}

static bool vfio_node(struct host *host, const char *name, struct host_node *node)
{
	struct host_node found;
	long id;
	int minor;

	if (!strcmp(name, "vfio")) {
		found = (struct host_node){ HOST_NODE_CONTAINER, 0, S_IFCHR | 0666, 10,
					    VFIO_CONTAINER_MINOR };
	} else {
		id = group_number(name);
		if (id < 0)
			return false;
		minor = vfio_group_minor(host->vfio, (unsigned int)id);
		if (minor < 0)
			return false;
		found = (struct host_node){ HOST_NODE_GROUP, (unsigned int)id, S_IFCHR | 0600,
					    VFIO_GROUP_MAJOR, (u32)minor };
	}
	if (node)
		*node = found;
	return true;
}

enum host_path_kind host_path(struct host *host, const char *path, struct host_node *node)
{
	static const char dir[] = "/dev/vfio/";
	enum host_path_kind kind = host_tree_classify(host->tree, path);

	if (kind == HOST_PATH_TREE && !strncmp(path, dir, sizeof(dir) - 1) &&
	    vfio_node(host, path + sizeof(dir) - 1, node))
		return HOST_PATH_NODE;
	return kind;
}

enum host_attr_kind host_attr_kind(const char *path)
{
	static const char devices[] = "/sys/devices/pci";
	const char *name = strrchr(path, '/') + 1;

	if (strncmp(path, devices, sizeof(devices) - 1))
		return HOST_ATTR_TEXT;
	if (!strcmp(name, "config"))
		return HOST_ATTR_BINARY;
	if (!strcmp(name, "rom") || (!strncmp(name, "resource", 8) && isdigit(name[8])))
		return HOST_ATTR_REGISTERS;
	return HOST_ATTR_TEXT;
}
