/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts and eventfds of device files, as a 7.2 kernel handles them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "pci_box.h"

#define EDU_LIVENESS 0x04
#define EDU_RAISE 0x60
#define EDU_ACK 0x64

static int efds[8];

static int open_eventfds(int (*setup)(void **state), void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(efds); i++)
		efds[i] = new_eventfd();
	return setup(state);
}

static int setup_edu_irqs(void **state)
{
	return open_eventfds(setup_edu, state);
}

static int setup_box_irqs(void **state)
{
	return open_eventfds(setup_box, state);
}

static int teardown_irqs(void **state)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(efds); i++)
		close(efds[i]);
	return teardown(state);
}

static void msi_from(unsigned int index, unsigned int vector)
{
	struct device *dev = m.devices[index];

	pthread_mutex_lock(&dev->lock);
	device_send_msi(dev, vector);
	pthread_mutex_unlock(&dev->lock);
}

static void pin(bool level)
{
	pthread_mutex_lock(&m.devices[0]->lock);
	device_set_intx(m.devices[0], level);
	pthread_mutex_unlock(&m.devices[0]->lock);
}

static bool intx_hidden(void)
{
	return pci_config_get(&m.devices[0]->pci, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;
}

static void test_arguments(void **state)
{
	static const u8 one[2] = { 1, 1 };

	assert_int_equal(set_irqs_argsz(0xffff, NONE | TRIGGER, 0, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(set_irqs_argsz(19, NONE | TRIGGER, 0, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(irqs_off(5), -EINVAL);
	assert_int_equal(irqs_off(~0U), -EINVAL);
	assert_int_equal(set_irqs(0, 0, 0, 0, NULL), -EINVAL);
	assert_int_equal(set_irqs(0, 0, 0, 1, NULL), -EINVAL);
	assert_int_equal(set_irqs(NONE | TRIGGER | 64, 0, 0, 0, NULL), -EINVAL);
	assert_int_equal(set_irqs_argsz(64, NONE | BOOL | TRIGGER, 0, 0, 1, one, 1), -EINVAL);
	assert_int_equal(set_irqs(NONE | MASK | TRIGGER, 0, 0, 1, NULL), -ENOTTY);
	assert_int_equal(set_irqs(NONE, 0, 0, 1, NULL), -ENOTTY);
	assert_int_equal(set_irqs(NONE | TRIGGER, 0, 0, ~0U, NULL), -EINVAL);
	assert_int_equal(set_irqs(NONE | TRIGGER, 0, 0xfffffff0, 0x20, NULL), -EINVAL);
	assert_int_equal(set_irqs_argsz(23, EVENTFD | TRIGGER, 0, 0, 1, efds, 4), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_SET_IRQS, NULL), -EFAULT);
}

/* The descriptors of a block lie where nothing is. */
static void test_absent_data(void **state)
{
	u8 *p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_irq_set set = { 24, EVENTFD | TRIGGER, INTX, 0, 1 };

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PG, PG, PROT_NONE), 0);
	memcpy(p + PG - sizeof(set), &set, sizeof(set));
	assert_int_equal(call(VFIO_DEVICE_SET_IRQS, p + PG - sizeof(set)), -EFAULT);
	assert_int_equal(call(VFIO_DEVICE_SET_IRQS, p + PG - sizeof(set) + 4), -EFAULT);
	munmap(p, 2 * PG);
}

/* The answers to the same sequence on each index, where they exist in edu: INTx, MSI and REQ. */
static void test_each_index(void **state)
{
	enum { NOT_ON = -EINVAL };
	static const struct {
		u32 flags, start, count;
		int what; /* for BOOL: its value; for EVENTFD: efds[what], or a descriptor below 0
			   */
		short intx, msi, msix, req;
		int signals; /* efds[signals] has got one, where the call succeeded */
	} steps[] = {
		{ NONE | TRIGGER, 0, 0, 0, NOT_ON, NOT_ON, -EINVAL, NOT_ON, -1 },
		{ NONE | TRIGGER, 0, 1, 0, NOT_ON, NOT_ON, -EINVAL, NOT_ON, -1 },
		{ BOOL | TRIGGER, 0, 1, 1, NOT_ON, NOT_ON, -EINVAL, 0, -1 },
		{ NONE | MASK, 0, 1, 0, NOT_ON, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ NONE | UNMASK, 0, 1, 0, NOT_ON, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | TRIGGER, 0, 0, 0, -EINVAL, -ERANGE, -EINVAL, -EINVAL, -1 },
		{ EVENTFD | TRIGGER, 0, 2, 0, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -1 },
		{ EVENTFD | TRIGGER, 0, 1, 99, -EBADF, -EBADF, -EINVAL, -EBADF, -1 },
		{ EVENTFD | TRIGGER, 0, 1, 98, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -1 },
		{ EVENTFD | TRIGGER, 0, 1, -2, 0, 0, -EINVAL, -EINVAL, -1 },
		{ NONE | TRIGGER, 0, 0, 0, 0, 0, -EINVAL, NOT_ON, -1 },
		{ EVENTFD | TRIGGER, 0, 1, -1, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 0, 0, 0, 0, 0, -EINVAL, NOT_ON, -1 },
		{ EVENTFD | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, 0 },
		{ BOOL | TRIGGER, 0, 1, 1, 0, 0, -EINVAL, 0, 0 },
		{ BOOL | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, -1 },
		{ EVENTFD | TRIGGER, 0, 1, 1, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, 1 },
		{ NONE | MASK, 0, 1, 0, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ NONE | MASK, 0, 1, 0, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ NONE | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, 1 },
		{ NONE | UNMASK, 0, 1, 0, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ BOOL | MASK, 0, 1, 0, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ BOOL | MASK, 0, 1, 1, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ BOOL | UNMASK, 0, 1, 1, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | MASK, 0, 1, 2, -ENOTTY, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | UNMASK, 0, 1, 2, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | UNMASK, 0, 1, 3, -EBUSY, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | UNMASK, 0, 1, 99, -EBADF, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | UNMASK, 0, 1, -1, 0, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ NONE | MASK, 0, 0, 0, -EINVAL, -ENOTTY, -EINVAL, -ENOTTY, -1 },
		{ EVENTFD | TRIGGER, 0, 1, -1, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, NOT_ON, -1 },
		{ EVENTFD | TRIGGER, 0, 1, 0, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 1, 0, 0, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -1 },
		{ NONE | TRIGGER, 0, 0, 0, 0, 0, -EINVAL, 0, -1 },
		{ NONE | TRIGGER, 0, 0, 0, NOT_ON, NOT_ON, -EINVAL, NOT_ON, -1 },
	};
	static const u32 indexes[] = { INTX, MSI, MSIX, VFIO_PCI_REQ_IRQ_INDEX };

	for (unsigned int k = 0; k < ARRAY_SIZE(indexes); k++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
			const short expect[] = { steps[i].intx, steps[i].msi, steps[i].msix,
						 steps[i].req };
			int what = steps[i].what, fds[2] = { what, -1 };
			u8 bools[2] = { (u8)what, 0 };
			bool with_fd = steps[i].flags & EVENTFD;

			if (what == 99)
				fds[0] = 9999;
			else if (what == 98)
				fds[0] = fd;
			else if (what >= 0)
				fds[0] = efds[what];
			assert_int_equal(set_irqs(steps[i].flags, indexes[k], steps[i].start,
						  steps[i].count,
						  with_fd ? (void *)fds : (void *)bools),
					 expect[k]);
			for (int e = 0; e < 4; e++)
				assert_int_equal(taken(efds[e]),
						 !expect[k] && e == steps[i].signals);
		}
	}
}

static void test_one_at_a_time(void **state)
{
	assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
	assert_int_equal(set_eventfd(MSI, 0, efds[1]), -EINVAL);
	assert_int_equal(irqs_off(MSI), -EINVAL);
	assert_int_equal(irqs_off(INTX), 0);
	assert_int_equal(set_eventfd(MSI, 0, efds[1]), 0);
	assert_int_equal(set_eventfd(INTX, 0, efds[0]), -EINVAL);
	assert_int_equal(irqs_off(INTX), -EINVAL);
	assert_int_equal(irqs_off(MSI), 0);
}

static void test_intx(void **state)
{
	bar_put(EDU_ACK, ~0U);
	assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
	bar_put(EDU_RAISE, 1);
	assert_int_equal(taken(efds[0]), 1);
	/* Masked by its arrival, which the user does not see in the command register. */
	assert_true(intx_hidden());
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 0x103);
	assert_int_equal(cfg_read(PCI_STATUS, 2), 0x18);
	assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 1);
	assert_true(intx_hidden());
	bar_put(EDU_ACK, 1);
	assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 0);
	assert_false(intx_hidden());

	assert_int_equal(set_irqs(NONE | MASK, INTX, 0, 1, NULL), 0);
	bar_put(EDU_RAISE, 2);
	assert_int_equal(taken(efds[0]), 0);
	assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 1);

	/* Enabled while the pin is asserted. */
	assert_int_equal(irqs_off(INTX), 0);
	assert_int_equal(set_eventfd(INTX, 0, efds[1]), 0);
	assert_int_equal(taken(efds[1]), 1);
	/* Without an eventfd it is masked all the same. */
	assert_int_equal(set_eventfd(INTX, 0, -1), 0);
	bar_put(EDU_ACK, ~0U);
	assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
	bar_put(EDU_RAISE, 1);
	assert_true(intx_hidden());
}

