/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between device models and everything that uses devices.
 *
 * A model is a struct device_model: identity, properties, and callbacks. A device is one instance:
 * a PCI function, an endpoint of an IOMMU, BARs, an interrupt sink, timers. Models see this header
 * and pci/ and nothing else.
 *
 * Threads: each device has a lock. All model callbacks run with it held, in whatever thread made
 * the access (the control thread for a program's accesses, a device thread for timers and
 * peer-to-peer). Functions marked "model" are called by models, from their callbacks, with the lock
 * held. Functions marked "user" are called by the device's user (src/vfio, src/host) in the control
 * thread, without the lock.
 *
 * A model does DMA in device threads only (from its timers): it may reach a BAR of another device,
 * whose lock it then takes. Nobody waits for RCU readers with a device's lock held.
 *
 * Models trust nothing they read from the program's memory.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <pthread.h>

#include "base/prop.h"
#include "iommu/iommu.h"
#include "pci/pci.h"

struct device;

/* How a BAR is offered to programs. */
enum device_bar_kind {
	DEVICE_BAR_PORT,    /* reached by read and write alone */
	DEVICE_BAR_TRAPPED, /* mappable; each access through a mapping is caught and emulated */
	DEVICE_BAR_SHARED,  /* plain memory between program and model */
};

enum device_reset {
	DEVICE_RESET_FUNCTION, /* FLR, or the bus's reset of one function */
	DEVICE_RESET_BUS,      /* secondary bus reset, power on */
};

struct device_model {
	const char *name;
	const char *description; /* one line, no full stop */
	const struct prop *props;
	size_t props_size; /* of the structure that props describes */
	size_t state_size; /* of the model's state: zeroed, device_state() */

	/*
	 * Sets up the PCI function (pci_function_init() and what follows, but not pci_seal()), the
	 * BARs (device_add_bar()), dev->ident and the state. @props lives as long as the device. 0,
	 * or -errno with *error a malloc'ed line for the user, or NULL; fini is not called then.
	 */
	int (*init)(struct device *dev, const void *props, char **error);
	void (*fini)(struct device *dev);
	/* The registers of the PCI function are already reset. Pending timers of the model are its
	 * own to stop. */
	void (*reset)(struct device *dev, enum device_reset kind);
	/*
	 * One access to a BAR (0-5, or PCI_ROM_BAR): width 1, 2, 4 or 8, any alignment, wholly
	 * inside the BAR. Not called for DEVICE_BAR_SHARED.
	 */
	u64 (*bar_read)(struct device *dev, unsigned int bar, u64 offset, unsigned int width);
	void (*bar_write)(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
			  u64 value);
};

/* One-shot timer of a model. Zero it, set the callback, arm it. */
struct device_timer {
	struct device *dev;
	void (*expired)(
		struct device_timer *timer); /* in a device thread, with the device's lock held */
	u64 deadline_ns;		     /* CLOCK_MONOTONIC; 0: not armed */
	struct cds_list_head node;
};

/* Whoever receives the device's interrupts. Called in any thread, with the device's lock held; must
 * not block. */
struct device_irq_sink {
	void (*intx)(void *opaque, bool level);
	void (*msi)(void *opaque, unsigned int vector); /* MSI or MSI-X, whichever is enabled */
};

struct device_bar {
	enum device_bar_kind kind;
	u64 offset; /* of the BAR in the device file: what VFIO_DEVICE_GET_REGION_INFO reports */
	void *host; /* DEVICE_BAR_SHARED: this process's view */
};

/*
 * The functions behind one bridge: what a secondary bus reset resets. Kept by src/host. A device on
 * a root bus has none: nothing can reset that bus.
 */
struct device_bus {
	struct cds_list_head devices; /* struct device.bus_node, in the order of their addresses */
	bool slot_reset; /* behind a hotplug-capable port: the whole slot can be reset (Linux:
			    pci_probe_reset_slot) */
};

/* The thread that runs a host's timers and polling models; made by device_thread_new(). */
struct device_thread;

