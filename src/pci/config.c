/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers of a function: header, BARs, accesses, reset. */
#include <errno.h>
#include <string.h>

#include "pci/internal.h"

#define STATUS_W1C \
	(PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT | \
	 PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

u32 pci_config_get(const struct pci_function *fn, unsigned int offset, unsigned int width)
{
	u32 value = 0;

	for (unsigned int i = 0; i < width; i++) {
		u8 byte = offset < fn->size && i < fn->size - offset ? fn->data[offset + i] : 0xff;

		value |= (u32)byte << (8 * i);
	}
	return value;
}

static void put_bytes(u8 *array, const struct pci_function *fn, unsigned int offset,
		      unsigned int width, u32 value)
{
	for (unsigned int i = 0; i < width && offset < fn->size && i < fn->size - offset; i++)
		array[offset + i] = (u8)(value >> (8 * i));
}

static void mirror_update(struct pci_function *fn, unsigned int offset, unsigned int width)
{
	if (!fn->mirror || offset >= fn->size)
		return;
	memcpy(fn->mirror + offset, fn->data + offset, MIN(width, fn->size - offset));
}

void pci_config_set(struct pci_function *fn, unsigned int offset, unsigned int width, u32 value)
{
	put_bytes(fn->data, fn, offset, width, value);
	mirror_update(fn, offset, width);
}

void pci_set_writable(struct pci_function *fn, unsigned int offset, unsigned int width, u32 mask)
{
	put_bytes(fn->wmask, fn, offset, width, mask);
}

void pci_set_w1c(struct pci_function *fn, unsigned int offset, unsigned int width, u32 mask)
{
	put_bytes(fn->w1c, fn, offset, width, mask);
}

u32 pci_config_read(struct pci_function *fn, unsigned int offset, unsigned int width)
{
	return pci_config_get(fn, offset, width);
}

static bool touches(unsigned int offset, unsigned int width, unsigned int reg, unsigned int length)
{
	return offset < reg + length && reg < offset + width;
}

static bool touches_capability(unsigned int offset, unsigned int width, unsigned int cap,
			       unsigned int reg, unsigned int length)
{
	return cap && touches(offset, width, cap + reg, length);
}

/* Only to D0 from everywhere, else deeper, and D1 and D2 only where the function has them. */
static bool power_change_valid(const struct pci_function *fn, unsigned int old, unsigned int now)
{
	u16 pmc = (u16)pci_config_get(fn, fn->pm + PCI_PM_PMC, 2);

	if (now == 1 && !(pmc & PCI_PM_CAP_D1))
		return false;
	if (now == 2 && !(pmc & PCI_PM_CAP_D2))
		return false;
	return !now || now >= old;
}

static void power_written(struct pci_function *fn, unsigned int old)
{
	unsigned int ctrl = fn->pm + PCI_PM_CTRL, now = pci_power_state(fn);

	if (old == now)
		return;
	if (!power_change_valid(fn, old, now)) {
		fn->data[ctrl] = (u8)((fn->data[ctrl] & ~PCI_PM_CTRL_STATE_MASK) | old);
		return;
	}
	if (fn->ops && fn->ops->power)
		fn->ops->power(fn, old, now);
}

/* The bits that start a function level reset always read as zero. */
static bool flr_requested(struct pci_function *fn, unsigned int offset, unsigned int width)
{
	bool flr = false;

	if (touches_capability(offset, width, fn->express, PCI_EXP_DEVCTL + 1, 1) &&
	    fn->data[fn->express + PCI_EXP_DEVCTL + 1] & PCI_EXP_DEVCTL_BCR_FLR >> 8 &&
	    pci_config_get(fn, fn->express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR) {
		fn->data[fn->express + PCI_EXP_DEVCTL + 1] &= (u8) ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
		flr = true;
	}
	if (touches_capability(offset, width, fn->af, PCI_AF_CTRL, 1) &&
	    fn->data[fn->af + PCI_AF_CTRL] & PCI_AF_CTRL_FLR) {
		fn->data[fn->af + PCI_AF_CTRL] &= (u8)~PCI_AF_CTRL_FLR;
		flr = true;
	}
	return flr;
}

/* Clearing the flag with an address asks for data; the flag is set when it has come. */
static void vpd_written(struct pci_function *fn)
{
	u16 address = (u16)pci_config_get(fn, fn->vpd + PCI_VPD_ADDR, 2);
	unsigned int at = address & PCI_VPD_ADDR_MASK & ~3U;
	u32 value = 0;

	if (address & PCI_VPD_ADDR_F) {
		/* Read-only: the write completes and is lost. */
		pci_config_set(fn, fn->vpd + PCI_VPD_ADDR, 2, address & ~(u32)PCI_VPD_ADDR_F);
		return;
	}
	for (unsigned int i = 0; i < 4 && at + i < fn->vpd_size; i++)
		value |= (u32)fn->vpd_data[at + i] << (8 * i);
	pci_config_set(fn, fn->vpd + PCI_VPD_DATA, 4, value);
	pci_config_set(fn, fn->vpd + PCI_VPD_ADDR, 2, address | PCI_VPD_ADDR_F);
}

/* No more vectors in use than the function is capable of. */
static void msi_written(struct pci_function *fn)
{
	u8 *flags = &fn->data[fn->msi + PCI_MSI_FLAGS];
	unsigned int max = (*flags & PCI_MSI_FLAGS_QMASK) >> 1;

	if ((*flags & PCI_MSI_FLAGS_QSIZE) >> 4 > (int)max)
		*flags = (u8)((*flags & ~PCI_MSI_FLAGS_QSIZE) | max << 4);
}

static bool touches_msi(const struct pci_function *fn, unsigned int offset, unsigned int width)
{
	return touches_capability(offset, width, fn->msi, 0, pci_msi_length(fn)) ||
	       touches_capability(offset, width, fn->msix_cap, PCI_MSIX_FLAGS, 2);
}

static bool is_known(const struct pci_function *fn, unsigned int offset, unsigned int width)
{
	return offset < PCI_STD_HEADER_SIZEOF ||
	       touches_capability(offset, width, fn->pm, 0, PCI_PM_SIZEOF) ||
	       touches_capability(offset, width, fn->msi, 0, pci_msi_length(fn)) ||
	       touches_capability(offset, width, fn->msix_cap, 0, PCI_CAP_MSIX_SIZEOF) ||
	       touches_capability(offset, width, fn->express, 0, PCI_EXPRESS_LENGTH) ||
	       touches_capability(offset, width, fn->af, 0, PCI_CAP_AF_SIZEOF) ||
	       touches_capability(offset, width, fn->vpd, 0, PCI_CAP_VPD_SIZEOF) ||
	       touches_capability(offset, width, fn->aer, 0, PCI_AER_LENGTH) ||
	       touches_capability(offset, width, fn->acs, 0, PCI_ACS_LENGTH);
}

static void write_merge(struct pci_function *fn, unsigned int offset, unsigned int width, u32 value)
{
	for (unsigned int i = 0; i < width && offset < fn->size && i < fn->size - offset; i++) {
		u8 *data = &fn->data[offset + i], wmask = fn->wmask[offset + i];
		u8 byte = (u8)(value >> (8 * i));

		*data = (u8)((*data & ~wmask) | (byte & wmask));
		*data &= (u8) ~(byte & fn->w1c[offset + i]);
	}
}

void pci_config_write(struct pci_function *fn, unsigned int offset, unsigned int width, u32 value)
{
	const struct pci_function_ops *ops = fn->ops;
	u16 old_command = (u16)pci_config_get(fn, PCI_COMMAND, 2), command;
	unsigned int old_power = pci_power_state(fn);
	bool flr;

	if (offset >= fn->size)
		return;
	write_merge(fn, offset, width, value);
	if (touches_capability(offset, width, fn->pm, PCI_PM_CTRL, 1))
		power_written(fn, old_power);
	if (touches_capability(offset, width, fn->msi, PCI_MSI_FLAGS, 1))
		msi_written(fn);
	if (touches_capability(offset, width, fn->vpd, PCI_VPD_ADDR + 1, 1))
		vpd_written(fn);
	flr = flr_requested(fn, offset, width);
	mirror_update(fn, offset, width);
	if (!ops)
		return;

	command = (u16)pci_config_get(fn, PCI_COMMAND, 2);
	if (command != old_command && ops->command)
		ops->command(fn, old_command, command);
	if (touches_msi(fn, offset, width) && ops->msi)
		ops->msi(fn);
	if (!is_known(fn, offset, width) && ops->written)
		ops->written(fn, offset, width);
	if (flr && ops->flr)
		ops->flr(fn);
}

static void header_init(struct pci_function *fn, const struct pci_ident *ident, bool express,
			const struct pci_function_ops *ops)
{
	memset(fn, 0, sizeof(*fn));
	fn->ops = ops;
	fn->size = express ? PCI_EXPRESS_CONFIG_SIZE : PCI_CONFIG_SIZE;
	memset(fn->used, 1, PCI_STD_HEADER_SIZEOF);
	memset(fn->wmask + PCI_STD_HEADER_SIZEOF, 0xff, fn->size - PCI_STD_HEADER_SIZEOF);

	pci_config_set(fn, PCI_VENDOR_ID, 2, ident->vendor);
	pci_config_set(fn, PCI_DEVICE_ID, 2, ident->device);
	pci_config_set(fn, PCI_CLASS_REVISION, 4, ident->class_code << 8 | ident->revision);
	pci_config_set(fn, PCI_INTERRUPT_PIN, 1, ident->interrupt_pin);

	pci_set_writable(fn, PCI_COMMAND, 2,
			 PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
				 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	pci_set_w1c(fn, PCI_STATUS, 2, STATUS_W1C);
	pci_set_writable(fn, PCI_CACHE_LINE_SIZE, 1, 0xff);
	pci_set_writable(fn, PCI_INTERRUPT_LINE, 1, 0xff);
}

void pci_function_init(struct pci_function *fn, const struct pci_ident *ident, bool express,
		       const struct pci_function_ops *ops)
{
	header_init(fn, ident, express, ops);
	pci_config_set(fn, PCI_SUBSYSTEM_VENDOR_ID, 2, ident->subsystem_vendor);
	pci_config_set(fn, PCI_SUBSYSTEM_ID, 2, ident->subsystem_device);
}

void pci_bridge_init(struct pci_function *fn, const struct pci_ident *ident,
		     const struct pci_function_ops *ops)
{
	header_init(fn, ident, true, ops);
	pci_bridge_header_init(fn);
}

void pci_set_multifunction(struct pci_function *fn, bool on)
{
	u8 type = fn->data[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK;

	pci_config_set(fn, PCI_HEADER_TYPE, 1, type | (on ? PCI_HEADER_TYPE_MFD : 0));
}

static bool is_bridge(const struct pci_function *fn)
{
	return (fn->data[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) == PCI_HEADER_TYPE_BRIDGE;
}

static unsigned int bar_register(const struct pci_function *fn, unsigned int index)
{
	if (index == PCI_ROM_BAR)
		return is_bridge(fn) ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
	return PCI_BASE_ADDRESS_0 + 4 * index;
}

static u32 bar_flags(const struct pci_bar *bar)
{
	u32 flags = bar->prefetch ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0;

	if (bar->type == PCI_BAR_IO)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return flags | (bar->type == PCI_BAR_MEM64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
}

static bool bar_size_valid(unsigned int index, const struct pci_bar *bar)
{
	u64 min = bar->type == PCI_BAR_IO ? 4 : 16, max = BIT_ULL(31);

	if (index == PCI_ROM_BAR) {
		min = 2048;
		max = BIT_ULL(24);
	} else if (bar->type == PCI_BAR_MEM64) {
		max = BIT_ULL(63);
	}
	return bar->size >= min && bar->size <= max && !(bar->size & (bar->size - 1));
}

/* Whether BAR @index is the upper half of the one before. */
static bool bar_is_upper(const struct pci_function *fn, unsigned int index)
{
	return index && index < PCI_NUM_BARS && fn->bars[index - 1].type == PCI_BAR_MEM64;
}

int pci_add_bar(struct pci_function *fn, unsigned int index, const struct pci_bar *bar)
{
	unsigned int count = is_bridge(fn) ? 2 : PCI_NUM_BARS, reg;
	bool wide = bar->type == PCI_BAR_MEM64;
	u64 mask = ~(bar->size - 1);

	if ((index >= count && index != PCI_ROM_BAR) || bar->type == PCI_BAR_NONE ||
	    (index == PCI_ROM_BAR && bar->type != PCI_BAR_MEM32) || (wide && index + 1 >= count) ||
	    !bar_size_valid(index, bar))
		return -EINVAL;
	if (fn->bars[index].type != PCI_BAR_NONE || bar_is_upper(fn, index) ||
	    (wide && fn->bars[index + 1].type != PCI_BAR_NONE))
		return -EEXIST;

	fn->bars[index] = *bar;
	reg = bar_register(fn, index);
	pci_config_set(fn, reg, 4, index == PCI_ROM_BAR ? 0 : bar_flags(bar));
	pci_set_writable(fn, reg, 4,
			 (u32)mask | (index == PCI_ROM_BAR ? PCI_ROM_ADDRESS_ENABLE : 0));
	if (wide) {
		pci_config_set(fn, reg + 4, 4, 0);
		pci_set_writable(fn, reg + 4, 4, (u32)(mask >> 32));
	}
	return 0;
}

u64 pci_bar_address(const struct pci_function *fn, unsigned int index)
{
	unsigned int reg = bar_register(fn, index);
	u64 address = pci_config_get(fn, reg, 4);

	if (fn->bars[index].type == PCI_BAR_NONE)
		return 0;
	if (fn->bars[index].type == PCI_BAR_MEM64)
		address |= (u64)pci_config_get(fn, reg + 4, 4) << 32;
	return address & ~(fn->bars[index].size - 1);
}

void pci_bar_set_address(struct pci_function *fn, unsigned int index, u64 address)
{
	const struct pci_bar *bar = &fn->bars[index];
	unsigned int reg = bar_register(fn, index);
	u32 flags = pci_config_get(fn, reg, 4) & (u32)(bar->size - 1);

	if (bar->type == PCI_BAR_NONE)
		return;
	address &= ~(bar->size - 1);
	pci_config_set(fn, reg, 4, (u32)address | flags);
	if (bar->type == PCI_BAR_MEM64)
		pci_config_set(fn, reg + 4, 4, (u32)(address >> 32));
}

void pci_seal(struct pci_function *fn)
{
	memcpy(fn->reset, fn->data, sizeof(fn->reset));
}

void pci_reset(struct pci_function *fn)
{
	for (unsigned int i = 0; i < fn->size; i++) {
		if (fn->used[i])
			fn->data[i] = fn->reset[i];
	}
	pci_config_set(fn, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
		pci_bar_set_address(fn, i, 0);
		if (i == PCI_ROM_BAR && fn->bars[i].type != PCI_BAR_NONE)
			pci_config_set(fn, bar_register(fn, i), 4, 0);
	}
	mirror_update(fn, 0, fn->size);
}

bool pci_memory_enabled(const struct pci_function *fn)
{
	return fn->data[PCI_COMMAND] & PCI_COMMAND_MEMORY && !pci_power_state(fn);
}

bool pci_io_enabled(const struct pci_function *fn)
{
	return fn->data[PCI_COMMAND] & PCI_COMMAND_IO && !pci_power_state(fn);
}

bool pci_bus_master(const struct pci_function *fn)
{
	return fn->data[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

unsigned int pci_power_state(const struct pci_function *fn)
{
	return fn->pm ? fn->data[fn->pm + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK : 0;
}

void pci_set_intx_status(struct pci_function *fn, bool asserted)
{
	u16 status = (u16)pci_config_get(fn, PCI_STATUS, 2);

	status = (u16)(asserted ? status | PCI_STATUS_INTERRUPT : status & ~PCI_STATUS_INTERRUPT);
	pci_config_set(fn, PCI_STATUS, 2, status);
}
