/* SPDX-License-Identifier: BSD-3-Clause */
/* Device files of PCI functions: regions, resets, features, as a 7.2 kernel answers. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "models/edu/edu.h"
#include "pci_box.h"

#define NO_ADDRESS ((void *)8)

static int map(u64 pos, u64 len, int prot, int flags)
{
	struct vfio_file *file = fake_file(&m.task, fd);

	return file->ops->mmap(file, &m.task.task, len, prot, flags, pos);
}

/* Information. */

static void test_info(void **state)
{
	struct {
		struct vfio_device_info info;
		u32 guard;
	} a;
	static const u32 short_argsz[] = { 0, 4, 8, 15 };

	for (unsigned int i = 0; i < ARRAY_SIZE(short_argsz); i++) {
		memset(&a, 0xee, sizeof(a));
		a.info.argsz = short_argsz[i];
		assert_int_equal(call(VFIO_DEVICE_GET_INFO, &a), -EINVAL);
		assert_int_equal(a.info.flags, 0xeeeeeeee);
	}
	memset(&a, 0xee, sizeof(a));
	a.info.argsz = 17;
	assert_int_equal(call(VFIO_DEVICE_GET_INFO, &a), 0);
	assert_int_equal(a.info.argsz, 17);
	assert_int_equal(a.info.flags, VFIO_DEVICE_FLAGS_PCI);
	assert_int_equal(a.info.num_regions, 9);
	assert_int_equal(a.info.num_irqs, 5);
	assert_int_equal(a.info.cap_offset, 0xeeeeee00);
	a.info.argsz = 4096;
	assert_int_equal(call(VFIO_DEVICE_GET_INFO, &a), 0);
	assert_int_equal(a.info.cap_offset, 0);
	assert_int_equal(a.info.pad, 0);
	assert_int_equal(a.guard, 0xeeeeeeee);
	assert_int_equal(call(VFIO_DEVICE_GET_INFO, NULL), -EFAULT);
}

static void test_unknown_ioctls(void **state)
{
	u32 arg[8] = { 32 };

	assert_int_equal(call(VFIO_DEVICE_QUERY_GFX_PLANE, arg), -ENOTTY);
	assert_int_equal(call(VFIO_DEVICE_GET_GFX_DMABUF, arg), -ENOTTY);
	assert_int_equal(call(VFIO_DEVICE_ATTACH_IOMMUFD_PT, arg), -ENOTTY);
	assert_int_equal(call(VFIO_DEVICE_DETACH_IOMMUFD_PT, arg), -ENOTTY);
	assert_int_equal(call(VFIO_DEVICE_BIND_IOMMUFD, arg), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_BIND_IOMMUFD, NULL), -EFAULT);
	assert_int_equal(call(VFIO_GET_API_VERSION, arg), -ENOTTY);
	assert_int_equal(call(0x5401, arg), -ENOTTY);
}

struct region_buffer {
	struct vfio_region_info info;
	struct vfio_info_cap_header cap;
};

static long region_info(struct region_buffer *b, u32 argsz, u32 index)
{
	memset(b, 0xee, sizeof(*b));
	b->info.argsz = argsz;
	b->info.index = index;
	return call(VFIO_DEVICE_GET_REGION_INFO, b);
}

static void test_regions_edu(void **state)
{
	struct region_buffer b;

	assert_int_equal(region_info(&b, 31, 0), -EINVAL);
	assert_int_equal(b.info.flags, 0xeeeeeeee);
	assert_int_equal(region_info(&b, 32, 0), 0);
	assert_int_equal(b.info.flags, 7);
	assert_int_equal(b.info.size, 0x100000);
	assert_int_equal(b.info.offset, m.devices[0]->bars[0].offset);
	assert_int_equal(b.info.cap_offset, 0xeeeeeeee);
	for (u32 i = 1; i <= VFIO_PCI_ROM_REGION_INDEX; i++) {
		assert_int_equal(region_info(&b, 4096, i), 0);
		assert_int_equal(b.info.argsz, 4096);
		assert_int_equal(b.info.flags, 0);
		assert_int_equal(b.info.size, 0);
		assert_int_equal(b.info.offset, SLOT(i));
	}
	assert_int_equal(region_info(&b, 32, VFIO_PCI_CONFIG_REGION_INDEX), 0);
	assert_int_equal(b.info.flags, 3);
	assert_int_equal(b.info.size, 256);
	assert_int_equal(b.info.offset, SLOT(7));
	assert_int_equal(region_info(&b, 32, VFIO_PCI_VGA_REGION_INDEX), -EINVAL);
	assert_int_equal(region_info(&b, 32, 9), -EINVAL);
	assert_int_equal(region_info(&b, 32, ~0U), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_GET_REGION_INFO, NULL), -EFAULT);
}

