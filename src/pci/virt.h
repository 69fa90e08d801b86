/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtualized configuration space that vfio-pci gives to its user: per capability a table of
 * virtualized bits and of writable bits, and a few hooks. (Linux:
 * drivers/vfio/pci/vfio_pci_config.c.)
 *
 * Threads: the control thread, under the device's lock.
 */
#ifndef PCI_VIRT_H
#define PCI_VIRT_H

#include <sys/types.h>

#include "pci/pci.h"

struct pci_virt;

struct pci_virt_ops {
	/* The user switched memory decoding (COMMAND.MEM) or the power state did: mapped BARs are
	 * readable, or raise SIGBUS. */
	void (*memory)(void *opaque, bool enabled);
	/* The user changed COMMAND.INTX_DISABLE. */
	void (*intx_disable)(void *opaque, bool disabled);
	/*
	 * A function level reset through PCI Express or Advanced Features: to be done as
	 * VFIO_DEVICE_RESET is (Linux: pci_try_reset_function), that is, registers saved before and
	 * restored after.
	 */
	void (*flr)(void *opaque);
	/* The user changed the power state (0..3). */
	void (*power)(void *opaque, unsigned int state);
};

/* Linux: vfio_config_init(); the view starts from the function's registers. NULL with errno. */
struct pci_virt *pci_virt_new(struct pci_function *fn, const struct pci_ident *ident,
			      const struct pci_virt_ops *ops, void *opaque);
void pci_virt_free(struct pci_virt *virt);

/*
 * An access of any size and alignment by the user, split as Linux splits it. Returns the bytes
 * moved (all), or -EFAULT when it passes the end of config space, even in part.
 */
ssize_t pci_virt_read(struct pci_virt *virt, void *buf, size_t count, u64 pos);
ssize_t pci_virt_write(struct pci_virt *virt, const void *buf, size_t count, u64 pos);

/* 256, or 4096 with extended capabilities: the size of the config region. */
unsigned int pci_virt_size(const struct pci_virt *virt);
/* The user's COMMAND.MEM: whether BAR accesses are let through (Linux: __vfio_pci_memory_enabled).
 */
bool pci_virt_memory_enabled(const struct pci_virt *virt);
/*
 * The driver enabled MSI (not MSI-X) with @vectors vectors, or disabled it (0): what the user may
 * write to the MSI control register depends on it. (Linux: irq_type, msi_qmax.)
 */
void pci_virt_set_msi(struct pci_virt *virt, unsigned int vectors);
/* As in Linux, the device's INTX_DISABLE is vfio's own while the user sees his. */
bool pci_virt_intx_disabled(const struct pci_virt *virt);
/*
 * The device's own BARs, as they were at pci_virt_new(), back to its registers (Linux:
 * vfio_bar_restore). A reset made by the driver keeps all of the header instead: pci_save_state(),
 * reset, pci_restore_state().
 */
void pci_virt_restore(struct pci_virt *virt);

#endif
