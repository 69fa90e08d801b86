/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space that a user of vfio-pci sees, against what a real kernel answered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pci/virt.h"
#include "pci_image.h"

/* A function with a user, and what the hooks told. */
struct user {
	struct pci_function fn;
	struct pci_virt *virt;
	struct pci_saved_state saved;
	int memory, intx, flr, power; /* last told, or the count of flr */
};

static void told_memory(void *opaque, bool enabled)
{
	((struct user *)opaque)->memory = enabled;
}

/* With no interrupt set up, the driver masks the pin at the device. */
static void told_intx(void *opaque, bool disabled)
{
	struct user *u = opaque;
	u32 command = pci_config_read(&u->fn, PCI_COMMAND, 2) & ~(u32)PCI_COMMAND_INTX_DISABLE;

	u->intx = disabled;
	pci_config_write(&u->fn, PCI_COMMAND, 2,
			 command | (disabled ? PCI_COMMAND_INTX_DISABLE : 0));
}

static void told_flr(void *opaque)
{
	struct user *u = opaque;

	u->flr++;
	pci_save_state(&u->fn, &u->saved);
	pci_reset(&u->fn);
	pci_restore_state(&u->fn, &u->saved);
}

static void told_power(void *opaque, unsigned int state)
{
	((struct user *)opaque)->power = (int)state;
}

static const struct pci_virt_ops user_ops = {
	.memory = told_memory, .intx_disable = told_intx, .flr = told_flr, .power = told_power
};

static void user_open(struct user *u)
{
	u->memory = u->intx = u->power = -1;
	u->flr = 0;
	u->virt = pci_virt_new(&u->fn, NULL, &user_ops, u);
	assert_non_null(u->virt);
}

static const struct answers *find_answers(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_answers); i++) {
		if (!strcmp(all_answers[i].name, name))
			return &all_answers[i];
	}
	fail_msg("no answers for %s", name);
	return NULL;
}

static void user_open_image(struct user *u, const char *name)
{
	image_init(&u->fn, find_answers(name), NULL);
	user_open(u);
}

static u32 get(struct user *u, unsigned int pos, unsigned int width)
{
	u32 value = 0;

	assert_int_equal(pci_virt_read(u->virt, &value, width, pos), width);
	return value;
}

static void put(struct user *u, unsigned int pos, u32 value, unsigned int width)
{
	assert_int_equal(pci_virt_write(u->virt, &value, width, pos), width);
}

static const struct answers_perm *find_perm(const struct answers *a, unsigned int pos)
{
	for (unsigned int i = 0; i < a->nperm; i++) {
		if (a->perm[i].offset == pos)
			return &a->perm[i];
	}
	return NULL;
}

static void check_dword(struct user *u, const struct answers *a, unsigned int pos)
{
	const struct answers_perm scratch = { (u16)pos, 0, 0xffffffff, 0, 0, 0xffffffff };
	const struct answers_perm *p = find_perm(a, pos);
	u32 orig = get(u, pos, 4), ones, device, zeros, restored;

	if (!p)
		p = &scratch;
	put(u, pos, 0xffffffff, 4);
	ones = get(u, pos, 4);
	device = pci_config_get(&u->fn, pos, 4);
	put(u, pos, 0, 4);
	zeros = get(u, pos, 4);
	put(u, pos, orig, 4);
	restored = get(u, pos, 4);
	if (orig != p->orig || ones != p->ones || zeros != p->zeros || restored != p->restored ||
	    device != p->device)
		fail_msg("%s %03x: %08x %08x %08x %08x device %08x, but %08x %08x %08x %08x "
			 "device %08x on Linux",
			 a->name, pos, orig, ones, zeros, restored, device, p->orig, p->ones,
			 p->zeros, p->restored, p->device);
}

/* Every dword of every device: ones, zeros, the old value. */
static void test_permissions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_answers); i++) {
		const struct answers *a = &all_answers[i];
		struct user u;

		user_open_image(&u, a->name);
		assert_int_equal(pci_virt_size(u.virt), a->size);
		for (unsigned int pos = 0; pos < a->size; pos += 4)
			check_dword(&u, a, pos);
		pci_virt_free(u.virt);
	}
}

static u32 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

struct random_write {
	unsigned int pos, width;
	u8 bytes[8];
};

