/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine that a program sees: PCI topology, IOMMU units and groups, drivers, and the sysfs
 * view of them.
 *
 * A host is described (host_config_*), then built (host_new). The view is a directory tree on a
 * file system of this process's, whose "sys" and "dev" stand for /sys and /dev. Directories that
 * exist on the real machine too are merged: the tree holds empty stand-ins for their other entries,
 * so that a listing is complete, and whoever resolves paths asks host_path() first.
 *
 * Threads: the control thread.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <sys/stat.h>

#include "device/device.h"
#include "vfio/vfio.h"

struct host;

/* What the user described; strings are one line of "name=value,..." as on the command line. */
struct host_config;
struct host_config *host_config_new(const struct device_model *const *models /* NULL-terminated */);
void host_config_free(struct host_config *config);
/* Each: 0, or -EINVAL/-ENOMEM with *error a malloc'ed line that names argument, reason and way out.
 */
int host_config_add_device(struct host_config *config, const char *spec, char **error);
int host_config_set_iommu(struct host_config *config, const char *spec, char **error);
int host_config_read_file(struct host_config *config, const char *path, char **error);
void host_config_keep_host_pci(struct host_config *config, bool keep);
/* Whether it describes no device at all. */
bool host_config_is_empty(const struct host_config *config);

/* The properties that every device has besides its model's: addr, multifunction, driver. */
const struct prop *host_device_props(void);

/* Builds everything, with the tree in @dir (an empty directory, owned by the caller). 0, or -errno
 * with *error. */
int host_new(const struct host_config *config, const char *dir, const struct vfio_core_ops *ops,
	     void *opaque, struct host **out, char **error);
/* All files must be released. Removes the tree's contents. */
void host_free(struct host *host);

struct vfio_core *host_vfio(struct host *host);
struct iommu_fault_log *host_faults(struct host *host);

/* What a path of the program's means. */
enum host_path_kind {
	HOST_PATH_REAL,	  /* not ours: the real file system answers */
	HOST_PATH_TREE,	  /* the file or directory of the same name in the tree, whether it exists
			     there or not */
	HOST_PATH_ABSENT, /* ours, and hidden: ENOENT */
	HOST_PATH_NODE,	  /* a device node: see struct host_node */
};

enum host_node_kind { HOST_NODE_CONTAINER, HOST_NODE_GROUP };

struct host_node {
	enum host_node_kind kind;
	unsigned int group; /* HOST_NODE_GROUP */
	u32 mode;	    /* S_IFCHR | permissions */
	u32 major, minor;
};

/*
 * Classifies @path: absolute, normalized (no "." or "..", no double or trailing "/"), all symbolic
 * links resolved but perhaps the last. The cost for paths outside /sys and /dev is that of one
 * comparison.
 */
enum host_path_kind host_path(struct host *host, const char *path, struct host_node *node);

/*
 * A control attribute (driver/unbind, driver_override, reset, ...) was written: what the write
 * returns, 0 or -errno; -EINPROGRESS: it blocks (an unbind of a device in use) and @done is called
 * later. Path as for host_path().
 */
int host_attr_write(struct host *host, const char *path, const void *data, size_t len,
		    void (*done)(void *opaque, int result), void *opaque);
/* While a write blocks: to be called once a second, so that the device's user is asked again. */
void host_repeat_requests(struct host *host);
/* Whether writes to @path go to host_attr_write(). */
bool host_attr_writable(struct host *host, const char *path);
/* How sysfs presents what the tree has at @path: attributes are a page long, whatever they hold. */
enum host_attr_kind {
	HOST_ATTR_TEXT,
	HOST_ATTR_BINARY,    /* of its true size */
	HOST_ATTR_REGISTERS, /* binary too: a BAR or the ROM; nothing is behind the tree's file */
};
enum host_attr_kind host_attr_kind(const char *path);
/* The path of the "config" file whose file (host_config_fd()) is inode @ino of memfds. 0 or
 * -ENOENT. */
int host_config_path(struct host *host, ino_t ino, char *path, size_t size);
/*
 * The file behind a sysfs "config" file: open /proc/self/fd/N for a program instead of the tree's
 * (without O_NOFOLLOW and O_TRUNC), and watch it. Its size is sealed. -1 for any other path.
 * Borrowed.
 */
int host_config_fd(struct host *host, const char *path);
/* A sysfs "config" file may have been written by the program: compare with the registers, and
 * perform the writes. */
void host_config_written(struct host *host, const char *path);

#endif