static void test_intx_disable_bit(void **state)
{
	assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
	cfg_write(PCI_COMMAND, 0x503, 2);
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 0x503);
	bar_put(EDU_RAISE, 8);
	assert_int_equal(taken(efds[0]), 0);
	assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 0);
	assert_int_equal(set_irqs(NONE | TRIGGER, INTX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 0);
	cfg_write(PCI_COMMAND, 0x103, 2);
	assert_int_equal(taken(efds[0]), 1);
	assert_int_equal(irqs_off(INTX), 0);

	/* Enabled while the user has it disabled. */
	cfg_write(PCI_COMMAND, 0x503, 2);
	assert_int_equal(set_eventfd(INTX, 0, efds[1]), 0);
	assert_int_equal(taken(efds[1]), 0);
	cfg_write(PCI_COMMAND, 0x103, 2);
	assert_int_equal(taken(efds[1]), 1);
}

static void kick(int efd)
{
	assert_int_equal(eventfd_write(efd, 3), 0);
}

static void test_unmask_eventfd(void **state)
{
	assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[2]), 0);
	bar_put(EDU_RAISE, 4);
	assert_int_equal(taken(efds[0]), 1);
	/* By itself, in a while. */
	kick(efds[2]);
	assert_true(comes(efds[0]));
	assert_int_equal(taken(efds[0]), 1);
	/* Before the next call, for certain; the counter is taken. */
	for (unsigned int i = 0; i < 50; i++) {
		kick(efds[2]);
		cfg_read(0, 2);
		assert_int_equal(taken(efds[0]), 1);
		assert_int_equal(taken(efds[2]), 0);
	}
	bar_put(EDU_ACK, 4);
	kick(efds[2]);
	cfg_read(0, 2);
	assert_int_equal(taken(efds[0]), 0);
	assert_false(intx_hidden());

	/* Signalled before it is set: acted on at once, and left there until it is unset. */
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &(int){ -1 }), 0);
	assert_int_equal(set_irqs(NONE | MASK, INTX, 0, 1, NULL), 0);
	kick(efds[3]);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[3]), 0);
	assert_false(intx_hidden());
	assert_true(comes(efds[3]));
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &(int){ -1 }), 0);
	assert_int_equal(taken(efds[3]), 0);

	/* Gone with INTx. */
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[2]), 0);
	assert_int_equal(irqs_off(INTX), 0);
	assert_null(state_of(0)->irqs.unmask);
	kick(efds[2]);
	cfg_read(0, 2);
	assert_int_equal(taken(efds[2]), 3);
}