static struct random_write random_write_next(u64 *state, unsigned int size)
{
	static const u8 widths[8] = { 1, 2, 3, 4, 4, 5, 7, 8 };
	struct random_write w = { .width = widths[next_random(state) % 8] };
	u32 values[2], shape;

	w.pos = next_random(state) % 2 ? next_random(state) % 256 : next_random(state) % size;
	if (w.pos + w.width > size)
		w.pos = size - w.width;
	values[0] = next_random(state);
	values[1] = next_random(state);
	shape = next_random(state) % 6;
	if (shape < 2)
		values[0] = values[1] = shape ? 0xffffffff : 0;
	memcpy(w.bytes, values, 8);
	return w;
}

/* One write, and what can be read around it by the user and on the bus, into the hash. */
static u32 random_step(struct user *u, u64 *state, u32 hash)
{
	unsigned int size = pci_virt_size(u->virt), at;
	struct random_write w = random_write_next(state, size);

	at = w.pos & ~3U;
	hash = hash * 31 + (u32)pci_virt_write(u->virt, w.bytes, w.width, w.pos);
	hash = hash * 31 + get(u, at, 4);
	hash = hash * 31 + (at + 4 < size ? get(u, at + 4, 4) : 0);
	return hash * 31 + pci_config_get(&u->fn, at, 4);
}

/* Writes of any size at any place. */
static void test_random(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_answers); i++) {
		const struct answers *a = &all_answers[i];

		for (int k = 0; k < 2; k++) {
			const struct answers_random *r = &a->random[k];
			u64 generator = r->seed;
			struct user u;
			u32 hash = 0;

			if (!r->seed)
				continue;
			user_open_image(&u, a->name);
			for (int n = 0; n < 4096; n++) {
				hash = random_step(&u, &generator, hash);
				if (n % 512 == 511 && hash != r->hash[n / 512])
					fail_msg("%s, seed %llu: differs before write %d", a->name,
						 (unsigned long long)r->seed, n);
			}
			pci_virt_free(u.virt);
		}
	}
}

static void check_read(struct user *u, unsigned int pos, const char *bytes, unsigned int width)
{
	u8 buf[16];

	memset(buf, 0xcc, sizeof(buf));
	assert_int_equal(pci_virt_read(u->virt, buf, width, pos), width);
	assert_memory_equal(buf, bytes, width);
}

/* Sizes and alignments, as the kernel answered for edu. */
static void test_reads(void **state)
{
	static const char header[] = "\x34\x12\xe8\x11\x03\x01\x10\x00\x10\x00\xff\x00";
	static const u8 cases[][2] = { { 0, 1 }, { 0, 2 }, { 0, 3 }, { 0, 4 }, { 0, 8 }, { 1, 1 },
				       { 1, 2 }, { 1, 4 }, { 2, 4 }, { 3, 2 }, { 5, 7 } };
	u8 buf[4096];
	struct user u;

	user_open_image(&u, "edu");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_read(&u, cases[i][0], header + cases[i][0], cases[i][1]);
	check_read(&u, 255, "", 1);
	assert_int_equal(pci_virt_read(u.virt, buf, 0, 0), 0);
	assert_int_equal(pci_virt_read(u.virt, buf, 256, 0), 256);
	pci_virt_free(u.virt);
}

/* An access that passes the end, even in part, is refused as a whole. */
static void test_end(void **state)
{
	static const struct {
		u64 pos;
		size_t count;
	} cases[] = { { 255, 2 },  { 252, 8 },	{ 256, 1 },	   { 256, 4 },
		      { 4352, 4 }, { 0, 4096 }, { UINT64_MAX, 2 }, { 4, SIZE_MAX } };
	u8 buf[4096], untouched[4096];
	struct user u;

	user_open_image(&u, "edu");
	memset(buf, 0xcc, sizeof(buf));
	memset(untouched, 0xcc, sizeof(untouched));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(pci_virt_read(u.virt, buf, cases[i].count, cases[i].pos), -EFAULT);
		assert_int_equal(pci_virt_write(u.virt, buf, cases[i].count, cases[i].pos),
				 -EFAULT);
	}
	assert_memory_equal(buf, untouched, sizeof(buf));
	assert_int_equal(get(&u, 252, 4), 0);
	pci_virt_free(u.virt);
}