static void test_regions_box(void **state)
{
	static const struct {
		u32 flags;
		u64 size;
	} expect[] = { { 0xf, 0x4000 }, { 0, 0 }, { 3, 0x20 },	 { 7, 0x2000 },
		       { 0, 0 },	{ 0, 0 }, { 1, 0x1000 }, { 3, 0x1000 } };
	struct region_buffer b;

	for (u32 i = 0; i < ARRAY_SIZE(expect); i++) {
		assert_int_equal(region_info(&b, sizeof(b), i), 0);
		assert_int_equal(b.info.flags, expect[i].flags);
		assert_int_equal(b.info.size, expect[i].size);
	}
	assert_int_equal(region_info(&b, 32, 0), 0);
	assert_int_equal(b.info.argsz, 40);
	assert_int_equal(b.info.flags, 0xf);
	assert_int_equal(b.info.cap_offset, 0);
	assert_int_equal(b.cap.id, 0xeeee);
	assert_int_equal(region_info(&b, 40, 0), 0);
	assert_int_equal(b.info.cap_offset, 32);
	assert_int_equal(b.cap.id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	assert_int_equal(b.cap.version, 1);
	assert_int_equal(b.cap.next, 0);
}

static void test_irq_info(void **state)
{
	static const struct {
		long ret;
		u32 flags, count;
	} edu[] = { { 0, 7, 1 },
		    { 0, 9, 1 },
		    { 0, 9, 0 },
		    { -EINVAL, 0xdead, 0xdead },
		    { 0, 9, 1 } },
	  box[] = { { 0, 7, 1 }, { 0, 9, 0 }, { 0, 1, BOX_VECTORS }, { 0, 9, 1 }, { 0, 9, 1 } },
	  *expect;
	struct vfio_irq_info info;

	expect = m.devices[0]->model == &edu_model ? edu : box;
	for (u32 i = 0; i < 5; i++) {
		info = (struct vfio_irq_info){ 16, 0xdead, i, 0xdead };
		assert_int_equal(call(VFIO_DEVICE_GET_IRQ_INFO, &info), expect[i].ret);
		assert_int_equal(info.flags, expect[i].flags);
		assert_int_equal(info.count, expect[i].count);
	}
	info = (struct vfio_irq_info){ 15, 0, 0, 0 };
	assert_int_equal(call(VFIO_DEVICE_GET_IRQ_INFO, &info), -EINVAL);
	info = (struct vfio_irq_info){ 16, 0, 5, 0 };
	assert_int_equal(call(VFIO_DEVICE_GET_IRQ_INFO, &info), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_GET_IRQ_INFO, NULL), -EFAULT);
}

/* Accesses to BARs. */

static struct box *box_of(unsigned int index)
{
	return device_state(m.devices[index]);
}

/* The widths of the accesses since the last call, as digits. */
static const char *widths(void)
{
	static char text[BOX_LOG + 1];
	struct box *box = box_of(0);
	unsigned int i;

	for (i = 0; i < MIN(box->n, (unsigned int)BOX_LOG); i++)
		text[i] = (char)('0' + box->log[i].width);
	text[i] = 0;
	box->n = 0;
	return text;
}

static void test_bar_splitting(void **state)
{
	static const struct {
		u64 pos;
		size_t count;
		const char *widths;
	} steps[] = {
		{ 0, 1, "1" },	      { 0, 2, "2" },
		{ 0, 3, "21" },	      { 0, 4, "4" },
		{ 0, 8, "8" },	      { 0, 16, "88" },
		{ 1, 4, "121" },      { 2, 4, "22" },
		{ 2, 2, "2" },	      { 4, 8, "44" },
		{ 3, 13, "148" },     { 7, 10, "181" },
		{ SLOT(2), 8, "44" }, { SLOT(2) + 1, 3, "12" },
	};
	u8 in[32], out[32];

	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		u64 pos = steps[i].pos;

		memset(in, 0, sizeof(in));
		assert_int_equal(fake_pread(&m.task, fd, in, steps[i].count, pos), steps[i].count);
		assert_string_equal(widths(), steps[i].widths);
		for (unsigned int k = 0; k < steps[i].count; k++) {
			assert_int_equal(in[k], (u8)(pos + k));
			out[k] = (u8)(k * 7);
		}
		assert_int_equal(fake_pwrite(&m.task, fd, out, steps[i].count, pos),
				 steps[i].count);
		assert_true(box_of(0)->log[0].write);
		assert_int_equal(box_of(0)->log[0].offset, pos & 0xff);
		assert_memory_equal(&box_of(0)->log[0].value, out, box_of(0)->log[0].width);
		assert_string_equal(widths(), steps[i].widths);
	}
}

