/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PCI function as hardware: its configuration space and what the registers in it do. (PCI Local
 * Bus 3.0, PCI Express Base 6.)
 *
 * Register numbers and bits are those of <linux/pci_regs.h>. Nothing here knows of VFIO: pci/virt.h
 * is the view of configuration space that Linux's vfio-pci gives to a user.
 *
 * Threads: the caller serializes (the device's lock, see device/device.h).
 */
#ifndef PCI_PCI_H
#define PCI_PCI_H

#include <linux/pci_regs.h>
#include <stdbool.h>

#include "base/util.h"

#define PCI_CONFIG_SIZE 256
#define PCI_EXPRESS_CONFIG_SIZE 4096
#define PCI_NUM_BARS 6
#define PCI_ROM_BAR 6 /* the index of the expansion ROM among the BARs */

struct pci_ident {
	u16 vendor, device, subsystem_vendor, subsystem_device;
	u32 class_code; /* 24 bits: class, subclass, interface */
	u8 revision;
	u8 interrupt_pin; /* 0: none, 1: INTA# ... */
};

enum pci_bar_type { PCI_BAR_NONE, PCI_BAR_MEM32, PCI_BAR_MEM64, PCI_BAR_IO };

struct pci_bar {
	enum pci_bar_type type; /* PCI_BAR_MEM64 takes the next index too */
	bool prefetch;
	u64 size; /* a power of two; memory at least 16 bytes, I/O at least 4, ROM at least 2 KiB */
};

struct pci_function;

/* What the rest of the device must follow. Called after the registers have changed; each may be
 * NULL. */
struct pci_function_ops {
	void (*command)(struct pci_function *fn, u16 old, u16 now);
	void (*power)(struct pci_function *fn, unsigned int old,
		      unsigned int now);      /* D0..D3hot: 0..3 */
	void (*flr)(struct pci_function *fn); /* initiated by a write */
	void (*msi)(struct pci_function *fn); /* MSI or MSI-X control or mask bits written */
	/* A write outside all registers this folder knows (a vendor's capability); the bytes are
	 * already merged by the write mask. */
	void (*written)(struct pci_function *fn, unsigned int offset, unsigned int width);
};

struct pci_msix_info {
	u16 vectors;
	u8 table_bar, pba_bar;
	u32 table_offset, pba_offset;
};

struct pci_function {
	const struct pci_function_ops *ops;
	unsigned int size; /* PCI_CONFIG_SIZE or PCI_EXPRESS_CONFIG_SIZE */
	struct pci_bar bars[PCI_NUM_BARS + 1];
	struct pci_msix_info msix;
	/* Offsets of capabilities, 0 if absent. */
	u16 pm, msi, msix_cap, express, af, aer, acs, vpd;
	/* Vital product data behind the VPD capability: the model's, read-only, vpd_size bytes. */
	const u8 *vpd_data;
	unsigned int vpd_size;
	/*
	 * A copy of the registers for readers outside (the sysfs file "config"), kept up to date
	 * with each change, or NULL; ->size bytes.
	 */
	u8 *mirror;
	u8 data[PCI_EXPRESS_CONFIG_SIZE];
	/* Bytes that a capability holds; the others above the header are scratch, as in QEMU. */
	u8 used[PCI_EXPRESS_CONFIG_SIZE];
	u8 wmask[PCI_EXPRESS_CONFIG_SIZE]; /* bits that software can write */
	u8 w1c[PCI_EXPRESS_CONFIG_SIZE];   /* bits that software clears by writing one */
	u8 reset[PCI_EXPRESS_CONFIG_SIZE]; /* the values after reset; pci_seal() takes them */
};

/* A type 0 function; a bridge is pci_bridge_init(). @express gives a config space of 4096 bytes. */
void pci_function_init(struct pci_function *fn, const struct pci_ident *ident, bool express,
		       const struct pci_function_ops *ops);
/* A PCI-to-PCI bridge with a type 1 header. */
void pci_bridge_init(struct pci_function *fn, const struct pci_ident *ident,
		     const struct pci_function_ops *ops);
void pci_bridge_set_buses(struct pci_function *fn, u8 primary, u8 secondary, u8 subordinate);

enum pci_window { PCI_WINDOW_IO, PCI_WINDOW_MEM, PCI_WINDOW_PREFETCH };
/* What the bridge forwards downstream, in whole granules (4 KiB of I/O, 1 MiB of memory): @last is
 * inclusive; @last < @base closes the window, which is how it starts. */
void pci_bridge_set_window(struct pci_function *fn, enum pci_window window, u64 base, u64 last);

/* All of these: 0, -EINVAL (does not fit, bad argument), -EEXIST. @pos 0 takes the next free place.
 */
int pci_add_bar(struct pci_function *fn, unsigned int index, const struct pci_bar *bar);
int pci_add_capability(struct pci_function *fn, u8 id, u8 pos,
		       u8 length); /* returns its offset; length includes id and next */
int pci_add_ext_capability(struct pci_function *fn, u16 id, u8 version, u16 pos,
			   u16 length); /* returns its offset */
int pci_add_pm(struct pci_function *fn, u8 pos);
int pci_add_msi(struct pci_function *fn, u8 pos, unsigned int vectors, bool addr64, bool maskable);
int pci_add_msix(struct pci_function *fn, u8 pos, const struct pci_msix_info *info);
int pci_add_express(struct pci_function *fn, u8 pos, unsigned int type /* PCI_EXP_TYPE_* */,
		    bool flr);
/* Of the link (as capable and as trained): @speed 1 (2.5 GT/s) to 6, @width 1 to 32. */
void pci_express_set_link(struct pci_function *fn, unsigned int speed, unsigned int width);
/* Of a port: the slot's number, and whether devices can be plugged into it. */
void pci_express_set_slot(struct pci_function *fn, unsigned int number, bool hotplug);
/* After pci_add_express(), which gets error reporting by it. */
int pci_add_aer(struct pci_function *fn, u16 pos);
int pci_add_acs(struct pci_function *fn, u16 pos, u16 capability);
int pci_add_af(struct pci_function *fn, u8 pos); /* with FLR and transactions pending */
int pci_add_dsn(struct pci_function *fn, u16 pos, u64 serial);
/* @data stays the caller's and must outlive the function; @size is a multiple of 4, at most 32768.
 */
int pci_add_vpd(struct pci_function *fn, u8 pos, const u8 *data, unsigned int size);
/* Marks bits as writable by software (for capabilities without a function of their own here). */
void pci_set_writable(struct pci_function *fn, unsigned int offset, unsigned int width, u32 mask);
/* Marks the function as one of several of its device (header type bit 7). */
void pci_set_multifunction(struct pci_function *fn, bool on);
/* Ends the set-up: what the registers hold now is what a reset restores. */
void pci_seal(struct pci_function *fn);

/*
 * Bus accesses: width 1, 2 or 4, any offset; what lies outside the function's space reads as ones
 * and is not written. Little-endian value.
 */
u32 pci_config_read(struct pci_function *fn, unsigned int offset, unsigned int width);
void pci_config_write(struct pci_function *fn, unsigned int offset, unsigned int width, u32 value);
/* For the function itself (status bits, straps): no masks, no hooks. */
u32 pci_config_get(const struct pci_function *fn, unsigned int offset, unsigned int width);
void pci_config_set(struct pci_function *fn, unsigned int offset, unsigned int width, u32 value);

/* Registers back to their values after reset; calls no hooks. BAR addresses and COMMAND become 0;
 * bytes that belong to nothing keep what was written to them, as on QEMU's devices. */
void pci_reset(struct pci_function *fn);

/*
 * What software keeps over a reset, as Linux's PCI core does around every reset it makes
 * (pci_save_state(), pci_restore_state()): the header, and the control registers of the
 * capabilities. MSI and MSI-X come back if they were enabled.
 */
struct pci_saved_state {
	u8 data[PCI_EXPRESS_CONFIG_SIZE];
};
void pci_save_state(const struct pci_function *fn, struct pci_saved_state *state);
void pci_restore_state(struct pci_function *fn, const struct pci_saved_state *state);

bool pci_memory_enabled(const struct pci_function *fn); /* COMMAND.MEM, and in D0 */
bool pci_io_enabled(const struct pci_function *fn);
bool pci_bus_master(const struct pci_function *fn);
unsigned int pci_power_state(const struct pci_function *fn);
u64 pci_bar_address(const struct pci_function *fn, unsigned int index);
void pci_bar_set_address(struct pci_function *fn, unsigned int index, u64 address);
bool pci_msi_enabled(const struct pci_function *fn);
bool pci_msix_enabled(const struct pci_function *fn);
unsigned int pci_msi_vectors(const struct pci_function *fn); /* capable of */
/* The level of the interrupt pin: sets or clears STATUS.INTERRUPT. */
void pci_set_intx_status(struct pci_function *fn, bool asserted);

#endif