/* The unmask eventfd of a program that has closed it is nobody's. */
static void test_unmask_eventfd_closed(void **state)
{
	int efd = new_eventfd();

	assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efd), 0);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[5]), -EBUSY);
	close(efd);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[5]), 0);
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[6]), -EBUSY);
	close(efds[5]);
	efds[5] = new_eventfd(); /* of the same number */
	assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[5]), 0);
}

static void test_msi(void **state)
{
	struct device *dev = m.devices[0];

	assert_int_equal(cfg_read(0x42, 2), 0x80);
	assert_int_equal(set_eventfd(MSI, 0, efds[0]), 0);
	assert_true(pci_msi_enabled(&dev->pci));
	assert_true(intx_hidden());
	/* The user sees neither. */
	assert_int_equal(cfg_read(0x42, 2), 0x80);
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 0x103);
	bar_put(EDU_RAISE, 1);
	assert_int_equal(taken(efds[0]), 0); /* no bus mastering */
	bar_put(EDU_ACK, ~0U);
	cfg_write(PCI_COMMAND, 0x107, 2);
	bar_put(EDU_RAISE, 1);
	assert_int_equal(taken(efds[0]), 1);
	/* A vector without an eventfd is lost. */
	assert_int_equal(set_eventfd(MSI, 0, -1), 0);
	msi_from(0, 0);
	assert_int_equal(set_eventfd(MSI, 0, efds[0]), 0);
	assert_int_equal(taken(efds[0]), 0);
	assert_int_equal(irqs_off(MSI), 0);
	assert_false(pci_msi_enabled(&dev->pci));
	assert_false(intx_hidden());
	msi_from(0, 0);
	assert_int_equal(taken(efds[0]), 0);
}