/* Parts of registers, as the kernel answered for edu. */
static void test_granularity(void **state)
{
	struct user u;
	u32 bar;

	user_open_image(&u, "edu");
	bar = get(&u, PCI_BASE_ADDRESS_0, 4);
	put(&u, 5, 0xff, 1);
	assert_int_equal(get(&u, PCI_COMMAND, 2), 0x503);
	put(&u, PCI_COMMAND, 0x103, 2);
	put(&u, 4, 0xff, 1);
	assert_int_equal(get(&u, PCI_COMMAND, 2), 0x107);
	put(&u, PCI_COMMAND, 0x103, 2);
	put(&u, 3, 0xffff, 2);
	assert_int_equal(get(&u, PCI_COMMAND, 2), 0x107);
	assert_int_equal(get(&u, PCI_DEVICE_ID, 2), 0x11e8);
	put(&u, PCI_COMMAND, 0x103, 2);
	put(&u, 0x13, 0xff, 1);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_0, 4), 0xff000000 | (bar & 0xf00000));
	put(&u, PCI_BASE_ADDRESS_0, bar, 4);
	put(&u, PCI_BASE_ADDRESS_0, 0xffff, 2);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_0, 4), bar);
	assert_int_equal(pci_virt_write(u.virt, "\xff\xff\xff\xff\xff\xff\xff\xff", 8,
					PCI_BASE_ADDRESS_0),
			 8);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_0, 4), 0xfff00000);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_1, 4), 0);
	put(&u, PCI_INTERRUPT_LINE, 0xffffff, 3);
	assert_int_equal(get(&u, PCI_INTERRUPT_LINE, 4), 0x1ff);
	pci_virt_free(u.virt);
}