static void test_bar_ends(void **state)
{
	static const u64 starts[] = { SLOT(0), SLOT(2), SLOT(3), SLOT(6) };
	static const u64 sizes[] = { 0x4000, 0x20, 0x2000, 0x1000 };
	u8 buf[16] = { 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(starts); i++) {
		u64 end = starts[i] + sizes[i];

		assert_int_equal(fake_pread(&m.task, fd, buf, 8, end - 4), 4);
		assert_int_equal(fake_pread(&m.task, fd, buf, 2, end - 1), 1);
		assert_int_equal(fake_pread(&m.task, fd, buf, 4, end), -EINVAL);
		assert_int_equal(fake_pread(&m.task, fd, buf, 0, end), 0);
		assert_int_equal(fake_pread(&m.task, fd, buf, 4, end + PG), -EINVAL);
		assert_int_equal(fake_pread(&m.task, fd, buf, 4, starts[i] + SLOT(1) - 4), -EINVAL);
		assert_int_equal(fake_pread(&m.task, fd, NULL, 4, starts[i]), -EFAULT);
		assert_int_equal(fake_pwrite(&m.task, fd, buf, 4, end), -EINVAL);
	}
	assert_int_equal(fake_pwrite(&m.task, fd, buf, 4, SLOT(6)), -EINVAL);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, SLOT(1)), -EINVAL);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, SLOT(8)), -EINVAL);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, SLOT(9)), -EINVAL);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, SLOT(255)), -EINVAL);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, ~0ULL << 12), -EINVAL);
}

static void test_msix_window(void **state)
{
	const u64 table = m.devices[0]->bars[0].offset + BOX_TABLE, end = table + 16 * BOX_VECTORS;
	static const u8 ones[16] = { [0 ... 15] = 0xff };
	u8 buf[16];

	assert_int_equal(fake_pread(&m.task, fd, buf, 16, table), 16);
	assert_memory_equal(buf, ones, 16);
	assert_string_equal(widths(), "");
	assert_int_equal(fake_pwrite(&m.task, fd, buf, 16, table + 16), 16);
	assert_string_equal(widths(), "");
	/* Nobody looks at what is dropped. */
	assert_int_equal(fake_pwrite(&m.task, fd, NULL, 16, table + 16), 16);
	assert_int_equal(fake_pread(&m.task, fd, buf, 8, end - 4), 8);
	assert_memory_equal(buf, ones, 4);
	assert_int_equal(buf[4], (u8)end);
	assert_string_equal(widths(), "4");
	assert_int_equal(fake_pread(&m.task, fd, buf, 8, table - 4), 8);
	assert_memory_equal(buf + 4, ones, 4);
	assert_string_equal(widths(), "4");
	/* It is no memory: decoding does not matter. */
	cfg_write(PCI_COMMAND, 0, 2);
	assert_int_equal(fake_pread(&m.task, fd, buf, 8, table), 8);
	assert_int_equal(fake_pread(&m.task, fd, buf, 8, end - 4), -EIO);
}

static void test_decoding(void **state)
{
	struct device *dev = m.devices[0];
	u32 value;

	assert_true(dev->decoding);
	bar_put(SLOT(3) + 0x10, 0x12345678);
	cfg_write(PCI_COMMAND, 0, 2);
	assert_false(dev->decoding);
	assert_int_equal(fake_pread(&m.task, fd, &value, 4, SLOT(0)), -EIO);
	assert_int_equal(fake_pwrite(&m.task, fd, &value, 4, SLOT(3)), -EIO);
	assert_int_equal(fake_pwrite(&m.task, fd, NULL, 4, SLOT(0)), -EFAULT);
	assert_int_equal(map(SLOT(3), PG, PROT_READ, MAP_SHARED), 0);
	/* I/O ports: nobody answers. */
	assert_int_equal(bar_get(SLOT(2)), 0xffffffff);
	bar_put(SLOT(2), 1);
	assert_string_equal(widths(), "");
	cfg_write(PCI_COMMAND, 3, 2);
	assert_true(dev->decoding);
	assert_int_equal(bar_get(SLOT(3) + 0x10), 0x12345678);
	assert_int_equal(bar_get(SLOT(2)), 0x03020100);
}

