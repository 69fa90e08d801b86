/* SPDX-License-Identifier: BSD-3-Clause */
/* Vital product data: the user's accesses are made by the driver, within the valid data. */
#include <errno.h>

#include "pci/virt_internal.h"

#define VPD_MAX (PCI_VPD_ADDR_MASK + 1)
#define TAG_LARGE 0x80 /* then 16 bits of length; else the low three bits are the length */
#define TAG_END 0x78
#define TAG_SMALL_MASK 0x78

/* One dword through the device's registers; -EIO if the device does not complete it. */
static int device_read(struct pci_function *fn, unsigned int at, u32 *value)
{
	pci_config_write(fn, fn->vpd + PCI_VPD_ADDR, 2, at & ~3U);
	if (!(pci_config_read(fn, fn->vpd + PCI_VPD_ADDR, 2) & PCI_VPD_ADDR_F))
		return -EIO;
	*value = pci_config_read(fn, fn->vpd + PCI_VPD_DATA, 4);
	return 0;
}

static int device_write(struct pci_function *fn, unsigned int at, u32 value)
{
	pci_config_write(fn, fn->vpd + PCI_VPD_DATA, 4, value);
	pci_config_write(fn, fn->vpd + PCI_VPD_ADDR, 2, at | PCI_VPD_ADDR_F);
	return pci_config_read(fn, fn->vpd + PCI_VPD_ADDR, 2) & PCI_VPD_ADDR_F ? -EIO : 0;
}

static int device_read_byte(struct pci_function *fn, unsigned int at, unsigned int *byte)
{
	u32 value;
	int ret;

	if (at >= VPD_MAX)
		return -EIO;
	ret = device_read(fn, at, &value);
	if (!ret)
		*byte = value >> (8 * (at % 4)) & 0xff;
	return ret;
}

/* The length of the resources from the first to the end tag; 0 if there is nothing valid. */
static unsigned int measure(struct pci_function *fn)
{
	unsigned int at = 0, tag, low, high, size;

	while (!device_read_byte(fn, at, &tag)) {
		if (!at && (tag == 0 || tag == 0xff))
			return 0;
		if (tag & TAG_LARGE) {
			if (device_read_byte(fn, at + 1, &low) ||
			    device_read_byte(fn, at + 2, &high))
				return at;
			size = 3 + (low | high << 8);
		} else {
			size = 1 + (tag & 7);
		}
		if (at + size > VPD_MAX)
			return at;
		at += size;
		if (!(tag & TAG_LARGE) && (tag & TAG_SMALL_MASK) == TAG_END)
			return at;
	}
	return at;
}

static bool available(struct pci_virt *virt)
{
	if (!virt->vpd_size && !virt->vpd_broken) {
		virt->vpd_size = measure(virt->fn);
		virt->vpd_broken = !virt->vpd_size;
	}
	return !virt->vpd_broken;
}

static int user_read(struct pci_virt *virt, unsigned int at, u32 *value)
{
	u32 low, high = 0;
	unsigned int shift = 8 * (at % 4), left;
	int ret;

	*value = 0;
	if (at >= virt->vpd_size)
		return 0;
	left = virt->vpd_size - at;
	ret = device_read(virt->fn, at, &low);
	if (!ret && shift && left > 4 - at % 4)
		ret = device_read(virt->fn, at + 4, &high);
	if (ret)
		return ret;
	*value = (u32)(((u64)high << 32 | low) >> shift);
	if (left < 4)
		*value &= 0xffffffff >> (32 - 8 * left);
	return 0;
}

static int user_write(struct pci_virt *virt, unsigned int at, u32 value)
{
	if (at % 4 || at + 4 > virt->vpd_size)
		return -EINVAL;
	return device_write(virt->fn, at, value);
}

static u32 view_data(const struct pci_virt *virt, unsigned int pos)
{
	return virt_get16(virt, pos) | (u32)virt_get16(virt, pos + 2) << 16;
}

/* Writing the upper byte of the address starts an access; the flag toggles when it is done, and
 * stays when it failed. */
void virt_vpd_after(struct pci_virt *virt, const struct virt_write *w)
{
	unsigned int address = w->start + PCI_VPD_ADDR, data = w->start + PCI_VPD_DATA;
	u16 at = virt_get16(virt, address);
	u32 value;

	if (w->offset > PCI_VPD_ADDR + 1 || w->offset + w->width <= PCI_VPD_ADDR + 1)
		return;
	if (w->start != virt->fn->vpd || !available(virt))
		return;
	if (at & PCI_VPD_ADDR_F) {
		if (user_write(virt, at & PCI_VPD_ADDR_MASK, view_data(virt, data)))
			return;
	} else {
		if (user_read(virt, at, &value))
			return;
		virt_put16(virt, data, (u16)value);
		virt_put16(virt, data + 2, (u16)(value >> 16));
	}
	virt_put16(virt, address, at ^ PCI_VPD_ADDR_F);
}
