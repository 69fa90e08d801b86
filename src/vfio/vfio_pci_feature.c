/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO_DEVICE_FEATURE, and the low power states that it switches.
 *
 * A device whose user allows it sleeps whenever no call of the user's is in progress. To the user
 * that shows in two ways: INTx is masked meanwhile, and with a wake-up eventfd the first call ends
 * it all.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

#define FEATURE_OPS (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET)

/* 1: do it; 0: it was a probe; or -EINVAL. */
static int feature_check(u32 flags, size_t argsz, u32 supported, size_t minsz)
{
	if (flags & FEATURE_OPS & ~supported)
		return -EINVAL;
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	return !(flags & FEATURE_OPS) || argsz < minsz ? -EINVAL : 1;
}

static void pm_exit(struct vfio_pci *pci)
{
	pci->pm_engaged = false;
	if (pci->pm_wake >= 0)
		close(pci->pm_wake);
	pci->pm_wake = -1;
}

void vfio_pci_pm_exit(struct vfio_pci *pci)
{
	vfio_pci_pm_resume(pci);
	pm_exit(pci);
	vfio_pci_settle(pci);
}

void vfio_pci_pm_resume(struct vfio_pci *pci)
{
	if (!pci->pm_suspended)
		return;
	pci->pm_suspended = false;
	vfio_pci_lock(pci);
	if (pci->pm_wake >= 0) {
		vfio_pci_signal(pci, pci->pm_wake);
		pm_exit(pci);
	}
	if (pci->pm_intx_masked)
		vfio_pci_intx_unmask(pci);
	vfio_pci_unlock(pci);
	vfio_pci_settle(pci);
}

void vfio_pci_pm_idle(struct vfio_pci *pci)
{
	if (!pci->pm_engaged || pci->pm_suspended)
		return;
	pci->pm_suspended = true;
	vfio_pci_lock(pci);
	vfio_pci_set_power(pci->dev, 0);
	pci->pm_intx_masked = pci->irqs.type == VFIO_PCI_INTX_IRQ_INDEX && vfio_pci_intx_mask(pci);
	vfio_pci_unlock(pci);
	vfio_pci_settle(pci);
}

static long pm_entry(struct vfio_pci *pci, int wake)
{
	if (pci->pm_engaged)
		return -EINVAL;
	pci->pm_engaged = true;
	pci->pm_wake = wake;
	return 0;
}

static long pm_entry_with_wakeup(struct vfio_pci *pci, struct vfio_task *task, u64 va)
{
	struct vfio_device_low_power_entry_with_wakeup entry;
	cleanup_fd int efd = -1;
	long ret;

	if (task->ops->copy_in(task, &entry, va, sizeof(entry)))
		return -EFAULT;
	if (entry.wakeup_eventfd < 0)
		return -EINVAL;
	efd = task->ops->get_eventfd(task, entry.wakeup_eventfd);
	if (efd < 0)
		return efd;
	ret = pm_entry(pci, efd);
	if (!ret)
		steal_fd(&efd);
	return ret;
}

long vfio_pci_feature(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_device_feature, flags);
	const u32 known = VFIO_DEVICE_FEATURE_MASK | FEATURE_OPS | VFIO_DEVICE_FEATURE_PROBE;
	struct vfio_device_feature feature;
	size_t argsz;
	int ret;

	if (task->ops->copy_in(task, &feature, arg, minsz))
		return -EFAULT;
	if (feature.argsz < minsz || feature.flags & ~known)
		return -EINVAL;
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) &&
	    (feature.flags & FEATURE_OPS) == FEATURE_OPS)
		return -EINVAL;

	argsz = feature.argsz - minsz;
	switch (feature.flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
		ret = feature_check(feature.flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
		return ret == 1 ? pm_entry(pci, -1) : ret;
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		ret = feature_check(feature.flags, argsz, VFIO_DEVICE_FEATURE_SET,
				    sizeof(struct vfio_device_low_power_entry_with_wakeup));
		return ret == 1 ? pm_entry_with_wakeup(pci, task, arg + minsz) : ret;
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		ret = feature_check(feature.flags, argsz, VFIO_DEVICE_FEATURE_SET, 0);
		if (ret == 1) {
			vfio_pci_pm_exit(pci);
			ret = 0;
		}
		return ret;
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		ret = feature_check(feature.flags, argsz, VFIO_DEVICE_FEATURE_GET,
				    sizeof(struct vfio_device_feature_dma_buf));
		return ret == 1 ? vfio_pci_dma_buf(pci, task, arg + minsz) : ret;
	case VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2:
		/* Of devices that migrate with pre-copy. */
		return -EINVAL;
	default:
		return -ENOTTY;
	}
}
