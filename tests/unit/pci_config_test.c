/* SPDX-License-Identifier: BSD-3-Clause */
/* A function as hardware: registers, capabilities, and what writes do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "pci/pci.h"
#include "pci_image.h"

static struct pci_function fn;

/* What the hooks were told last, and how often. */
static struct {
	int commands, powers, flrs, msis, writes;
	u16 old_command, command;
	unsigned int old_power, power, offset, width;
} told;

static void on_command(struct pci_function *f, u16 old, u16 now)
{
	told.commands++;
	told.old_command = old;
	told.command = now;
}

static void on_power(struct pci_function *f, unsigned int old, unsigned int now)
{
	told.powers++;
	told.old_power = old;
	told.power = now;
}

static void on_flr(struct pci_function *f)
{
	told.flrs++;
}

static void on_msi(struct pci_function *f)
{
	told.msis++;
}

static void on_written(struct pci_function *f, unsigned int offset, unsigned int width)
{
	told.writes++;
	told.offset = offset;
	told.width = width;
}

static const struct pci_function_ops ops = { .command = on_command,
					     .power = on_power,
					     .flr = on_flr,
					     .msi = on_msi,
					     .written = on_written };

static const struct pci_ident edu_ident = { .vendor = 0x1234,
					    .device = 0x11e8,
					    .subsystem_vendor = 0x1af4,
					    .subsystem_device = 0x1100,
					    .class_code = 0x00ff00,
					    .revision = 0x10,
					    .interrupt_pin = 1 };
static const struct pci_ident nvme_ident = { .vendor = 0x1b36,
					     .device = 0x0010,
					     .subsystem_vendor = 0x1af4,
					     .subsystem_device = 0x1100,
					     .class_code = 0x010802,
					     .revision = 2,
					     .interrupt_pin = 1 };
static const struct pci_ident port_ident = {
	.vendor = 0x1b36, .device = 0x000c, .class_code = 0x060400, .interrupt_pin = 1
};

static int setup(void **state)
{
	memset(&told, 0, sizeof(told));
	return 0;
}

static void build_edu(void)
{
	static const struct pci_bar bar = { .type = PCI_BAR_MEM32, .size = 1 << 20 };

	pci_function_init(&fn, &edu_ident, false, &ops);
	assert_int_equal(pci_add_bar(&fn, 0, &bar), 0);
	assert_int_equal(pci_add_msi(&fn, 0, 1, true, false), 0);
	pci_seal(&fn);
}

static void build_nvme(void)
{
	static const struct pci_bar bar = { .type = PCI_BAR_MEM64, .size = 0x4000 };
	static const struct pci_msix_info msix = { .vectors = 65,
						   .table_offset = 0x2000,
						   .pba_offset = 0x3000 };

	pci_function_init(&fn, &nvme_ident, true, &ops);
	assert_int_equal(pci_add_bar(&fn, 0, &bar), 0);
	assert_int_equal(pci_add_pm(&fn, 0x60), 0);
	assert_int_equal(pci_add_express(&fn, 0x80, PCI_EXP_TYPE_ENDPOINT, true), 0);
	assert_int_equal(pci_add_msix(&fn, 0, &msix), 0);
	pci_seal(&fn);
}

/* What is built here has the registers, and the writable bits, of QEMU's device. */
static void check_against(const char *name, unsigned int end)
{
	static struct pci_function real;
	const struct answers *a = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(all_answers); i++) {
		if (!strcmp(all_answers[i].name, name))
			a = &all_answers[i];
	}
	assert_non_null(a);
	image_init(&real, a, NULL);
	assert_int_equal(fn.size, real.size);
	pci_bar_set_address(&fn, 0, a->resources[0].start);
	pci_config_set(&fn, PCI_COMMAND, 2, pci_config_get(&real, PCI_COMMAND, 2));
	pci_config_set(&fn, PCI_INTERRUPT_LINE, 1, pci_config_get(&real, PCI_INTERRUPT_LINE, 1));
	for (unsigned int pos = 0; pos < end; pos++) {
		/* The tables have whole dwords, and those that a FLR hid. */
		u8 flr = fn.express && pos == fn.express + PCI_EXP_DEVCTL + 1U ? 0x80 : 0;

		if (fn.data[pos] != real.data[pos] ||
		    (fn.wmask[pos] & ~flr) != (real.wmask[pos] & ~flr))
			fail_msg("%s %03x: %02x (%02x writable), but %02x (%02x) in QEMU", name,
				 pos, fn.data[pos], fn.wmask[pos], real.data[pos], real.wmask[pos]);
	}
}

