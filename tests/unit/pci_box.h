/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that has one PCI device open: edu, or the box, a device with most of what PCI has: BAR
 * 0 of 16 KiB with the MSI-X table in it, which records its accesses; BAR 2 of I/O ports; BAR 3 of
 * shared memory; a ROM; PCI Express with FLR.
 */
#ifndef UNIT_PCI_BOX_H
#define UNIT_PCI_BOX_H

#include <linux/vfio.h>

#include "fake_task.h"
#include "vfio/vfio_pci.h"

#define PG 0x1000U
#define SLOT(i) ((u64)(i) << VFIO_PCI_OFFSET_SHIFT)
#define CFG(o) (SLOT(VFIO_PCI_CONFIG_REGION_INDEX) + (o))

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX

#define BOX_LOG 64
#define BOX_VECTORS 65
#define BOX_TABLE 0x2000U
#define BOX_ROM_IMAGE 0x600U

struct box {
	struct {
		u8 bar, width;
		bool write;
		u64 offset, value;
	} log[BOX_LOG];
	unsigned int n; /* accesses, recorded or not */
	unsigned int resets[2];
	u8 rom[0x1000];
};

extern struct fake_machine m;
extern int container, group, fd;

int box_init_once(void **state);
/* Firmware's and the kernel's work is done, and the device is open at fd; group N holds device N.
 */
int setup_edu(void **state);
int setup_box(void **state);
/* Two functions behind one port; neither can be reset alone. */
int setup_pair(void **state);
int teardown(void **state);

/* System calls on fd. */
long call(unsigned int cmd, const void *arg);
u32 cfg_read(unsigned int offset, unsigned int width);
void cfg_write(unsigned int offset, u32 value, unsigned int width);
u32 bar_get(u64 offset);
void bar_put(u64 offset, u32 value);
long set_irqs_argsz(u32 argsz, u32 flags, u32 index, u32 start, u32 count, const void *data,
		    size_t size);
long set_irqs(u32 flags, u32 index, u32 start, u32 count, const void *data);
long set_eventfd(u32 index, u32 vector, int efd);
long irqs_off(u32 index);
int new_eventfd(void);
/* What the program finds in an eventfd, taken from it. */
u64 taken(int efd);
/* Whether something arrives in it. */
bool comes(int efd);
struct vfio_pci *state_of(unsigned int index);

#endif
