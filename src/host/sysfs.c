/* SPDX-License-Identifier: BSD-3-Clause */
/* The view around the functions: buses, classes, groups, the IOMMU, modules, /dev/vfio. */
#include <stdio.h>

#include "base/cleanup.h"
#include "host/internal.h"

/* QEMU's VT-d unit: 2 MiB and 1 GiB pages; width and table levels are filled in. */
#define VTD_CAP 0x00d2008c22000006ULL
#define VTD_ECAP 0xf00f4aULL
#define VTD_ADDRESS 0xfed90000ULL

/* Directories that list the real machine's other entries too. */
static const char *const merged[] = {
	"/sys/bus",	 "/sys/class",		 "/sys/class/misc",
	"/sys/dev/char", "/sys/devices/virtual", "/sys/devices/virtual/misc",
	"/sys/kernel",	 "/sys/module",		 "/dev",
};

/* PCI, which is the emulated machine's alone, or with --keep-host-pci both machines'. */
static const char *const pci_dirs[] = {
	"/sys/bus/pci",
	"/sys/bus/pci/devices",
	"/sys/bus/pci/drivers",
	"/sys/bus/pci/slots",
	"/sys/class/pci_bus",
	"/sys/devices/pci0000:00",
	"/sys/class/iommu",
	"/sys/devices/pci0000:00/pci_bus",
	"/sys/kernel/iommu_groups",
	"/sys/devices/virtual/iommu",
};

static const char *const owned[] = {
	"/sys/class/vfio",
	"/sys/class/vfio-dev",
	"/sys/devices/virtual/vfio",
	"/sys/devices/virtual/misc/vfio",
	"/dev/vfio",
};

/* Of the real machine, and of no emulated one. */
static const char *const hidden[] = {
	"/dev/iommu",	       "/sys/class/misc/iommu", "/sys/devices/virtual/misc/iommu",
	"/sys/module/iommufd", "/sys/bus/pci_express",
};

static void directories(struct host *host)
{
	for (size_t i = 0; i < ARRAY_SIZE(merged); i++)
		host_tree_merge(host->tree, merged[i]);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (!host->keep_pci || i < ARRAY_SIZE(hidden) - 1)
			host_tree_hide(host->tree, hidden[i]);
	for (size_t i = 0; i < ARRAY_SIZE(pci_dirs); i++) {
		if (host->keep_pci)
			host_tree_merge(host->tree, pci_dirs[i]);
		else
			host_tree_own(host->tree, pci_dirs[i]);
		host_tree_mkdirs(host->tree, pci_dirs[i]);
	}
	if (!host->keep_pci)
		host_tree_hide_prefix(host->tree, "/sys/devices/pci");
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
		host_tree_own(host->tree, owned[i]);
		host_tree_mkdirs(host->tree, owned[i]);
	}
	host_tree_own_prefix(host->tree, "/sys/module/vfio");
	host_tree_own(host->tree, "/sys/class/misc/vfio");
	host_tree_own(host->tree, "/sys/dev/char/10:196");
	host_tree_own_prefix(host->tree, "/sys/dev/char/242:");
}

