/* SPDX-License-Identifier: BSD-3-Clause */
/* The type 1 header. */
#include "pci/internal.h"

#define IO_GRANULE_SHIFT 12
#define MEM_GRANULE_SHIFT 20

void pci_bridge_header_init(struct pci_function *fn)
{
	pci_config_set(fn, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE);
	pci_set_writable(fn, PCI_PRIMARY_BUS, 4, 0xffffffff);
	pci_set_writable(fn, PCI_IO_BASE, 2, 0xf0f0);
	pci_set_w1c(fn, PCI_SEC_STATUS, 2,
		    PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | PCI_STATUS_REC_TARGET_ABORT |
			    PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
			    PCI_STATUS_DETECTED_PARITY);
	pci_set_writable(fn, PCI_MEMORY_BASE, 4, 0xfff0fff0);
	pci_set_writable(fn, PCI_PREF_MEMORY_BASE, 4, 0xfff0fff0);
	pci_set_writable(fn, PCI_PREF_BASE_UPPER32, 4, 0xffffffff);
	pci_set_writable(fn, PCI_PREF_LIMIT_UPPER32, 4, 0xffffffff);
	pci_set_writable(fn, PCI_BRIDGE_CONTROL, 2,
			 PCI_BRIDGE_CTL_PARITY | PCI_BRIDGE_CTL_SERR | PCI_BRIDGE_CTL_ISA |
				 PCI_BRIDGE_CTL_VGA | PCI_BRIDGE_CTL_MASTER_ABORT |
				 PCI_BRIDGE_CTL_BUS_RESET);
	for (int i = PCI_WINDOW_IO; i <= PCI_WINDOW_PREFETCH; i++)
		pci_bridge_set_window(fn, (enum pci_window)i, 1, 0);
}

void pci_bridge_set_buses(struct pci_function *fn, u8 primary, u8 secondary, u8 subordinate)
{
	pci_config_set(fn, PCI_PRIMARY_BUS, 1, primary);
	pci_config_set(fn, PCI_SECONDARY_BUS, 1, secondary);
	pci_config_set(fn, PCI_SUBORDINATE_BUS, 1, subordinate);
}

void pci_bridge_set_window(struct pci_function *fn, enum pci_window window, u64 base, u64 last)
{
	bool closed = last < base;

	if (window == PCI_WINDOW_IO) {
		base = closed ? 0xf : base >> IO_GRANULE_SHIFT & 0xf;
		last = closed ? 0 : last >> IO_GRANULE_SHIFT & 0xf;
		pci_config_set(fn, PCI_IO_BASE, 1, (u32)base << 4);
		pci_config_set(fn, PCI_IO_LIMIT, 1, (u32)last << 4);
		return;
	}
	base = closed ? 0xfff : base >> MEM_GRANULE_SHIFT;
	last = closed ? 0 : last >> MEM_GRANULE_SHIFT;
	if (window == PCI_WINDOW_MEM) {
		pci_config_set(fn, PCI_MEMORY_BASE, 2, (u32)(base & 0xfff) << 4);
		pci_config_set(fn, PCI_MEMORY_LIMIT, 2, (u32)(last & 0xfff) << 4);
		return;
	}
	pci_config_set(fn, PCI_PREF_MEMORY_BASE, 2,
		       (u32)(base & 0xfff) << 4 | PCI_PREF_RANGE_TYPE_64);
	pci_config_set(fn, PCI_PREF_MEMORY_LIMIT, 2,
		       (u32)(last & 0xfff) << 4 | PCI_PREF_RANGE_TYPE_64);
	pci_config_set(fn, PCI_PREF_BASE_UPPER32, 4, (u32)(base >> 12));
	pci_config_set(fn, PCI_PREF_LIMIT_UPPER32, 4, (u32)(last >> 12));
}
