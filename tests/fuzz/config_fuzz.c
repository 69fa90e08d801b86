/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequences of accesses to configuration space, by the user of vfio-pci and on the bus, against
 * several kinds of functions. The input is the kind, then operations: a byte that chooses it, two
 * of position, one of size, and the bytes to write.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "pci/virt.h"

#define MAX_SIZE 64

struct input {
	const u8 *data;
	size_t left;
};

struct machine {
	struct pci_function fn;
	struct pci_virt *virt;
	struct pci_saved_state saved;
	bool msi, bus_written;
	u8 mirror[PCI_EXPRESS_CONFIG_SIZE];
	u8 first[PCI_EXPRESS_CONFIG_SIZE]; /* the registers at the start */
};

static struct machine machine;

static const struct pci_ident ident = { .vendor = 0x1234,
					.device = 0x11e8,
					.subsystem_vendor = 0x1af4,
					.subsystem_device = 0x1100,
					.class_code = 0x00ff00,
					.revision = 0x10,
					.interrupt_pin = 1 };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		__builtin_trap();
}

static unsigned int take(struct input *in, unsigned int bytes)
{
	unsigned int value = 0;

	for (unsigned int i = 0; i < bytes && in->left; i++) {
		value |= (unsigned int)*in->data++ << (8 * i);
		in->left--;
	}
	return value;
}

static void on_flr(void *opaque)
{
	struct machine *m = opaque;

	pci_save_state(&m->fn, &m->saved);
	pci_reset(&m->fn);
	pci_restore_state(&m->fn, &m->saved);
}

static void on_intx(void *opaque, bool disabled)
{
	struct machine *m = opaque;

	check(pci_virt_intx_disabled(m->virt) == disabled);
}

static void on_memory(void *opaque, bool enabled)
{
	struct machine *m = opaque;

	check(pci_virt_memory_enabled(m->virt) == enabled);
}

static const struct pci_virt_ops ops = { .flr = on_flr,
					 .intx_disable = on_intx,
					 .memory = on_memory };

static void add_bar(struct pci_function *fn, unsigned int index, enum pci_bar_type type, u64 size,
		    u64 address)
{
	struct pci_bar bar = { .type = type, .size = size, .prefetch = type == PCI_BAR_MEM64 };

	check(!pci_add_bar(fn, index, &bar));
	pci_bar_set_address(fn, index, address);
}

static void build_conventional(struct pci_function *fn)
{
	static const u8 vpd[8] = { 0x82, 2, 0, 'o', 'k', 0x78 };

	pci_function_init(fn, &ident, false, NULL);
	add_bar(fn, 0, PCI_BAR_MEM32, 1 << 20, 0xfe800000);
	add_bar(fn, 1, PCI_BAR_IO, 32, 0xc000);
	add_bar(fn, PCI_ROM_BAR, PCI_BAR_MEM32, 0x10000, 0xfea00000);
	pci_add_msi(fn, 0x40, 1, true, false);
	pci_add_pm(fn, 0x50);
	pci_config_set(fn, 0x54, 2, 0); /* without NO_SOFT_RESET */
	pci_add_af(fn, 0x60);
	pci_add_vpd(fn, 0x70, vpd, sizeof(vpd));
	pci_add_capability(fn, PCI_CAP_ID_SSVID, 0x80, 8);
	pci_add_capability(fn, PCI_CAP_ID_SATA, 0x90, 16);
}

static void build_express(struct pci_function *fn)
{
	static const struct pci_msix_info msix = { .vectors = 65,
						   .table_offset = 0x2000,
						   .pba_offset = 0x3000 };

	pci_function_init(fn, &ident, true, NULL);
	add_bar(fn, 0, PCI_BAR_MEM64, 0x4000, 0x38fe600000);
	pci_add_pm(fn, 0x60);
	pci_add_express(fn, 0x80, PCI_EXP_TYPE_ENDPOINT, true);
	pci_set_writable(fn, 0x88, 2, 0xffff);
	pci_add_msix(fn, 0x40, &msix);
	pci_add_msi(fn, 0xc4, 32, false, true);
	pci_add_ext_capability(fn, PCI_EXT_CAP_ID_PASID, 1, 0x100, 8);
	pci_add_aer(fn, 0x200);
	pci_add_acs(fn, 0, 0x7f);
	pci_add_dsn(fn, 0, 1);
}

