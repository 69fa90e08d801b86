/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the hardware view share. */
#ifndef PCI_INTERNAL_H
#define PCI_INTERNAL_H

#include "pci/pci.h"

#define PCI_EXPRESS_LENGTH 0x3c /* version 2, all registers */
#define PCI_AER_LENGTH 0x48	/* with the root error registers and TLP prefixes */
#define PCI_ACS_LENGTH 8

/* Marks bits that a one clears. */
void pci_set_w1c(struct pci_function *fn, unsigned int offset, unsigned int width, u32 mask);
/* The type 1 header's own registers. */
void pci_bridge_header_init(struct pci_function *fn);
/* The bytes of the MSI capability, from its flags; 0 without one. */
unsigned int pci_msi_length(const struct pci_function *fn);

#endif