struct device {
	const struct device_model *model;
	void *props;
	void *state;
	struct pci_function pci; /* lock */
	struct pci_ident ident;	 /* fixed after init */
	struct iommu_endpoint ep;
	const struct pci_function_ops *model_ops; /* fixed after init; or NULL */
	struct device_bar bars[PCI_NUM_BARS + 1]; /* fixed after init */
	/*
	 * The file that programs get: shared BARs lie in it at their offsets; trapped BARs and
	 * config space lie past its end. Made by device_new(); the owner of the device may reopen
	 * it. Its seals cannot be changed by programs. Without shared BARs its size is sealed at 0.
	 */
	int memfd;
	int aside;	      /* shared BARs while they are absent from memfd, or -1 */
	u64 file_size;	      /* of memfd while shared BARs are present; fixed after init */
	pthread_mutex_t lock; /* recursive: a device's DMA may reach a BAR of its own */
	const struct device_irq_sink *sink; /* lock */
	void *sink_opaque;		    /* lock */
	bool intx_level;		    /* lock: the model's level of the pin */
	bool intx_seen;			    /* lock: the level that the sink was told last */
	bool decoding;			    /* control thread: shared BARs are present in memfd */
	struct device_thread *thread;
	struct device_bus *bus; /* or NULL; src/host's */
	struct cds_list_head bus_node;
	void *driver_data; /* of the driver bound to it (src/vfio) */
};

/*
 * Makes a device of @model at @name ("0000:01:00.0") and runs its init. @props was filled by
 * prop_set() and is consumed (malloc'ed; freed with prop_clear() and free()), also on error. The
 * endpoint is initialized but for unit and group, which src/host sets. 0, or -errno with *error a
 * malloc'ed line.
 */
int device_new(const struct device_model *model, const char *name, void *props,
	       struct device_thread *thread, struct device **out, char **error);
/* The device must be bound to no driver and its endpoint in no group. */
void device_free(struct device *dev);

/* Model. */
static inline void *device_state(struct device *dev)
{
	return dev->state;
}
/* Model, in init: declares a BAR. -EINVAL, -ENOMEM. A shared BAR's memory is zeroed and at
 * dev->bars[index].host. */
int device_add_bar(struct device *dev, unsigned int index, const struct pci_bar *bar,
		   enum device_bar_kind kind);
/* Model. DMA by the device: 0 or -EFAULT; recorded as a fault. Fails too while bus mastering is
 * disabled. */
int device_dma_read(struct device *dev, u64 iova, void *buf, size_t len);
int device_dma_write(struct device *dev, u64 iova, const void *buf, size_t len);
/* Model. The level of the interrupt pin; STATUS follows; the sink sees it unless INTX_DISABLE, MSI
 * or MSI-X is set. */
void device_set_intx(struct device *dev, bool level);
/* Model. An MSI or MSI-X message; dropped while bus mastering is off or the vector does not exist.
 */
void device_send_msi(struct device *dev, unsigned int vector);
/* Model. Arms or re-arms for @deadline_ns (CLOCK_MONOTONIC; in the past: as soon as possible). */
void device_timer_arm(struct device *dev, struct device_timer *timer, u64 deadline_ns);
void device_timer_cancel(struct device_timer *timer);
u64 device_now_ns(void);

/*
 * User, and MMIO traps. One access to a BAR by a program or a peer: any offset and width 1-8 inside
 * the BAR. 0, -EIO (memory decoding is off, or the device is in D3), -EINVAL (outside). An I/O BAR
 * that does not decode reads as ones and drops writes, as the bus does. Takes the lock.
 */
int device_bar_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		    u64 *value);
int device_bar_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		     u64 value);
/* User. Locked accesses to the function's registers as on the bus. */
u32 device_config_read(struct device *dev, unsigned int offset, unsigned int width);
void device_config_write(struct device *dev, unsigned int offset, unsigned int width, u32 value);
/* User. Resets the function and the model; calls no hooks of vfio. */
void device_reset(struct device *dev, enum device_reset kind);
/* User. NULL removes the sink; on return the old one is called no more. The new one is told of an
 * asserted pin at once. */
void device_set_irq_sink(struct device *dev, const struct device_irq_sink *sink, void *opaque);
/* User. Whether the pin is asserted and would be seen (level, not INTX_DISABLE). Takes the lock. */
bool device_intx_pending(struct device *dev);
/*
 * User. Makes shared BARs absent (every mapping of them raises SIGBUS; contents are kept aside) or
 * present again, to agree with memory decoding.
 */
void device_set_decoding(struct device *dev, bool on);
/* Which BAR lies at @offset of the device file: 0 with *bar and *bar_offset, or -EINVAL. */
int device_file_offset(const struct device *dev, u64 offset, unsigned int *bar, u64 *bar_offset);

/* NULL with errno. The thread is idle (blocked) while no timer is armed. */
struct device_thread *device_thread_new(void);
/* No device may use it any more. */
void device_thread_free(struct device_thread *thread);

#endif