static void bus_files(struct host *host)
{
	static const struct {
		const char *path, *text;
		unsigned int mode;
	} files[] = {
		{ "/sys/bus/pci/drivers_autoprobe", "1\n", 0644 },
		{ "/sys/bus/pci/drivers_probe", "", 0200 },
		{ "/sys/bus/pci/rescan", "", 0200 },
		{ "/sys/bus/pci/resource_alignment", "", 0644 },
		{ "/sys/bus/pci/uevent", "", 0200 },
		{ "/sys/devices/pci0000:00/uevent", "", 0644 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		host_tree_own(host->tree, files[i].path);
		host_tree_write(host->tree, files[i].path, files[i].mode, "%s", files[i].text);
	}
	host_tree_own(host->tree, "/sys/devices/pci0000:00/power");
	host_sysfs_power(host->tree, "/sys/devices/pci0000:00", "auto", "unsupported");
}

static void container_node(struct host *host)
{
	struct host_tree *tree = host->tree;
	const char *dir = "/sys/devices/virtual/misc/vfio";

	host_tree_write(tree, "/sys/devices/virtual/misc/vfio/dev", 0444, "10:%u\n",
			VFIO_CONTAINER_MINOR);
	host_tree_write(tree, "/sys/devices/virtual/misc/vfio/uevent", 0644,
			"MAJOR=10\nMINOR=%u\nDEVNAME=vfio/vfio\nDEVMODE=0666\n",
			VFIO_CONTAINER_MINOR);
	host_tree_link(tree, "/sys/devices/virtual/misc/vfio/subsystem", "/sys/class/misc");
	host_sysfs_power(tree, dir, "auto", "unsupported");
	host_tree_link(tree, "/sys/class/misc/vfio", dir);
	host_tree_link(tree, "/sys/dev/char/10:196", dir);
	host_tree_node(tree, "/dev/vfio/vfio", 0666);
}

static const char *resv_name(enum iommu_resv_type type)
{
	switch (type) {
	case IOMMU_RESV_DIRECT:
		return "direct";
	case IOMMU_RESV_MSI:
		return "msi";
	default:
		return "reserved";
	}
}

static void group(struct host *host, unsigned int id)
{
	cleanup_free char *text = NULL;
	char dir[64], path[128];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	for (unsigned int i = 0; i < host->unit->nr_resv; i++)
		fprintf(f, "0x%016llx 0x%016llx %s\n",
			(unsigned long long)host->unit->resv[i].start,
			(unsigned long long)host->unit->resv[i].last,
			resv_name(host->unit->resv[i].type));
	if (fclose(f))
		return;
	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", id);
	host_tree_own(host->tree, dir);
	host_tree_mkdir(host->tree, dir);
	snprintf(path, sizeof(path), "%s/devices", dir);
	host_tree_mkdir(host->tree, path);
	snprintf(path, sizeof(path), "%s/reserved_regions", dir);
	host_tree_write(host->tree, path, 0444, "%s", text);
	snprintf(path, sizeof(path), "%s/type", dir);
	host_tree_write(host->tree, path, 0644, "DMA-FQ\n");
}

/* 39 bits is a table of 3 levels, and each 9 bits more are one level more. */
static u64 vtd_cap(unsigned int width)
{
	u64 levels = 0;

	for (unsigned int bits = 39, n = 1; bits <= width; bits += 9, n++)
		levels |= BIT_ULL(n);
	return VTD_CAP | (u64)(width - 1) << 16 | levels << 8;
}

void host_sysfs_iommu(struct host *host)
{
	struct host_tree *tree = host->tree;
	char dir[64], path[128];

	if (!host->unit)
		return;
	snprintf(dir, sizeof(dir), "/sys/devices/virtual/iommu/%s", host->unit->name);
	host_tree_own(tree, dir);
	snprintf(path, sizeof(path), "%s/devices", dir);
	host_tree_mkdirs(tree, path);
	snprintf(path, sizeof(path), "%s/intel-iommu", dir);
	host_tree_mkdir(tree, path);
	snprintf(path, sizeof(path), "%s/intel-iommu/address", dir);
	host_tree_write(tree, path, 0444, "%llx\n", VTD_ADDRESS);
	snprintf(path, sizeof(path), "%s/intel-iommu/cap", dir);
	host_tree_write(tree, path, 0444, "%llx\n", (unsigned long long)vtd_cap(host->unit->width));
	snprintf(path, sizeof(path), "%s/intel-iommu/ecap", dir);
	host_tree_write(tree, path, 0444, "%llx\n", VTD_ECAP);
	snprintf(path, sizeof(path), "%s/intel-iommu/domains_supported", dir);
	host_tree_write(tree, path, 0444, "65536\n");
	snprintf(path, sizeof(path), "%s/intel-iommu/domains_used", dir);
	host_tree_write(tree, path, 0444, "%u\n", host->nr_groups);
	snprintf(path, sizeof(path), "%s/intel-iommu/version", dir);
	host_tree_write(tree, path, 0444, "1:0\n");
	snprintf(path, sizeof(path), "%s/uevent", dir);
	host_tree_write(tree, path, 0644, "%s", "");
	snprintf(path, sizeof(path), "%s/subsystem", dir);
	host_tree_link(tree, path, "/sys/class/iommu");
	host_sysfs_power(tree, dir, "auto", "unsupported");
	snprintf(path, sizeof(path), "/sys/class/iommu/%s", host->unit->name);
	host_tree_own(tree, path);
	host_tree_link(tree, path, dir);
	for (unsigned int i = 0; i < host->nr_groups; i++)
		group(host, i);
}

static void module(struct host_tree *tree, const char *name, const char *version)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s/parameters", name);
	host_tree_mkdirs(tree, path);
	snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
	host_tree_write(tree, path, 0444, "live\n");
	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	host_tree_write(tree, path, 0444, "0\n");
	snprintf(path, sizeof(path), "/sys/module/%s/uevent", name);
	host_tree_write(tree, path, 0200, "%s", "");
	if (!version)
		return;
	snprintf(path, sizeof(path), "/sys/module/%s/version", name);
	host_tree_write(tree, path, 0444, "%s\n", version);
}