static void test_rom(void **state)
{
	u8 buf[8];

	assert_int_equal(fake_pread(&m.task, fd, buf, 8, SLOT(6)), 8);
	assert_string_equal(widths(), "44");
	assert_int_equal(bar_get(SLOT(6)), 0x0000aa55);
	assert_int_equal(fake_pread(&m.task, fd, buf, 3, SLOT(6) + 1), 3);
	assert_int_equal(buf[0], 0xaa);
	assert_int_equal(fake_pread(&m.task, fd, buf, 8, SLOT(6) + BOX_ROM_IMAGE - 4), 8);
	assert_int_equal(buf[3], 0);
	assert_int_equal(buf[4], 0xff);
	assert_int_equal(bar_get(SLOT(6) + 0xffc), 0xffffffff);
	cfg_write(PCI_COMMAND, 0, 2);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4, SLOT(6)), -EIO);
}

static void test_rom_images(void **state)
{
	struct box *box = box_of(0);

	assert_int_equal(vfio_pci_rom_size(m.devices[0]), BOX_ROM_IMAGE);
	/* A second image, which is not there. */
	box->rom[0x55] = 0;
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), BOX_ROM_IMAGE);
	memcpy(box->rom + BOX_ROM_IMAGE, box->rom, 0x60);
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), 2 * BOX_ROM_IMAGE);
	/* Longer than the window. */
	box->rom[0x50] = 0x40;
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), 0x1000);
	box->rom[0x50] = 0;
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), 0);
	box->rom[0x19] = 0xff;
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), 0);
	box->rom[0] = 0;
	assert_int_equal(vfio_pci_rom_size(m.devices[0]), 0);
}

/* Two pages, the second of which is absent. */
static u8 *edge_new(void)
{
	u8 *p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PG, PG, PROT_NONE), 0);
	return p;
}

static void test_buffer_crosses_end(void **state)
{
	u8 *p = edge_new();

	/* What lies before the hole is written, and then it is an error. */
	memset(p, 0x5a, PG);
	assert_int_equal(fake_pwrite(&m.task, fd, p + PG - 12, 16, 0), -EFAULT);
	assert_string_equal(widths(), "8");
	assert_int_equal(fake_pread(&m.task, fd, p + PG - 8, 16, 0), -EFAULT);
	assert_int_equal(p[PG - 8], 0);
	assert_int_equal(p[PG - 1], 7);
	widths();

	cfg_write(PCI_INTERRUPT_LINE, 0x11, 1);
	memset(p, 0x5a, PG);
	assert_int_equal(fake_pwrite(&m.task, fd, p + PG - 1, 4, CFG(PCI_INTERRUPT_LINE)), -EFAULT);
	assert_int_equal(cfg_read(PCI_INTERRUPT_LINE, 1), 0x11);
	assert_int_equal(fake_pwrite(&m.task, fd, p + PG - 4, 8, CFG(PCI_INTERRUPT_LINE)), -EFAULT);
	assert_int_equal(cfg_read(PCI_INTERRUPT_LINE, 1), 0x5a);
	assert_int_equal(fake_pread(&m.task, fd, p + PG - 4, 8, CFG(0)), -EFAULT);
	assert_int_equal(p[PG - 4], 0x36);
	munmap(p, 2 * PG);
}

static void test_large_transfer(void **state)
{
	static u8 buf[1 << 20];

	assert_int_equal(fake_pread(&m.task, fd, buf, sizeof(buf), 0), 0x4000);
	assert_int_equal(fake_pread(&m.task, fd, buf, sizeof(buf), SLOT(3) + 4), 0x1ffc);
	assert_int_equal(fake_pwrite(&m.task, fd, buf, sizeof(buf), 4), 0x3ffc);
	assert_int_equal(fake_pread(&m.task, fd, buf, sizeof(buf), CFG(0)), -EFAULT);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4096, CFG(0)), 4096);
	assert_int_equal(fake_pread(&m.task, fd, buf, 4097, CFG(0)), -EFAULT);
	assert_int_equal(fake_pread(&m.task, fd, buf, 1, CFG(4096)), -EFAULT);
	assert_int_equal(fake_pwrite(&m.task, fd, buf, 4, CFG(4094)), -EFAULT);
}

