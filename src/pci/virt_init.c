/* SPDX-License-Identifier: BSD-3-Clause */
/* Lays the view out: which bytes belong to which capability, and what the list looks like. */
#include <stdlib.h>
#include <string.h>

#include "pci/virt_internal.h"

unsigned int virt_start(const struct pci_virt *virt, unsigned int pos)
{
	unsigned int base = pos >= PCI_CONFIG_SIZE ? PCI_CONFIG_SIZE : PCI_STD_HEADER_SIZEOF;
	u8 id = virt->map[pos];

	if (pos < PCI_STD_HEADER_SIZEOF)
		return 0;
	if (id == VIRT_MAP_NONE)
		return pos;
	/* Two neighbours of one id count as one, in Linux too. */
	while (pos > base && virt->map[pos - 1] == id)
		pos--;
	return pos;
}

const struct virt_capability *virt_owner(const struct pci_virt *virt, unsigned int pos)
{
	u8 id = virt->map[pos];

	if (pos < PCI_STD_HEADER_SIZEOF)
		return &virt_header;
	if (id == VIRT_MAP_NONE)
		return NULL;
	if (pos >= PCI_CONFIG_SIZE)
		return virt_ext_capability(id);
	return virt_capability(virt->fn, id, virt_start(virt, pos));
}

static unsigned int capability_length(const struct pci_virt *virt,
				      const struct virt_capability *cap, unsigned int pos)
{
	if (!cap)
		return 0;
	return cap->measure ? cap->measure(virt->fn, pos) : cap->length;
}

/* Gives @length bytes, as far as they exist, to capability @id. */
static void take_bytes(struct pci_virt *virt, unsigned int pos, unsigned int length, u8 id,
		       unsigned int end)
{
	length = MIN(length, end - pos);
	memset(virt->map + pos, id, length);
	memcpy(virt->view + pos, virt->fn->data + pos, length);
}

