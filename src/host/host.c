/* SPDX-License-Identifier: BSD-3-Clause */
/* Builds a host, and takes it apart. */
#include "host/host.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"
#include "iommu/fault.h"
#include "iommu/vtd.h"

struct vfio_core *host_vfio(struct host *host)
{
	return host->vfio;
}

struct iommu_fault_log *host_faults(struct host *host)
{
	return host->faults;
}

static int make_iommu(struct host *host, const struct host_config *config)
{
	host->faults = iommu_fault_log_new();
	if (!host->faults)
		return -ENOMEM;
	if (!config->iommu)
		return 0;
	host->unit = iommu_vtd_new(0, config->aw_bits, host->faults);
	return host->unit ? 0 : -errno;
}

static bool has_devices(const struct host *host)
{
	const struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node)
		if (fn->kind == HOST_ENDPOINT)
			return true;
	return false;
}

static int make_functions(struct host *host, const struct host_config *config, char **error)
{
	struct host_function *fn;
	int err = host_layout(host, config, error);

	if (err)
		return err;
	if (has_devices(host)) {
		host->thread = device_thread_new();
		if (!host->thread)
			return -errno;
	}
	if (!host_driver_add(host, "pcieport") || !host_driver_add(host, "vfio-pci"))
		return -ENOMEM;
	cds_list_for_each_entry(fn, &host->functions, node) {
		err = host_function_build(fn, error);
		if (err)
			return err;
	}
	err = host_assign_resources(host, error);
	if (!err && host->unit)
		err = host_assign_groups(host);
	if (err)
		return err;
	host->group_minors = calloc(host->nr_groups + 1, sizeof(*host->group_minors));
	return host->group_minors ? 0 : -ENOMEM;
}

/*
 * The drivers at the start. vfio-pci takes a device because of its driver_override, as driverctl(8)
 * leaves it; without an IOMMU it takes none, and the device stays without a driver.
 */
static int bind_drivers(struct host *host)
{
	struct host_function *fn;
	int err;

	cds_list_for_each_entry(fn, &host->functions, node) {
		if (!fn->native)
			continue;
		if (!strcmp(fn->native, "vfio-pci") || !strcmp(fn->native, "pci-stub")) {
			fn->driver_override = strdup(fn->native);
			if (!fn->driver_override)
				return -ENOMEM;
		}
		err = host_driver_bind(fn, host_driver_find(host, fn->native));
		if (err && fn->group)
			return err;
		host_attr_show_all(fn);
	}
	return 0;
}

static int build(struct host *host, const struct host_config *config, const char *dir, char **error)
{
	int err = make_iommu(host, config);

	if (!err)
		err = make_functions(host, config, error);
	if (err)
		return err;
	host->tree = host_tree_new(dir);
	if (!host->tree)
		return -errno;
	err = host_sysfs_build(host);
	if (!err)
		err = bind_drivers(host);
	return err ? err : host_tree_error(host->tree);
}

int host_new(const struct host_config *config, const char *dir, const struct vfio_core_ops *ops,
	     void *opaque, struct host **out, char **error)
{
	struct host *host = calloc(1, sizeof(*host));
	int err;

	*error = NULL;
	if (!host)
		return -ENOMEM;
	CDS_INIT_LIST_HEAD(&host->functions);
	CDS_INIT_LIST_HEAD(&host->buses);
	CDS_INIT_LIST_HEAD(&host->drivers);
	host->keep_pci = config->keep_pci;
	host->autoprobe = true;
	host->vfio = vfio_core_new(ops, opaque);
	err = host->vfio ? build(host, config, dir, error) : -ENOMEM;
	if (!err) {
		*out = host;
		return 0;
	}
	host_free(host);
	if (!*error)
		return host_error(error, err, "cannot build the emulated host: %s", strerror(-err));
	return err;
}

static void free_functions(struct host *host)
{
	struct host_bus *bus, *next_bus;
	struct host_function *fn, *next;

	/* By bus: a layout that failed has not listed all of them. */
	cds_list_for_each_entry_safe(bus, next_bus, &host->buses, node) {
		cds_list_for_each_entry_safe(fn, next, &bus->functions, bus_node)
			host_function_free(fn);
		cds_list_del(&bus->node);
		free(bus);
	}
}

void host_free(struct host *host)
{
	struct host_driver *drv, *next;
	struct host_function *fn;

	if (!host)
		return;
	cds_list_for_each_entry(fn, &host->functions, node)
		if (fn->vdev)
			vfio_device_unbind(fn->vdev, NULL, NULL);
	free_functions(host);
	for (unsigned int i = 0; i < host->nr_groups; i++)
		iommu_group_free(host->groups[i]);
	free(host->groups);
	free(host->group_minors);
	if (host->thread)
		device_thread_free(host->thread);
	vfio_core_free(host->vfio);
	if (host->unit)
		iommu_unit_free(host->unit);
	iommu_fault_log_free(host->faults);
	host_tree_free(host->tree);
	cds_list_for_each_entry_safe(drv, next, &host->drivers, node)
		host_driver_free(drv);
	free(host);
}

struct host_function *host_find(struct host *host, const char *name)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node)
		if (!strcmp(fn->name, name))
			return fn;
	return NULL;
}

void host_repeat_requests(struct host *host)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node)
		if (fn->unbinding)
			vfio_device_request(fn->vdev);
}
