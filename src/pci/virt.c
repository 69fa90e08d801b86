/* SPDX-License-Identifier: BSD-3-Clause */
/* Accesses by the user, and what registers of the standard capabilities do then. */
#include <errno.h>
#include <string.h>

#include "pci/virt_internal.h"

/* Bytes that one access to the device moves: aligned, inside a dword, and of one owner. */
static unsigned int chunk_width(const struct pci_virt *virt, unsigned int pos, size_t count)
{
	unsigned int same = 1;

	while ((pos + same) % 4 && virt->map[pos + same] == virt->map[pos])
		same++;
	if (count > same)
		count = same;
	if (count >= 4 && !(pos % 4))
		return 4;
	return count >= 2 && !(pos % 2) ? 2 : 1;
}

static u32 load(const u8 *bytes, unsigned int width)
{
	u32 value = 0;

	for (unsigned int i = 0; i < width; i++)
		value |= (u32)bytes[i] << (8 * i);
	return value;
}

static void store(u8 *bytes, unsigned int width, u32 value)
{
	for (unsigned int i = 0; i < width; i++)
		bytes[i] = (u8)(value >> (8 * i));
}

static bool is_bar(unsigned int pos)
{
	return (pos >= PCI_BASE_ADDRESS_0 && pos < PCI_BASE_ADDRESS_5 + 4) ||
	       (pos >= PCI_ROM_ADDRESS && pos < PCI_ROM_ADDRESS + 4);
}

static u32 bar_flags(const struct pci_bar *bar)
{
	if (bar->type == PCI_BAR_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (bar->prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0) |
	       (bar->type == PCI_BAR_MEM64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
}

/* Whether the host gave the BAR an address; without one, the user sees no BAR. */
static bool bar_assigned(const struct pci_virt *virt, unsigned int index)
{
	const struct pci_bar *bar = &virt->fn->bars[index];
	u64 address = virt->bars[index];

	if (bar->type == PCI_BAR_NONE)
		return false;
	if (bar->type == PCI_BAR_MEM64 && index + 1 < PCI_NUM_BARS)
		address |= (u64)virt->bars[index + 1] << 32;
	return address & ~(bar->size - 1);
}

/* Makes the view's BARs look as hardware's would after what the user wrote: this answers sizing. */
static void fix_bars(struct pci_virt *virt)
{
	const struct pci_bar *rom = &virt->fn->bars[PCI_ROM_BAR];
	u32 value = 0;

	if (!virt->bars_dirty)
		return;
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		const struct pci_bar *bar = &virt->fn->bars[i];
		u8 *reg = virt->view + PCI_BASE_ADDRESS_0 + 4 * i;
		u64 mask = ~(bar->size - 1);

		if (!bar_assigned(virt, i)) {
			store(reg, 4, 0);
			continue;
		}
		store(reg, 4, (load(reg, 4) & (u32)mask) | bar_flags(bar));
		if (bar->type == PCI_BAR_MEM64) {
			store(reg + 4, 4, load(reg + 4, 4) & (u32)(mask >> 32));
			i++;
		}
	}
	if (bar_assigned(virt, PCI_ROM_BAR))
		value = load(virt->view + PCI_ROM_ADDRESS, 4) &
			((u32) ~(rom->size - 1) | PCI_ROM_ADDRESS_ENABLE);
	store(virt->view + PCI_ROM_ADDRESS, 4, value);
	virt->bars_dirty = false;
}

static u32 read_chunk(struct pci_virt *virt, unsigned int pos, unsigned int width)
{
	u32 mask = load(virt->virt + pos, width), value;

	if (is_bar(pos))
		fix_bars(virt);
	value = load(virt->view + pos, width);
	if (mask == 0xffffffff >> (32 - 8 * width))
		return value;
	return (pci_config_read(virt->fn, pos, width) & ~mask) | (value & mask);
}

/* Bits of the view in the view; the device's own by reading, merging and writing back. */
static void apply_write(struct pci_virt *virt, const struct virt_write *w)
{
	u32 write = load(virt->write + w->pos, w->width);
	u32 mask = load(virt->virt + w->pos, w->width), value;

	if (write & mask) {
		value = load(virt->view + w->pos, w->width) & ~(write & mask);
		store(virt->view + w->pos, w->width, value | (w->value & write & mask));
	}
	if (write & ~mask) {
		value = pci_config_read(virt->fn, w->pos, w->width) & ~(write & ~mask);
		pci_config_write(virt->fn, w->pos, w->width, value | (w->value & write & ~mask));
	}
}

static void write_chunk(struct pci_virt *virt, unsigned int pos, unsigned int width, u32 value)
{
	const struct virt_capability *cap = virt_owner(virt, pos);
	unsigned int start = virt_start(virt, pos);
	struct virt_write w = {
		.pos = pos, .start = start, .offset = pos - start, .width = width, .value = value
	};

	if (cap && cap->before)
		cap->before(virt, &w);
	apply_write(virt, &w);
	if (cap && cap->after)
		cap->after(virt, &w);
}

static bool in_space(const struct pci_virt *virt, size_t count, u64 pos)
{
	return pos < virt->size && count <= virt->size - pos;
}

ssize_t pci_virt_read(struct pci_virt *virt, void *buf, size_t count, u64 pos)
{
	u8 *to = buf;
	unsigned int width;

	if (count && !in_space(virt, count, pos))
		return -EFAULT;
	for (size_t done = 0; done < count; done += width) {
		unsigned int at = (unsigned int)(pos + done);

		width = chunk_width(virt, at, count - done);
		store(to + done, width, read_chunk(virt, at, width));
	}
	return (ssize_t)count;
}

ssize_t pci_virt_write(struct pci_virt *virt, const void *buf, size_t count, u64 pos)
{
	const u8 *from = buf;
	unsigned int width;

	if (count && !in_space(virt, count, pos))
		return -EFAULT;
	for (size_t done = 0; done < count; done += width) {
		unsigned int at = (unsigned int)(pos + done);

		width = chunk_width(virt, at, count - done);
		write_chunk(virt, at, width, load(from + done, width));
	}
	return (ssize_t)count;
}

unsigned int pci_virt_size(const struct pci_virt *virt)
{
	return virt->size;
}

bool pci_virt_memory_enabled(const struct pci_virt *virt)
{
	return virt_get16(virt, PCI_COMMAND) & PCI_COMMAND_MEMORY && pci_power_state(virt->fn) < 3;
}

bool pci_virt_intx_disabled(const struct pci_virt *virt)
{
	return virt->intx_disabled;
}

void pci_virt_set_msi(struct pci_virt *virt, unsigned int vectors)
{
	virt->msi = vectors;
	if (vectors)
		virt->msi_qmax = 31U - (unsigned int)__builtin_clz(vectors * 2 - 1);
}

void pci_virt_restore(struct pci_virt *virt)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++)
		pci_config_write(virt->fn, PCI_BASE_ADDRESS_0 + 4 * i, 4, virt->bars[i]);
	pci_config_write(virt->fn, PCI_ROM_ADDRESS, 4, virt->bars[PCI_ROM_BAR]);
}

