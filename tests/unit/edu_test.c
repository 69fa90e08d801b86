/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The edu model against what QEMU's edu answered to the same accesses (QEMU 7.2, TCG, a driver on
 * vfio-pci with memory at IOVA 0x100000 and 0x102000 and nothing at 0x101000).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/fault.h"
#include "iommu/vtd.h"
#include "models/edu/edu.h"

#define COMMAND (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define BUF 0x40000

struct machine {
	struct iommu_fault_log *faults;
	struct iommu_unit *unit;
	struct iommu_domain *domain;
	struct iommu_group *group;
	struct iommu_mm mm;
	struct device_thread *thread;
	struct device *dev;
	u8 *memory; /* 3 pages; the second is not mapped */
	bool level;
	unsigned int messages;
	unsigned int rises;
};

static struct machine m;

static int mm_read(struct iommu_mm *mm, void *dst, u64 va, size_t len)
{
	memcpy(dst, (void *)(uintptr_t)va, len);
	return 0;
}

static int mm_write(struct iommu_mm *mm, u64 va, const void *src, size_t len)
{
	memcpy((void *)(uintptr_t)va, src, len);
	return 0;
}

static void mm_free(struct iommu_mm *mm)
{
}

static const struct iommu_mm_ops mm_ops = { .read = mm_read, .write = mm_write, .free = mm_free };

static void on_intx(void *opaque, bool level)
{
	m.level = level;
	m.rises += level;
}

static void on_msi(void *opaque, unsigned int vector)
{
	assert_int_equal(vector, 0);
	m.messages++;
}

static const struct device_irq_sink sink = { on_intx, on_msi };

static void map_page(unsigned int page)
{
	u64 iova = 0x100000 + page * PAGE_SIZE_4K;

	assert_int_equal(iommu_domain_map(m.domain, iova, iova + PAGE_SIZE_4K - 1,
					  IOMMU_READ | IOMMU_WRITE, &m.mm,
					  (uintptr_t)m.memory + page * PAGE_SIZE_4K, NULL),
			 0);
}

static void make_device(const char *property, const char *value)
{
	void *props = calloc(1, edu_model.props_size);
	char *error = NULL;

	assert_non_null(props);
	prop_defaults(edu_model.props, props);
	if (property)
		assert_int_equal(
			prop_set(edu_model.props, props, "device edu", property, value, &error), 0);
	assert_int_equal(device_new(&edu_model, "0000:01:00.0", props, m.thread, &m.dev, &error),
			 0);
	m.dev->ep.unit = m.unit;
	iommu_group_add(m.group, &m.dev->ep);
	assert_int_equal(iommu_group_attach(m.group, m.domain), 0);
	device_set_irq_sink(m.dev, &sink, NULL);
	device_config_write(m.dev, PCI_COMMAND, 2, COMMAND);
}

static void free_device(void)
{
	device_set_irq_sink(m.dev, NULL, NULL);
	iommu_group_remove(&m.dev->ep);
	device_free(m.dev);
}

