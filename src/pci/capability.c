/* SPDX-License-Identifier: BSD-3-Clause */
/* The two lists of capabilities, and the capabilities of every bus. */
#include <errno.h>
#include <string.h>

#include "pci/internal.h"

/* The first free place of @length bytes in [from, end), dword-aligned; 0 if there is none. */
static unsigned int find_space(const struct pci_function *fn, unsigned int from, unsigned int end,
			       unsigned int length)
{
	for (unsigned int at = from; at + length <= end; at += 4) {
		if (!memchr(fn->used + at, 1, length))
			return at;
	}
	return 0;
}

/* @pos, or a place found for it; then the bytes are taken, zero and read-only. */
static int take_space(struct pci_function *fn, unsigned int pos, unsigned int from,
		      unsigned int end, unsigned int length)
{
	if (length < 2 || end > fn->size)
		return -EINVAL;
	if (!pos)
		pos = find_space(fn, from, end, length);
	if (pos < from || pos % 4 || length > end || pos > end - length)
		return -EINVAL;
	if (memchr(fn->used + pos, 1, length))
		return -EEXIST;
	memset(fn->used + pos, 1, length);
	memset(fn->data + pos, 0, length);
	memset(fn->wmask + pos, 0, length);
	return (int)pos;
}

int pci_add_capability(struct pci_function *fn, u8 id, u8 pos, u8 length)
{
	int at = take_space(fn, pos, PCI_STD_HEADER_SIZEOF, PCI_CONFIG_SIZE, length);

	if (at < 0)
		return at;
	/* The newest comes first, which is the order that QEMU's devices show. */
	pci_config_set(fn, (unsigned int)at + PCI_CAP_LIST_ID, 1, id);
	pci_config_set(fn, (unsigned int)at + PCI_CAP_LIST_NEXT, 1, fn->data[PCI_CAPABILITY_LIST]);
	pci_config_set(fn, PCI_CAPABILITY_LIST, 1, (u32)at);
	pci_config_set(fn, PCI_STATUS, 2, pci_config_get(fn, PCI_STATUS, 2) | PCI_STATUS_CAP_LIST);
	return at;
}

static u32 ext_header(u16 id, u8 version, unsigned int next)
{
	return id | (u32)(version & 0xf) << 16 | next << 20;
}

int pci_add_ext_capability(struct pci_function *fn, u16 id, u8 version, u16 pos, u16 length)
{
	unsigned int last = PCI_CONFIG_SIZE, next;
	bool first;
	u32 header;
	int at;

	if (fn->size == PCI_CONFIG_SIZE || length < 4)
		return -EINVAL;
	first = !fn->used[PCI_CONFIG_SIZE];
	/* The list begins at the first byte of the extended space. */
	if (first && pos && pos != PCI_CONFIG_SIZE)
		return -EINVAL;
	at = take_space(fn, pos, PCI_CONFIG_SIZE, fn->size, length);
	if (at < 0)
		return at;
	if (!first) {
		while ((next = PCI_EXT_CAP_NEXT(pci_config_get(fn, last, 4))) != 0)
			last = next;
		header = pci_config_get(fn, last, 4) & 0xfffff;
		pci_config_set(fn, last, 4, header | (u32)at << 20);
	}
	pci_config_set(fn, (unsigned int)at, 4, ext_header(id, version, 0));
	return at;
}