static void tell_memory(struct pci_virt *virt)
{
	bool memory = pci_virt_memory_enabled(virt);

	if (memory == virt->memory)
		return;
	virt->memory = memory;
	if (virt->ops && virt->ops->memory)
		virt->ops->memory(virt->opaque, memory);
}

/* Whether the BARs are no longer what they were: a reset that the driver has not made. */
static bool bars_lost(const struct pci_virt *virt)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		u32 now = pci_config_get(virt->fn, PCI_BASE_ADDRESS_0 + 4 * i, 4);

		if (virt->bars[i] && virt->bars[i] != now)
			return true;
	}
	return false;
}

void virt_header_before(struct pci_virt *virt, const struct virt_write *w)
{
	u16 device = (u16)pci_config_get(virt->fn, PCI_COMMAND, 2);
	/* Decoding that the user has on and writes on again, but the device has off. */
	u32 lost = w->value & virt_get16(virt, PCI_COMMAND) & (u16)~device;

	if (w->offset != PCI_COMMAND)
		return;
	if (lost & (PCI_COMMAND_MEMORY | PCI_COMMAND_IO) || bars_lost(virt))
		pci_virt_restore(virt);
}

void virt_header_after(struct pci_virt *virt, const struct virt_write *w)
{
	const u16 decode = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
	u16 command = virt_get16(virt, PCI_COMMAND);
	bool disabled;

	if (is_bar(w->offset))
		virt->bars_dirty = true;
	if (w->offset == PCI_COMMAND) {
		command = (u16)((command & ~decode) | (w->value & decode));
		virt_put16(virt, PCI_COMMAND, command);
		tell_memory(virt);
	}
	if (w->offset != PCI_COMMAND && w->offset != PCI_COMMAND + 1)
		return;
	disabled = command & PCI_COMMAND_INTX_DISABLE;
	if (disabled == virt->intx_disabled)
		return;
	virt->intx_disabled = disabled;
	if (virt->ops && virt->ops->intx_disable)
		virt->ops->intx_disable(virt->opaque, disabled);
}