/* Lists as a broken or a hostile device would have them. */
static void build_wild(struct pci_function *fn, struct input *in)
{
	pci_function_init(fn, &ident, true, NULL);
	add_bar(fn, 0, PCI_BAR_MEM32, 4096, 0xfe800000);
	pci_config_set(fn, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	pci_config_set(fn, PCI_CAPABILITY_LIST, 1, take(in, 1));
	for (unsigned int n = take(in, 1) % 32; n; n--) {
		unsigned int pos = 0x40 + take(in, 2) % 0xfc0;

		pci_config_set(fn, pos, 4, take(in, 4));
	}
	pci_config_set(fn, 0x100, 4, take(in, 4));
}

/* As the driver does: the device's enable bit goes with the interrupt. */
static void set_msi(struct machine *m, unsigned int vectors)
{
	u32 flags = m->fn.msi ? pci_config_get(&m->fn, m->fn.msi + PCI_MSI_FLAGS, 2) : 0;

	m->msi = vectors;
	pci_virt_set_msi(m->virt, vectors);
	if (m->fn.msi && !vectors)
		pci_config_write(&m->fn, m->fn.msi + PCI_MSI_FLAGS, 2,
				 flags & ~(u32)PCI_MSI_FLAGS_ENABLE);
}

static void reopen(struct machine *m)
{
	if (m->virt)
		set_msi(m, 0);
	pci_virt_free(m->virt);
	m->virt = pci_virt_new(&m->fn, &ident, &ops, m);
	check(m->virt);
	check(pci_virt_size(m->virt) == m->fn.size);
}

/* On the device, every bit without a mask stays. */
static void check_fixed(const struct machine *m)
{
	for (unsigned int i = PCI_STD_HEADER_SIZEOF; i < m->fn.size; i++) {
		u8 fixed = (u8) ~(m->fn.wmask[i] | m->fn.w1c[i]);

		check((m->fn.data[i] & fixed) == (m->first[i] & fixed));
	}
	check(!memcmp(m->mirror, m->fn.data, m->fn.size));
}

/* What nobody can write. */
static void check_constant(struct machine *m)
{
	u32 value;

	check(pci_virt_read(m->virt, &value, 4, PCI_VENDOR_ID) == 4 && value == 0x11e81234);
	check(pci_virt_read(m->virt, &value, 4, PCI_CLASS_REVISION) == 4 && value == 0x00ff0010);
	check(pci_virt_read(m->virt, &value, 1, PCI_INTERRUPT_PIN) == 1 && (u8)value == 1);
	if (!m->bus_written)
		check(!memcmp(m->fn.data + PCI_BASE_ADDRESS_0, m->first + PCI_BASE_ADDRESS_0, 24));
	if (!m->msi && !m->bus_written)
		check(!pci_msi_enabled(&m->fn));
}

/* BARs answer as hardware of that size does. */
static void check_bars(struct machine *m)
{
	for (unsigned int i = 0; i < PCI_NUM_BARS; i++) {
		const struct pci_bar *bar = &m->fn.bars[i];
		u32 value, flags = m->first[PCI_BASE_ADDRESS_0 + 4 * i] & 0xf;

		check(pci_virt_read(m->virt, &value, 4, PCI_BASE_ADDRESS_0 + 4 * i) == 4);
		if (bar->type != PCI_BAR_NONE)
			check(!value || (value & (u32)(bar->size - 1)) == flags);
		else
			check(!value || (i && m->fn.bars[i - 1].type == PCI_BAR_MEM64));
	}
}

static bool inside(const struct machine *m, unsigned int pos, unsigned int size)
{
	return pos + size <= m->fn.size && pos < m->fn.size;
}

/* A read of any size is the bytes of it. */
static void user_read(struct machine *m, unsigned int pos, unsigned int size)
{
	u8 whole[MAX_SIZE], byte;
	ssize_t ret = pci_virt_read(m->virt, whole, size, pos);

	check(ret == (size && !inside(m, pos, size) ? -EFAULT : (ssize_t)size));
	for (unsigned int i = 0; ret > 0 && i < size; i++) {
		check(pci_virt_read(m->virt, &byte, 1, pos + i) == 1);
		check(byte == whole[i]);
	}
}

static void user_write(struct machine *m, struct input *in, unsigned int pos, unsigned int size)
{
	u8 bytes[MAX_SIZE];
	ssize_t ret;

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = (u8)take(in, 1);
	ret = pci_virt_write(m->virt, bytes, size, pos);
	check(ret == (size && !inside(m, pos, size) ? -EFAULT : (ssize_t)size));
}

static void step(struct machine *m, struct input *in)
{
	unsigned int op = take(in, 1), pos = take(in, 2) % (PCI_EXPRESS_CONFIG_SIZE + 64);
	unsigned int size = take(in, 1);

	if (op & 0x80)
		pos %= PCI_CONFIG_SIZE;
	switch (op % 8) {
	case 0:
	case 1:
	case 2:
		user_write(m, in, pos, op & 0x40 ? 4 : size % MAX_SIZE);
		break;
	case 3:
		user_read(m, pos, size % MAX_SIZE);
		break;
	case 4:
		m->bus_written = true;
		pci_config_write(&m->fn, pos, 1U << size % 3, take(in, 4));
		break;
	case 5:
		set_msi(m, size % 33);
		break;
	case 6:
		m->bus_written = true;
		pci_reset(&m->fn);
		break;
	case 7:
		reopen(m);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	struct machine *m = &machine;
	unsigned int kind = take(&in, 1) % 3;

	memset(m, 0, sizeof(*m));
	if (kind == 0)
		build_conventional(&m->fn);
	else if (kind == 1)
		build_express(&m->fn);
	else
		build_wild(&m->fn, &in);
	pci_seal(&m->fn);
	memcpy(m->first, m->fn.data, sizeof(m->first));
	memcpy(m->mirror, m->fn.data, sizeof(m->mirror));
	m->fn.mirror = m->mirror;
	reopen(m);
	for (unsigned int steps = 0; in.left && steps < 512; steps++) {
		step(m, &in);
		check_constant(m);
		check_bars(m);
	}
	check_fixed(m);
	pci_virt_free(m->virt);
	return 0;
}
