/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions of a PCI device: BARs, expansion ROM and configuration space (Linux:
 * drivers/vfio/pci/vfio_pci_rdwr.c and the mmap of vfio_pci_core.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "vfio/vfio_pci.h"

#define CHUNK 4096UL

u64 vfio_pci_region(const struct vfio_pci *pci, u64 pos, u64 *offset)
{
	u64 slot = pos >> VFIO_PCI_OFFSET_SHIFT;

	*offset = pos & (BIT_ULL(VFIO_PCI_OFFSET_SHIFT) - 1);
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++)
		if (pci->dev->bars[i].offset >> VFIO_PCI_OFFSET_SHIFT == slot)
			return i;
	return slot;
}

static u64 region_offset(const struct vfio_pci *pci, u32 index)
{
	return index <= PCI_ROM_BAR ? pci->dev->bars[index].offset
				    : (u64)index << VFIO_PCI_OFFSET_SHIFT;
}

u64 vfio_pci_bar_size(const struct vfio_pci *pci, u64 index)
{
	const struct pci_bar *bar;

	if (index > PCI_ROM_BAR)
		return 0;
	bar = &pci->dev->pci.bars[index];
	return bar->type == PCI_BAR_NONE ? 0 : bar->size;
}

bool vfio_pci_bar_is_mem(const struct vfio_pci *pci, unsigned int bar)
{
	return pci->dev->pci.bars[bar].type != PCI_BAR_IO;
}

void vfio_pci_msix_window(const struct vfio_pci *pci, unsigned int bar, u64 *start, u64 *end)
{
	const struct pci_function *fn = &pci->dev->pci;

	*start = *end = 0;
	if (fn->msix_cap && fn->msix.table_bar == bar) {
		*start = fn->msix.table_offset;
		*end = *start + fn->msix.vectors * (u64)PCI_MSIX_ENTRY_SIZE;
	}
}

bool vfio_pci_memory_enabled(struct vfio_pci *pci)
{
	bool enabled;

	vfio_pci_lock(pci);
	enabled = pci_virt_memory_enabled(pci->virt);
	vfio_pci_unlock(pci);
	return enabled;
}

/* A BAR smaller than a page can be mapped if it begins one. */
static bool bar_mappable(const struct vfio_pci *pci, unsigned int bar)
{
	u64 size = vfio_pci_bar_size(pci, bar);

	if (bar >= PCI_NUM_BARS || !size || !vfio_pci_bar_is_mem(pci, bar) ||
	    pci->dev->bars[bar].kind == DEVICE_BAR_PORT)
		return false;
	return size >= PAGE_SIZE_4K ||
	       IS_ALIGNED(pci_bar_address(&pci->dev->pci, bar), PAGE_SIZE_4K);
}

/* GET_REGION_INFO */

static int region_describe(struct vfio_pci *pci, struct vfio_region_info *info, bool *msix)
{
	u64 start, end;

	if (info->index > VFIO_PCI_CONFIG_REGION_INDEX)
		return -EINVAL;
	info->offset = region_offset(pci, info->index);
	info->flags = 0;
	if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info->size = pci_virt_size(pci->virt);
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		return 0;
	}

	info->size = vfio_pci_bar_size(pci, info->index);
	if (info->index == VFIO_PCI_ROM_REGION_INDEX) {
		if (pci->rom_size)
			info->flags = VFIO_REGION_INFO_FLAG_READ;
		else
			info->size = 0;
		return 0;
	}
	if (info->size)
		info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	if (bar_mappable(pci, info->index)) {
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		vfio_pci_msix_window(pci, info->index, &start, &end);
		*msix = start != end;
	}
	return 0;
}