static bool power_possible(const struct pci_function *fn, unsigned int old, unsigned int now)
{
	u32 pmc = pci_config_get(fn, fn->pm + PCI_PM_PMC, 2);

	if ((now == 1 && !(pmc & PCI_PM_CAP_D1)) || (now == 2 && !(pmc & PCI_PM_CAP_D2)))
		return false;
	return !now || now > old;
}

/* A capability that the device's owner did not declare (->pm is 0) has no effect. */
void virt_pm_after(struct pci_virt *virt, const struct virt_write *w)
{
	struct pci_function *fn = virt->fn;
	unsigned int now = w->value & PCI_PM_CTRL_STATE_MASK, old = pci_power_state(fn);
	unsigned int ctrl = fn->pm + PCI_PM_CTRL;
	u32 value;

	if (w->offset != PCI_PM_CTRL || w->start != fn->pm || old == now ||
	    !power_possible(fn, old, now))
		return;
	if (now == 3 && virt->save_over_d3) {
		pci_save_state(fn, &virt->saved);
		virt->saved_valid = true;
	}
	/* Back to D0, Linux clears the rest of the register as well. */
	value = now ? pci_config_read(fn, ctrl, 2) & ~(u32)PCI_PM_CTRL_STATE_MASK : 0;
	pci_config_write(fn, ctrl, 2, value | now);
	if (old == 3 && !now && virt->saved_valid) {
		pci_restore_state(fn, &virt->saved);
		virt->saved_valid = false;
	}
	if (virt->ops && virt->ops->power)
		virt->ops->power(virt->opaque, now);
	tell_memory(virt);
}

/* Enabled by SET_IRQS alone; while it is, the user may change the vectors in use. */
void virt_msi_after(struct pci_virt *virt, const struct virt_write *w)
{
	unsigned int pos = w->start + PCI_MSI_FLAGS;
	u16 flags;

	if (w->offset > PCI_MSI_FLAGS || w->offset + w->width < PCI_MSI_FLAGS)
		return;
	flags = virt_get16(virt, pos);
	if (!virt->msi)
		flags &= (u16)~PCI_MSI_FLAGS_ENABLE;
	if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > virt->msi_qmax)
		flags = (u16)((flags & ~PCI_MSI_FLAGS_QSIZE) | virt->msi_qmax << 4);
	virt_put16(virt, pos, flags);
	pci_config_write(virt->fn, pos, 2, flags);
}

static void start_flr(struct pci_virt *virt)
{
	if (virt->ops && virt->ops->flr)
		virt->ops->flr(virt->opaque);
	tell_memory(virt);
}

void virt_express_before(struct pci_virt *virt, const struct virt_write *w)
{
	virt->readrq = virt_get16(virt, w->start + PCI_EXP_DEVCTL) & PCI_EXP_DEVCTL_READRQ;
}

/* The device's read request size follows the user's, but not below its payload size; codes 6 and
 * 7 are reserved. */
static void set_readrq(struct pci_virt *virt, unsigned int pos, u16 control)
{
	u32 device = pci_config_get(virt->fn, pos, 2);
	u32 code = (control & PCI_EXP_DEVCTL_READRQ) >> 12;
	u32 floor = (device & PCI_EXP_DEVCTL_PAYLOAD) >> 5;

	code = MAX(code, floor);
	if (code <= 5)
		pci_config_write(virt->fn, pos, 2,
				 (device & ~(u32)PCI_EXP_DEVCTL_READRQ) | code << 12);
}

void virt_express_after(struct pci_virt *virt, const struct virt_write *w)
{
	unsigned int pos = w->start + PCI_EXP_DEVCTL;
	u16 control = virt_get16(virt, pos);

	if (control & PCI_EXP_DEVCTL_BCR_FLR) {
		control &= (u16)~PCI_EXP_DEVCTL_BCR_FLR;
		virt_put16(virt, pos, control);
		if (pci_config_get(virt->fn, w->start + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
			start_flr(virt);
	}
	if ((control & PCI_EXP_DEVCTL_READRQ) != virt->readrq)
		set_readrq(virt, pos, control);
}

void virt_af_after(struct pci_virt *virt, const struct virt_write *w)
{
	const u32 able = PCI_AF_CAP_FLR | PCI_AF_CAP_TP;
	u8 *control = &virt->view[w->start + PCI_AF_CTRL];

	if (!(*control & PCI_AF_CTRL_FLR))
		return;
	*control &= (u8)~PCI_AF_CTRL_FLR;
	if ((pci_config_get(virt->fn, w->start + PCI_AF_CAP, 1) & able) == able)
		start_flr(virt);
}