static void test_mmap(void **state)
{
	const int rw = PROT_READ | PROT_WRITE;
	u64 bar0 = m.devices[0]->bars[0].offset;

	assert_int_equal(map(bar0, 0x4000, rw, MAP_SHARED), 0);
	assert_int_equal(map(bar0 + 0x3000, 0x1000, PROT_NONE, MAP_SHARED), 0);
	assert_int_equal(map(bar0, 0x100, PROT_READ, MAP_SHARED_VALIDATE), 0);
	assert_int_equal(map(SLOT(3), 0x2000, rw, MAP_SHARED), 0);
	assert_int_equal(map(bar0, PG, rw, MAP_PRIVATE), -EINVAL);
	assert_int_equal(map(bar0, PG, PROT_READ | PROT_EXEC, MAP_SHARED), -EPERM);
	assert_int_equal(map(bar0, 0, PROT_READ, MAP_SHARED), -EINVAL);
	assert_int_equal(map(bar0 + 0x4000, PG, PROT_READ, MAP_SHARED), -EINVAL);
	assert_int_equal(map(bar0 + 0x3000, 0x2000, PROT_READ, MAP_SHARED), -EINVAL);
	assert_int_equal(map(bar0, 0x4001, PROT_READ, MAP_SHARED), -EINVAL);
	for (u32 i = 1; i < 12; i++)
		assert_int_equal(map(SLOT(i), PG, PROT_READ, MAP_SHARED), i == 3 ? 0 : -EINVAL);
}

/* Resets. */

static void test_no_reset(void **state)
{
	/* A conventional device on the root bus. */
	assert_int_equal(call(VFIO_DEVICE_RESET, NULL), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_RESET, NO_ADDRESS), -EINVAL);
}

static void test_reset(void **state)
{
	struct box *box = box_of(0);
	unsigned int before = box->resets[DEVICE_RESET_FUNCTION];
	u64 address = pci_bar_address(&m.devices[0]->pci, 0);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int efd = new_eventfd();

	assert_int_equal(before, 1); /* at open */
	assert_int_equal(call(VFIO_DEVICE_GET_INFO, &info), 0);
	assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	cfg_write(PCI_INTERRUPT_LINE, 0x5a, 1);
	cfg_write(PCI_COMMAND, 7, 2);
	assert_int_equal(set_eventfd(MSIX, 0, efd), 0);
	assert_int_equal(call(VFIO_DEVICE_RESET, NULL), 0);
	assert_int_equal(box->resets[DEVICE_RESET_FUNCTION], before + 1);
	assert_int_equal(box->resets[DEVICE_RESET_BUS], 0);
	assert_int_equal(cfg_read(PCI_INTERRUPT_LINE, 1), 0x5a);
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 7);
	assert_int_equal(pci_bar_address(&m.devices[0]->pci, 0), address);
	/* Interrupts stay on, and arrive. */
	assert_true(pci_msix_enabled(&m.devices[0]->pci));
	pthread_mutex_lock(&m.devices[0]->lock);
	device_send_msi(m.devices[0], 0);
	pthread_mutex_unlock(&m.devices[0]->lock);
	assert_int_equal(taken(efd), 1);

	/* The same by the register; it reads as zero. */
	cfg_write(0x80 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(box->resets[DEVICE_RESET_FUNCTION], before + 2);
	assert_int_equal(cfg_read(0x80 + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR, 0);
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 7);
	close(efd);
}

/* struct vfio_pci_hot_reset, with its descriptors. */
struct hot_reset {
	u32 argsz, flags, count;
	int fds[3];
};

static void test_hot_reset_root_bus(void **state)
{
	struct vfio_pci_hot_reset_info info = { .argsz = 11 };
	struct hot_reset reset = { 16, 0, 1, { group } };

	assert_int_equal(call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -EINVAL);
	info.argsz = 12;
	assert_int_equal(call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -ENODEV);
	assert_int_equal(call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, NULL), -EFAULT);
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &reset), -ENODEV);
	reset.count = 0;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &reset), -EINVAL);
	reset = (struct hot_reset){ 16, 1, 1, { group } };
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &reset), -EINVAL);
	reset = (struct hot_reset){ 11, 0, 1, { group } };
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &reset), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, NULL), -EFAULT);
}

