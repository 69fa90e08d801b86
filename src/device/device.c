/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/internal.h"
#include "iommu/dma.h"
#include "iommu/fault.h"

static int lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);

	if (rc)
		return -rc;
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	rc = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -rc;
}

static int endpoint_init(struct iommu_endpoint *ep, const char *name)
{
	unsigned int domain, bus, slot, fn;
	size_t len = strlen(name);

	if (len >= sizeof(ep->name) ||
	    sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) != 4 || bus > 0xff ||
	    slot > 0x1f || fn > 7)
		return -EINVAL;
	memcpy(ep->name, name, len + 1);
	ep->rid = (u16)(bus << 8 | slot << 3 | fn);
	CDS_INIT_LIST_HEAD(&ep->group_node);
	return 0;
}

static int model_init(struct device *dev, char **error)
{
	int rc = dev->model->init(dev, dev->props, error);

	if (rc)
		return rc;
	dev->model_ops = dev->pci.ops;
	dev->pci.ops = &device_pci_ops;
	pci_seal(&dev->pci);
	rc = device_file_seal(dev);
	if (rc && dev->model->fini)
		dev->model->fini(dev);
	return rc;
}

static void props_free(const struct device_model *model, void *props)
{
	if (!props)
		return;
	prop_clear(model->props, props);
	free(props);
}

static int device_set_up(struct device *dev, const char *name, char **error)
{
	int rc = endpoint_init(&dev->ep, name);

	if (rc)
		return rc;
	dev->state = calloc(1, MAX(dev->model->state_size, (size_t)1));
	if (!dev->state)
		return -ENOMEM;
	rc = device_file_init(dev);
	return rc ? rc : model_init(dev, error);
}

static void device_tear_down(struct device *dev)
{
	device_file_fini(dev);
	pthread_mutex_destroy(&dev->lock);
	props_free(dev->model, dev->props);
	free(dev->state);
	free(dev);
}

int device_new(const struct device_model *model, const char *name, void *props,
	       struct device_thread *thread, struct device **out, char **error)
{
	struct device *dev = calloc(1, sizeof(*dev));
	int rc = dev ? lock_init(&dev->lock) : -ENOMEM;

	*error = NULL;
	if (rc) {
		props_free(model, props);
		free(dev);
	} else {
		dev->model = model;
		dev->props = props;
		dev->thread = thread;
		dev->memfd = dev->aside = -1;
		CDS_INIT_LIST_HEAD(&dev->bus_node);
		rc = device_set_up(dev, name, error);
		if (!rc) {
			*out = dev;
			return 0;
		}
		if (thread)
			device_thread_forget(thread, dev);
		device_tear_down(dev);
	}
	if (!*error && asprintf(error, "device %s at %s: %s", model->name, name, strerror(-rc)) < 0)
		*error = NULL;
	return rc;
}

void device_free(struct device *dev)
{
	if (!dev)
		return;
	pthread_mutex_lock(&dev->lock);
	if (dev->model->fini)
		dev->model->fini(dev);
	pthread_mutex_unlock(&dev->lock);
	if (dev->thread)
		device_thread_forget(dev->thread, dev);
	device_tear_down(dev);
}

int device_add_bar(struct device *dev, unsigned int index, const struct pci_bar *bar,
		   enum device_bar_kind kind)
{
	int rc;

	/* A slot of the device file is 1 TiB. */
	if (bar->size > 1ULL << 40)
		return -EINVAL;
	if (kind == DEVICE_BAR_SHARED &&
	    (bar->type == PCI_BAR_IO || !IS_ALIGNED(bar->size, PAGE_SIZE_4K)))
		return -EINVAL;
	rc = pci_add_bar(&dev->pci, index, bar);
	if (rc)
		return rc;
	dev->bars[index].kind = kind;
	dev->bars[index].offset = device_bar_slot(index, kind);
	return kind == DEVICE_BAR_SHARED ? device_file_add_shared(dev, index) : 0;
}

/* DMA needs bus mastering, and power. */
static int dma_refused(struct device *dev, u64 iova, size_t len, u32 prot)
{
	struct iommu_fault fault = {
		.iova = iova,
		.length = len,
		.prot = prot,
		.reason = IOMMU_FAULT_BUS_MASTER,
	};

	if (pci_bus_master(&dev->pci) && !pci_power_state(&dev->pci))
		return 0;
	iommu_fault_report(&dev->ep, NULL, &fault);
	return -EFAULT;
}

int device_dma_read(struct device *dev, u64 iova, void *buf, size_t len)
{
	int rc = dma_refused(dev, iova, len, IOMMU_READ);

	return rc ? rc : iommu_dma_read(&dev->ep, iova, buf, len);
}

