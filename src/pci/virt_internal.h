/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the virtualized view share. */
#ifndef PCI_VIRT_INTERNAL_H
#define PCI_VIRT_INTERNAL_H

#include "pci/virt.h"

/* Bits of a register: those in @virt are answered from the view, the others by the device; those
 * not in @write keep their value. */
struct virt_field {
	u8 offset, width; /* width 1, 2 or 4 */
	u32 virt, write;
};

/* One chunk of a write that has been applied to the view and to the device. */
struct virt_write {
	unsigned int pos;    /* in config space */
	unsigned int start;  /* of the capability */
	unsigned int offset; /* pos - start */
	unsigned int width;  /* 1, 2 or 4 */
	u32 value;
};

/* How the user sees one kind of capability. A length of zero removes it from the list. */
struct virt_capability {
	u16 length;
	/* The length where it depends on the device's registers. */
	unsigned int (*measure)(const struct pci_function *fn, unsigned int pos);
	const struct virt_field *fields;
	u8 nfields;
	bool raw_write; /* all but the list's own bytes are the user's to write */
	/* Around a write: before any of it is applied, and after. */
	void (*before)(struct pci_virt *virt, const struct virt_write *w);
	void (*after)(struct pci_virt *virt, const struct virt_write *w);
};

/* Values of pci_virt.map besides the ids of capabilities. */
#define VIRT_MAP_HEADER 0
#define VIRT_MAP_NONE 0xff

struct pci_virt {
	struct pci_function *fn;
	const struct pci_virt_ops *ops;
	void *opaque;
	unsigned int size;
	bool bars_dirty;       /* the view's BARs hold what the user wrote, bits unchecked */
	bool intx_disabled;    /* what ops->intx_disable was told */
	bool memory;	       /* what ops->memory was told */
	bool save_over_d3;     /* no NO_SOFT_RESET: registers are kept by software over D3hot */
	u16 readrq;	       /* the user's READRQ bits before the write under way */
	unsigned int msi_qmax; /* log2 of the vectors that the driver enabled last */
	bool msi;	       /* the driver has MSI enabled now */
	unsigned int vpd_size; /* valid VPD; 0 until it was measured */
	bool vpd_broken;
	u32 bars[PCI_NUM_BARS + 1]; /* the device's own, at pci_virt_new() */
	bool saved_valid;	    /* ->saved holds registers kept over D3hot */
	struct pci_saved_state saved;
	/* Which capability holds each byte: its id, or VIRT_MAP_*. */
	u8 map[PCI_EXPRESS_CONFIG_SIZE];
	u8 view[PCI_EXPRESS_CONFIG_SIZE]; /* values of virtualized bits */
	u8 virt[PCI_EXPRESS_CONFIG_SIZE]; /* bits answered from the view */
	u8 write[PCI_EXPRESS_CONFIG_SIZE];
};

static inline u16 virt_get16(const struct pci_virt *virt, unsigned int offset)
{
	return (u16)(virt->view[offset] | virt->view[offset + 1] << 8);
}

static inline void virt_put16(struct pci_virt *virt, unsigned int offset, u16 value)
{
	virt->view[offset] = (u8)value;
	virt->view[offset + 1] = (u8)(value >> 8);
}

extern const struct virt_capability virt_header;
/* First in the extended list, and to be hidden: only its header, which anchors the list. */
extern const struct virt_capability virt_ext_anchor;
/* NULL: removed from the list. */
const struct virt_capability *virt_capability(const struct pci_function *fn, u8 id,
					      unsigned int pos);
const struct virt_capability *virt_ext_capability(u16 id);

/* What the byte at @pos belongs to; NULL outside all capabilities, or for an id without a table. */
const struct virt_capability *virt_owner(const struct pci_virt *virt, unsigned int pos);
/* The first byte of the run of one id that @pos lies in. */
unsigned int virt_start(const struct pci_virt *virt, unsigned int pos);

/* Hooks, by the capability whose table names them. */
void virt_header_before(struct pci_virt *virt, const struct virt_write *w);
void virt_header_after(struct pci_virt *virt, const struct virt_write *w);
void virt_pm_after(struct pci_virt *virt, const struct virt_write *w);
void virt_vpd_after(struct pci_virt *virt, const struct virt_write *w);
void virt_msi_after(struct pci_virt *virt, const struct virt_write *w);
void virt_express_before(struct pci_virt *virt, const struct virt_write *w);
void virt_express_after(struct pci_virt *virt, const struct virt_write *w);
void virt_af_after(struct pci_virt *virt, const struct virt_write *w);

#endif