static void test_hot_reset_info(void **state)
{
	struct {
		u32 argsz, flags, count;
		struct vfio_pci_dependent_device dev[2];
	} a;

	memset(&a, 0xee, sizeof(a));
	a.argsz = 27;
	assert_int_equal(call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &a), -ENOSPC);
	assert_int_equal(a.flags, 0);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.dev[0].group_id, 0xeeeeeeee);
	a.argsz = 28;
	assert_int_equal(call(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &a), 0);
	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(a.dev[i].group_id, i);
		assert_int_equal(a.dev[i].segment, 0);
		assert_int_equal(a.dev[i].bus, 1);
		assert_int_equal(a.dev[i].devfn, i);
	}
}

static void test_hot_reset_pair(void **state)
{
	int group2 = fake_open_group(&m.task, 1);
	struct hot_reset a = { 16, 0, 1, { group, group2, group } };
	struct box *box = box_of(0), *other = box_of(1);
	int nul = open("/dev/null", O_RDONLY);

	/* Neither function can be reset alone. */
	assert_int_equal(call(VFIO_DEVICE_RESET, NULL), -EINVAL);
	/* Only one of the two groups is offered. */
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	a.count = 3;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	a.count = 2;
	a.fds[1] = 9999;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EBADF);
	a.fds[1] = nul;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	a.fds[1] = container;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	a.fds[1] = fd;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	assert_int_equal(box->resets[DEVICE_RESET_BUS], 0);

	cfg_write(PCI_COMMAND, 7, 2);
	a.fds[1] = group2;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), 0);
	assert_int_equal(box->resets[DEVICE_RESET_BUS], 1);
	assert_int_equal(other->resets[DEVICE_RESET_BUS], 1);
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 7);
	assert_int_equal(pci_config_get(&m.devices[1]->pci, PCI_COMMAND, 2), 0x103);

	/* A function with another driver cannot be reset behind its back. */
	assert_int_equal(fake_close(&m.task, group2), 0);
	assert_int_equal(vfio_device_unbind(m.bound[1], NULL, NULL), 0);
	m.bound[1] = NULL;
	a.count = 1;
	assert_int_equal(call(VFIO_DEVICE_PCI_HOT_RESET, &a), -EINVAL);
	close(nul);
}

