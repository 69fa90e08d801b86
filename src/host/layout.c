/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where everything sits: buses, slots and functions, from the description.
 *
 * Buses are numbered depth first, in the order of the bridges on each bus. A device without an
 * address gets a root port of its own; so does each bus that an address names.
 */
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define MAX_PORTS 256

/* A bridge on the root bus whose slot is not decided yet. */
struct port {
	const struct host_item *bridge;	      /* as written, or NULL: a root port to be made */
	const struct host_item *functions[8]; /* behind a port to be made */
	unsigned int want;		      /* the number of the bus behind it */
	bool exact;			      /* an address says so */
};

struct layout {
	struct host *host;
	struct host_bus *root;
	struct port ports[MAX_PORTS];
	unsigned int nr_ports;
	u32 slots; /* of the root bus, in use */
	char **error;
};

static struct host_bus *bus_new(struct host *host, struct host_function *bridge)
{
	struct host_bus *bus = calloc(1, sizeof(*bus));

	if (!bus)
		return NULL;
	CDS_INIT_LIST_HEAD(&bus->functions);
	CDS_INIT_LIST_HEAD(&bus->dbus.devices);
	bus->host = host;
	bus->bridge = bridge;
	if (bridge) {
		bus->express =
			bridge->kind == HOST_ROOT_PORT || bridge->kind == HOST_DOWNSTREAM_PORT;
		bridge->secondary = bus;
	}
	cds_list_add_tail(&bus->node, &host->buses);
	return bus;
}

static struct host_function *bus_find(const struct host_bus *bus, u8 devfn)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &bus->functions, bus_node)
		if (fn->devfn == devfn)
			return fn;
	return NULL;
}

static const char *what_of(const struct host_item *item)
{
	return item ? item->what : "root port";
}

/* Puts a function on @bus, in the order of devfn. */
static int place(struct layout *l, struct host_bus *bus, const struct host_item *item,
		 enum host_kind kind, int slot, int func, struct host_function **out)
{
	struct host_function *fn, *other;
	u8 devfn = HOST_DEVFN(slot, func);

	if (bus_find(bus, devfn))
		return host_error(l->error, -EINVAL, "%s: addr=%02x.%x: taken by another device",
				  what_of(item), (unsigned int)slot, (unsigned int)func);
	fn = calloc(1, sizeof(*fn));
	if (!fn)
		return -ENOMEM;
	fn->host = l->host;
	fn->bus = bus;
	fn->item = item;
	fn->kind = kind;
	fn->devfn = devfn;
	fn->msi_bus = 1;
	fn->power_on = true;
	fn->numa_node = -1;
	fn->multifunction = item && item->common.multifunction;
	CDS_INIT_LIST_HEAD(&fn->waiters);
	CDS_INIT_LIST_HEAD(&fn->node);
	cds_list_for_each_entry(other, &bus->functions, bus_node)
		if (other->devfn > devfn)
			break;
	cds_list_add_tail(&fn->bus_node, &other->bus_node);
	if (bus == l->root)
		l->slots |= BIT(slot);
	if (out)
		*out = fn;
	return 0;
}

static bool allowed_behind(enum host_kind kind, const struct host_bus *bus)
{
	enum host_kind above = bus->bridge ? bus->bridge->kind : HOST_BRIDGE;

	switch (kind) {
	case HOST_ROOT_PORT:
		return above == HOST_BRIDGE;
	case HOST_UPSTREAM_PORT:
		return bus->express;
	case HOST_DOWNSTREAM_PORT:
		return above == HOST_UPSTREAM_PORT;
	case HOST_PCIE_BRIDGE:
		return bus->express || above == HOST_BRIDGE;
	case HOST_PCI_BRIDGE:
		return above == HOST_BRIDGE || above == HOST_PCIE_BRIDGE ||
		       above == HOST_PCI_BRIDGE;
	default:
		return above != HOST_UPSTREAM_PORT;
	}
}