long vfio_pci_get_region_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg)
{
	const size_t minsz = offsetofend(struct vfio_region_info, offset);
	const struct vfio_info_cap_header cap = {
		.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
		.version = 1,
	};
	struct vfio_region_info info;
	bool msix = false;
	int ret;

	if (task->ops->copy_in(task, &info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = region_describe(pci, &info, &msix);
	if (ret)
		return ret;

	if (msix) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info.cap_offset = 0;
		if (info.argsz < sizeof(info) + sizeof(cap)) {
			info.argsz = sizeof(info) + sizeof(cap);
		} else {
			info.cap_offset = sizeof(info);
			if (task->ops->copy_out(task, arg + sizeof(info), &cap, sizeof(cap)))
				return -EFAULT;
		}
	}
	return task->ops->copy_out(task, arg, &info, minsz);
}

/* The expansion ROM */

static u32 rom_read(struct device *dev, u64 offset, unsigned int width)
{
	u64 value = ~0ULL;

	pthread_mutex_lock(&dev->lock);
	if (dev->bars[PCI_ROM_BAR].kind == DEVICE_BAR_SHARED)
		memcpy(&value, (char *)dev->bars[PCI_ROM_BAR].host + offset, width);
	else if (dev->model->bar_read)
		value = dev->model->bar_read(dev, PCI_ROM_BAR, offset, width);
	pthread_mutex_unlock(&dev->lock);
	return (u32)value;
}

/* PCI Firmware Specification 3.x, 5.1: images follow each other, the last one says so. */
size_t vfio_pci_rom_size(struct device *dev)
{
	const u64 header = 0x1a, data_struct = 0x18;
	u64 window = dev->pci.bars[PCI_ROM_BAR].size, image = 0, at, length;

	if (dev->pci.bars[PCI_ROM_BAR].type == PCI_BAR_NONE)
		return 0;
	while (image + header <= window && (rom_read(dev, image, 2) & 0xffff) == 0xaa55) {
		at = image + (rom_read(dev, image + 0x18, 2) & 0xffff);
		/* "PCIR" */
		if (at + data_struct > window || rom_read(dev, at, 4) != 0x52494350)
			break;
		length = (rom_read(dev, at + 0x10, 2) & 0xffff) * 512ULL;
		image += length;
		if (!length || rom_read(dev, at + 0x15, 1) & 0x80)
			break;
	}
	return MIN(image, window);
}

/* Accesses to BARs */

struct bar_access {
	struct vfio_pci *pci;
	struct vfio_task *task;
	unsigned int bar;
	unsigned int max_width;
	u64 x_start, x_end; /* reads as ones, drops writes */
};

/* The width of the next access, or 0 with *skip bytes of the excluded range. */
static unsigned int bar_next(const struct bar_access *acc, u64 offset, size_t count, size_t *skip)
{
	size_t fillable = 0;
	unsigned int width;

	if (offset < acc->x_start)
		fillable = MIN(count, acc->x_start - offset);
	else if (offset >= acc->x_end)
		fillable = count;
	if (!fillable) {
		*skip = MIN(count, acc->x_end - offset);
		return 0;
	}
	width = acc->max_width;
	while (width > fillable || !IS_ALIGNED(offset, width))
		width /= 2;
	return width;
}

static int bar_enabled(const struct bar_access *acc)
{
	if (!vfio_pci_bar_is_mem(acc->pci, acc->bar))
		return 0;
	return vfio_pci_memory_enabled(acc->pci) ? 0 : -EIO;
}

static int bar_load(const struct bar_access *acc, u64 offset, unsigned int width, u8 *to)
{
	u64 value;
	int ret = bar_enabled(acc);

	if (ret)
		return ret;
	if (acc->bar == PCI_ROM_BAR)
		value = rom_read(acc->pci->dev, offset, width);
	/* Decoding is off behind the user's back: nobody answers on the bus. */
	else if (device_bar_read(acc->pci->dev, acc->bar, offset, width, &value))
		value = ~0ULL;
	memcpy(to, &value, width);
	return 0;
}

static int bar_store(const struct bar_access *acc, u64 offset, unsigned int width, const u8 *from)
{
	u64 value = 0;
	int ret = bar_enabled(acc);

	if (ret)
		return ret;
	memcpy(&value, from, width);
	device_bar_write(acc->pci->dev, acc->bar, offset, width, value);
	return 0;
}

static ssize_t bar_read(const struct bar_access *acc, u64 buf, u64 offset, size_t count)
{
	u8 data[CHUNK];
	size_t done = 0, n, at, step = 0;
	unsigned int width;
	int ret;

	while (done < count) {
		/* Pieces end where an access of any width may: the splitting is that of one piece.
		 */
		n = MIN(count - done, CHUNK - (offset & (CHUNK - 1)));
		for (at = 0; at < n; at += step) {
			width = bar_next(acc, offset + at, n - at, &step);
			if (width) {
				ret = bar_load(acc, offset + at, width, data + at);
				if (ret)
					return ret;
				step = width;
			} else {
				memset(data + at, 0xff, step);
			}
		}
		if (acc->task->ops->copy_out(acc->task, buf + done, data, n))
			return -EFAULT;
		done += n;
		offset += n;
	}
	return (ssize_t)done;
}

static ssize_t bar_write(const struct bar_access *acc, u64 buf, u64 offset, size_t count)
{
	u8 data[CHUNK];
	size_t done = 0, n, at, step = 0;
	unsigned int width;
	bool whole;
	int ret;

	while (done < count) {
		n = MIN(count - done, CHUNK - (offset & (CHUNK - 1)));
		/* Where a part cannot be read, what precedes it is written all the same. */
		whole = !acc->task->ops->copy_in(acc->task, data, buf + done, n);
		for (at = 0; at < n; at += step) {
			width = bar_next(acc, offset + at, n - at, &step);
			if (!width)
				continue;
			if (!whole &&
			    acc->task->ops->copy_in(acc->task, data + at, buf + done + at, width))
				return -EFAULT;
			ret = bar_store(acc, offset + at, width, data + at);
			if (ret)
				return ret;
			step = width;
		}
		done += n;
		offset += n;
	}
	return (ssize_t)done;
}

static ssize_t bar_rw(struct vfio_pci *pci, struct vfio_task *task, unsigned int bar, u64 buf,
		      size_t count, u64 offset, bool write)
{
	struct bar_access acc = { .pci = pci, .task = task, .bar = bar, .max_width = 8 };
	u64 size = vfio_pci_bar_size(pci, bar);

	if (offset >= size)
		return -EINVAL;
	count = MIN(count, size - offset);
	if (bar == PCI_ROM_BAR) {
		if (!pci->rom_size)
			return -ENOMEM;
		acc.x_start = pci->rom_size;
		acc.x_end = size;
		acc.max_width = 4;
	} else {
		vfio_pci_msix_window(pci, bar, &acc.x_start, &acc.x_end);
		/* The processor has no I/O of 8 bytes. */
		if (!vfio_pci_bar_is_mem(pci, bar))
			acc.max_width = 4;
	}
	return write ? bar_write(&acc, buf, offset, count) : bar_read(&acc, buf, offset, count);
}

/* Accesses to configuration space */

static ssize_t config_read(struct vfio_pci *pci, struct vfio_task *task, u64 buf, size_t count,
			   u64 offset)
{
	u8 data[PCI_EXPRESS_CONFIG_SIZE];
	ssize_t ret;

	if (count > sizeof(data))
		return -EFAULT;
	vfio_pci_lock(pci);
	ret = pci_virt_read(pci->virt, data, count, offset);
	vfio_pci_unlock(pci);
	if (ret < 0)
		return ret;
	return task->ops->copy_out(task, buf, data, count) ? -EFAULT : ret;
}

/* Dword by dword, since a reset that one of them asks for comes before the next. */
static ssize_t config_write(struct vfio_pci *pci, struct vfio_task *task, u64 buf, size_t count,
			    u64 offset)
{
	u8 data[PCI_EXPRESS_CONFIG_SIZE];
	unsigned int size = pci_virt_size(pci->virt);
	size_t done, n;
	ssize_t ret;
	bool whole;

	if (offset >= size || count > size - offset)
		return -EFAULT;
	whole = !task->ops->copy_in(task, data, buf, count);
	for (done = 0; done < count; done += n) {
		n = MIN(count - done, 4 - ((offset + done) & 3));
		if (!whole && task->ops->copy_in(task, data + done, buf + done, n))
			return -EFAULT;
		vfio_pci_lock(pci);
		ret = pci_virt_write(pci->virt, data + done, n, offset + done);
		vfio_pci_unlock(pci);
		vfio_pci_settle(pci);
		if (ret < 0)
			return ret;
	}
	return (ssize_t)done;
}

static ssize_t region_rw(struct vfio_pci *pci, struct vfio_task *task, u64 buf, size_t count,
			 u64 pos, bool write)
{
	u64 offset, index = vfio_pci_region(pci, pos, &offset);
	ssize_t ret = -EINVAL;

	if (!count)
		return 0;
	if (index > VFIO_PCI_VGA_REGION_INDEX)
		return -EINVAL;
	vfio_pci_virqfd_run(pci);
	vfio_pci_pm_resume(pci);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		ret = write ? config_write(pci, task, buf, count, offset)
			    : config_read(pci, task, buf, count, offset);
	else if (index < VFIO_PCI_ROM_REGION_INDEX ||
		 (index == VFIO_PCI_ROM_REGION_INDEX && !write))
		ret = bar_rw(pci, task, (unsigned int)index, buf, count, offset, write);
	vfio_pci_pm_idle(pci);
	return ret;
}

ssize_t vfio_pci_read(struct vfio_device *vdev, struct vfio_task *task, u64 buf, size_t count,
		      u64 pos)
{
	return region_rw(vdev->pci, task, buf, count, pos, false);
}

ssize_t vfio_pci_write(struct vfio_device *vdev, struct vfio_task *task, u64 buf, size_t count,
		       u64 pos)
{
	return region_rw(vdev->pci, task, buf, count, pos, true);
}

int vfio_pci_mmap(struct vfio_device *vdev, struct vfio_task *task, u64 len, int prot, int flags,
		  u64 pos)
{
	struct vfio_pci *pci = vdev->pci;
	u64 offset, index = vfio_pci_region(pci, pos, &offset), end;
	int type = flags & MAP_TYPE;

	if (prot & PROT_EXEC)
		return -EPERM;
	if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (!len || index >= VFIO_PCI_ROM_REGION_INDEX || !bar_mappable(pci, (unsigned int)index))
		return -EINVAL;
	if (__builtin_add_overflow(len, PAGE_SIZE_4K - 1, &len))
		return -ENOMEM;
	len = ALIGN_DOWN(len, PAGE_SIZE_4K);
	if (__builtin_add_overflow(offset, len, &end) ||
	    end > ALIGN_UP(vfio_pci_bar_size(pci, index), PAGE_SIZE_4K))
		return -EINVAL;
	return 0;
}