/* The bus is reset once nobody uses it, since its functions cannot be reset alone. */
static void test_reset_at_last_close(void **state)
{
	int group2 = fake_open_group(&m.task, 1), fd2;

	assert_int_equal(fake_ioctl(&m.task, group2, VFIO_GROUP_SET_CONTAINER, &container), 0);
	fd2 = (int)fake_ioctl(&m.task, group2, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.1");
	assert_true(fd2 >= 0);
	assert_int_equal(fake_close(&m.task, fd), 0);
	assert_int_equal(box_of(0)->resets[DEVICE_RESET_BUS], 0);
	assert_int_equal(fake_close(&m.task, fd2), 0);
	assert_int_equal(box_of(0)->resets[DEVICE_RESET_BUS], 1);
	assert_int_equal(box_of(1)->resets[DEVICE_RESET_BUS], 1);
}

/* Open and close. */

static void test_open_state(void **state)
{
	struct device *dev = m.devices[0];
	int fd2, efd = new_eventfd();

	assert_int_equal(cfg_read(PCI_COMMAND, 2), 0x103);
	cfg_write(PCI_COMMAND, 0x407, 2);
	cfg_write(PCI_INTERRUPT_LINE, 0x77, 1);
	assert_true(pci_bus_master(&dev->pci));
	assert_int_equal(set_eventfd(MSI, 0, efd), 0);

	/* A second descriptor shares everything. */
	fd2 = (int)fake_ioctl(&m.task, group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:05.0");
	assert_true(fd2 >= 0);
	assert_int_equal(fake_close(&m.task, fd), 0);
	fd = fd2;
	assert_int_equal(cfg_read(PCI_INTERRUPT_LINE, 1), 0x77);
	assert_true(pci_msi_enabled(&dev->pci));

	/* The last close ends it all. */
	assert_int_equal(fake_close(&m.task, fd), 0);
	assert_null(m.bound[0]->pci);
	assert_null(dev->sink);
	assert_false(dev->decoding);
	assert_false(pci_msi_enabled(&dev->pci));
	assert_int_equal(pci_config_get(&dev->pci, PCI_COMMAND, 2), 0x103);

	fd = (int)fake_ioctl(&m.task, group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:05.0");
	assert_int_equal(cfg_read(PCI_COMMAND, 2), 0x103);
	assert_int_equal(cfg_read(PCI_INTERRUPT_LINE, 1), 0x0a);
	close(efd);
}

/* Features. */

static long feature(u32 argsz, u32 flags, const void *data, size_t size)
{
	union {
		struct vfio_device_feature hdr;
		u8 bytes[128];
	} u = { .hdr = { argsz, flags } };

	memcpy(u.bytes + 8, data ? data : "", data ? size : 0);
	return call(VFIO_DEVICE_FEATURE, &u);
}

#define PROBE VFIO_DEVICE_FEATURE_PROBE
#define GET VFIO_DEVICE_FEATURE_GET
#define SET VFIO_DEVICE_FEATURE_SET

static void test_feature_probe(void **state)
{
	/* Of features 0 to 14: what the probes alone, with GET and with SET say. */
	static const short expect[15][3] = {
		[0 ... 2] = { -ENOTTY, -ENOTTY, -ENOTTY },
		[3 ... 5] = { 0, -EINVAL, 0 },
		[6 ... 10] = { -ENOTTY, -ENOTTY, -ENOTTY },
		[11] = { 0, 0, -EINVAL },
		[12] = { -EINVAL, -EINVAL, -EINVAL },
		[13 ... 14] = { -ENOTTY, -ENOTTY, -ENOTTY },
	};

	for (u32 i = 0; i < ARRAY_SIZE(expect); i++) {
		bool there = expect[i][0] != -ENOTTY;

		assert_int_equal(feature(8, PROBE | i, NULL, 0), expect[i][0]);
		assert_int_equal(feature(8, PROBE | GET | i, NULL, 0), expect[i][1]);
		assert_int_equal(feature(8, PROBE | SET | i, NULL, 0), expect[i][2]);
		assert_int_equal(feature(8, PROBE | GET | SET | i, NULL, 0),
				 there ? -EINVAL : -ENOTTY);
		assert_int_equal(feature(8, i, NULL, 0), there ? -EINVAL : -ENOTTY);
		assert_int_equal(feature(8, GET | SET | i, NULL, 0), -EINVAL);
	}
	assert_int_equal(feature(8, PROBE | 0xffff, NULL, 0), -ENOTTY);
	assert_int_equal(feature(7, PROBE | 3, NULL, 0), -EINVAL);
	assert_int_equal(feature(8, PROBE | 3 | 1 << 19, NULL, 0), -EINVAL);
	assert_int_equal(call(VFIO_DEVICE_FEATURE, NULL), -EFAULT);
}

static void test_low_power(void **state)
{
	int efd = new_eventfd();
	struct vfio_device_low_power_entry_with_wakeup entry = { .wakeup_eventfd = efd };

	assert_int_equal(feature(8, SET | 5, NULL, 0), 0);
	assert_int_equal(feature(8, SET | 3, NULL, 0), 0);
	assert_false(m.devices[0]->decoding);
	assert_int_equal(feature(8, SET | 3, NULL, 0), -EINVAL);
	assert_int_equal(feature(16, SET | 4, &entry, 8), -EINVAL);
	assert_int_equal(bar_get(SLOT(0)), 0x010000ed);
	assert_int_equal(feature(8, SET | 5, NULL, 0), 0);
	assert_true(m.devices[0]->decoding);

	assert_int_equal(feature(15, SET | 4, &entry, 8), -EINVAL);
	assert_int_equal(feature(16, SET | 4, &entry, 8), 0);
	assert_int_equal(taken(efd), 0);
	assert_int_equal(cfg_read(0, 2), 0x1234);
	assert_int_equal(taken(efd), 1);
	assert_int_equal(cfg_read(0, 2), 0x1234);
	assert_int_equal(taken(efd), 0);
	assert_int_equal(feature(8, SET | 5, NULL, 0), 0);

	entry.wakeup_eventfd = -1;
	assert_int_equal(feature(16, SET | 4, &entry, 8), -EINVAL);
	entry.wakeup_eventfd = fd;
	assert_int_equal(feature(16, SET | 4, &entry, 8), -EINVAL);
	entry.wakeup_eventfd = 9999;
	assert_int_equal(feature(16, SET | 4, &entry, 8), -EBADF);
	close(efd);
}

/* Asleep, the device's pin does not interrupt; the next call wakes it, and it does. */
static void test_low_power_intx(void **state)
{
	int efd = new_eventfd();

	assert_int_equal(set_eventfd(INTX, 0, efd), 0);
	assert_int_equal(feature(8, SET | 3, NULL, 0), 0);
	assert_true(pci_config_get(&m.devices[0]->pci, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
	pthread_mutex_lock(&m.devices[0]->lock);
	device_set_intx(m.devices[0], true);
	pthread_mutex_unlock(&m.devices[0]->lock);
	assert_int_equal(taken(efd), 0);
	cfg_read(0, 2);
	assert_int_equal(taken(efd), 1);
	close(efd);
}

static long dma_buf(u32 argsz, u32 index, u32 flags, u32 nr, u64 offset, u64 length)
{
	struct {
		u32 index, open_flags, flags, nr;
		struct vfio_region_dma_range r[2];
	} d = { index, O_CLOEXEC | O_RDWR, flags, nr, { { offset, length }, { PG, PG } } };

	return feature(argsz, GET | VFIO_DEVICE_FEATURE_DMA_BUF, &d, sizeof(d));
}

static void test_dma_buf(void **state)
{
	unsigned int gone = m.files_gone;
	long buf = dma_buf(40, 0, 0, 1, 0, PG), buf2 = dma_buf(24, 0, 0, 2, 0, 2 * PG);

	assert_true(buf >= 0 && buf2 >= 0);
	assert_int_equal(lseek((int)buf, 0, SEEK_END), PG);
	assert_int_equal(lseek((int)buf2, 0, SEEK_END), 3 * PG);
	assert_int_equal(ftruncate((int)buf, 2 * PG), -1);
	assert_ptr_equal(mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, (int)buf, 0),
			 MAP_FAILED);
	assert_string_equal(fake_file(&m.task, (int)buf)->link, "/dmabuf:");
	assert_int_equal(fake_ioctl(&m.task, (int)buf, VFIO_DEVICE_RESET, NULL), -ENOTTY);
	assert_int_equal(fake_close(&m.task, (int)buf), 0);
	/* One may outlive the device. */
	assert_int_equal(dma_buf(40, 0, 0, 0, 0, PG), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 1, 1, 0, PG), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 0, 1, 0x10, PG), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 0, 1, 0, 0), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 0, 1, 0x100000, PG), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 0, 1, ~0xfffULL, 2 * PG), -EOVERFLOW);
	assert_int_equal(dma_buf(40, 7, 0, 1, 0, PG), -ENODEV);
	assert_int_equal(dma_buf(40, 6, 0, 1, 0, PG), -ENODEV);
	assert_int_equal(dma_buf(40, 5, 0, 1, 0, PG), -ENODEV);
	assert_int_equal(dma_buf(40, 77, 0, 1, 0, PG), -ENODEV);
	assert_int_equal(dma_buf(23, 0, 0, 1, 0, PG), -EINVAL);
	assert_int_equal(dma_buf(40, 0, 0, ~0U, 0, PG), -ENOMEM);
	m.task.install_error = -EMFILE;
	assert_int_equal(dma_buf(40, 0, 0, 1, 0, PG), -EMFILE);
	assert_int_equal(m.files_gone, gone + 2);
	assert_int_equal(fake_close(&m.task, fd), 0);
	assert_int_equal(fake_close(&m.task, (int)buf2), 0);
}

#define EDU(test) cmocka_unit_test_setup_teardown(test, setup_edu, teardown)
#define BOX(test) cmocka_unit_test_setup_teardown(test, setup_box, teardown)
#define PAIR(test) cmocka_unit_test_setup_teardown(test, setup_pair, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EDU(test_info),
		EDU(test_unknown_ioctls),
		EDU(test_regions_edu),
		BOX(test_regions_box),
		EDU(test_irq_info),
		BOX(test_irq_info),
		BOX(test_bar_splitting),
		BOX(test_bar_ends),
		BOX(test_msix_window),
		BOX(test_decoding),
		BOX(test_rom),
		BOX(test_rom_images),
		BOX(test_buffer_crosses_end),
		BOX(test_large_transfer),
		BOX(test_mmap),
		EDU(test_no_reset),
		BOX(test_reset),
		EDU(test_hot_reset_root_bus),
		PAIR(test_hot_reset_info),
		PAIR(test_hot_reset_pair),
		PAIR(test_reset_at_last_close),
		EDU(test_open_state),
		EDU(test_feature_probe),
		EDU(test_low_power),
		EDU(test_low_power_intx),
		EDU(test_dma_buf),
	};

	return cmocka_run_group_tests(tests, box_init_once, NULL);
}