static int check_behind(struct layout *l, const struct host_item *item, const struct host_bus *bus)
{
	static const char *const where[] = {
		[HOST_ENDPOINT] = "cannot be behind an upstream-port, only behind its "
				  "downstream-port",
		[HOST_ROOT_PORT] = "a root-port is on the root bus, not behind a bridge",
		[HOST_UPSTREAM_PORT] = "an upstream-port is behind a root-port or downstream-port",
		[HOST_DOWNSTREAM_PORT] = "a downstream-port is behind an upstream-port",
		[HOST_PCIE_BRIDGE] = "a pcie-pci-bridge is on the root bus, or behind a root-port "
				     "or downstream-port",
		[HOST_PCI_BRIDGE] = "a pci-bridge is on the root bus, or behind a pcie-pci-bridge "
				    "or pci-bridge",
	};

	if (allowed_behind(item->kind, bus))
		return 0;
	return host_error(l->error, -EINVAL, "%s: %s", item->what, where[item->kind]);
}

/* The slot of an item behind a bridge (or, with an address, on the root bus). */
static int find_slot(struct layout *l, const struct host_item *item, const struct host_bus *bus,
		     int *slot, int *func)
{
	int number;

	if (!item->common.addr) {
		*func = 0;
		for (*slot = 0; *slot < (bus->express ? 1 : 32); (*slot)++)
			if (!bus_find(bus, HOST_DEVFN(*slot, 0)))
				return 0;
		return host_error(
			l->error, -EINVAL, "%s: no free slot behind the bridge%s", item->what,
			bus->express ? "; only device 00 exists behind a port: give addr=" : "");
	}
	host_parse_addr(item->common.addr, &number, slot, func);
	if (bus->bridge && number != -1)
		return host_error(l->error, -EINVAL,
				  "%s: addr=%s: the bus is that of the bridge: write addr=%02x.%x",
				  item->what, item->common.addr, (unsigned int)*slot,
				  (unsigned int)*func);
	if (bus->express && *slot)
		return host_error(l->error, -EINVAL,
				  "%s: addr=%s: only device 00 exists behind a port", item->what,
				  item->common.addr);
	return 0;
}

static int place_children(struct layout *l, struct host_function *bridge);

static int place_item(struct layout *l, struct host_bus *bus, const struct host_item *item,
		      int slot, int func)
{
	struct host_function *fn = NULL;
	int err = check_behind(l, item, bus);

	if (!err)
		err = place(l, bus, item, item->kind, slot, func, &fn);
	if (err || !fn || item->kind == HOST_ENDPOINT)
		return err;
	if (!bus_new(l->host, fn))
		return -ENOMEM;
	return place_children(l, fn);
}