/* The user's BARs never reach the device. */
static void test_bars_kept(void **state)
{
	struct user u;

	user_open_image(&u, "nvme");
	put(&u, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	put(&u, PCI_BASE_ADDRESS_1, 0xffffffff, 4);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_0, 4), 0xffffc004);
	assert_int_equal(get(&u, PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	assert_true(pci_bar_address(&u.fn, 0) == 0xfe600000);
	/* A reset that the driver did not make is noticed at the next write of COMMAND. */
	pci_reset(&u.fn);
	assert_true(pci_bar_address(&u.fn, 0) == 0);
	put(&u, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_true(pci_bar_address(&u.fn, 0) == 0xfe600000);
	pci_virt_free(u.virt);
}

static void test_hooks(void **state)
{
	struct user u;
	u32 command;

	user_open_image(&u, "edu");
	command = get(&u, PCI_COMMAND, 2);
	assert_true(pci_virt_memory_enabled(u.virt));
	put(&u, PCI_COMMAND, command & ~(u32)PCI_COMMAND_MEMORY, 2);
	assert_int_equal(u.memory, 0);
	assert_false(pci_virt_memory_enabled(u.virt));
	assert_false(pci_memory_enabled(&u.fn));
	put(&u, PCI_COMMAND, command | PCI_COMMAND_MASTER, 2);
	assert_int_equal(u.memory, 1);
	assert_true(pci_bus_master(&u.fn));
	assert_int_equal(u.intx, -1);
	put(&u, PCI_COMMAND + 1, PCI_COMMAND_INTX_DISABLE >> 8, 1);
	assert_int_equal(u.intx, 1);
	assert_true(pci_virt_intx_disabled(u.virt));
	put(&u, PCI_COMMAND, command, 2);
	assert_int_equal(u.intx, 0);
	pci_virt_free(u.virt);
}

/* D3hot: no memory, and back; D1 is not there. */
static void test_power(void **state)
{
	struct user u;

	user_open_image(&u, "nvme");
	put(&u, u.fn.pm + PCI_PM_CTRL, 1, 2);
	assert_int_equal(u.power, -1);
	put(&u, u.fn.pm + PCI_PM_CTRL, 3, 2);
	assert_int_equal(u.power, 3);
	assert_int_equal(u.memory, 0);
	assert_false(pci_virt_memory_enabled(u.virt));
	assert_int_equal(get(&u, u.fn.pm + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET | 3);
	put(&u, u.fn.pm + PCI_PM_CTRL, 1, 2);
	assert_int_equal(pci_power_state(&u.fn), 3);
	put(&u, u.fn.pm + PCI_PM_CTRL, 0, 1);
	assert_int_equal(u.power, 0);
	assert_int_equal(u.memory, 1);
	pci_virt_free(u.virt);
}

/* Without NO_SOFT_RESET, what was written in D3hot is gone in D0. */
static void test_power_restores(void **state)
{
	struct user u;

	user_open_image(&u, "nvme");
	pci_virt_free(u.virt);
	pci_config_set(&u.fn, u.fn.pm + PCI_PM_CTRL, 2, 0);
	user_open(&u);
	put(&u, PCI_CACHE_LINE_SIZE, 0x10, 1);
	put(&u, u.fn.pm + PCI_PM_CTRL, 3, 2);
	put(&u, PCI_CACHE_LINE_SIZE, 0x20, 1);
	put(&u, u.fn.pm + PCI_PM_CTRL, 0, 2);
	assert_int_equal(get(&u, PCI_CACHE_LINE_SIZE, 1), 0x10);
	pci_virt_free(u.virt);
}

static void test_flr(void **state)
{
	struct user u;
	unsigned int control;

	user_open_image(&u, "nvme");
	control = u.fn.express + PCI_EXP_DEVCTL;
	put(&u, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	put(&u, control, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(u.flr, 1);
	assert_int_equal(get(&u, control, 2), 0);
	assert_int_equal(get(&u, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(pci_bar_address(&u.fn, 0) == 0xfe600000);
	/* The upper byte alone does it too; the lower does not. */
	put(&u, control + 1, PCI_EXP_DEVCTL_BCR_FLR >> 8, 1);
	assert_int_equal(u.flr, 2);
	put(&u, control, 0xff, 1);
	assert_int_equal(u.flr, 2);
	pci_virt_free(u.virt);
}

static void test_flr_absent(void **state)
{
	struct user u;

	user_open_image(&u, "xhci");
	put(&u, u.fn.express + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(u.flr, 0);
	assert_int_equal(get(&u, u.fn.express + PCI_EXP_DEVCTL, 2), 0);
	pci_virt_free(u.virt);
}

/* The enable bit is SET_IRQS' alone; the vectors in use are limited by it. */
static void test_msi(void **state)
{
	struct user u;
	unsigned int flags;

	user_open_image(&u, "edu");
	flags = u.fn.msi + PCI_MSI_FLAGS;
	put(&u, flags, PCI_MSI_FLAGS_ENABLE, 2);
	assert_false(pci_msi_enabled(&u.fn));
	assert_int_equal(get(&u, flags, 2), 0);
	pci_virt_set_msi(u.virt, 4);
	put(&u, flags, PCI_MSI_FLAGS_ENABLE | 3 << 4, 2);
	assert_true(pci_msi_enabled(&u.fn));
	assert_int_equal(get(&u, flags, 2), PCI_MSI_FLAGS_ENABLE | 2 << 4);
	pci_virt_set_msi(u.virt, 0);
	put(&u, flags, PCI_MSI_FLAGS_ENABLE | 3 << 4, 2);
	assert_int_equal(get(&u, flags, 2), 2 << 4);
	pci_virt_free(u.virt);
}

/* The lower byte of the control register after each write, as the kernel answered for edu. */
static void test_msi_as_linux(void **state)
{
	static const struct {
		int vectors; /* SET_IRQS before the write, -1: none */
		u16 write, user, device;
	} steps[] = {
		{ -1, 0x8f, 0x8e, 0x80 }, { -1, 0x01, 0x00, 0x80 }, { 1, 0x71, 0x01, 0x81 },
		{ -1, 0x31, 0x01, 0x81 }, { -1, 0x00, 0x00, 0x80 }, { -1, 0x01, 0x01, 0x81 },
		{ 0, 0x71, 0x00, 0x80 },
	};
	unsigned int flags;
	struct user u;

	user_open_image(&u, "edu");
	flags = u.fn.msi + PCI_MSI_FLAGS;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].vectors >= 0)
			pci_virt_set_msi(u.virt, (unsigned int)steps[i].vectors);
		put(&u, flags, steps[i].write, 2);
		assert_int_equal(get(&u, flags, 2), steps[i].user);
		assert_int_equal(pci_config_get(&u.fn, flags, 2), steps[i].device);
	}
	pci_virt_free(u.virt);
}

static const struct pci_ident plain_ident = { .vendor = 0x1234,
					      .device = 1,
					      .class_code = 0xff0000 };

/* Capabilities without a table vanish from the list, but their bytes stay. */
static void test_hidden(void **state)
{
	struct user u;

	pci_function_init(&u.fn, &plain_ident, true, NULL);
	assert_int_equal(pci_add_capability(&u.fn, PCI_CAP_ID_SSVID, 0x40, 8), 0x40);
	assert_int_equal(pci_add_pm(&u.fn, 0x50), 0);
	assert_int_equal(pci_add_capability(&u.fn, PCI_CAP_ID_EA, 0x60, 8), 0x60);
	assert_int_equal(pci_add_express(&u.fn, 0x80, PCI_EXP_TYPE_ENDPOINT, true), 0);
	assert_int_equal(pci_add_ext_capability(&u.fn, PCI_EXT_CAP_ID_PASID, 1, 0x100, 8), 0x100);
	assert_int_equal(pci_add_aer(&u.fn, 0x200), 0);
	assert_int_equal(pci_add_ext_capability(&u.fn, PCI_EXT_CAP_ID_DOE, 1, 0x300, 16), 0x300);
	assert_int_equal(pci_add_dsn(&u.fn, 0x400, 0x1122334455667788), 0);
	pci_seal(&u.fn);
	user_open(&u);
	assert_int_equal(get(&u, PCI_CAPABILITY_LIST, 1), 0x80);
	assert_int_equal(get(&u, 0x81, 1), 0x50);
	assert_int_equal(get(&u, 0x51, 1), 0);
	/* Still there, for who knows where. */
	assert_int_equal(get(&u, 0x60, 2), 0x5000 | PCI_CAP_ID_EA);
	/* The first of the extended ones loses its id and version, and leads on. */
	assert_int_equal(get(&u, 0x100, 4), 0x20000000);
	assert_int_equal(get(&u, 0x200, 4), 0x40020001);
	assert_int_equal(get(&u, 0x400, 4), 0x00010003);
	assert_int_equal(get(&u, 0x404, 4), 0x55667788);
	pci_virt_free(u.virt);
}

/* Nothing but what is hidden: no list at all. */
static void test_all_hidden(void **state)
{
	struct user u;

	pci_function_init(&u.fn, &plain_ident, false, NULL);
	pci_add_capability(&u.fn, PCI_CAP_ID_SSVID, 0x40, 8);
	user_open(&u);
	assert_int_equal(get(&u, PCI_CAPABILITY_LIST, 1), 0);
	assert_false(get(&u, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	pci_virt_free(u.virt);
}

/* The payload size is the host's; the device's read requests follow the user's. */
static void test_read_request(void **state)
{
	struct user u;
	unsigned int control;

	pci_function_init(&u.fn, &plain_ident, true, NULL);
	pci_add_express(&u.fn, 0x40, PCI_EXP_TYPE_ENDPOINT, false);
	control = u.fn.express + PCI_EXP_DEVCTL;
	pci_set_writable(&u.fn, control, 2, PCI_EXP_DEVCTL_READRQ | PCI_EXP_DEVCTL_PAYLOAD);
	pci_config_set(&u.fn, control, 2, PCI_EXP_DEVCTL_PAYLOAD_256B);
	user_open(&u);
	put(&u, control, PCI_EXP_DEVCTL_READRQ_512B, 2);
	assert_int_equal(get(&u, control, 2), PCI_EXP_DEVCTL_READRQ_512B);
	assert_int_equal(pci_config_get(&u.fn, control, 2),
			 PCI_EXP_DEVCTL_READRQ_512B | PCI_EXP_DEVCTL_PAYLOAD_256B);
	put(&u, control, PCI_EXP_DEVCTL_READRQ_128B, 2);
	assert_int_equal(pci_config_get(&u.fn, control, 2),
			 PCI_EXP_DEVCTL_READRQ_256B | PCI_EXP_DEVCTL_PAYLOAD_256B);
	/* Reserved: the device keeps what it has. */
	put(&u, control, 7 << 12, 2);
	assert_int_equal(get(&u, control, 2), 7 << 12);
	assert_int_equal(pci_config_get(&u.fn, control, 2),
			 PCI_EXP_DEVCTL_READRQ_256B | PCI_EXP_DEVCTL_PAYLOAD_256B);
	pci_virt_free(u.virt);
}

static void test_af_flr(void **state)
{
	struct user u;

	pci_function_init(&u.fn, &plain_ident, false, NULL);
	pci_add_af(&u.fn, 0x40);
	user_open(&u);
	put(&u, 0x40 + PCI_AF_CTRL, 0xff, 1);
	assert_int_equal(u.flr, 1);
	assert_int_equal(get(&u, 0x40 + PCI_AF_CTRL, 1), 0);
	pci_virt_free(u.virt);
}

/* A name of four bytes, and the end: nothing beyond it is answered. */
static void test_vpd(void **state)
{
	static const u8 vpd[16] = { 0x82, 4, 0, 'n', 'a', 'm', 'e', 0x78, 0xaa, 0xbb, 0xcc, 0xdd };
	struct user u;

	pci_function_init(&u.fn, &plain_ident, false, NULL);
	assert_int_equal(pci_add_vpd(&u.fn, 0x40, vpd, sizeof(vpd)), 0);
	user_open(&u);
	put(&u, 0x42, 0, 2);
	assert_int_equal(get(&u, 0x42, 2), PCI_VPD_ADDR_F);
	assert_int_equal(get(&u, 0x44, 4), 0x6e000482);
	put(&u, 0x42, 3, 2);
	assert_int_equal(get(&u, 0x44, 4), 0x656d616e);
	put(&u, 0x42, 6, 2);
	assert_int_equal(get(&u, 0x44, 4), 0x7865);
	put(&u, 0x42, 8, 2);
	assert_int_equal(get(&u, 0x42, 2), 8 | PCI_VPD_ADDR_F);
	assert_int_equal(get(&u, 0x44, 4), 0);
	/* The lower byte alone starts nothing. */
	put(&u, 0x42, 4, 1);
	assert_int_equal(get(&u, 0x42, 2), 4 | PCI_VPD_ADDR_F);
	/* A write ends with the flag clear; outside the data, it never ends. */
	put(&u, 0x44, 0x12345678, 4);
	put(&u, 0x42, PCI_VPD_ADDR_F | 4, 2);
	assert_int_equal(get(&u, 0x42, 2), 4);
	put(&u, 0x42, PCI_VPD_ADDR_F | 8, 2);
	assert_int_equal(get(&u, 0x42, 2), PCI_VPD_ADDR_F | 8);
	pci_virt_free(u.virt);
}

/* Lengths that a device reports wrongly reach no memory outside the view. */
static void test_hostile_lengths(void **state)
{
	struct user u;

	pci_function_init(&u.fn, &plain_ident, true, NULL);
	pci_add_express(&u.fn, 0x80, PCI_EXP_TYPE_ENDPOINT, true);
	pci_add_capability(&u.fn, PCI_CAP_ID_VNDR, 0xfc, 4);
	pci_config_set(&u.fn, 0xfe, 1, 0xff);
	pci_add_ext_capability(&u.fn, PCI_EXT_CAP_ID_VNDR, 1, 0x100, 8);
	pci_config_set(&u.fn, 0x104, 4, 0xfff00000);
	pci_config_set(&u.fn, 0x100, 4, 0xffc1000b);
	pci_config_set(&u.fn, 0xffc, 4, 0xffc1000b);
	pci_seal(&u.fn);
	user_open(&u);
	for (unsigned int pos = 0; pos < 4096; pos++) {
		get(&u, pos, 1);
		put(&u, pos, 0xff, 1);
	}
	pci_virt_free(u.virt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permissions),	cmocka_unit_test(test_random),
		cmocka_unit_test(test_reads),		cmocka_unit_test(test_end),
		cmocka_unit_test(test_granularity),	cmocka_unit_test(test_bars_kept),
		cmocka_unit_test(test_hooks),		cmocka_unit_test(test_power),
		cmocka_unit_test(test_power_restores),	cmocka_unit_test(test_flr),
		cmocka_unit_test(test_flr_absent),	cmocka_unit_test(test_msi),
		cmocka_unit_test(test_msi_as_linux),	cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_all_hidden),	cmocka_unit_test(test_read_request),
		cmocka_unit_test(test_af_flr),		cmocka_unit_test(test_vpd),
		cmocka_unit_test(test_hostile_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