static void test_msix(void **state)
{
	static const u8 alternate[4] = { 0, 1, 0, 1 };
	int mixed[4] = { efds[0], -1, 9999, efds[3] };

	cfg_write(PCI_COMMAND, 7, 2);
	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 0, NULL), -ERANGE);
	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, BOX_VECTORS + 1, NULL), -EINVAL);
	/* Vectors come in any order, the first and the last of them too. */
	assert_int_equal(set_eventfd(MSIX, 1, efds[1]), 0);
	assert_true(pci_msix_enabled(&m.devices[0]->pci));
	assert_int_equal(set_eventfd(MSIX, 0, efds[0]), 0);
	assert_int_equal(set_eventfd(MSIX, BOX_VECTORS - 1, efds[3]), 0);
	msi_from(0, BOX_VECTORS - 1);
	msi_from(0, 1);
	msi_from(0, BOX_VECTORS);
	assert_int_equal(taken(efds[0]), 0);
	assert_int_equal(taken(efds[1]), 1);
	assert_int_equal(taken(efds[3]), 1);
	/* Off by count 0, whatever the start. */
	assert_int_equal(set_irqs(NONE | TRIGGER, MSIX, 1, 0, NULL), 0);
	assert_int_equal(irqs_off(MSIX), -EINVAL);

	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, efds), 0);
	assert_int_equal(set_irqs(NONE | TRIGGER, MSIX, 0, 4, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(taken(efds[i]), 1);
	assert_int_equal(set_irqs(BOOL | TRIGGER, MSIX, 0, 4, alternate), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(taken(efds[i]), alternate[i]);
	/* A bad one takes those before it along; those after it stay. */
	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, mixed), -EBADF);
	assert_int_equal(set_irqs(NONE | TRIGGER, MSIX, 0, 4, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(taken(efds[i]), i == 3);
	assert_int_equal(irqs_off(MSIX), 0);
	/* While it is off, a bad one leaves it off. */
	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, mixed), -EBADF);
	assert_int_equal(irqs_off(MSIX), -EINVAL);
	assert_false(pci_msix_enabled(&m.devices[0]->pci));
}

