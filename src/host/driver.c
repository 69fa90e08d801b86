/* SPDX-License-Identifier: BSD-3-Clause */
/* Drivers: which takes which device, and what binding does. */
#include <stdio.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "host/internal.h"

#define MAX_VFIO_NRS (sizeof(((struct host *)0)->vfio_nrs) * 8)
#define MAX_DYNIDS 1024
#define ANY_ID 0xffffffffU

struct host_driver *host_driver_find(struct host *host, const char *name)
{
	struct host_driver *drv;

	cds_list_for_each_entry(drv, &host->drivers, node)
		if (!strcmp(drv->name, name))
			return drv;
	return NULL;
}

struct host_driver *host_driver_add(struct host *host, const char *name)
{
	struct host_driver *drv = host_driver_find(host, name);

	if (drv)
		return drv;
	drv = calloc(1, sizeof(*drv));
	if (!drv)
		return NULL;
	drv->name = strdup(name);
	if (!drv->name) {
		free(drv);
		return NULL;
	}
	CDS_INIT_LIST_HEAD(&drv->ids);
	cds_list_add_tail(&drv->node, &host->drivers);
	return drv;
}

void host_driver_free(struct host_driver *drv)
{
	struct host_dynid *id, *next;

	cds_list_for_each_entry_safe(id, next, &drv->ids, node)
		free(id);
	cds_list_del(&drv->node);
	free(drv->name);
	free(drv);
}

/* Drivers that leave DMA to somebody else: they keep a group viable. */
static bool manages_no_dma(const char *name)
{
	return !strcmp(name, "vfio-pci") || !strcmp(name, "pci-stub") || !strcmp(name, "pcieport");
}

static bool is_override_only(const char *name)
{
	return !strcmp(name, "vfio-pci") || !strcmp(name, "pci-stub");
}

static bool id_matches(const struct host_dynid *id, const struct pci_ident *ident)
{
	return (id->vendor == ANY_ID || id->vendor == ident->vendor) &&
	       (id->device == ANY_ID || id->device == ident->device) &&
	       (id->subvendor == ANY_ID || id->subvendor == ident->subsystem_vendor) &&
	       (id->subdevice == ANY_ID || id->subdevice == ident->subsystem_device) &&
	       !((id->class_code ^ ident->class_code) & id->class_mask);
}

bool host_driver_matches(const struct host_driver *drv, const struct host_function *fn)
{
	const struct host_dynid *id;

	if (fn->driver_override)
		return !strcmp(fn->driver_override, drv->name);
	cds_list_for_each_entry(id, &drv->ids, node)
		if (id_matches(id, &fn->ident))
			return true;
	return fn->native && !strcmp(fn->native, drv->name) && !is_override_only(drv->name);
}

static int bind_vfio(struct host_function *fn)
{
	u64 nr = bitmap_next_clear(fn->host->vfio_nrs, 0, MAX_VFIO_NRS);
	int err;

	/* No bridge, and nothing without an IOMMU. */
	if (!fn->dev || !fn->group)
		return -EINVAL;
	if (nr == MAX_VFIO_NRS)
		return -ENOSPC;
	err = vfio_device_bind(fn->host->vfio, fn->dev, (unsigned int)nr, &fn->vdev);
	if (err)
		return err;
	bitmap_set(fn->host->vfio_nrs, nr, 1);
	fn->vfio_nr = (unsigned int)nr;
	return 0;
}

int host_driver_bind(struct host_function *fn, struct host_driver *drv)
{
	bool kernel = !manages_no_dma(drv->name);
	int err = 0;

	if (fn->driver)
		return -EBUSY;
	if (kernel && fn->group && vfio_group_claimed(fn->host->vfio, fn->group->id))
		return -EBUSY;
	if (!strcmp(drv->name, "vfio-pci"))
		err = bind_vfio(fn);
	if (err)
		return err;
	if (kernel && fn->group)
		fn->group->kernel_drivers++;
	if (kernel || !strcmp(drv->name, "pcieport"))
		fn->enable_count++;
	fn->driver = drv->name;
	fn->power_on = !fn->vdev;
	host_sysfs_bound(fn);
	return 0;
}

static void unbound(struct host_function *fn)
{
	const char *driver = fn->driver;

	if (!manages_no_dma(driver) && fn->group)
		fn->group->kernel_drivers--;
	if (!is_override_only(driver) && fn->enable_count)
		fn->enable_count--;
	host_sysfs_unbound(fn);
	if (!strcmp(driver, "vfio-pci"))
		bitmap_clear(fn->host->vfio_nrs, fn->vfio_nr, 1);
	fn->vdev = NULL;
	fn->driver = NULL;
	fn->power_on = true;
	host_sysfs_uevent(fn);
	host_attr_show_all(fn);
}