static void init_capabilities(struct pci_virt *virt)
{
	const struct pci_function *fn = virt->fn;
	unsigned int loops = (PCI_CONFIG_SIZE - PCI_STD_HEADER_SIZEOF) / PCI_CAP_SIZEOF;
	unsigned int pos = fn->data[PCI_CAPABILITY_LIST], link = PCI_CAPABILITY_LIST, shown = 0;

	if (!(pci_config_get(fn, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return;
	while (pos >= PCI_STD_HEADER_SIZEOF && loops--) {
		u8 id = (u8)pci_config_get(fn, pos + PCI_CAP_LIST_ID, 1);
		u8 next = (u8)pci_config_get(fn, pos + PCI_CAP_LIST_NEXT, 1);
		unsigned int length = capability_length(virt, virt_capability(fn, id, pos), pos);

		if (length) {
			take_bytes(virt, pos, length, id, PCI_CONFIG_SIZE);
			link = MIN(pos + PCI_CAP_LIST_NEXT, PCI_CONFIG_SIZE - 1U);
			shown++;
		} else {
			virt->view[link] = next;
		}
		pos = next;
	}
	if (!shown)
		virt_put16(virt, PCI_STATUS, virt_get16(virt, PCI_STATUS) & ~PCI_STATUS_CAP_LIST);
}

static u32 view_get32(const struct pci_virt *virt, unsigned int pos)
{
	return virt_get16(virt, pos) | (u32)virt_get16(virt, pos + 2) << 16;
}

static void view_put32(struct pci_virt *virt, unsigned int pos, u32 value)
{
	virt_put16(virt, pos, (u16)value);
	virt_put16(virt, pos + 2, (u16)(value >> 16));
}

/* Extended capabilities count only with PCI Express or PCI-X 2.0, and a first header. */
static bool has_ext_capabilities(const struct pci_virt *virt)
{
	return virt->size > PCI_CONFIG_SIZE &&
	       (memchr(virt->map + PCI_STD_HEADER_SIZEOF, PCI_CAP_ID_EXP,
		       PCI_CONFIG_SIZE - PCI_STD_HEADER_SIZEOF) ||
		memchr(virt->map + PCI_STD_HEADER_SIZEOF, PCI_CAP_ID_PCIX,
		       PCI_CONFIG_SIZE - PCI_STD_HEADER_SIZEOF)) &&
	       pci_config_get(virt->fn, PCI_CONFIG_SIZE, 4);
}

static void init_ext_capabilities(struct pci_virt *virt)
{
	const struct pci_function *fn = virt->fn;
	unsigned int loops = (virt->size - PCI_CONFIG_SIZE) / PCI_CAP_SIZEOF, shown = 0;
	unsigned int pos = PCI_CONFIG_SIZE, link = 0;

	if (!has_ext_capabilities(virt))
		return;
	while (loops-- && pos >= PCI_CONFIG_SIZE) {
		u32 header = pci_config_get(fn, pos, 4);
		u16 id = PCI_EXT_CAP_ID(header);
		unsigned int length = capability_length(virt, virt_ext_capability(id), pos);
		bool hidden = !length;

		if (hidden && link) {
			pos = PCI_EXT_CAP_NEXT(header);
			view_put32(virt, link, (view_get32(virt, link) & 0xfffff) | pos << 20);
			continue;
		}
		/* The first cannot be skipped: it stays without an id. */
		take_bytes(virt, pos, hidden ? PCI_CAP_SIZEOF : length, (u8)id, virt->size);
		if (hidden)
			view_put32(virt, pos, view_get32(virt, pos) & 0xffc00000);
		else
			shown++;
		link = pos;
		pos = PCI_EXT_CAP_NEXT(header);
	}
	if (!shown)
		view_put32(virt, PCI_CONFIG_SIZE, 0);
}

/* Some devices hide registers between their capabilities. */
static const struct virt_capability unassigned = { .raw_write = true };

static u8 field_byte(const struct virt_field *field, unsigned int offset, u32 mask)
{
	unsigned int at = offset - field->offset;

	return offset >= field->offset && at < field->width ? (u8)(mask >> (8 * at)) : 0;
}

/* The masks of the byte at @offset in @cap. */
static void init_byte(struct pci_virt *virt, unsigned int pos, const struct virt_capability *cap,
		      unsigned int offset)
{
	for (unsigned int i = 0; i < cap->nfields; i++) {
		virt->virt[pos] |= field_byte(&cap->fields[i], offset, cap->fields[i].virt);
		virt->write[pos] |= field_byte(&cap->fields[i], offset, cap->fields[i].write);
	}
	if (cap->raw_write)
		virt->write[pos] = (u8)~virt->virt[pos];
}

/* The tables, spread over the bytes of this device: run by run of one owner. */
static void init_masks(struct pci_virt *virt)
{
	unsigned int start = 0;

	while (start < virt->size) {
		const struct virt_capability *cap = virt_owner(virt, start);
		unsigned int end = start;
		u8 id = virt->map[start];

		if (!cap)
			cap = id == VIRT_MAP_NONE ? &unassigned : &virt_ext_anchor;
		do {
			init_byte(virt, end, cap, end - start);
			end++;
		} while (end < virt->size && virt->map[end] == id && end != PCI_CONFIG_SIZE &&
			 end != PCI_STD_HEADER_SIZEOF);
		start = end;
	}
}

static void init_header(struct pci_virt *virt, const struct pci_ident *ident)
{
	memcpy(virt->view, virt->fn->data, PCI_STD_HEADER_SIZEOF);
	memset(virt->map, VIRT_MAP_HEADER, PCI_STD_HEADER_SIZEOF);
	memset(virt->map + PCI_STD_HEADER_SIZEOF, VIRT_MAP_NONE,
	       sizeof(virt->map) - PCI_STD_HEADER_SIZEOF);
	/* A virtual function answers with ones here. */
	if (ident && virt_get16(virt, PCI_VENDOR_ID) == 0xffff) {
		virt_put16(virt, PCI_VENDOR_ID, ident->vendor);
		virt_put16(virt, PCI_DEVICE_ID, ident->device);
	}
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++)
		virt->bars[i] = pci_config_get(virt->fn, PCI_BASE_ADDRESS_0 + 4 * i, 4);
	virt->bars[PCI_ROM_BAR] = pci_config_get(virt->fn, PCI_ROM_ADDRESS, 4);
	virt->bars_dirty = true;
}

/* The user has not seen these; Linux hides them so that no wake-up reaches him. */
static void init_pm(struct pci_virt *virt)
{
	unsigned int pm = virt->fn->pm;

	if (!pm)
		return;
	virt_put16(virt, pm + PCI_PM_PMC, virt_get16(virt, pm + PCI_PM_PMC) & ~PCI_PM_CAP_PME_MASK);
	virt_put16(virt, pm + PCI_PM_CTRL,
		   virt_get16(virt, pm + PCI_PM_CTRL) &
			   (u16) ~(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS));
	virt->save_over_d3 =
		!(pci_config_get(virt->fn, pm + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET);
}

struct pci_virt *pci_virt_new(struct pci_function *fn, const struct pci_ident *ident,
			      const struct pci_virt_ops *ops, void *opaque)
{
	struct pci_virt *virt = calloc(1, sizeof(*virt));

	if (!virt)
		return NULL;
	virt->fn = fn;
	virt->ops = ops;
	virt->opaque = opaque;
	virt->size = fn->size;
	init_header(virt, ident);
	init_capabilities(virt);
	init_ext_capabilities(virt);
	init_pm(virt);
	init_masks(virt);
	virt->memory = pci_virt_memory_enabled(virt);
	return virt;
}

void pci_virt_free(struct pci_virt *virt)
{
	free(virt);
}