static void test_edu_as_qemu(void **state)
{
	build_edu();
	check_against("edu", PCI_CONFIG_SIZE);
}

static void test_nvme_as_qemu(void **state)
{
	build_nvme();
	check_against("nvme", PCI_EXPRESS_CONFIG_SIZE);
}

static void test_access(void **state)
{
	build_edu();
	assert_int_equal(pci_config_read(&fn, 0, 4), 0x11e81234);
	assert_int_equal(pci_config_read(&fn, 1, 2), 0xe812);
	assert_int_equal(pci_config_read(&fn, 254, 4), 0xffff0000);
	assert_int_equal(pci_config_read(&fn, 256, 4), 0xffffffff);
	assert_int_equal(pci_config_read(&fn, 0xffffffff, 4), 0xffffffff);
	pci_config_write(&fn, 254, 4, 0x11223344);
	assert_int_equal(pci_config_read(&fn, 252, 4), 0x33440000);
	pci_config_write(&fn, 0xfffffffe, 4, 0);
	pci_config_write(&fn, PCI_VENDOR_ID, 4, 0);
	assert_int_equal(pci_config_read(&fn, 0, 4), 0x11e81234);
	/* A byte writes a byte. */
	pci_config_write(&fn, PCI_COMMAND + 1, 1, 0xffffffff);
	assert_int_equal(pci_config_read(&fn, PCI_COMMAND, 4), 0x00100500);
}

static void test_bar_sizing(void **state)
{
	static const struct pci_bar io = { .type = PCI_BAR_IO, .size = 32 };
	static const struct pci_bar wide = { .type = PCI_BAR_MEM64,
					     .prefetch = true,
					     .size = 1ULL << 33 };
	static const struct pci_bar rom = { .type = PCI_BAR_MEM32, .size = 0x10000 };

	pci_function_init(&fn, &edu_ident, true, &ops);
	assert_int_equal(pci_add_bar(&fn, 0, &io), 0);
	assert_int_equal(pci_add_bar(&fn, 2, &wide), 0);
	assert_int_equal(pci_add_bar(&fn, PCI_ROM_BAR, &rom), 0);
	for (unsigned int reg = PCI_BASE_ADDRESS_0; reg <= PCI_ROM_ADDRESS; reg += 4)
		pci_config_write(&fn, reg, 4, 0xffffffff);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_0, 4), 0xffffffe1);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_1, 4), 0);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_2, 4), 0x0000000c);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_3, 4), 0xfffffffe);
	assert_int_equal(pci_config_read(&fn, PCI_ROM_ADDRESS, 4), 0xffff0001);
	pci_bar_set_address(&fn, 2, 0x1234567890ULL);
	assert_true(pci_bar_address(&fn, 2) == 0x1200000000ULL);
	pci_bar_set_address(&fn, 0, 0xc010);
	assert_int_equal(pci_bar_address(&fn, 0), 0xc000);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_0, 4), 0xc001);
	assert_int_equal(pci_bar_address(&fn, PCI_ROM_BAR), 0xffff0000);
	assert_int_equal(pci_bar_address(&fn, 5), 0);
}