int pci_add_pm(struct pci_function *fn, u8 pos)
{
	int at = pci_add_capability(fn, PCI_CAP_ID_PM, pos, PCI_PM_SIZEOF);

	if (at < 0)
		return at;
	fn->pm = (u16)at;
	pci_config_set(fn, fn->pm + PCI_PM_PMC, 2, 3);
	pci_config_set(fn, fn->pm + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
	pci_set_writable(fn, fn->pm + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK);
	return 0;
}

static unsigned int msi_length(u16 flags)
{
	return 10U + (flags & PCI_MSI_FLAGS_64BIT ? 4 : 0) +
	       (flags & PCI_MSI_FLAGS_MASKBIT ? 10 : 0);
}

unsigned int pci_msi_length(const struct pci_function *fn)
{
	return fn->msi ? msi_length((u16)pci_config_get(fn, fn->msi + PCI_MSI_FLAGS, 2)) : 0;
}

int pci_add_msi(struct pci_function *fn, u8 pos, unsigned int vectors, bool addr64, bool maskable)
{
	unsigned int data = addr64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;
	u16 flags =
		(u16)((addr64 ? PCI_MSI_FLAGS_64BIT : 0) | (maskable ? PCI_MSI_FLAGS_MASKBIT : 0));
	int at;

	if (!vectors || vectors > 32 || vectors & (vectors - 1))
		return -EINVAL;
	at = pci_add_capability(fn, PCI_CAP_ID_MSI, pos, (u8)msi_length(flags));
	if (at < 0)
		return at;
	fn->msi = (u16)at;
	flags |= (u16)(__builtin_ctz(vectors) << 1);
	pci_config_set(fn, fn->msi + PCI_MSI_FLAGS, 2, flags);
	pci_set_writable(fn, fn->msi + PCI_MSI_FLAGS, 2,
			 PCI_MSI_FLAGS_ENABLE | (vectors > 1 ? PCI_MSI_FLAGS_QSIZE : 0));
	pci_set_writable(fn, fn->msi + PCI_MSI_ADDRESS_LO, 4, 0xfffffffc);
	if (addr64)
		pci_set_writable(fn, fn->msi + PCI_MSI_ADDRESS_HI, 4, 0xffffffff);
	pci_set_writable(fn, fn->msi + data, 2, 0xffff);
	if (maskable)
		pci_set_writable(fn, fn->msi + (addr64 ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32), 4,
				 0xffffffff >> (32 - vectors));
	return 0;
}

static bool msix_range_valid(const struct pci_function *fn, unsigned int bar, u64 offset,
			     u64 length)
{
	return bar < PCI_NUM_BARS && !(offset & 7) &&
	       (fn->bars[bar].type == PCI_BAR_MEM32 || fn->bars[bar].type == PCI_BAR_MEM64) &&
	       offset + length <= fn->bars[bar].size;
}

int pci_add_msix(struct pci_function *fn, u8 pos, const struct pci_msix_info *info)
{
	u64 table = (u64)info->vectors * PCI_MSIX_ENTRY_SIZE, pba = (info->vectors + 63U) / 64 * 8;
	int at;

	if (!info->vectors || info->vectors > 2048 ||
	    !msix_range_valid(fn, info->table_bar, info->table_offset, table) ||
	    !msix_range_valid(fn, info->pba_bar, info->pba_offset, pba))
		return -EINVAL;
	at = pci_add_capability(fn, PCI_CAP_ID_MSIX, pos, PCI_CAP_MSIX_SIZEOF);
	if (at < 0)
		return at;
	fn->msix_cap = (u16)at;
	fn->msix = *info;
	pci_config_set(fn, fn->msix_cap + PCI_MSIX_FLAGS, 2, info->vectors - 1U);
	pci_set_writable(fn, fn->msix_cap + PCI_MSIX_FLAGS, 2,
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_config_set(fn, fn->msix_cap + PCI_MSIX_TABLE, 4, info->table_offset | info->table_bar);
	pci_config_set(fn, fn->msix_cap + PCI_MSIX_PBA, 4, info->pba_offset | info->pba_bar);
	return 0;
}

int pci_add_af(struct pci_function *fn, u8 pos)
{
	int at = pci_add_capability(fn, PCI_CAP_ID_AF, pos, PCI_CAP_AF_SIZEOF);

	if (at < 0)
		return at;
	fn->af = (u16)at;
	pci_config_set(fn, fn->af + PCI_AF_LENGTH, 1, PCI_CAP_AF_SIZEOF);
	pci_config_set(fn, fn->af + PCI_AF_CAP, 1, PCI_AF_CAP_TP | PCI_AF_CAP_FLR);
	pci_set_writable(fn, fn->af + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
	return 0;
}

int pci_add_vpd(struct pci_function *fn, u8 pos, const u8 *data, unsigned int size)
{
	int at;

	if (!size || size % 4 || size > PCI_VPD_ADDR_MASK + 1)
		return -EINVAL;
	at = pci_add_capability(fn, PCI_CAP_ID_VPD, pos, PCI_CAP_VPD_SIZEOF);
	if (at < 0)
		return at;
	fn->vpd = (u16)at;
	fn->vpd_data = data;
	fn->vpd_size = size;
	pci_set_writable(fn, fn->vpd + PCI_VPD_ADDR, 2, 0xffff);
	pci_set_writable(fn, fn->vpd + PCI_VPD_DATA, 4, 0xffffffff);
	return 0;
}

bool pci_msi_enabled(const struct pci_function *fn)
{
	return fn->msi && fn->data[fn->msi + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE;
}

bool pci_msix_enabled(const struct pci_function *fn)
{
	return fn->msix_cap &&
	       pci_config_get(fn, fn->msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;
}

unsigned int pci_msi_vectors(const struct pci_function *fn)
{
	if (!fn->msi)
		return 0;
	return 1U << ((fn->data[fn->msi + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_QMASK) >> 1);
}
