/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "iommu/dma.h"
#include "models/edu/edu.h"

struct fake_machine m;
int container, group, fd;

static struct device_bus bus;

struct box_props {
	u64 plain; /* no PCI Express, so that no single function can be reset */
};

static int box_init(struct device *dev, const void *props, char **error)
{
	const struct box_props *p = props;
	struct pci_bar mem = { .type = PCI_BAR_MEM64, .size = 0x4000 };
	struct pci_bar io = { .type = PCI_BAR_IO, .size = 0x20 };
	struct pci_bar shared = { .type = PCI_BAR_MEM32, .size = 0x2000 };
	struct pci_bar rom = { .type = PCI_BAR_MEM32, .size = 0x1000 };
	struct pci_msix_info msix = { BOX_VECTORS, 0, 0, BOX_TABLE, 0x3000 };
	struct box *box = device_state(dev);
	static const u8 header[] = { 0x55, 0xaa };
	static const u8 data[] = { 'P', 'C', 'I', 'R' };

	dev->ident = (struct pci_ident){
		.vendor = 0x1b36,
		.device = 0x0010,
		.class_code = 0x010802,
		.interrupt_pin = 1,
	};
	pci_function_init(&dev->pci, &dev->ident, !p->plain, NULL);
	assert_int_equal(device_add_bar(dev, 0, &mem, DEVICE_BAR_TRAPPED), 0);
	assert_int_equal(device_add_bar(dev, 2, &io, DEVICE_BAR_PORT), 0);
	assert_int_equal(device_add_bar(dev, 3, &shared, DEVICE_BAR_SHARED), 0);
	assert_int_equal(device_add_bar(dev, PCI_ROM_BAR, &rom, DEVICE_BAR_PORT), 0);
	assert_true(pci_add_msix(&dev->pci, 0x40, &msix) >= 0);
	if (!p->plain)
		assert_true(pci_add_express(&dev->pci, 0x80, PCI_EXP_TYPE_ENDPOINT, true) >= 0);
	memcpy(box->rom, header, sizeof(header));
	box->rom[0x18] = 0x40;
	memcpy(box->rom + 0x40, data, sizeof(data));
	box->rom[0x50] = BOX_ROM_IMAGE / 512;
	box->rom[0x55] = 0x80;
	return 0;
}

static void box_log(struct box *box, unsigned int bar, u64 offset, unsigned int width, bool write,
		    u64 value)
{
	if (box->n < BOX_LOG) {
		box->log[box->n].bar = (u8)bar;
		box->log[box->n].width = (u8)width;
		box->log[box->n].write = write;
		box->log[box->n].offset = offset;
		box->log[box->n].value = value;
	}
	box->n++;
}

static u64 box_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	struct box *box = device_state(dev);
	u64 value = 0x0706050403020100ULL + 0x0101010101010101ULL * (offset & 0xff);

	if (bar == PCI_ROM_BAR)
		memcpy(&value, box->rom + offset, width);
	box_log(box, bar, offset, width, false, 0);
	return value;
}

static void box_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		      u64 value)
{
	box_log(device_state(dev), bar, offset, width, true, value);
}

static void box_reset(struct device *dev, enum device_reset kind)
{
	struct box *box = device_state(dev);

	box->resets[kind]++;
}

static const struct prop box_prop_table[] = {
	{ "plain", PROP_UINT, offsetof(struct box_props, plain), "0", .help = "a PCI function" },
	{ 0 },
};

static const struct device_model box_model = {
	.name = "box",
	.description = "a device of many kinds of registers",
	.props = box_prop_table,
	.props_size = sizeof(struct box_props),
	.state_size = sizeof(struct box),
	.init = box_init,
	.reset = box_reset,
	.bar_read = box_read,
	.bar_write = box_write,
};

/* The machine: devices as firmware leaves them, each in the group of its number. */

static struct device *add(const struct device_model *model, const char *name, u64 plain)
{
	void *props = calloc(1, model->props_size);
	unsigned int index = m.nr_devices++;
	u64 address = 0xfe000000 + index * 0x100000;
	struct device *dev;
	char *error;

	assert_non_null(props);
	prop_defaults(model->props, props);
	if (model == &box_model)
		((struct box_props *)props)->plain = plain;
	assert_int_equal(device_new(model, name, props, m.thread, &dev, &error), 0);
	pthread_mutex_lock(&dev->lock);
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
		if (dev->pci.bars[i].type == PCI_BAR_NONE)
			continue;
		pci_bar_set_address(&dev->pci, i,
				    dev->pci.bars[i].type == PCI_BAR_IO ? 0xc000
									: address + i * 0x10000);
	}
	pci_config_write(&dev->pci, PCI_COMMAND, 2, 0x103);
	pci_config_write(&dev->pci, PCI_INTERRUPT_LINE, 1, 0x0a);
	pthread_mutex_unlock(&dev->lock);
	m.groups[index] = iommu_group_new(index);
	dev->ep.unit = m.units[0];
	iommu_group_add(m.groups[index], &dev->ep);
	m.devices[index] = dev;
	fake_machine_bind(&m, index);
	return dev;
}

