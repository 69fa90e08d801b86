/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets of one function and of all functions behind a bridge (Linux: the reset methods of
 * drivers/pci/pci.c, and the hot reset of drivers/vfio/pci/vfio_pci_core.c).
 */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

void vfio_pci_set_power(struct device *dev, unsigned int state)
{
	struct pci_function *fn = &dev->pci;
	u32 ctrl;

	if (!fn->pm || pci_power_state(fn) == state)
		return;
	ctrl = pci_config_get(fn, fn->pm + PCI_PM_CTRL, 2) &
	       ~(u32)(PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_STATUS);
	pci_config_write(fn, fn->pm + PCI_PM_CTRL, 2, ctrl | state);
}

static bool has_flr(const struct pci_function *fn)
{
	const u32 af = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;

	if (fn->express && pci_config_get(fn, fn->express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
		return true;
	return fn->af && (pci_config_get(fn, fn->af + PCI_AF_CAP, 1) & af) == af;
}

static bool has_pm_reset(const struct pci_function *fn)
{
	return fn->pm && !(pci_config_get(fn, fn->pm + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET);
}

/* By its bus, a function can be reset when nobody else is there. */
static bool has_own_bus(const struct device *dev)
{
	return dev->bus && !cds_list_empty(&dev->bus->devices) &&
	       dev->bus->devices.next->next == &dev->bus->devices;
}

bool vfio_pci_can_reset(struct device *dev)
{
	return has_flr(&dev->pci) || has_pm_reset(&dev->pci) || has_own_bus(dev);
}

static void reset_device(struct device *dev, enum device_reset kind)
{
	struct vfio_device *vdev = vfio_device_of(dev);
	struct pci_saved_state saved;

	pthread_mutex_lock(&dev->lock);
	vfio_pci_set_power(dev, 0);
	pci_save_state(&dev->pci, &saved);
	pci_config_write(&dev->pci, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	pthread_mutex_unlock(&dev->lock);

	device_reset(dev, kind);

	pthread_mutex_lock(&dev->lock);
	pci_restore_state(&dev->pci, &saved);
	if (vdev && vdev->pci)
		vfio_pci_irqs_reset(vdev->pci);
	pthread_mutex_unlock(&dev->lock);
	if (vdev && vdev->pci)
		vfio_pci_settle(vdev->pci);
}

int vfio_pci_reset_function(struct device *dev)
{
	if (!vfio_pci_can_reset(dev))
		return -ENOTTY;
	reset_device(dev, has_flr(&dev->pci) || has_pm_reset(&dev->pci) ? DEVICE_RESET_FUNCTION
									: DEVICE_RESET_BUS);
	return 0;
}

long vfio_pci_reset(struct vfio_pci *pci)
{
	return pci->reset_works ? vfio_pci_reset_function(pci->dev) : -EINVAL;
}

/* Hot reset */

static unsigned int bus_count(const struct device_bus *bus)
{
	struct device *dev;
	unsigned int count = 0;

	cds_list_for_each_entry(dev, &bus->devices, bus_node)
		count++;
	return count;
}

static int dependent_device(const struct device *dev, struct vfio_pci_dependent_device *out)
{
	unsigned int segment = 0;

	if (!dev->ep.group)
		return -EPERM;
	sscanf(dev->ep.name, "%x:", &segment);
	out->group_id = dev->ep.group->id;
	out->segment = (u16)segment;
	out->bus = (u8)(dev->ep.rid >> 8);
	out->devfn = (u8)dev->ep.rid;
	return 0;
}

static long dependent_devices(const struct device_bus *bus, struct vfio_task *task, u64 va,
			      unsigned int count)
{
	cleanup_free struct vfio_pci_dependent_device *list = calloc(count, sizeof(*list));
	struct device *dev;
	unsigned int n = 0;
	int ret;

	if (!list)
		return -ENOMEM;
	cds_list_for_each_entry(dev, &bus->devices, bus_node) {
		ret = dependent_device(dev, &list[n++]);
		if (ret)
			return ret;
	}
	return task->ops->copy_out(task, va, list, n * sizeof(*list));
}

long vfio_pci_hot_reset_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset_info, count);
	const struct device_bus *bus = pci->dev->bus;
	struct vfio_pci_hot_reset_info hdr;
	unsigned int count;
	long ret = -ENOSPC;

	if (task->ops->copy_in(task, &hdr, arg, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz)
		return -EINVAL;
	if (!bus)
		return -ENODEV;

	count = bus_count(bus);
	if (count <= (hdr.argsz - minsz) / sizeof(struct vfio_pci_dependent_device)) {
		ret = dependent_devices(bus, task, arg + minsz, count);
		if (ret)
			return ret;
	}
	hdr.flags = 0;
	hdr.count = count;
	return task->ops->copy_out(task, arg, &hdr, minsz) ? -EFAULT : ret;
}

static bool bus_all_bound(const struct device_bus *bus)
{
	struct device *dev;

	cds_list_for_each_entry(dev, &bus->devices, bus_node)
		if (!vfio_device_of(dev))
			return false;
	return true;
}

static void bus_reset(const struct device_bus *bus)
{
	struct device *dev;

	cds_list_for_each_entry(dev, &bus->devices, bus_node)
		reset_device(dev, DEVICE_RESET_BUS);
}

static bool group_among(const struct vfio_group *group, struct vfio_group *const *groups,
			unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (groups[i] == group)
			return true;
	return false;
}

static int groups_get(struct vfio_task *task, const int32_t *fds, unsigned int count,
		      struct vfio_group **groups)
{
	struct vfio_file *file;
	int ret;

	for (unsigned int i = 0; i < count; i++) {
		ret = task->ops->get_file(task, fds[i], &file);
		if (ret)
			return ret == -EBADF ? -EBADF : -EINVAL;
		groups[i] = vfio_group_of_file(file);
		if (!groups[i])
			return -EINVAL;
	}
	return 0;
}

long vfio_pci_hot_reset(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_pci_hot_reset, count);
	const struct device_bus *bus = pci->dev->bus;
	cleanup_free struct vfio_group **groups = NULL;
	cleanup_free int32_t *fds = NULL;
	struct vfio_pci_hot_reset hdr;
	struct device *dev;
	int ret;

	if (task->ops->copy_in(task, &hdr, arg, minsz))
		return -EFAULT;
	if (hdr.argsz < minsz || hdr.flags || !hdr.count)
		return -EINVAL;
	if (!bus)
		return -ENODEV;
	if (hdr.count > bus_count(bus))
		return -EINVAL;

	fds = calloc(hdr.count, sizeof(*fds));
	groups = calloc(hdr.count, sizeof(*groups));
	if (!fds || !groups)
		return -ENOMEM;
	if (task->ops->copy_in(task, fds, arg + minsz, hdr.count * sizeof(*fds)))
		return -EFAULT;
	ret = groups_get(task, fds, hdr.count, groups);
	if (ret)
		return ret;
	if (!bus_all_bound(bus))
		return -EINVAL;
	cds_list_for_each_entry(dev, &bus->devices, bus_node)
		if (!group_among(vfio_device_of(dev)->group, groups, hdr.count))
			return -EINVAL;
	bus_reset(bus);
	return 0;
}

void vfio_pci_try_bus_reset(struct vfio_pci *pci)
{
	const struct device_bus *bus = pci->dev->bus;
	bool needed = false;
	struct device *dev;

	if (!bus || !bus_all_bound(bus))
		return;
	cds_list_for_each_entry(dev, &bus->devices, bus_node) {
		if (dev != pci->dev && vfio_device_of(dev)->opens)
			return;
		needed |= !vfio_pci_can_reset(dev);
	}
	if (needed)
		bus_reset(bus);
}
