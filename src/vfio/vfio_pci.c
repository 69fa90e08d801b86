/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device file of a PCI device: open, close, what a program asks first, and what follows from
 * its writes to configuration space (Linux: drivers/vfio/pci/vfio_pci_core.c).
 */
#include "vfio/vfio_pci.h"

#include <errno.h>

#include "base/cleanup.h"

/* Hooks of the user's configuration space: the lock is held, in the control thread. */

static void on_intx_disable(void *opaque, bool disabled)
{
	struct vfio_pci *pci = opaque;

	if (disabled && !pci->irqs.virq_disabled) {
		pci->irqs.virq_disabled = true;
		vfio_pci_intx_mask(pci);
	} else if (!disabled && pci->irqs.virq_disabled) {
		pci->irqs.virq_disabled = false;
		vfio_pci_intx_unmask(pci);
	}
}

static void on_flr(void *opaque)
{
	struct vfio_pci *pci = opaque;

	pci->flr = true;
}

/* Decoding and the power state are compared once the lock is free: vfio_pci_settle(). */
static const struct pci_virt_ops virt_ops = {
	.intx_disable = on_intx_disable,
	.flr = on_flr,
};

void vfio_pci_settle(struct vfio_pci *pci)
{
	bool decoding;

	if (pci->flr) {
		pci->flr = false;
		vfio_pci_reset_function(pci->dev);
	}
	decoding = !pci->pm_engaged && vfio_pci_memory_enabled(pci);
	if (decoding != pci->decoding) {
		pci->decoding = decoding;
		device_set_decoding(pci->dev, decoding);
	}
}

/* Linux: pci_enable_device(). Its decoders are on, DMA is off. */
static void function_enable(struct device *dev)
{
	struct pci_function *fn = &dev->pci;
	u32 command;

	pthread_mutex_lock(&dev->lock);
	vfio_pci_set_power(dev, 0);
	command = pci_config_get(fn, PCI_COMMAND, 2) & ~(u32)PCI_COMMAND_MASTER;
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		if (fn->bars[i].type == PCI_BAR_IO)
			command |= PCI_COMMAND_IO;
		else if (fn->bars[i].type != PCI_BAR_NONE)
			command |= PCI_COMMAND_MEMORY;
	}
	pci_config_write(fn, PCI_COMMAND, 2, command);
	pthread_mutex_unlock(&dev->lock);
}

static void function_opened(struct vfio_pci *pci)
{
	struct pci_function *fn = &pci->dev->pci;

	pthread_mutex_lock(&pci->dev->lock);
	pci_save_state(fn, &pci->opened);
	pci_config_write(fn, PCI_COMMAND, 2,
			 pci_config_get(fn, PCI_COMMAND, 2) & ~(u32)PCI_COMMAND_INTX_DISABLE);
	pthread_mutex_unlock(&pci->dev->lock);
}

static int open_parts(struct vfio_pci *pci)
{
	int ret;

	/* The model may be at work: a DMA that an earlier user started, say. */
	pthread_mutex_lock(&pci->dev->lock);
	pci->rom_size = vfio_pci_rom_size(pci->dev);
	pci->virt = pci_virt_new(&pci->dev->pci, &pci->dev->ident, &virt_ops, pci);
	pthread_mutex_unlock(&pci->dev->lock);
	if (!pci->virt)
		return -ENOMEM;
	ret = vfio_pci_irqs_init(pci);
	if (ret)
		pci_virt_free(pci->virt);
	return ret;
}

int vfio_pci_open(struct vfio_device *vdev)
{
	cleanup_free struct vfio_pci *pci = calloc(1, sizeof(*pci));
	int ret;

	if (!pci)
		return -ENOMEM;
	pci->vdev = vdev;
	pci->dev = vdev->dev;
	pci->pm_wake = -1;
	CDS_INIT_LIST_HEAD(&pci->ioeventfds);

	function_enable(pci->dev);
	pci->reset_works = !vfio_pci_reset_function(pci->dev);
	function_opened(pci);
	ret = open_parts(pci);
	if (ret)
		return ret;
	vfio_pci_watch_init(&pci->watch);
	vfio_pci_settle(pci);
	vdev->pci = steal_ptr(&pci);
	return 0;
}

/* The function as it was found, but for DMA. */
static void function_close(struct vfio_pci *pci)
{
	struct device *dev = pci->dev;

	if (pci->reset_works) {
		pthread_mutex_lock(&dev->lock);
		vfio_pci_set_power(dev, 0);
		pthread_mutex_unlock(&dev->lock);
		vfio_pci_reset_function(dev);
	}
	pthread_mutex_lock(&dev->lock);
	pci_restore_state(&dev->pci, &pci->opened);
	pthread_mutex_unlock(&dev->lock);
	vfio_pci_try_bus_reset(pci);
}

void vfio_pci_close(struct vfio_device *vdev)
{
	struct vfio_pci *pci = vdev->pci;
	struct pci_function *fn = &pci->dev->pci;

	vfio_pci_pm_exit(pci);
	vfio_pci_lock(pci);
	vfio_pci_set_power(pci->dev, 0);
	pci_config_write(fn, PCI_COMMAND, 2,
			 pci_config_get(fn, PCI_COMMAND, 2) & ~(u32)PCI_COMMAND_MASTER);
	vfio_pci_unlock(pci);

	vfio_pci_irqs_fini(pci);
	vfio_pci_ioeventfds_fini(pci);
	vfio_pci_watch_fini(&pci->watch);
	vdev->pci = NULL;
	function_close(pci);
	device_set_decoding(pci->dev, false);
	pci_virt_free(pci->virt);
	free(pci);
}

static long get_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = { 0 };

	if (task->ops->copy_in(task, &info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI;
	if (pci->reset_works)
		info.flags |= VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return task->ops->copy_out(task, arg, &info, MIN(info.argsz, sizeof(info)));
}

/* Binding is for device nodes; a device of a group is bound by its container. */
static long bind_iommufd(struct vfio_task *task, u64 arg)
{
	u32 argsz;

	return task->ops->copy_in(task, &argsz, arg, sizeof(argsz)) ? -EFAULT : -EINVAL;
}

static long dispatch(struct vfio_pci *pci, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return get_info(pci, task, arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return vfio_pci_get_region_info(pci, task, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vfio_pci_get_irq_info(pci, task, arg);
	case VFIO_DEVICE_SET_IRQS:
		return vfio_pci_set_irqs(pci, task, arg);
	case VFIO_DEVICE_RESET:
		return vfio_pci_reset(pci);
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return vfio_pci_hot_reset_info(pci, task, arg);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return vfio_pci_hot_reset(pci, task, arg);
	case VFIO_DEVICE_IOEVENTFD:
		return vfio_pci_ioeventfd(pci, task, arg);
	case VFIO_DEVICE_FEATURE:
		return vfio_pci_feature(pci, task, arg);
	default:
		return -ENOTTY;
	}
}

long vfio_pci_ioctl(struct vfio_device *vdev, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	struct vfio_pci *pci = vdev->pci;
	long ret;

	if (cmd == VFIO_DEVICE_BIND_IOMMUFD)
		return bind_iommufd(task, arg);
	vfio_pci_virqfd_run(pci);
	vfio_pci_pm_resume(pci);
	ret = dispatch(pci, task, cmd, arg);
	vfio_pci_pm_idle(pci);
	return ret;
}