static void put_on_bus(struct device *dev)
{
	dev->bus = &bus;
	cds_list_add_tail(&dev->bus_node, &bus.devices);
}

static void open_device(const char *name)
{
	container = fake_open_container(&m.task);
	group = fake_open_group(&m.task, 0);
	assert_true(container >= 0 && group >= 0);
	assert_int_equal(fake_ioctl(&m.task, group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU),
			 0);
	fd = (int)fake_ioctl(&m.task, group, VFIO_GROUP_GET_DEVICE_FD, name);
	assert_true(fd >= 0);
}

static void machine_start(void)
{
	fake_machine_init(&m, 39);
	CDS_INIT_LIST_HEAD(&bus.devices);
}

int setup_edu(void **state)
{
	machine_start();
	add(&edu_model, "0000:00:05.0", 0);
	open_device("0000:00:05.0");
	return 0;
}

int setup_box(void **state)
{
	struct device *dev;

	machine_start();
	dev = add(&box_model, "0000:01:00.0", 0);
	open_device("0000:01:00.0");
	/* The kernel has looked at the ROM. */
	((struct box *)device_state(dev))->n = 0;
	return 0;
}

/* Two functions behind one port; neither can be reset alone. */
int setup_pair(void **state)
{
	machine_start();
	put_on_bus(add(&box_model, "0000:01:00.0", 1));
	put_on_bus(add(&box_model, "0000:01:00.1", 1));
	open_device("0000:01:00.0");
	return 0;
}

int teardown(void **state)
{
	fake_machine_fini(&m);
	return 0;
}

int box_init_once(void **state)
{
	alarm(60); /* a call that blocks is what some tests look for */
	return iommu_dma_init();
}

/* System calls. */

long call(unsigned int cmd, const void *arg)
{
	return fake_ioctl(&m.task, fd, cmd, arg);
}

u32 cfg_read(unsigned int offset, unsigned int width)
{
	u32 value = 0;

	assert_int_equal(fake_pread(&m.task, fd, &value, width, CFG(offset)), width);
	return value;
}

void cfg_write(unsigned int offset, u32 value, unsigned int width)
{
	assert_int_equal(fake_pwrite(&m.task, fd, &value, width, CFG(offset)), width);
}

u32 bar_get(u64 offset)
{
	u32 value = 0;

	assert_int_equal(fake_pread(&m.task, fd, &value, 4, offset), 4);
	return value;
}

void bar_put(u64 offset, u32 value)
{
	assert_int_equal(fake_pwrite(&m.task, fd, &value, 4, offset), 4);
}

long set_irqs_argsz(u32 argsz, u32 flags, u32 index, u32 start, u32 count, const void *data,
		    size_t size)
{
	union {
		struct vfio_irq_set set;
		u8 bytes[sizeof(struct vfio_irq_set) + 4 * 80];
	} u = { .set = { argsz, flags, index, start, count } };

	assert_true(size <= sizeof(u.bytes) - sizeof(u.set));
	memcpy(u.bytes + sizeof(u.set), data ? data : "", data ? size : 0);
	return call(VFIO_DEVICE_SET_IRQS, &u);
}

long set_irqs(u32 flags, u32 index, u32 start, u32 count, const void *data)
{
	size_t size = flags & EVENTFD ? 4 * count : flags & BOOL ? count : 0;

	return set_irqs_argsz(sizeof(struct vfio_irq_set) + size, flags, index, start, count, data,
			      size);
}

long set_eventfd(u32 index, u32 vector, int efd)
{
	return set_irqs(EVENTFD | TRIGGER, index, vector, 1, &efd);
}

long irqs_off(u32 index)
{
	return set_irqs(NONE | TRIGGER, index, 0, 0, NULL);
}

int new_eventfd(void)
{
	int efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(efd >= 0);
	return efd;
}

u64 taken(int efd)
{
	u64 count;

	return read(efd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

bool comes(int efd)
{
	struct pollfd pfd = { efd, POLLIN, 0 };

	return poll(&pfd, 1, 5000) == 1;
}

struct vfio_pci *state_of(unsigned int index)
{
	return m.bound[index]->pci;
}
