/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share. Everything belongs to the control thread. */
#ifndef HOST_INTERNAL_H
#define HOST_INTERNAL_H

#include <urcu/list.h>

#include "host/host.h"
#include "host/tree.h"

#define HOST_DEVFN(slot, func) ((u8)((slot) << 3 | (func)))
#define HOST_SLOT(devfn) ((devfn) >> 3)
#define HOST_FUNC(devfn) ((devfn)&7)
#define HOST_MAX_DEPTH 16 /* of bridges behind each other */

/* ---- description (config.c, config_json.c) ---- */

enum host_kind {
	HOST_ENDPOINT, /* a device model */
	HOST_ROOT_PORT,
	HOST_UPSTREAM_PORT,
	HOST_DOWNSTREAM_PORT,
	HOST_PCIE_BRIDGE, /* PCI Express to conventional PCI */
	HOST_PCI_BRIDGE,  /* conventional, both sides */
	HOST_BRIDGE,	  /* the host bridge, 00:00.0 */
};

struct host_pair {
	char *name, *value;
};

/* Properties that every function has; strings belong to the structure. */
struct host_common {
	char *addr;
	bool multifunction;
	char *driver;
	bool acs;
};

/* One function as described; a tree through ->children. */
struct host_item {
	struct cds_list_head node;
	struct cds_list_head children; /* behind a bridge */
	struct host_item *parent;
	enum host_kind kind;
	const struct device_model *model; /* HOST_ENDPOINT */
	struct host_common common;
	struct host_pair *pairs; /* the model's own properties, checked */
	size_t nr_pairs;
	char *what; /* how messages call it: "--device edu", "FILE: devices[2]" */
	/* Filled in by the layout. */
	int want_bus; /* of the secondary bus (ports made for addr=); 0: any */
	int slot;     /* -1: any */
	int func;
	bool implicit; /* a root port that nobody wrote down */
};

struct host_config {
	const struct device_model *const *models;
	struct cds_list_head items; /* on the root bus, or behind root ports to be made */
	bool iommu;		    /* false: none */
	unsigned int aw_bits;
	bool keep_pci;
};

struct host_item *host_item_new(enum host_kind kind, const char *what);
void host_item_free(struct host_item *item);
/* By model name: kinds of bridges only if @bridges. Sets kind and model. */
int host_item_set_model(const struct host_config *config, struct host_item *item, const char *name,
			bool bridges, char **error);
int host_item_set(struct host_item *item, const char *name, const char *value, char **error);
/* Whether all is there and fits together, as far as one item can tell. */
int host_item_check(struct host_item *item, char **error);
/* A new, filled-in property structure of the item's model, as device_new() consumes it. */
int host_item_props(const struct host_item *item, void **out, char **error);
/* "BB:DD.F", "DDDD:BB:DD.F" (domain 0) or "DD.F"; *bus is -1 in the last form. */
int host_parse_addr(const char *text, int *bus, int *slot, int *func);

