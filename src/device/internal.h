/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share. */
#ifndef DEVICE_INTERNAL_H
#define DEVICE_INTERNAL_H

#include "device/device.h"

/* The device file (file.c). */

/* Makes memfd, and the offsets of all BARs, as yet absent. 0 or -errno. */
int device_file_init(struct device *dev);
/* Makes the memory of a shared BAR. 0 or -errno. */
int device_file_add_shared(struct device *dev, unsigned int index);
/* All BARs are known: takes from programs what they could do to the file. 0 or -errno. */
int device_file_seal(struct device *dev);
/* Also after a part of the above only. */
void device_file_fini(struct device *dev);

/* Where BAR @index lies in the device file. */
u64 device_bar_slot(unsigned int index, enum device_bar_kind kind);

/* Guards this process's view of a shared BAR against SIGBUS (guard.c). 0 or -ENOMEM. */
int device_guard_add(void *start, size_t size);
void device_guard_remove(void *start);

/* The function's hooks (irq.c): the device follows its registers, then the model may. */
extern const struct pci_function_ops device_pci_ops;
/* Tells the sink if what it sees of the pin has changed. Lock held. */
void device_intx_update(struct device *dev);

/* Lock held. */
void device_reset_locked(struct device *dev, enum device_reset kind);

/* Disarms all timers of @dev and waits for the one that may be running. Without the lock. */
void device_thread_forget(struct device_thread *thread, struct device *dev);

#endif