/* The last user has gone. The first of the writes did it; the others find no driver any more. */
static void unbind_done(void *opaque)
{
	struct host_function *fn = opaque;
	int result = 0;

	fn->unbinding = false;
	unbound(fn);
	while (!cds_list_empty(&fn->waiters)) {
		struct host_waiter *waiter =
			cds_list_first_entry(&fn->waiters, struct host_waiter, node);

		cds_list_del(&waiter->node);
		if (waiter->done)
			waiter->done(waiter->opaque, result);
		free(waiter);
		result = -ENODEV;
	}
}

static int wait_for_unbind(struct host_function *fn, void (*done)(void *opaque, int result),
			   void *opaque)
{
	struct host_waiter *waiter = malloc(sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	waiter->done = done;
	waiter->opaque = opaque;
	cds_list_add_tail(&waiter->node, &fn->waiters);
	return -EINPROGRESS;
}

int host_driver_unbind(struct host_function *fn, void (*done)(void *opaque, int result),
		       void *opaque)
{
	int err;

	if (!fn->driver)
		return -ENODEV;
	if (fn->unbinding)
		return wait_for_unbind(fn, done, opaque);
	if (fn->vdev) {
		err = wait_for_unbind(fn, done, opaque);
		if (err != -EINPROGRESS)
			return err;
		err = vfio_device_unbind(fn->vdev, unbind_done, fn);
		if (err == -EBUSY) {
			fn->unbinding = true;
			return -EINPROGRESS;
		}
		free(cds_list_first_entry(&fn->waiters, struct host_waiter, node));
		CDS_INIT_LIST_HEAD(&fn->waiters);
		if (err)
			return err;
	}
	unbound(fn);
	return 0;
}

int host_driver_probe(struct host_function *fn)
{
	struct host_driver *drv;

	cds_list_for_each_entry(drv, &fn->host->drivers, node)
		if (!fn->driver && host_driver_matches(drv, fn))
			host_driver_bind(fn, drv);
	return 0;
}

static int parse_id(const char *text, struct host_dynid *id)
{
	unsigned long data;
	int fields;

	*id = (struct host_dynid){ .subvendor = ANY_ID, .subdevice = ANY_ID };
	fields = sscanf(text, "%x %x %x %x %x %x %lx", &id->vendor, &id->device, &id->subvendor,
			&id->subdevice, &id->class_code, &id->class_mask, &data);
	return fields < 2 ? -EINVAL : fields;
}

/* As a device of these IDs would be matched. */
static bool id_known(const struct host_driver *drv, const struct host_dynid *wanted)
{
	struct pci_ident ident = {
		.vendor = (u16)wanted->vendor,
		.device = (u16)wanted->device,
		.subsystem_vendor = (u16)wanted->subvendor,
		.subsystem_device = (u16)wanted->subdevice,
		.class_code = wanted->class_code,
	};
	const struct host_dynid *id;

	cds_list_for_each_entry(id, &drv->ids, node)
		if (id_matches(id, &ident))
			return true;
	return false;
}

int host_driver_new_id(struct host *host, struct host_driver *drv, const char *text)
{
	struct host_function *fn;
	struct host_dynid id, *copy;
	unsigned int nr = 0;
	int fields = parse_id(text, &id);

	if (fields < 0)
		return fields;
	if (fields != 7 && id_known(drv, &id))
		return -EEXIST;
	cds_list_for_each_entry(copy, &drv->ids, node)
		nr++;
	copy = nr < MAX_DYNIDS ? malloc(sizeof(*copy)) : NULL;
	if (!copy)
		return -ENOMEM;
	*copy = id;
	cds_list_add_tail(&copy->node, &drv->ids);
	cds_list_for_each_entry(fn, &host->functions, node)
		if (!fn->driver && host_driver_matches(drv, fn))
			host_driver_bind(fn, drv);
	return 0;
}

int host_driver_remove_id(struct host_driver *drv, const char *text)
{
	struct host_dynid id, *known;
	int fields = parse_id(text, &id);

	if (fields < 0)
		return fields;
	cds_list_for_each_entry(known, &drv->ids, node) {
		if (known->vendor != id.vendor || known->device != id.device ||
		    (id.subvendor != ANY_ID && known->subvendor != id.subvendor) ||
		    (id.subdevice != ANY_ID && known->subdevice != id.subdevice) ||
		    (known->class_code ^ id.class_code) & id.class_mask)
			continue;
		cds_list_del(&known->node);
		free(known);
		return 0;
	}
	return -ENODEV;
}
