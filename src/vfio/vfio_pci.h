/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files vfio_pci*.c share: the state of one open PCI device.
 *
 * Threads: the control thread runs every operation. Interrupts come from device threads with the
 * device's lock held, and a watcher thread of this device's own acts on the eventfds that the
 * program signals. What these two touch is marked "lock" (struct device's lock); locks are taken in
 * the order watch.run, then the device's.
 */
#ifndef VFIO_VFIO_PCI_H
#define VFIO_VFIO_PCI_H

#include <linux/aio_abi.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pci/virt.h"
#include "vfio/internal.h"

#define VFIO_PCI_OFFSET_SHIFT 40

/*
 * Signals eventfds of programs without ever blocking. One for all devices of a core: its end takes
 * the kernel a while.
 */
struct vfio_pci_signaller {
	pthread_mutex_t lock;
	_Atomic(aio_context_t) aio; /* 0: not made yet, or not to be had */
	_Atomic bool tried;	    /* to make it */
	int file;		    /* what the empty reads are made on */
};

/*
 * An eventfd that the program signals and that makes us act (Linux: virqfd). @fn runs under
 * watch.run, without the device's lock, in the control thread or the watcher.
 */
struct vfio_pci_virqfd {
	int fd;
	int user_fd; /* what the program called it */
	long id;     /* the kernel's name of the eventfd, or -1 */
	u64 round;   /* the last in which it was acted on */
	struct cds_list_head node;
	void (*fn)(void *opaque);
	void *opaque;
};

struct vfio_pci_watch {
	pthread_mutex_t run; /* held while events are taken and acted on */
	int epfd;	     /* -1: no virqfd yet */
	int stop;	     /* an eventfd that ends the thread */
	struct cds_list_head virqfds;
	u64 round; /* times that events were taken */
	pthread_t thread;
};

struct vfio_pci_irqs {
	unsigned int type;    /* lock; VFIO_PCI_NUM_IRQS: none of INTx, MSI, MSI-X */
	bool virq_disabled;   /* lock; the user's COMMAND.INTX_DISABLE */
	bool masked;	      /* lock; INTx */
	int intx;	      /* lock; the eventfd or -1 */
	int *msi;	      /* lock; the eventfd or -1 of each vector */
	bool *pending;	      /* lock; MSI-X messages of vectors that have no eventfd */
	unsigned int max_msi; /* vectors that these two have room for */
	unsigned int nr_msi;  /* lock; vectors of the function, while it is MSI or MSI-X */
	unsigned int enabled; /* lock; vectors that MSI was enabled with */
	struct vfio_pci_virqfd *unmask;
	int err, req; /* control thread */
};

struct vfio_pci_ioeventfd;

struct vfio_pci {
	struct vfio_device *vdev;
	struct device *dev;
	struct pci_virt *virt; /* lock */
	size_t rom_size;       /* of the image, 0: none that is valid */
	bool reset_works;
	struct pci_saved_state opened; /* after the reset at open */
	bool flr;		       /* lock; the user asked for one by a register */
	bool decoding;		       /* lock; what device_set_decoding() was told */
	struct vfio_pci_irqs irqs;
	struct vfio_pci_watch watch;
	struct cds_list_head ioeventfds;
	unsigned int nr_ioeventfds;
	/* Low power entry was asked for, and the device sleeps between calls. */
	bool pm_engaged, pm_suspended, pm_intx_masked;
	int pm_wake; /* eventfd or -1 */
};

static inline void vfio_pci_lock(struct vfio_pci *pci)
{
	pthread_mutex_lock(&pci->dev->lock);
}

static inline void vfio_pci_unlock(struct vfio_pci *pci)
{
	pthread_mutex_unlock(&pci->dev->lock);
}

/* vfio_pci.c. Does what hooks called under the lock have left to do; the lock is not held. */
void vfio_pci_settle(struct vfio_pci *pci);

/* vfio_pci_eventfd.c */
/* Adds 1 to the eventfd @fd; none if it is negative. Any thread. */
void vfio_pci_signal(struct vfio_pci *pci, int fd);
void vfio_pci_watch_init(struct vfio_pci_watch *watch);
/* All virqfds are gone. */
void vfio_pci_watch_fini(struct vfio_pci_watch *watch);
/*
 * Calls @fn each time that the program signals its eventfd @fd, and at once if it is signalled
 * already. -EBADF, -EINVAL, -EBUSY (*slot is taken), -ENOMEM. The lock is not held.
 */
int vfio_pci_virqfd_enable(struct vfio_pci *pci, struct vfio_task *task,
			   struct vfio_pci_virqfd **slot, int fd, void (*fn)(void *opaque),
			   void *opaque);
/* On return it is called no more. */
void vfio_pci_virqfd_disable(struct vfio_pci *pci, struct vfio_pci_virqfd **slot);
/* Acts on all that the program has signalled until now. */
void vfio_pci_virqfd_run(struct vfio_pci *pci);

/* vfio_pci_irqs.c */
int vfio_pci_irqs_init(struct vfio_pci *pci);
void vfio_pci_irqs_fini(struct vfio_pci *pci);
long vfio_pci_get_irq_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
long vfio_pci_set_irqs(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
/* The lock is held by the caller of these. */
/* The device was reset. */
void vfio_pci_irqs_reset(struct vfio_pci *pci);
/* Whether that changed anything. */
bool vfio_pci_intx_mask(struct vfio_pci *pci);
void vfio_pci_intx_unmask(struct vfio_pci *pci);

/* vfio_pci_regions.c */
long vfio_pci_get_region_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
/* The index and the offset in it that @pos of the device file means; the index may be any number.
 */
u64 vfio_pci_region(const struct vfio_pci *pci, u64 pos, u64 *offset);
/* The size in bytes of a BAR, or 0 if there is none. */
u64 vfio_pci_bar_size(const struct vfio_pci *pci, u64 index);
bool vfio_pci_bar_is_mem(const struct vfio_pci *pci, unsigned int bar);
/* The MSI-X table in @bar: [start, end), empty if it is elsewhere. */
void vfio_pci_msix_window(const struct vfio_pci *pci, unsigned int bar, u64 *start, u64 *end);
/* The length in bytes of the images in the expansion ROM; 0 if they are not valid. */
size_t vfio_pci_rom_size(struct device *dev);
/* Whether the user has memory decoding on. Takes the lock. */
bool vfio_pci_memory_enabled(struct vfio_pci *pci);

/* vfio_pci_reset.c */
/* Whether a single function can be reset, by whatever method. */
bool vfio_pci_can_reset(struct device *dev);
/* Resets the function; its registers are saved before and restored after. */
int vfio_pci_reset_function(struct device *dev);
/* 0..3. The lock is held. */
void vfio_pci_set_power(struct device *dev, unsigned int state);
long vfio_pci_reset(struct vfio_pci *pci);
long vfio_pci_hot_reset_info(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
long vfio_pci_hot_reset(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
/* At the last close: resets the bus if that is the only way and nobody else uses it. */
void vfio_pci_try_bus_reset(struct vfio_pci *pci);

/* vfio_pci_feature.c */
long vfio_pci_feature(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
/* Before and after each call of the program's. */
void vfio_pci_pm_resume(struct vfio_pci *pci);
void vfio_pci_pm_idle(struct vfio_pci *pci);
void vfio_pci_pm_exit(struct vfio_pci *pci);

/* vfio_pci_dmabuf.c. @va: the feature's data. */
long vfio_pci_dma_buf(struct vfio_pci *pci, struct vfio_task *task, u64 va);

/* vfio_pci_ioeventfd.c */
long vfio_pci_ioeventfd(struct vfio_pci *pci, struct vfio_task *task, u64 arg);
void vfio_pci_ioeventfds_fini(struct vfio_pci *pci);

#endif
