/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses of BARs and bridge windows, interrupt lines and commands: what a firmware leaves
 * behind.
 *
 * Each bus packs what it needs by falling alignment; a window is as large as what is behind it,
 * rounded up to what a bridge can express, and closed when nothing is.
 */
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define MEM_BASE 0xc0000000ULL
#define MEM_END 0xfe900000ULL /* the chipset's own devices, and then the I/O APIC */
#define IO_BASE 0x1000ULL
#define IO_END 0x10000ULL
#define HIGH_BASE 0x800000000ULL /* 32 GiB */
#define HIGH_END (1ULL << 46)

#define RESOURCE_IO 0x100
#define RESOURCE_MEM 0x200
#define RESOURCE_PREFETCH 0x2000
#define RESOURCE_READONLY 0x4000
#define RESOURCE_SIZEALIGN 0x40000
#define RESOURCE_MEM_64 0x100000

/* Something on a bus that needs an address. */
struct need {
	struct host_function *fn;
	unsigned int bar;
	bool window;
	u64 size, align;
};

struct needs {
	struct need *list;
	size_t nr;
};

struct pool {
	u64 next, end;
};

u64 host_resource_flags(const struct pci_bar *bar, bool rom)
{
	u64 flags = RESOURCE_SIZEALIGN;

	if (rom)
		return flags | RESOURCE_MEM | RESOURCE_PREFETCH | RESOURCE_READONLY;
	if (bar->type == PCI_BAR_IO)
		return flags | RESOURCE_IO | PCI_BASE_ADDRESS_SPACE_IO;
	flags |= RESOURCE_MEM;
	if (bar->prefetch)
		flags |= RESOURCE_PREFETCH | PCI_BASE_ADDRESS_MEM_PREFETCH;
	if (bar->type == PCI_BAR_MEM64)
		flags |= RESOURCE_MEM_64 | PCI_BASE_ADDRESS_MEM_TYPE_64;
	return flags;
}

/* Only 64-bit prefetchable memory may be in a bridge's prefetchable window here. */
static int bar_space(const struct pci_bar *bar)
{
	if (bar->type == PCI_BAR_IO)
		return HOST_WINDOW_IO;
	return bar->type == PCI_BAR_MEM64 && bar->prefetch ? HOST_WINDOW_PREF : HOST_WINDOW_MEM;
}

static int add_need(struct needs *needs, struct need need)
{
	struct need *grown = reallocarray(needs->list, needs->nr + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	needs->list = grown;
	needs->list[needs->nr++] = need;
	return 0;
}

static int compare_needs(const void *a, const void *b)
{
	const struct need *x = a, *y = b;

	return (x->align < y->align) - (x->align > y->align);
}

static u64 granule(int space)
{
	return space == HOST_WINDOW_IO ? 0x1000 : 0x100000;
}

/* All needs of @bus in @space, the largest alignment first. */
static int collect(struct host_bus *bus, int space, struct needs *needs)
{
	struct host_function *fn;
	int err = 0;

	cds_list_for_each_entry(fn, &bus->functions, bus_node) {
		for (unsigned int i = 0; i <= PCI_ROM_BAR && !err; i++) {
			const struct pci_bar *bar = &fn->pci->bars[i];

			if (bar->type != PCI_BAR_NONE && bar_space(bar) == space)
				err = add_need(needs,
					       (struct need){ fn, i, false, bar->size, bar->size });
		}
		if (!err && fn->secondary && fn->windows[space].size)
			err = add_need(needs, (struct need){ fn, 0, true, fn->windows[space].size,
							     fn->windows[space].base });
	}
	if (!err && needs->nr)
		qsort(needs->list, needs->nr, sizeof(*needs->list), compare_needs);
	return err;
}

/* From the leaves up: the size of each window, with its alignment in ->base for the time being. */
static int size_windows(struct host_bus *bus, int space)
{
	cleanup_free struct need *list = NULL;
	struct needs needs = { 0 };
	struct host_function *fn;
	u64 size = 0;
	int err;

	cds_list_for_each_entry(fn, &bus->functions, bus_node) {
		err = fn->secondary ? size_windows(fn->secondary, space) : 0;
		if (err)
			return err;
	}
	err = collect(bus, space, &needs);
	list = needs.list;
	if (err || !bus->bridge || !needs.nr)
		return err;
	for (size_t i = 0; i < needs.nr; i++)
		size = ALIGN_UP(size, MAX(list[i].align, 1)) + list[i].size;
	bus->bridge->windows[space].size = ALIGN_UP(size, granule(space));
	bus->bridge->windows[space].base = MAX(list[0].align, granule(space));
	return 0;
}

static int place_needs(struct host_bus *bus, int space, struct pool *pool);

static int place_window(struct host_function *fn, int space, u64 base)
{
	struct host_window *window = &fn->windows[space];
	struct pool pool = { base, base + window->size };

	window->base = base;
	pci_bridge_set_window(fn->pci, (enum pci_window)space, base, base + window->size - 1);
	return place_needs(fn->secondary, space, &pool);
}

/* -ENOSPC: the pool is too small. */
static int place_needs(struct host_bus *bus, int space, struct pool *pool)
{
	cleanup_free struct need *list = NULL;
	struct needs needs = { 0 };
	int err = collect(bus, space, &needs);

	list = needs.list;
	for (size_t i = 0; i < needs.nr && !err; i++) {
		u64 base = ALIGN_UP(pool->next, list[i].align);

		if (base > pool->end || list[i].size > pool->end - base)
			return -ENOSPC;
		pool->next = base + list[i].size;
		if (list[i].window)
			err = place_window(list[i].fn, space, base);
		else
			pci_bar_set_address(list[i].fn->pci, list[i].bar, base);
	}
	return err;
}

static void close_windows(struct host *host, int space)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node) {
		if (fn->secondary) {
			fn->windows[space] = (struct host_window){ 0 };
			pci_bridge_set_window(fn->pci, (enum pci_window)space, 1, 0);
		}
		for (unsigned int i = 0; i <= PCI_ROM_BAR; i++)
			if (fn->pci->bars[i].type != PCI_BAR_NONE &&
			    bar_space(&fn->pci->bars[i]) == space)
				pci_bar_set_address(fn->pci, i, 0);
	}
}