static void test_bar_errors(void **state)
{
	static const struct {
		unsigned int index;
		struct pci_bar bar;
		int ret;
	} cases[] = {
		{ 7, { PCI_BAR_MEM32, false, 4096 }, -EINVAL },
		{ 1, { PCI_BAR_NONE, false, 4096 }, -EINVAL },
		{ 1, { PCI_BAR_MEM32, false, 0 }, -EINVAL },
		{ 1, { PCI_BAR_MEM32, false, 8 }, -EINVAL },
		{ 1, { PCI_BAR_MEM32, false, 4097 }, -EINVAL },
		{ 1, { PCI_BAR_MEM32, false, 1ULL << 32 }, -EINVAL },
		{ 1, { PCI_BAR_IO, false, 2 }, -EINVAL },
		{ 5, { PCI_BAR_MEM64, false, 4096 }, -EINVAL },
		{ PCI_ROM_BAR, { PCI_BAR_MEM32, false, 1024 }, -EINVAL },
		{ PCI_ROM_BAR, { PCI_BAR_MEM64, false, 4096 }, -EINVAL },
		{ 2, { PCI_BAR_MEM64, false, 4096 }, 0 },
		{ 2, { PCI_BAR_MEM32, false, 4096 }, -EEXIST },
		{ 3, { PCI_BAR_MEM32, false, 4096 }, -EEXIST },
		{ 1, { PCI_BAR_MEM64, false, 4096 }, -EEXIST },
		{ 1, { PCI_BAR_MEM32, false, 16 }, 0 },
	};

	pci_function_init(&fn, &edu_ident, false, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(pci_add_bar(&fn, cases[i].index, &cases[i].bar), cases[i].ret);
}

static void test_capability_places(void **state)
{
	pci_function_init(&fn, &edu_ident, false, NULL);
	assert_int_equal(pci_add_capability(&fn, 9, 0, 5), 0x40);
	assert_int_equal(pci_add_capability(&fn, 9, 0, 4), 0x48);
	assert_int_equal(pci_add_capability(&fn, 9, 0x44, 4), -EEXIST);
	assert_int_equal(pci_add_capability(&fn, 9, 0x3c, 4), -EINVAL);
	assert_int_equal(pci_add_capability(&fn, 9, 0x51, 4), -EINVAL);
	assert_int_equal(pci_add_capability(&fn, 9, 0xfc, 5), -EINVAL);
	assert_int_equal(pci_add_capability(&fn, 9, 0xfc, 4), 0xfc);
	assert_int_equal(pci_add_capability(&fn, 9, 0, 250), -EINVAL);
	assert_int_equal(pci_add_ext_capability(&fn, 3, 1, 0, 12), -EINVAL);
	/* The newest first. */
	assert_int_equal(pci_config_get(&fn, PCI_CAPABILITY_LIST, 1), 0xfc);
	assert_int_equal(pci_config_get(&fn, 0xfd, 1), 0x48);
	assert_int_equal(pci_config_get(&fn, 0x49, 1), 0x40);
	assert_int_equal(pci_config_get(&fn, 0x41, 1), 0);
	assert_true(pci_config_get(&fn, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
}

static void test_ext_capability_places(void **state)
{
	pci_function_init(&fn, &edu_ident, true, NULL);
	assert_int_equal(pci_add_ext_capability(&fn, 3, 1, 0x200, 12), -EINVAL);
	assert_int_equal(pci_add_dsn(&fn, 0, 0x0102030405060708), 0);
	assert_int_equal(pci_add_ext_capability(&fn, 0xb, 1, 0xff8, 12), -EINVAL);
	assert_int_equal(pci_add_ext_capability(&fn, 0xb, 1, 0xff4, 12), 0xff4);
	assert_int_equal(pci_add_acs(&fn, 0, PCI_ACS_SV | PCI_ACS_RR), 0);
	assert_int_equal(fn.acs, 0x10c);
	/* The oldest first. */
	assert_int_equal(pci_config_get(&fn, 0x100, 4), 0xff410003);
	assert_int_equal(pci_config_get(&fn, 0xff4, 4), 0x10c1000b);
	assert_int_equal(pci_config_get(&fn, 0x10c, 4), 0x0001000d);
	assert_int_equal(pci_config_get(&fn, 0x104, 4), 0x05060708);
	pci_config_write(&fn, 0x112, 2, 0xffff);
	assert_int_equal(pci_config_read(&fn, 0x110, 4), 0x00050005);
}

static void test_command(void **state)
{
	build_edu();
	assert_false(pci_memory_enabled(&fn));
	pci_config_write(&fn, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(told.commands, 1);
	assert_int_equal(told.old_command, 0);
	assert_int_equal(told.command, 0x507);
	assert_true(pci_memory_enabled(&fn));
	assert_true(pci_io_enabled(&fn));
	assert_true(pci_bus_master(&fn));
	pci_config_write(&fn, PCI_COMMAND, 4, 0x507);
	assert_int_equal(told.commands, 1);
	pci_set_intx_status(&fn, true);
	assert_int_equal(pci_config_read(&fn, PCI_STATUS, 2), 0x18);
	pci_set_intx_status(&fn, false);
	assert_int_equal(pci_config_read(&fn, PCI_STATUS, 2), 0x10);
	/* Errors are cleared by writing ones, and only those. */
	pci_config_set(&fn, PCI_STATUS, 2, 0xf910);
	pci_config_write(&fn, PCI_STATUS, 2, 0x8000);
	assert_int_equal(pci_config_read(&fn, PCI_STATUS, 2), 0x7910);
}

static void test_power(void **state)
{
	unsigned int control;

	build_nvme();
	control = fn.pm + PCI_PM_CTRL;
	pci_config_write(&fn, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pci_config_write(&fn, control, 2, 1);
	assert_int_equal(told.powers, 0);
	pci_config_write(&fn, control, 2, 3);
	assert_int_equal(told.power, 3);
	assert_int_equal(pci_power_state(&fn), 3);
	assert_false(pci_memory_enabled(&fn));
	pci_config_set(&fn, fn.pm + PCI_PM_PMC, 2, 3 | PCI_PM_CAP_D1 | PCI_PM_CAP_D2);
	pci_config_write(&fn, control, 2, 2);
	assert_int_equal(pci_power_state(&fn), 3);
	pci_config_write(&fn, control, 2, 0);
	assert_int_equal(told.old_power, 3);
	assert_true(pci_memory_enabled(&fn));
	pci_config_write(&fn, control, 1, 1);
	pci_config_write(&fn, control, 1, 2);
	assert_int_equal(told.old_power, 1);
	assert_int_equal(told.power, 2);
	assert_int_equal(told.powers, 4);
}

static void test_flr_and_unknown(void **state)
{
	build_nvme();
	pci_config_write(&fn, fn.express + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(told.flrs, 1);
	assert_int_equal(pci_config_read(&fn, fn.express + PCI_EXP_DEVCTL, 2), 0);
	assert_int_equal(told.writes, 0);
	pci_config_write(&fn, 0xd0, 2, 0x1234);
	assert_int_equal(told.writes, 1);
	assert_int_equal(told.offset, 0xd0);
	assert_int_equal(told.width, 2);
	assert_int_equal(pci_config_read(&fn, 0xd0, 2), 0x1234);
}

static void test_msi(void **state)
{
	pci_function_init(&fn, &edu_ident, false, &ops);
	assert_int_equal(pci_add_msi(&fn, 0, 3, true, true), -EINVAL);
	assert_int_equal(pci_add_msi(&fn, 0, 64, true, true), -EINVAL);
	assert_int_equal(pci_add_msi(&fn, 0, 8, false, true), 0);
	assert_int_equal(pci_msi_vectors(&fn), 8);
	assert_int_equal(pci_config_get(&fn, fn.msi, 4), 0x01060005);
	assert_false(pci_msi_enabled(&fn));
	pci_config_write(&fn, fn.msi + PCI_MSI_FLAGS, 2, 0xffff);
	assert_true(pci_msi_enabled(&fn));
	assert_int_equal(told.msis, 1);
	assert_int_equal(pci_config_read(&fn, fn.msi + PCI_MSI_FLAGS, 2), 0x0137);
	pci_config_write(&fn, fn.msi + PCI_MSI_MASK_32, 4, 0xffffffff);
	assert_int_equal(pci_config_read(&fn, fn.msi + PCI_MSI_MASK_32, 4), 0xff);
	assert_int_equal(told.msis, 2);
	/* The next byte is nobody's. */
	pci_config_write(&fn, fn.msi + 20U, 4, 1);
	assert_int_equal(told.msis, 2);
	assert_int_equal(told.writes, 1);
}

static void test_msix(void **state)
{
	static const struct pci_msix_info bad[] = {
		{ .vectors = 0 },
		{ .vectors = 2049 },
		{ .vectors = 1, .table_bar = 1 },
		{ .vectors = 1, .pba_bar = 6 },
		{ .vectors = 1, .table_offset = 4 },
		{ .vectors = 2, .table_offset = 0x3ff0 },
		{ .vectors = 1, .pba_offset = 0xfffffff8 },
	};

	build_nvme();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_add_msix(&fn, 0, &bad[i]), -EINVAL);
	pci_config_write(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2, 0xffff);
	assert_true(pci_msix_enabled(&fn));
	assert_int_equal(told.msis, 1);
	assert_int_equal(pci_config_read(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2), 0xc040);
}

static void test_bridge(void **state)
{
	static const struct pci_bar bar = { .type = PCI_BAR_MEM32, .size = 4096 };

	pci_bridge_init(&fn, &port_ident, NULL);
	assert_int_equal(pci_add_bar(&fn, 2, &bar), -EINVAL);
	assert_int_equal(pci_add_express(&fn, 0x54, PCI_EXP_TYPE_ROOT_PORT, false), 0);
	pci_bridge_set_buses(&fn, 0, 1, 1);
	assert_int_equal(pci_config_get(&fn, PCI_PRIMARY_BUS, 4), 0x00010100);
	assert_int_equal(pci_config_get(&fn, PCI_HEADER_TYPE, 1), 1);
	/* Closed: the base lies above the limit. */
	assert_int_equal(pci_config_get(&fn, PCI_MEMORY_BASE, 4), 0x0000fff0);
	assert_int_equal(pci_config_get(&fn, PCI_IO_BASE, 2), 0x00f0);
	pci_bridge_set_window(&fn, PCI_WINDOW_IO, 0x1000, 0x1fff);
	pci_bridge_set_window(&fn, PCI_WINDOW_MEM, 0xfe600000, 0xfe7fffff);
	pci_bridge_set_window(&fn, PCI_WINDOW_PREFETCH, 0x38fea00000, 0x38febfffff);
	assert_int_equal(pci_config_get(&fn, PCI_IO_BASE, 2), 0x1010);
	assert_int_equal(pci_config_get(&fn, PCI_MEMORY_BASE, 4), 0xfe70fe60);
	assert_int_equal(pci_config_get(&fn, PCI_PREF_MEMORY_BASE, 4), 0xfeb1fea1);
	assert_int_equal(pci_config_get(&fn, PCI_PREF_BASE_UPPER32, 4), 0x38);
	assert_int_equal(pci_config_get(&fn, fn.express, 4), 0x01420010);
	pci_express_set_link(&fn, 4, 8);
	assert_int_equal(pci_config_get(&fn, fn.express + PCI_EXP_LNKSTA, 2), 0x2084);
	pci_express_set_slot(&fn, 3, true);
	assert_int_equal(pci_config_get(&fn, fn.express + PCI_EXP_SLTCAP, 4), 0x00180071);
	pci_set_multifunction(&fn, true);
	assert_int_equal(pci_config_get(&fn, PCI_HEADER_TYPE, 1), 0x81);
}

static void test_reset(void **state)
{
	static u8 mirror[PCI_EXPRESS_CONFIG_SIZE];

	build_nvme();
	fn.mirror = mirror;
	pci_bar_set_address(&fn, 0, 0xfe600000);
	pci_config_write(&fn, PCI_COMMAND, 2, 7);
	pci_config_write(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	pci_config_write(&fn, fn.pm + PCI_PM_CTRL, 2, 3);
	pci_config_write(&fn, 0xd0, 4, 0x55);
	assert_memory_equal(mirror + 0x10, fn.data + 0x10, 4);
	memset(&told, 0, sizeof(told));
	pci_reset(&fn);
	assert_int_equal(told.commands + told.powers + told.msis, 0);
	assert_int_equal(pci_config_read(&fn, PCI_COMMAND, 2), 0);
	assert_int_equal(pci_config_read(&fn, PCI_BASE_ADDRESS_0, 4), 4);
	assert_false(pci_msix_enabled(&fn));
	assert_int_equal(pci_power_state(&fn), 0);
	assert_int_equal(pci_config_read(&fn, 0xd0, 4), 0x55);
	assert_int_equal(mirror[PCI_COMMAND], 0);
	assert_int_equal(mirror[0x10], 4);
}

static void test_save_restore(void **state)
{
	static struct pci_saved_state saved;

	build_nvme();
	pci_bar_set_address(&fn, 0, 0x38fe600000);
	pci_config_write(&fn, PCI_COMMAND, 2, 6);
	pci_config_write(&fn, PCI_INTERRUPT_LINE, 1, 10);
	pci_config_write(&fn, fn.express + PCI_EXP_DEVCTL2, 2, 0x8000);
	pci_config_write(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	pci_save_state(&fn, &saved);
	pci_reset(&fn);
	memset(&told, 0, sizeof(told));
	pci_restore_state(&fn, &saved);
	assert_true(pci_bar_address(&fn, 0) == 0x38fe600000);
	assert_int_equal(pci_config_read(&fn, PCI_COMMAND, 2), 6);
	assert_int_equal(told.commands, 1);
	assert_int_equal(pci_config_read(&fn, PCI_INTERRUPT_LINE, 1), 10);
	assert_int_equal(pci_config_read(&fn, fn.express + PCI_EXP_DEVCTL2, 2), 0x8000);
	assert_true(pci_msix_enabled(&fn));
	/* What was disabled stays so. */
	pci_config_write(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2, 0);
	pci_save_state(&fn, &saved);
	pci_config_write(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_MASKALL);
	pci_restore_state(&fn, &saved);
	assert_int_equal(pci_config_read(&fn, fn.msix_cap + PCI_MSIX_FLAGS, 2), 0x4040);
}

static void test_aer(void **state)
{
	build_nvme();
	assert_int_equal(pci_add_aer(&fn, 0), 0);
	assert_int_equal(fn.aer, 0x100);
	assert_int_equal(pci_config_get(&fn, 0x100, 4), 0x00020001);
	assert_int_equal(pci_config_get(&fn, 0x10c, 4), 0x00462030);
	assert_int_equal(pci_config_get(&fn, 0x114, 4), 0x0000e000);
	assert_int_equal(pci_config_get(&fn, 0x118, 4), 0x000000a0);
	pci_config_write(&fn, 0x114, 4, 0xffffffff);
	pci_config_write(&fn, 0x118, 4, 0xffffffff);
	assert_int_equal(pci_config_get(&fn, 0x114, 4), 0x0000f1c1);
	assert_int_equal(pci_config_get(&fn, 0x118, 4), 0x000001e0);
	pci_config_set(&fn, 0x104, 4, PCI_ERR_UNC_UNSUP | PCI_ERR_UNC_MALF_TLP);
	pci_config_write(&fn, 0x104, 4, PCI_ERR_UNC_UNSUP);
	assert_int_equal(pci_config_get(&fn, 0x104, 4), PCI_ERR_UNC_MALF_TLP);
	pci_config_write(&fn, fn.express + PCI_EXP_DEVCTL, 2, 0xf);
	assert_int_equal(pci_config_get(&fn, fn.express + PCI_EXP_DEVCTL, 2), 0xf);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_edu_as_qemu),
		TEST(test_nvme_as_qemu),
		TEST(test_access),
		TEST(test_bar_sizing),
		TEST(test_bar_errors),
		TEST(test_capability_places),
		TEST(test_ext_capability_places),
		TEST(test_command),
		TEST(test_power),
		TEST(test_flr_and_unknown),
		TEST(test_msi),
		TEST(test_msix),
		TEST(test_bridge),
		TEST(test_reset),
		TEST(test_save_restore),
		TEST(test_aer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