/* What a vector without an eventfd sends waits for one, as in the pending bits of the hardware. */
static void test_msix_pending(void **state)
{
	cfg_write(PCI_COMMAND, 7, 2);
	assert_int_equal(set_eventfd(MSIX, 0, efds[0]), 0);
	msi_from(0, 5);
	msi_from(0, 5);
	assert_int_equal(set_eventfd(MSIX, 5, efds[5]), 0);
	assert_int_equal(taken(efds[5]), 1);
	assert_int_equal(taken(efds[0]), 0);
	/* Also over a time without MSI-X, but not over a reset. */
	msi_from(0, 6);
	msi_from(0, 7);
	assert_int_equal(irqs_off(MSIX), 0);
	msi_from(0, 4);
	assert_int_equal(set_eventfd(MSIX, 6, efds[6]), 0);
	assert_int_equal(taken(efds[6]), 1);
	assert_int_equal(set_eventfd(MSIX, 4, efds[4]), 0);
	assert_int_equal(taken(efds[4]), 0);
	assert_int_equal(call(VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(set_eventfd(MSIX, 7, efds[7]), 0);
	assert_int_equal(taken(efds[7]), 0);
}

static void test_err_and_req(void **state)
{
	assert_int_equal(set_eventfd(VFIO_PCI_ERR_IRQ_INDEX, 0, efds[0]), 0);
	assert_int_equal(set_eventfd(VFIO_PCI_REQ_IRQ_INDEX, 0, efds[1]), 0);
	/* Both besides the device's own. */
	assert_int_equal(set_eventfd(MSIX, 0, efds[2]), 0);
	assert_int_equal(set_irqs(NONE | TRIGGER, VFIO_PCI_ERR_IRQ_INDEX, 0, 1, NULL), 0);
	assert_int_equal(taken(efds[0]), 1);
	vfio_device_request(m.bound[0]);
	assert_int_equal(taken(efds[1]), 1);
	assert_int_equal(irqs_off(VFIO_PCI_REQ_IRQ_INDEX), 0);
	vfio_device_request(m.bound[0]);
	assert_int_equal(taken(efds[1]), 0);
	assert_int_equal(taken(efds[2]), 0);
}

static void test_err_needs_express(void **state)
{
	assert_int_equal(set_eventfd(VFIO_PCI_ERR_IRQ_INDEX, 0, efds[0]), -EINVAL);
}

/* An eventfd that is full, and would block whoever writes to it. */
static void full_eventfd(void)
{
	int efd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(eventfd_write(efd, ~0ULL - 1), 0);
	cfg_write(PCI_COMMAND, 7, 2);
	assert_int_equal(set_eventfd(MSIX, 0, efd), 0);
	for (unsigned int i = 0; i < 3; i++) {
		msi_from(0, 0);
		assert_int_equal(set_irqs(NONE | TRIGGER, MSIX, 0, 1, NULL), 0);
	}
	assert_true(taken(efd) >= ~0ULL - 1);
	msi_from(0, 0);
	assert_int_equal(taken(efd), 1);
	/* More than the ring of completions holds. */
	for (unsigned int i = 0; i < 1000; i++)
		msi_from(0, 0);
	assert_int_equal(taken(efd), 1000);
	assert_int_equal(fcntl(efd, F_GETFL) & O_NONBLOCK, 0);
	close(efd);
}

static void test_full_eventfd(void **state)
{
	full_eventfd();
}

/* The same where the kernel has no asynchronous I/O for us. */
static void test_full_eventfd_without_aio(void **state)
{
	struct vfio_pci_signaller *s = m.core->signaller;

	assert_int_equal(s->aio, 0); /* nobody has needed it */
	s->tried = true;
	full_eventfd();
}

/* An eventfd that counts down, and one that the program has closed meanwhile. */
static void test_other_eventfds(void **state)
{
	int semaphore = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK), gone = new_eventfd();

	cfg_write(PCI_COMMAND, 7, 2);
	assert_int_equal(set_eventfd(MSIX, 0, semaphore), 0);
	assert_int_equal(set_eventfd(MSIX, 1, gone), 0);
	close(gone);
	msi_from(0, 0);
	msi_from(0, 0);
	msi_from(0, 1);
	assert_int_equal(taken(semaphore), 1);
	assert_int_equal(taken(semaphore), 1);
	assert_int_equal(taken(semaphore), 0);
	close(semaphore);
}

static long ioeventfd(u32 argsz, u32 flags, u64 offset, u64 data, int efd)
{
	struct vfio_device_ioeventfd arg = { argsz, flags, offset, data, efd, 0 };

	return call(VFIO_DEVICE_IOEVENTFD, &arg);
}

static void test_ioeventfd_edu(void **state)
{
	assert_int_equal(ioeventfd(27, 4, 4, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(28, 4, 4, 1, efds[0]), 0);
	assert_int_equal(ioeventfd(40, 0, 4, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 3, 4, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 0x14, 4, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, 4, 1, -2), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, 4, 1, 9999), -EEXIST);
	assert_int_equal(ioeventfd(40, 4, 8, 1, 9999), -EBADF);
	assert_int_equal(ioeventfd(40, 4, 8, 1, fd), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, 4, 1, -1), 0);
	assert_int_equal(ioeventfd(40, 4, 4, 1, -1), -ENODEV);
	assert_int_equal(ioeventfd(40, 4, CFG(4), 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, SLOT(6), 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, 0x100000 - 3, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, SLOT(1), 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 8, 0, 1, -1), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, 2, 1, efds[1]), 0);

	assert_int_equal(ioeventfd(40, 4, EDU_LIVENESS, 0xffff, efds[0]), 0);
	kick(efds[0]);
	assert_int_equal(bar_get(EDU_LIVENESS), 0xffff0000);
	assert_int_equal(taken(efds[0]), 0);
	/* By itself, too: nobody calls until the interrupt is here. */
	assert_int_equal(set_eventfd(INTX, 0, efds[4]), 0);
	assert_int_equal(ioeventfd(40, 4, EDU_RAISE, 1, efds[3]), 0);
	kick(efds[3]);
	assert_true(comes(efds[4]));
	/* Not while the device does not decode. */
	cfg_write(PCI_COMMAND, 0, 2);
	bar_get(CFG(0));
	assert_int_equal(ioeventfd(40, 4, EDU_LIVENESS, 1, efds[5]), 0);
	kick(efds[5]);
	cfg_write(PCI_COMMAND, 3, 2);
	assert_int_equal(bar_get(EDU_LIVENESS), 0xffff0000);
}