int device_dma_write(struct device *dev, u64 iova, const void *buf, size_t len)
{
	int rc = dma_refused(dev, iova, len, IOMMU_WRITE);

	return rc ? rc : iommu_dma_write(&dev->ep, iova, buf, len);
}

/* A program shares this memory: each access is done once, at its width. */
static u64 memory_read(const void *at, unsigned int width)
{
	switch (width) {
	case 1:
		return *(const volatile u8 *)at;
	case 2:
		return *(const volatile u16 *)at;
	case 4:
		return *(const volatile u32 *)at;
	default:
		return *(const volatile u64 *)at;
	}
}

static void memory_write(void *at, unsigned int width, u64 value)
{
	switch (width) {
	case 1:
		*(volatile u8 *)at = (u8)value;
		break;
	case 2:
		*(volatile u16 *)at = (u16)value;
		break;
	case 4:
		*(volatile u32 *)at = (u32)value;
		break;
	default:
		*(volatile u64 *)at = value;
	}
}

static u64 width_mask(unsigned int width)
{
	return width < 8 ? (1ULL << 8 * width) - 1 : ~0ULL;
}

static u64 piece_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	if (dev->bars[bar].kind == DEVICE_BAR_SHARED)
		return memory_read((char *)dev->bars[bar].host + offset, width);
	if (!dev->model->bar_read)
		return ~0ULL;
	return dev->model->bar_read(dev, bar, offset, width);
}

static void piece_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
			u64 value)
{
	if (dev->bars[bar].kind == DEVICE_BAR_SHARED)
		memory_write((char *)dev->bars[bar].host + offset, width, value);
	else if (dev->model->bar_write)
		dev->model->bar_write(dev, bar, offset, width, value);
}

/*
 * The next access that an access of @left bytes is made of: models take any alignment but only the
 * widths of the bus; memory is accessed aligned; the rest is split into aligned pieces.
 */
static unsigned int piece_width(struct device *dev, unsigned int bar, u64 offset, unsigned int left)
{
	unsigned int width = 8;

	if (dev->bars[bar].kind != DEVICE_BAR_SHARED && (left & (left - 1)) == 0)
		return left;
	while (width > left || !IS_ALIGNED(offset, width))
		width /= 2;
	return width;
}

/* 0, 1: nobody on the bus answers (I/O decoding is off), or -errno. */
static int bar_check(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	const struct pci_bar *b;

	if (bar > PCI_ROM_BAR || !width || width > 8)
		return -EINVAL;
	b = &dev->pci.bars[bar];
	if (b->type == PCI_BAR_NONE || offset >= b->size || width > b->size - offset)
		return -EINVAL;
	if (b->type == PCI_BAR_IO)
		return pci_io_enabled(&dev->pci) ? 0 : 1;
	return pci_memory_enabled(&dev->pci) ? 0 : -EIO;
}

int device_bar_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		    u64 *value)
{
	unsigned int done = 0, w;
	u64 result = 0, piece;
	int rc;

	pthread_mutex_lock(&dev->lock);
	rc = bar_check(dev, bar, offset, width);
	while (!rc && done < width) {
		w = piece_width(dev, bar, offset + done, width - done);
		piece = piece_read(dev, bar, offset + done, w) & width_mask(w);
		result |= piece << 8 * done;
		done += w;
	}
	pthread_mutex_unlock(&dev->lock);
	if (rc < 0)
		return rc;
	*value = rc ? width_mask(width) : result;
	return 0;
}

int device_bar_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		     u64 value)
{
	unsigned int done = 0, w;
	int rc;

	pthread_mutex_lock(&dev->lock);
	rc = bar_check(dev, bar, offset, width);
	while (!rc && done < width) {
		w = piece_width(dev, bar, offset + done, width - done);
		piece_write(dev, bar, offset + done, w, value >> 8 * done & width_mask(w));
		done += w;
	}
	pthread_mutex_unlock(&dev->lock);
	return MIN(rc, 0);
}

u32 device_config_read(struct device *dev, unsigned int offset, unsigned int width)
{
	u32 value;

	pthread_mutex_lock(&dev->lock);
	value = pci_config_read(&dev->pci, offset, width);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

void device_config_write(struct device *dev, unsigned int offset, unsigned int width, u32 value)
{
	pthread_mutex_lock(&dev->lock);
	pci_config_write(&dev->pci, offset, width, value);
	pthread_mutex_unlock(&dev->lock);
}

void device_reset_locked(struct device *dev, enum device_reset kind)
{
	pci_reset(&dev->pci);
	device_set_intx(dev, false);
	if (dev->model->reset)
		dev->model->reset(dev, kind);
}

void device_reset(struct device *dev, enum device_reset kind)
{
	pthread_mutex_lock(&dev->lock);
	device_reset_locked(dev, kind);
	pthread_mutex_unlock(&dev->lock);
}