/*
 * modprobe(8) asks /sys/module whether a module is there only if it has heard of it: from the index
 * of the kernel's modules, which a container lacks, or from an alias.
 */
static void modprobe_aliases(struct host_tree *tree)
{
	host_tree_pass(tree, "/run");
	host_tree_merge(tree, "/run/modprobe.d");
	host_tree_own(tree, "/run/modprobe.d/uvfio.conf");
	host_tree_write(tree, "/run/modprobe.d/uvfio.conf", 0444,
			"alias vfio vfio\nalias vfio-pci vfio_pci\n"
			"alias vfio-pci-core vfio_pci_core\n"
			"alias vfio-iommu-type1 vfio_iommu_type1\n");
}

void host_sysfs_modules(struct host *host)
{
	static const struct {
		const char *path, *text;
		unsigned int mode;
	} parameters[] = {
		{ "vfio/parameters/enable_unsafe_noiommu_mode", "N", 0644 },
		{ "vfio_pci/parameters/disable_denylist", "N", 0444 },
		{ "vfio_pci/parameters/disable_idle_d3", "N", 0644 },
		{ "vfio_pci/parameters/disable_vga", "N", 0444 },
		{ "vfio_pci/parameters/enable_sriov", "N", 0644 },
		{ "vfio_pci/parameters/nointxmask", "N", 0644 },
		{ "vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N", 0644 },
		{ "vfio_iommu_type1/parameters/disable_hugepages", "N", 0644 },
		{ "vfio_iommu_type1/parameters/dma_entry_limit", "65535", 0644 },
	};
	char path[128];

	module(host->tree, "vfio", "0.3");
	module(host->tree, "vfio_pci", NULL);
	module(host->tree, "vfio_pci_core", NULL);
	module(host->tree, "vfio_iommu_type1", "0.2");
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		snprintf(path, sizeof(path), "/sys/module/%s", parameters[i].path);
		host_tree_write(host->tree, path, parameters[i].mode, "%s\n", parameters[i].text);
	}
	modprobe_aliases(host->tree);
	/* driverctl(8) looks for the driver's name, not the module's. */
	host_tree_link(host->tree, "/sys/module/vfio-pci", "/sys/module/vfio_pci");
	host_tree_mkdir(host->tree, "/sys/module/vfio_pci/drivers");
	host_tree_link(host->tree, "/sys/module/vfio_pci/drivers/pci:vfio-pci",
		       "/sys/bus/pci/drivers/vfio-pci");
}

void host_sysfs_driver(struct host *host, const struct host_driver *drv)
{
	static const char *const files[] = { "bind", "new_id", "remove_id", "uevent", "unbind" };
	char dir[128], path[192];

	snprintf(dir, sizeof(dir), "/sys/bus/pci/drivers/%s", drv->name);
	host_tree_own(host->tree, dir);
	host_tree_mkdir(host->tree, dir);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		host_tree_write(host->tree, path, 0200, "%s", "");
	}
	if (drv != host_driver_find(host, "vfio-pci"))
		return;
	snprintf(path, sizeof(path), "%s/module", dir);
	host_tree_link(host->tree, path, "/sys/module/vfio_pci");
}

int host_sysfs_build(struct host *host)
{
	struct host_function *fn;
	struct host_driver *drv;
	int err = 0;

	directories(host);
	bus_files(host);
	container_node(host);
	host_sysfs_modules(host);
	host_sysfs_iommu(host);
	host_sysfs_root_bus(host);
	cds_list_for_each_entry(drv, &host->drivers, node)
		host_sysfs_driver(host, drv);
	cds_list_for_each_entry(fn, &host->functions, node)
		if (!err)
			err = host_sysfs_function(fn);
	return err ? err : host_tree_error(host->tree);
}
