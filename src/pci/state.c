/* SPDX-License-Identifier: BSD-3-Clause */
/* What software saves and restores around a reset. */
#include <string.h>

#include "pci/internal.h"

/* Control registers of a capability, by offset in it and width. */
struct saved_register {
	u8 offset, width;
};

static const struct saved_register express_registers[] = {
	{ PCI_EXP_DEVCTL, 2 },	{ PCI_EXP_LNKCTL, 2 },	{ PCI_EXP_SLTCTL, 2 },
	{ PCI_EXP_RTCTL, 2 },	{ PCI_EXP_DEVCTL2, 2 }, { PCI_EXP_LNKCTL2, 2 },
	{ PCI_EXP_SLTCTL2, 2 },
};

static const struct saved_register aer_registers[] = {
	{ PCI_ERR_UNCOR_MASK, 4 },
	{ PCI_ERR_UNCOR_SEVER, 4 },
	{ PCI_ERR_COR_MASK, 4 },
	{ PCI_ERR_CAP, 4 },
};

static const struct saved_register acs_registers[] = { { PCI_ACS_CTRL, 2 } };

static const struct saved_register msi_registers[] = {
	{ PCI_MSI_ADDRESS_LO, 4 }, { 8, 4 }, { 12, 4 }, { 16, 4 }, { 20, 4 }, { PCI_MSI_FLAGS, 2 },
};

static const struct saved_register msix_registers[] = { { PCI_MSIX_FLAGS, 2 } };

static u32 saved_value(const struct pci_saved_state *state, unsigned int offset, unsigned int width)
{
	u32 value = 0;

	for (unsigned int i = 0; i < width; i++)
		value |= (u32)state->data[offset + i] << (8 * i);
	return value;
}

void pci_save_state(const struct pci_function *fn, struct pci_saved_state *state)
{
	memcpy(state->data, fn->data, sizeof(state->data));
}

static void restore_register(struct pci_function *fn, const struct pci_saved_state *state,
			     unsigned int offset, unsigned int width)
{
	u32 value = saved_value(state, offset, width);

	if (pci_config_get(fn, offset, width) != value)
		pci_config_write(fn, offset, width, value);
}

static void restore_capability(struct pci_function *fn, const struct pci_saved_state *state,
			       unsigned int cap, unsigned int length,
			       const struct saved_register *registers, size_t count)
{
	if (!cap)
		return;
	for (size_t i = 0; i < count; i++) {
		const struct saved_register *r = &registers[i];

		if (r->offset < length)
			restore_register(fn, state, cap + r->offset,
					 MIN(r->width, length - r->offset));
	}
}

static void clear_errors(struct pci_function *fn)
{
	if (!fn->aer)
		return;
	for (unsigned int reg = PCI_ERR_UNCOR_STATUS; reg <= PCI_ERR_COR_STATUS;
	     reg += PCI_ERR_COR_STATUS - PCI_ERR_UNCOR_STATUS)
		pci_config_write(fn, fn->aer + reg, 4, pci_config_get(fn, fn->aer + reg, 4));
}

/* BARs come before the command register that lets them decode. */
static void restore_header(struct pci_function *fn, const struct pci_saved_state *state)
{
	for (unsigned int reg = PCI_STD_HEADER_SIZEOF; reg; reg -= 4)
		restore_register(fn, state, reg - 4, 4);
}

/* Version 1 ends where the function's type needs no more; version 2 always has all registers. */
static unsigned int express_length(const struct pci_function *fn)
{
	u32 flags = pci_config_get(fn, fn->express + PCI_EXP_FLAGS, 2);
	unsigned int type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;

	if ((flags & PCI_EXP_FLAGS_VERS) > 1)
		return PCI_EXPRESS_LENGTH;
	if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM ||
	    type == PCI_EXP_TYPE_RC_EC)
		return PCI_EXP_DEVCAP2;
	return type == PCI_EXP_TYPE_RC_END ? PCI_EXP_LNKCAP : PCI_EXP_SLTCAP;
}

void pci_restore_state(struct pci_function *fn, const struct pci_saved_state *state)
{
	restore_capability(fn, state, fn->express, express_length(fn), express_registers,
			   ARRAY_SIZE(express_registers));
	clear_errors(fn);
	restore_capability(fn, state, fn->aer, PCI_AER_LENGTH, aer_registers,
			   ARRAY_SIZE(aer_registers));
	restore_header(fn, state);
	if (fn->msi && state->data[fn->msi + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE)
		restore_capability(fn, state, fn->msi, pci_msi_length(fn), msi_registers,
				   ARRAY_SIZE(msi_registers));
	if (fn->msix_cap &&
	    saved_value(state, fn->msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE)
		restore_capability(fn, state, fn->msix_cap, PCI_CAP_MSIX_SIZEOF, msix_registers,
				   ARRAY_SIZE(msix_registers));
	restore_capability(fn, state, fn->acs, PCI_ACS_LENGTH, acs_registers,
			   ARRAY_SIZE(acs_registers));
}