/* Those with an address first, so that the others take what is left. */
static int place_children(struct layout *l, struct host_function *bridge)
{
	const struct host_item *item;
	int slot, func, err;

	for (int pass = 0; pass < 2; pass++) {
		cds_list_for_each_entry(item, &bridge->item->children, node) {
			if ((item->common.addr == NULL) != pass)
				continue;
			err = find_slot(l, item, bridge->secondary, &slot, &func);
			if (!err)
				err = place_item(l, bridge->secondary, item, slot, func);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Buses behind and with this bridge. */
static unsigned int count_buses(const struct host_item *item)
{
	const struct host_item *child;
	unsigned int n = item->kind != HOST_ENDPOINT;

	cds_list_for_each_entry(child, &item->children, node)
		n += count_buses(child);
	return n;
}

static struct port *port_wanting(struct layout *l, unsigned int first, unsigned int nr)
{
	for (unsigned int i = 0; i < l->nr_ports; i++)
		if (l->ports[i].want >= first && l->ports[i].want - first < nr)
			return &l->ports[i];
	return NULL;
}

static struct port *port_new(struct layout *l, unsigned int want)
{
	struct port *port;

	if (l->nr_ports == MAX_PORTS) {
		host_error(l->error, -EINVAL, "more than %d ports on the root bus", MAX_PORTS);
		return NULL;
	}
	port = &l->ports[l->nr_ports++];
	port->want = want;
	return port;
}

/* Items whose address says where they are. */
static int take_placed(struct layout *l, const struct host_item *item)
{
	int bus, slot, func;
	struct port *port;

	host_parse_addr(item->common.addr, &bus, &slot, &func);
	if (bus <= 0)
		return place_item(l, l->root, item, slot, func);
	if (item->kind != HOST_ENDPOINT)
		return host_error(l->error, -EINVAL,
				  "%s: addr=%s: not on the root bus: nest it in \"devices\" of the "
				  "bridge that it is behind",
				  item->what, item->common.addr);
	if (slot)
		return host_error(l->error, -EINVAL,
				  "%s: addr=%s: only device 00 exists behind a root port: "
				  "write addr=%02x:00.%x, or addr=00:%02x.%x for the root bus",
				  item->what, item->common.addr, (unsigned int)bus,
				  (unsigned int)func, (unsigned int)slot, (unsigned int)func);
	port = port_wanting(l, (unsigned int)bus, 1);
	if (!port)
		port = port_new(l, (unsigned int)bus);
	if (!port)
		return -EINVAL;
	if (port->functions[func])
		return host_error(l->error, -EINVAL, "%s: addr=%s: taken by another device",
				  item->what, item->common.addr);
	port->exact = true;
	port->functions[func] = item;
	return 0;
}

/* The others get the lowest bus numbers left, in their order. */
static int take_unplaced(struct layout *l, const struct host_config *config)
{
	const struct host_item *item;
	unsigned int next = 1;

	cds_list_for_each_entry(item, &config->items, node) {
		unsigned int nr = item->kind == HOST_ENDPOINT ? 1 : count_buses(item);
		struct port *port;
		int err;

		if (item->common.addr)
			continue;
		err = check_behind(l, item, l->root);
		if (err)
			return err;
		while ((port = port_wanting(l, next, nr)))
			next = port->want + 1;
		port = port_new(l, next);
		if (!port)
			return -EINVAL;
		if (item->kind == HOST_ENDPOINT)
			port->functions[0] = item;
		else
			port->bridge = item;
		next += nr;
	}
	return 0;
}

static int compare_ports(const void *a, const void *b)
{
	const struct port *x = a, *y = b;

	return (x->want > y->want) - (x->want < y->want);
}

static int place_port(struct layout *l, const struct port *port, int slot, int func, bool multi)
{
	struct host_function *fn = NULL;
	struct host_bus *bus;
	int err;

	if (port->bridge) {
		err = place_item(l, l->root, port->bridge, slot, func);
		fn = err ? NULL : bus_find(l->root, HOST_DEVFN(slot, func));
	} else {
		err = place(l, l->root, NULL, HOST_ROOT_PORT, slot, func, &fn);
	}
	if (err || !fn)
		return err;
	fn->multifunction |= multi;
	if (port->bridge)
		return 0;
	bus = bus_new(l->host, fn);
	if (!bus)
		return -ENOMEM;
	bus->number = port->exact ? (u8)port->want : 0;
	for (int i = 0; i < 8 && !err; i++)
		if (port->functions[i])
			err = place(l, bus, port->functions[i], HOST_ENDPOINT, 0, i, NULL);
	return err;
}

/*
 * One port for each free slot; where there are more ports than slots, several functions of each
 * slot.
 */
static int place_ports(struct layout *l)
{
	unsigned int free_slots = 32 - (unsigned int)__builtin_popcount(l->slots), each, slot = 0;

	if (!l->nr_ports)
		return 0;
	each = free_slots ? (l->nr_ports + free_slots - 1) / free_slots : 9;
	if (each > 8)
		return host_error(l->error, -EINVAL, "%u ports do not fit on the root bus",
				  l->nr_ports);
	qsort(l->ports, l->nr_ports, sizeof(l->ports[0]), compare_ports);
	for (unsigned int i = 0; i < l->nr_ports; i++) {
		int err;

		if (!(i % each)) {
			slot += i > 0;
			while (l->slots & BIT(slot))
				slot++;
		}
		err = place_port(l, &l->ports[i], (int)slot, (int)(i % each), each > 1);
		if (err)
			return err;
	}
	return 0;
}

/* Functions that nobody would find, and links with functions but no function 0. */
static int check_functions(struct layout *l, const struct host_bus *bus)
{
	const struct host_function *fn, *zero;

	cds_list_for_each_entry(fn, &bus->functions, bus_node) {
		if (!HOST_FUNC(fn->devfn))
			continue;
		zero = bus_find(bus, fn->devfn & ~7);
		if (!zero || !zero->multifunction)
			return host_error(l->error, -EINVAL,
					  "%s: function %d of a device whose function 0 %s",
					  what_of(fn->item), HOST_FUNC(fn->devfn),
					  zero ? "lacks multifunction=on" : "does not exist");
	}
	return 0;
}

static int name_function(struct layout *l, struct host_function *fn)
{
	const struct host_function *bridge = fn->bus->bridge;

	snprintf(fn->name, sizeof(fn->name), "0000:%02x:%02x.%x", fn->bus->number,
		 HOST_SLOT(fn->devfn), HOST_FUNC(fn->devfn));
	if (asprintf(&fn->dir, "%s/%s", bridge ? bridge->dir : "/sys/devices/pci0000:00",
		     fn->name) < 0) {
		fn->dir = NULL;
		return -ENOMEM;
	}
	cds_list_add_tail(&fn->node, &l->host->functions);
	return 0;
}

/* Linux's order of discovery: all of a bus, then what is behind its bridges. */
static int number_bus(struct layout *l, struct host_bus *bus, unsigned int *next)
{
	struct host_function *fn;
	int err = check_functions(l, bus);

	cds_list_for_each_entry(fn, &bus->functions, bus_node) {
		if (!err)
			err = name_function(l, fn);
		if (HOST_FUNC(fn->devfn))
			fn->multifunction = true;
	}
	cds_list_for_each_entry(fn, &bus->functions, bus_node) {
		struct host_bus *behind = fn->secondary;

		if (err)
			return err;
		if (!behind)
			continue;
		if (behind->number && behind->number < *next)
			return host_error(l->error, -EINVAL,
					  "bus %02x cannot be had: a bridge before it takes it",
					  behind->number);
		if (!behind->number && *next > 255)
			return host_error(l->error, -EINVAL, "more than 256 buses");
		if (!behind->number)
			behind->number = (u8)*next;
		*next = behind->number + 1U;
		err = number_bus(l, behind, next);
		behind->last = (u8)(*next - 1);
	}
	return err;
}

static int layout_all(struct layout *l, const struct host_config *config)
{
	const struct host_item *item;
	unsigned int next = 1;
	int err;

	l->root = bus_new(l->host, NULL);
	if (!l->root)
		return -ENOMEM;
	err = place(l, l->root, NULL, HOST_BRIDGE, 0, 0, NULL);
	cds_list_for_each_entry(item, &config->items, node)
		if (!err && item->common.addr)
			err = take_placed(l, item);
	if (!err)
		err = take_unplaced(l, config);
	if (!err)
		err = place_ports(l);
	if (!err)
		err = number_bus(l, l->root, &next);
	l->root->last = (u8)(next - 1);
	return err;
}

int host_layout(struct host *host, const struct host_config *config, char **error)
{
	cleanup_free struct layout *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->host = host;
	l->error = error;
	return layout_all(l, config);
}