/* *error = a formatted line; returns @err. */
int host_error(char **error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- the machine ---- */

struct host_window {
	u64 base, size; /* size 0: closed */
};

enum { HOST_WINDOW_IO, HOST_WINDOW_MEM, HOST_WINDOW_PREF, HOST_NR_WINDOWS };

struct host_bus {
	struct host *host;
	struct cds_list_head node; /* of host->buses, by number */
	struct cds_list_head functions;
	struct host_function *bridge; /* NULL: the root bus */
	u8 number, last;	      /* last: the highest number behind it */
	bool express;		      /* a link, on which only device 0 exists */
	struct device_bus dbus;
};

struct host_waiter {
	struct cds_list_head node;
	void (*done)(void *opaque, int result);
	void *opaque;
};

struct host_function {
	struct cds_list_head node;     /* of host->functions, in Linux's order of discovery */
	struct cds_list_head bus_node; /* of its bus, by devfn */
	struct host *host;
	struct host_bus *bus;
	struct host_bus *secondary;
	const struct host_item *item; /* valid while the host is built */
	enum host_kind kind;
	u8 devfn;
	bool multifunction;
	char name[16];
	char *dir; /* "/sys/devices/pci0000:00/..." */
	struct pci_ident ident;
	struct pci_function *pci;
	struct pci_function *own_pci; /* bridges: what pci points to */
	struct device *dev;	      /* endpoints */
	struct iommu_endpoint *ep;
	struct iommu_endpoint *own_ep; /* bridges */
	struct iommu_group *group;
	struct host_window windows[HOST_NR_WINDOWS]; /* bridges */
	u8 *mirror;				     /* config_fd, mapped; NULL: no file yet */
	int config_fd;

	const char *driver;    /* bound to; NULL: none. Lives as long as the host */
	const char *native;    /* the driver of the user's "driver=", or pcieport */
	char *driver_override; /* NULL: "(null)" */
	struct vfio_device *vdev;
	unsigned int vfio_nr;
	struct cds_list_head waiters; /* struct host_waiter: writes that an unbind blocks */
	bool unbinding;
	unsigned int enable_count;
	u8 broken_parity, d3cold, msi_bus;
	int numa_node;
	bool power_on;		/* power/control */
	char reset_methods[32]; /* as reset_method shows them; empty: none */
	bool has_reset;
};

struct host_dynid {
	struct cds_list_head node;
	u32 vendor, device, subvendor, subdevice, class_code, class_mask;
};

struct host_driver {
	struct cds_list_head node;
	struct cds_list_head ids; /* struct host_dynid */
	char *name;
};

struct host {
	struct vfio_core *vfio;
	struct iommu_fault_log *faults;
	struct iommu_unit *unit; /* NULL: no IOMMU */
	struct device_thread *thread;
	struct host_tree *tree;
	struct cds_list_head functions;
	struct cds_list_head buses;
	struct cds_list_head drivers;
	struct iommu_group **groups;
	unsigned int nr_groups;
	u64 vfio_nrs[8]; /* bitmap: vfioN in use */
	bool keep_pci;
	bool autoprobe;
	unsigned int *group_minors; /* of the nodes, by group */
};

/* layout.c: buses, slots and functions from the description. */
int host_layout(struct host *host, const struct host_config *config, char **error);
/* function.c */
int host_function_build(struct host_function *fn, char **error);
void host_function_free(struct host_function *fn);
/* resource.c: addresses of BARs and windows, interrupt lines, as a firmware leaves them. */
int host_assign_resources(struct host *host, char **error);
/* Bits of the third column of the file "resource". */
u64 host_resource_flags(const struct pci_bar *bar, bool rom);
/* group.c */
int host_assign_groups(struct host *host);
/* How the function can be reset: "flr", "af_flr", "pm", "bus"; @discovery: as Linux first saw it.
 */
bool host_can_reset(const struct host_function *fn, const char *method, bool discovery);
/* All of them, with blanks between; at least 32 bytes. */
void host_reset_methods(const struct host_function *fn, bool discovery, char *out, size_t size);

/* driver.c */
struct host_driver *host_driver_find(struct host *host, const char *name);
struct host_driver *host_driver_add(struct host *host, const char *name);
void host_driver_free(struct host_driver *drv);
int host_driver_new_id(struct host *host, struct host_driver *drv, const char *text);
int host_driver_remove_id(struct host_driver *drv, const char *text);
/* Whether the driver would take the device (Linux: pci_match_device). */
bool host_driver_matches(const struct host_driver *drv, const struct host_function *fn);
/* 0 or -errno; the view follows. */
int host_driver_bind(struct host_function *fn, struct host_driver *drv);
/* 0, -EINPROGRESS with @done called later, or -errno. */
int host_driver_unbind(struct host_function *fn, void (*done)(void *opaque, int result),
		       void *opaque);
/* Tries all drivers; 0 also when none matches. */
int host_driver_probe(struct host_function *fn);

/* sysfs_*.c: the view. */
int host_sysfs_build(struct host *host);
int host_sysfs_function(struct host_function *fn);
/* @status is "active", "suspended" or "unsupported". */
void host_sysfs_power(struct host_tree *tree, const char *dir, const char *control,
		      const char *status);
void host_sysfs_modules(struct host *host);
void host_sysfs_iommu(struct host *host);
void host_sysfs_root_bus(struct host *host);
void host_sysfs_driver(struct host *host, const struct host_driver *drv);
/* The parts that change as drivers come and go. */
void host_sysfs_bound(struct host_function *fn);
void host_sysfs_unbound(struct host_function *fn);
void host_sysfs_uevent(struct host_function *fn);

/* config_file.c: the file "config" of a function is its mirror. */
int host_config_map(struct host_function *fn);
void host_config_unmap(struct host_function *fn);
/* attr.c: the contents of the control attributes that have any. */
void host_attr_show_all(struct host_function *fn);

/* By address ("0000:01:00.0"); NULL. */
struct host_function *host_find(struct host *host, const char *name);

#endif