/* The interrupt line: pins rotate at every bridge, and two lines take turns. */
static u8 interrupt_line(const struct host_function *fn)
{
	static const u8 lines[] = { 10, 10, 11, 11 };
	unsigned int pin = fn->ident.interrupt_pin;

	if (!pin)
		return 0;
	pin--;
	for (; fn; fn = fn->bus->bridge)
		pin += HOST_SLOT(fn->devfn);
	return lines[pin & 3];
}

static void start_function(struct host_function *fn)
{
	u16 command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_SERR;
	struct host_bus *behind = fn->secondary;

	if (behind)
		pci_bridge_set_buses(fn->pci, fn->bus->number, behind->number, behind->last);
	pci_config_set(fn->pci, PCI_INTERRUPT_LINE, 1, interrupt_line(fn));
	if (fn->dev) {
		device_config_write(fn->dev, PCI_COMMAND, 2, command);
		return;
	}
	if (behind)
		command |= PCI_COMMAND_MASTER | (fn->native ? PCI_COMMAND_INTX_DISABLE : 0);
	pci_config_write(fn->pci, PCI_COMMAND, 2, command);
}

/* Memory above 4 GiB only for what does not fit below. */
static int place_pref(struct host_bus *root, struct pool *low)
{
	struct pool high = { HIGH_BASE, HIGH_END }, before = *low;
	int err = place_needs(root, HOST_WINDOW_PREF, low);

	if (err != -ENOSPC)
		return err;
	*low = before;
	close_windows(root->host, HOST_WINDOW_PREF);
	err = size_windows(root, HOST_WINDOW_PREF);
	return err ? err : place_needs(root, HOST_WINDOW_PREF, &high);
}

/* 32-bit memory, and what of the other fits beside it. */
static int place_memory(struct host_bus *root, struct pool *mem)
{
	int err = size_windows(root, HOST_WINDOW_MEM);

	if (!err)
		err = size_windows(root, HOST_WINDOW_PREF);
	if (!err)
		err = place_needs(root, HOST_WINDOW_MEM, mem);
	return err ? err : place_pref(root, mem);
}

/* As firmware does: packed against the top of the hole. */
static int place_at_top(struct host_bus *root)
{
	struct pool mem = { MEM_BASE, MEM_END };
	int err = place_memory(root, &mem);
	u64 used = mem.next - MEM_BASE, align;

	if (err || !used)
		return err;
	/* No alignment is larger than all together. */
	align = 1ULL << (63 - __builtin_clzll(used));
	mem.next = MAX(ALIGN_DOWN(MEM_END - used, align), MEM_BASE);
	return place_memory(root, &mem);
}

int host_assign_resources(struct host *host, char **error)
{
	struct host_bus *root = cds_list_first_entry(&host->buses, struct host_bus, node);
	struct pool io = { IO_BASE, IO_END };
	struct host_function *fn;
	int err = place_at_top(root);

	if (err == -ENOSPC)
		return host_error(error, -EINVAL, "the devices' memory does not fit");
	if (!err)
		err = size_windows(root, HOST_WINDOW_IO);
	if (!err)
		err = place_needs(root, HOST_WINDOW_IO, &io);
	/* As on real machines with many devices: no I/O ports for anybody, and life goes on. */
	if (err == -ENOSPC) {
		close_windows(host, HOST_WINDOW_IO);
		err = 0;
	}
	cds_list_for_each_entry(fn, &host->functions, node)
		start_function(fn);
	return err;
}
