/* SPDX-License-Identifier: BSD-3-Clause */
/* A function made of the registers that a real one has, for tests. */
#ifndef PCI_IMAGE_H
#define PCI_IMAGE_H

#include <string.h>

#include "pci/pci.h"
#include "pci_answers.h"

#define RESOURCE_IO 0x100
#define RESOURCE_MEM 0x200
#define RESOURCE_PREFETCH 0x2000
#define RESOURCE_MEM_64 0x100000

static inline void image_add_capabilities(struct pci_function *fn)
{
	unsigned int pos = fn->data[PCI_CAPABILITY_LIST];

	for (int loops = 0; pos && loops < 48; loops++) {
		switch (fn->data[pos]) {
		case PCI_CAP_ID_PM:
			fn->pm = (u16)pos;
			break;
		case PCI_CAP_ID_MSI:
			fn->msi = (u16)pos;
			break;
		case PCI_CAP_ID_MSIX:
			fn->msix_cap = (u16)pos;
			break;
		case PCI_CAP_ID_EXP:
			fn->express = (u16)pos;
			break;
		case PCI_CAP_ID_AF:
			fn->af = (u16)pos;
			break;
		}
		pos = fn->data[pos + PCI_CAP_LIST_NEXT];
	}
	pos = fn->size > PCI_CONFIG_SIZE ? PCI_CONFIG_SIZE : 0;
	for (int loops = 0; pos && loops < 960; loops++) {
		u32 header = pci_config_get(fn, pos, 4);

		if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_ERR)
			fn->aer = (u16)pos;
		pos = PCI_EXT_CAP_NEXT(header);
	}
}

static inline void image_add_bar(struct pci_function *fn, unsigned int index,
				 const struct answers_resource *r)
{
	struct pci_bar *bar = &fn->bars[index];

	if (!r->flags)
		return;
	bar->size = r->last - r->start + 1;
	bar->prefetch = r->flags & RESOURCE_PREFETCH;
	bar->type = PCI_BAR_MEM32;
	if (r->flags & RESOURCE_IO)
		bar->type = PCI_BAR_IO;
	else if (r->flags & RESOURCE_MEM_64)
		bar->type = PCI_BAR_MEM64;
}

static inline void image_init(struct pci_function *fn, const struct answers *a,
			      const struct pci_function_ops *ops)
{
	memset(fn, 0, sizeof(*fn));
	fn->ops = ops;
	fn->size = a->size;
	memset(fn->wmask, 0xff, a->size);
	for (unsigned int i = 0; i < a->nhw; i++) {
		pci_config_set(fn, a->hw[i].offset, 4, a->hw[i].value);
		pci_set_writable(fn, a->hw[i].offset, 4, a->hw[i].writable);
		memset(fn->used + a->hw[i].offset, 1, 4);
	}
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++)
		image_add_bar(fn, i, &a->resources[i]);
	image_add_capabilities(fn);
	pci_seal(fn);
}

#endif