static void test_ioeventfd_box(void **state)
{
	struct box *box = device_state(m.devices[0]);

	/* Not into the MSI-X table. */
	assert_int_equal(ioeventfd(40, 4, BOX_TABLE, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 4, BOX_TABLE - 2, 1, efds[0]), -EINVAL);
	assert_int_equal(ioeventfd(40, 2, BOX_TABLE - 2, 0x12345, efds[0]), 0);
	assert_int_equal(ioeventfd(40, 1, SLOT(2) + 3, 0xab, efds[0]), 0);
	/* One signal, two writes. */
	kick(efds[0]);
	cfg_read(0, 2);
	assert_int_equal(box->n, 2);
	for (unsigned int i = 0; i < 2; i++) {
		bool port = box->log[i].bar == 2;

		assert_int_equal(box->log[i].width, port ? 1 : 2);
		assert_int_equal(box->log[i].offset, port ? 3 : BOX_TABLE - 2);
		assert_int_equal(box->log[i].value, port ? 0xab : 0x2345);
	}
	for (u64 i = 2; i < 1000; i++)
		assert_int_equal(ioeventfd(40, 4, 0, i, efds[1]), 0);
	assert_int_equal(ioeventfd(40, 4, 0, 1000, efds[1]), -ENOSPC);
	kick(efds[1]);
	cfg_read(0, 2);
	assert_int_equal(box->n, 1000);
}

/* Device threads send while the program changes its mind. */

static atomic_bool sending;

static void *sender(void *arg)
{
	while (atomic_load(&sending)) {
		for (unsigned int v = 0; v < 4; v++)
			msi_from(0, v);
		pin(true);
		pin(false);
	}
	return NULL;
}

static void test_concurrent(void **state)
{
	pthread_t threads[2];

	cfg_write(PCI_COMMAND, 7, 2);
	atomic_store(&sending, true);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sender, NULL), 0);
	for (unsigned int i = 0; i < 200; i++) {
		assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, efds), 0);
		assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, efds + 4), 0);
		assert_int_equal(set_eventfd(MSIX, 2, -1), 0);
		assert_int_equal(irqs_off(MSIX), 0);
		assert_int_equal(set_eventfd(INTX, 0, efds[0]), 0);
		assert_int_equal(set_irqs(EVENTFD | UNMASK, INTX, 0, 1, &efds[1]), 0);
		kick(efds[1]);
		assert_int_equal(set_irqs(NONE | UNMASK, INTX, 0, 1, NULL), 0);
		assert_int_equal(irqs_off(INTX), 0);
	}
	/* Closed in the midst of it. */
	assert_int_equal(set_irqs(EVENTFD | TRIGGER, MSIX, 0, 4, efds), 0);
	assert_int_equal(fake_close(&m.task, fd), 0);
	atomic_store(&sending, false);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

#define EDU(test) cmocka_unit_test_setup_teardown(test, setup_edu_irqs, teardown_irqs)
#define BOX(test) cmocka_unit_test_setup_teardown(test, setup_box_irqs, teardown_irqs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDU(test_arguments),
		EDU(test_absent_data),
		EDU(test_each_index),
		EDU(test_one_at_a_time),
		EDU(test_intx),
		EDU(test_intx_disable_bit),
		EDU(test_unmask_eventfd),
		EDU(test_unmask_eventfd_closed),
		EDU(test_msi),
		BOX(test_msix),
		BOX(test_msix_pending),
		BOX(test_err_and_req),
		EDU(test_err_needs_express),
		BOX(test_full_eventfd),
		BOX(test_full_eventfd_without_aio),
		BOX(test_other_eventfds),
		EDU(test_ioeventfd_edu),
		BOX(test_ioeventfd_box),
		BOX(test_concurrent),
	};

	return cmocka_run_group_tests(tests, box_init_once, NULL);
}