static int set_up(void **state)
{
	memset(&m, 0, sizeof(m));
	m.faults = iommu_fault_log_new();
	m.unit = iommu_vtd_new(0, 39, m.faults);
	m.domain = iommu_domain_new(m.unit);
	m.group = iommu_group_new(1);
	m.mm = (struct iommu_mm){ .ops = &mm_ops, .refs = 1 };
	m.memory = mmap(NULL, 3 * PAGE_SIZE_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	m.thread = device_thread_new();
	if (iommu_dma_init() || !m.thread)
		return -1;
	map_page(0);
	map_page(2);
	for (size_t i = 0; i < 3 * PAGE_SIZE_4K; i++)
		m.memory[i] = (u8)(i * 7 + 1);
	make_device(NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	free_device();
	device_thread_free(m.thread);
	iommu_group_attach(m.group, NULL);
	iommu_group_free(m.group);
	iommu_domain_free(m.domain);
	iommu_unit_free(m.unit);
	iommu_fault_log_free(m.faults);
	munmap(m.memory, 3 * PAGE_SIZE_4K);
	return 0;
}

static u64 get(unsigned int width, u64 offset)
{
	u64 value = 0;

	assert_int_equal(device_bar_read(m.dev, 0, offset, width / 8, &value), 0);
	return value;
}

static void put(unsigned int width, u64 offset, u64 value)
{
	assert_int_equal(device_bar_write(m.dev, 0, offset, width / 8, value), 0);
}

/* Waits, for 5 seconds at most, until no bit of @mask is set at @offset. */
static void wait_clear(u64 offset, u32 mask)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	u64 end = device_now_ns() + 5000000000ULL;

	while (get(32, offset) & mask && device_now_ns() < end)
		nanosleep(&pause, NULL);
	assert_int_equal(get(32, offset) & mask, 0);
}

static void dma(u64 src, u64 dst, u64 count, u64 cmd)
{
	put(64, 0x80, src);
	put(64, 0x88, dst);
	put(64, 0x90, count);
	put(64, 0x98, cmd | 1);
	wait_clear(0x98, 1);
}

static void factorial(u32 n, u32 result)
{
	put(32, 8, n);
	wait_clear(0x20, 1);
	assert_int_equal(get(32, 8), result);
}

static void test_config(void **state)
{
	static const u8 head[64] = {
		0x34, 0x12, 0xe8, 0x11,		 0x06, 0x00, 0x10, 0x00,	  0x10,
		0x00, 0xff, 0x00, [0x2c] = 0xf4, 0x1a, 0x00, 0x11, [0x34] = 0x40, [0x3d] = 1,
	};
	static const u8 msi[16] = { 0x05, 0x00, 0x80, 0x00 };

	for (unsigned int i = 0; i < sizeof(head); i++)
		assert_int_equal(device_config_read(m.dev, i, 1), head[i]);
	for (unsigned int i = 0; i < sizeof(msi); i++)
		assert_int_equal(device_config_read(m.dev, 0x40 + i, 1), msi[i]);
	assert_int_equal(m.dev->pci.size, PCI_CONFIG_SIZE);
	device_config_write(m.dev, PCI_BASE_ADDRESS_0, 4, ~0U);
	assert_int_equal(device_config_read(m.dev, PCI_BASE_ADDRESS_0, 4), 0xfff00000);
}

static void test_reads(void **state)
{
	static const struct {
		unsigned int width;
		u64 offset, value;
	} expected[] = {
		{ 8, 0x0, 0 },	      { 16, 0x0, 0 },	    { 32, 0x0, 0x10000ed },
		{ 64, 0x0, ~0ULL },   { 32, 0x1, 0x10000 }, { 32, 0x2, 0x100 },
		{ 32, 0x3, 0x1 },     { 16, 0x1, 0 },	    { 16, 0x3, 0 },
		{ 64, 0x4, ~0ULL },   { 64, 0x2, ~0ULL },   { 32, 0x10, ~0U },
		{ 32, 0x28, ~0U },    { 32, 0x60, ~0U },    { 32, 0x64, ~0U },
		{ 32, BUF, ~0U },     { 64, BUF, ~0ULL },   { 8, BUF, 0 },
		{ 32, 0xffffc, ~0U },
	};

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(get(expected[i].width, expected[i].offset), expected[i].value);
}

static void test_narrow_writes(void **state)
{
	static const u32 alive = 0xedcba987;

	put(32, 4, 0x12345678);
	assert_int_equal(get(32, 4), alive);
	put(8, 4, 0xff);
	put(16, 4, 0xffff);
	put(64, 4, 0x1111222233334444);
	put(32, 5, 0x01020304);
	put(32, 2, 0);
	put(64, 0, 0x5555555566666666);
	assert_int_equal(get(32, 4), alive);
}

static void test_wide_registers(void **state)
{
	put(32, 0x80, 0xdeadbeef);
	assert_int_equal(get(64, 0x80), 0xdeadbeef);
	assert_int_equal(get(32, 0x84), ~0U);
	put(64, 0x80, 0x1122334455667788);
	assert_int_equal(get(32, 0x80), 0x55667788);
	put(32, 0x84, 0x99);
	put(16, 0x80, 9);
	put(64, 0x82, 0x7777777777777777);
	assert_int_equal(get(64, 0x80), 0x1122334455667788);
	assert_int_equal(get(8, 0x80), 0);
	assert_int_equal(get(64, 0x84), 0x11223344);
	assert_int_equal(get(64, 0x81), 0x11223344556677);
	assert_int_equal(get(32, 0x82), 0xffff5566);
	assert_int_equal(get(32, 0x86), 0xffff);
	put(32, 0x80, 5);
	assert_int_equal(get(64, 0x80), 5);
	/* A command without RUN is no command. */
	put(32, 0x98, 2);
	assert_int_equal(get(64, 0x98), 0);
}

static void test_factorial(void **state)
{
	put(32, 0x20, 0xff);
	assert_int_equal(get(32, 0x20), 0x80);
	put(32, 0x20, 0x7f);
	assert_int_equal(get(32, 0x20), 0);
	factorial(5, 0x78);
	factorial(12, 0x1c8cfc00);
	factorial(13, 0x7328cc00);
	factorial(0, 1);
	factorial(33, 0x80000000);
	factorial(34, 0);
	factorial(~0U, 0);
	assert_int_equal(get(32, 0x24), 0);
	put(32, 0x20, 0x80);
	factorial(4, 24);
	assert_int_equal(get(32, 0x24), 1);
	assert_true(m.level);
}

static void test_dma(void **state)
{
	u8 *at = m.memory;

	dma(0x100000, BUF, 256, 0);
	assert_int_equal(get(64, 0x80), 0x100000);
	dma(BUF, 0x100800, 256, 2);
	assert_int_equal(get(32, 0x98), 2);
	assert_memory_equal(at, at + 0x800, 256);
	/* The whole buffer, and any part of it. */
	dma(0x100000, BUF, 4096, 0);
	dma(BUF, 0x102000, 4096, 2);
	assert_memory_equal(at, at + 0x2000, 4096);
	dma(BUF + 0x7ff, 0x102001, 1, 2);
	assert_int_equal(at[0x2001], at[0x7ff]);
	/* Address bits that the device does not have. */
	memset(at + 0x600, 0, 256);
	dma(BUF, 0xf10100600ULL, 256, 2);
	assert_memory_equal(at + 0x600, at, 256);
	assert_int_equal(iommu_fault_count(m.faults), 0);
}

static void test_dma_holes(void **state)
{
	static const u8 zeros[128];
	u8 *at = m.memory;
	struct iommu_fault fault;

	dma(0x100f80, BUF, 256, 0);
	dma(BUF, 0x100400, 256, 2);
	assert_memory_equal(at + 0xf80, at + 0x400, 128);
	assert_memory_equal(at + 0x480, zeros, 128);
	assert_true(iommu_fault_get(m.faults, 0, &fault));
	assert_int_equal(fault.iova, 0x101000);
	assert_int_equal(fault.length, 128);
	assert_int_equal(fault.prot, IOMMU_READ);
	assert_int_equal(fault.reason, IOMMU_FAULT_UNMAPPED);
	dma(0x101f80, BUF, 256, 0);
	dma(BUF, 0x100400, 256, 2);
	assert_memory_equal(at + 0x400, zeros, 128);
	assert_memory_equal(at + 0x2000, at + 0x480, 128);
	memset(at + 0x2000, 0, 256);
	dma(0x100000, BUF, 256, 0);
	dma(BUF, 0x101f80, 256, 2);
	assert_memory_equal(at + 0x2000, at + 128, 128);
	assert_int_equal(iommu_fault_count(m.faults), 3);
}

static void test_dma_without_bus_master(void **state)
{
	static const u8 zeros[256];
	struct iommu_fault fault;

	device_config_write(m.dev, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	memset(m.memory + 0x600, 0, 256);
	dma(BUF, 0x100600, 256, 2);
	assert_memory_equal(m.memory + 0x600, zeros, 256);
	dma(0x100000, BUF, 256, 0);
	device_config_write(m.dev, PCI_COMMAND, 2, COMMAND);
	dma(BUF, 0x100000, 256, 2);
	assert_memory_equal(m.memory, zeros, 256);
	assert_int_equal(iommu_fault_count(m.faults), 2);
	assert_true(iommu_fault_get(m.faults, 0, &fault));
	assert_int_equal(fault.reason, IOMMU_FAULT_BUS_MASTER);
	assert_int_equal(fault.iova, 0x100600);
	assert_string_equal(fault.device, "0000:01:00.0");
}

/* Here QEMU ends; what lies in the buffer is transferred. */
static void test_dma_out_of_buffer(void **state)
{
	u8 *at = m.memory;
	u8 before[4096];

	dma(0x100000, BUF, 4096, 0);
	memset(at + 0x2000, 0xee, 4096);
	memcpy(before, at + 0x2000, 4096);
	dma(BUF + 0xff0, 0x102000, 0x20, 2);
	assert_memory_equal(at + 0x2000, at + 0xff0, 0x10);
	assert_memory_equal(at + 0x2010, before, 0x10);
	dma(BUF - 0x10, 0x102100, 0x20, 2);
	assert_memory_equal(at + 0x2100, before, 0x10);
	assert_memory_equal(at + 0x2110, at, 0x10);
	memcpy(before, at + 0x2000, 4096);
	dma(BUF + 0x1000, 0x102000, 8, 2);
	dma(0, 0x102000, 8, 2);
	dma(~0ULL, 0x102000, ~0ULL, 2);
	dma(BUF, 0x102000, 0, 2);
	assert_memory_equal(at + 0x2000, before, 4096);
	/* An endless transfer is cut at the end of the buffer. */
	dma(BUF + 0xff8, 0x102000, ~0ULL, 2 | 4);
	assert_memory_equal(at + 0x2000, at + 0xff8, 8);
	assert_memory_equal(at + 0x2008, before + 8, 4096 - 8);
	assert_int_equal(get(32, 0x98), 6);
	assert_int_equal(get(32, 0x24), 0x100);
	assert_int_equal(iommu_fault_count(m.faults), 0);
}

static void test_busy(void **state)
{
	free_device();
	make_device("dma-delay-us", "100000");
	put(64, 0x80, 0x100000);
	put(64, 0x88, BUF);
	put(64, 0x90, 256);
	put(64, 0x98, 1);
	assert_int_equal(get(64, 0x98), 1);
	put(64, 0x90, 77);
	put(64, 0x98, 7);
	assert_int_equal(get(64, 0x90), 256);
	assert_int_equal(get(64, 0x98), 1);
	wait_clear(0x98, 1);
	assert_int_equal(get(64, 0x98), 0);
	/* Freed with a command under way. */
	put(64, 0x98, 1);
}

static void test_mask_property(void **state)
{
	free_device();
	make_device("dma-mask", "0xffffffffffffffff");
	dma(BUF, 0xf10100600ULL, 256, 2);
	assert_int_equal(iommu_fault_count(m.faults), 1);
}

static void test_intx(void **state)
{
	put(32, 0x60, 0);
	assert_false(m.level);
	put(32, 0x60, 0x10);
	assert_true(m.level);
	assert_int_equal(device_config_read(m.dev, PCI_COMMAND, 4), 0x00180006);
	put(32, 0x60, 0x20);
	assert_int_equal(get(32, 0x24), 0x30);
	put(32, 0x64, 0x10);
	assert_int_equal(get(32, 0x24), 0x20);
	assert_true(m.level);
	put(32, 0x64, 0x20);
	assert_false(m.level);
	assert_int_equal(device_config_read(m.dev, PCI_COMMAND, 4), 0x00100006);
	assert_int_equal(m.rises, 1);
	dma(0x100000, BUF, 256, 4);
	assert_int_equal(get(32, 0x98), 4);
	assert_int_equal(get(32, 0x24), 0x100);
	assert_true(m.level);
	assert_int_equal(m.messages, 0);
}

static void test_msi(void **state)
{
	put(32, 0x60, 3);
	assert_true(m.level);
	device_config_write(m.dev, 0x42, 2, PCI_MSI_FLAGS_ENABLE);
	assert_false(m.level);
	assert_int_equal(device_config_read(m.dev, PCI_COMMAND, 4), 0x00100006);
	assert_int_equal(m.messages, 0);
	/* Status bits of before raise again. */
	put(32, 0x60, 0);
	assert_int_equal(m.messages, 1);
	put(32, 0x64, 0xff);
	put(32, 0x60, 0);
	assert_int_equal(m.messages, 1);
	put(32, 0x60, 1);
	put(32, 0x60, 1);
	assert_int_equal(m.messages, 3);
	device_config_write(m.dev, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put(32, 0x60, 1);
	device_config_write(m.dev, PCI_COMMAND, 2, COMMAND);
	assert_int_equal(m.messages, 3);
	device_config_write(m.dev, PCI_COMMAND, 2, COMMAND | PCI_COMMAND_INTX_DISABLE);
	put(32, 0x60, 1);
	assert_int_equal(m.messages, 4);
	assert_int_equal(m.rises, 1);
}

/* A reset is of the function's registers alone. */
static void test_reset(void **state)
{
	put(32, 4, 0x1234);
	put(32, 0x60, 0x10);
	put(64, 0x80, 0x777);
	put(32, 0x20, 0x80);
	factorial(5, 0x78);
	device_reset(m.dev, DEVICE_RESET_BUS);
	assert_false(m.level);
	assert_int_equal(device_config_read(m.dev, PCI_COMMAND, 4), 0x00100000);
	device_config_write(m.dev, PCI_COMMAND, 2, COMMAND);
	assert_int_equal(get(32, 4), 0xffffedcb);
	assert_int_equal(get(32, 0x24), 0x11);
	assert_int_equal(get(64, 0x80), 0x777);
	assert_int_equal(get(32, 0x20), 0x80);
	assert_int_equal(get(32, 8), 0x78);
	put(32, 0x60, 0x20);
	assert_true(m.level);
	put(32, 0x64, 0x20);
	assert_true(m.level);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config),
		TEST(test_reads),
		TEST(test_narrow_writes),
		TEST(test_wide_registers),
		TEST(test_factorial),
		TEST(test_dma),
		TEST(test_dma_holes),
		TEST(test_dma_without_bus_master),
		TEST(test_dma_out_of_buffer),
		TEST(test_busy),
		TEST(test_mask_property),
		TEST(test_intx),
		TEST(test_msi),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
