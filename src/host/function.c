/* SPDX-License-Identifier: BSD-3-Clause */
/* One function of the machine: a device of a model, a bridge, or the host bridge. */
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define SSVID_LENGTH 8
#define PORT_ACS (PCI_ACS_SV | PCI_ACS_TB | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF | PCI_ACS_DT)
/* What Linux switches on where it uses an IOMMU. */
#define ENABLED_ACS (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)
/* 16 GT/s, 32 lanes, data link layer reporting. */
#define PORT_LINK_CAP 0x00300604
#define PORT_LINK_STATUS (PCI_EXP_LNKSTA_CLS_16_0GB | 32 << 4)

/* The identities of QEMU's machine, which lspci and drivers know. */
static const struct pci_ident idents[] = {
	[HOST_BRIDGE] = { 0x8086, 0x29c0, 0x1af4, 0x1100, 0x060000, 0, 0 },
	[HOST_ROOT_PORT] = { 0x1b36, 0x000c, 0x1b36, 0x0000, 0x060400, 0, 1 },
	[HOST_UPSTREAM_PORT] = { 0x104c, 0x8232, 0, 0, 0x060400, 2, 0 },
	[HOST_DOWNSTREAM_PORT] = { 0x104c, 0x8233, 0, 0, 0x060400, 1, 1 },
	[HOST_PCIE_BRIDGE] = { 0x1b36, 0x000e, 0, 0, 0x060400, 0, 1 },
	[HOST_PCI_BRIDGE] = { 0x1b36, 0x0001, 0, 0, 0x060400, 0, 1 },
};

/* The subsystem of a bridge is in a capability of its own. */
static int add_ssvid(struct pci_function *pci, const struct pci_ident *ident)
{
	int at = pci_add_capability(pci, PCI_CAP_ID_SSVID, 0x40, SSVID_LENGTH);

	if (at < 0)
		return at;
	pci_config_set(pci, (unsigned int)at + PCI_SSVID_VENDOR_ID, 2, ident->subsystem_vendor);
	pci_config_set(pci, (unsigned int)at + PCI_SSVID_DEVICE_ID, 2, ident->subsystem_device);
	return 0;
}

static int add_express(const struct host_function *fn)
{
	static const u8 types[] = {
		[HOST_ROOT_PORT] = PCI_EXP_TYPE_ROOT_PORT,
		[HOST_UPSTREAM_PORT] = PCI_EXP_TYPE_UPSTREAM,
		[HOST_DOWNSTREAM_PORT] = PCI_EXP_TYPE_DOWNSTREAM,
		[HOST_PCIE_BRIDGE] = PCI_EXP_TYPE_PCI_BRIDGE,
	};
	struct pci_function *pci = fn->own_pci;
	int err = pci_add_msi(pci, 0x48, 1, false, false);

	if (!err)
		err = pci_add_express(pci, 0x54, types[fn->kind], false);
	if (!err && fn->kind != HOST_PCIE_BRIDGE) {
		pci_config_set(pci, pci->express + PCI_EXP_LNKCAP, 4, PORT_LINK_CAP);
		pci_config_set(pci, pci->express + PCI_EXP_LNKSTA, 2, PORT_LINK_STATUS);
	}
	return err ? err : pci_add_aer(pci, 0x100);
}

static int build_bridge_pci(struct host_function *fn)
{
	bool port = fn->kind == HOST_ROOT_PORT || fn->kind == HOST_DOWNSTREAM_PORT;
	bool acs = !fn->item || fn->item->common.acs;
	int err = 0;

	fn->ident = idents[fn->kind];
	if (fn->kind == HOST_BRIDGE) {
		pci_function_init(fn->own_pci, &fn->ident, false, NULL);
		return 0;
	}
	pci_bridge_init(fn->own_pci, &fn->ident, NULL);
	if (fn->kind == HOST_PCI_BRIDGE)
		fn->own_pci->size = PCI_CONFIG_SIZE;
	if (fn->ident.subsystem_vendor)
		err = add_ssvid(fn->own_pci, &fn->ident);
	if (!err && fn->kind != HOST_PCI_BRIDGE)
		err = add_express(fn);
	if (!err && port && acs)
		err = pci_add_acs(fn->own_pci, 0x148, PORT_ACS);
	return err;
}

static int build_bridge(struct host_function *fn)
{
	int err;

	fn->own_pci = calloc(1, sizeof(*fn->own_pci));
	fn->own_ep = calloc(1, sizeof(*fn->own_ep));
	if (!fn->own_pci || !fn->own_ep)
		return -ENOMEM;
	fn->pci = fn->own_pci;
	fn->ep = fn->own_ep;
	memcpy(fn->ep->name, fn->name, sizeof(fn->name));
	fn->ep->rid = (u16)(fn->bus->number << 8 | fn->devfn);
	CDS_INIT_LIST_HEAD(&fn->ep->group_node);
	err = build_bridge_pci(fn);
	if (err)
		return err;
	pci_set_multifunction(fn->pci, fn->multifunction);
	pci_seal(fn->pci);
	if (fn->kind == HOST_ROOT_PORT || fn->kind == HOST_UPSTREAM_PORT ||
	    fn->kind == HOST_DOWNSTREAM_PORT)
		fn->native = "pcieport";
	return 0;
}

static int build_device(struct host_function *fn, char **error)
{
	const char *driver = fn->item->common.driver;
	cleanup_free char *reason = NULL;
	struct host_driver *drv;
	void *props = NULL;
	int err;

	err = host_item_props(fn->item, &props, error);
	if (err)
		return err;
	err = device_new(fn->item->model, fn->name, props, fn->host->thread, &fn->dev, &reason);
	if (err)
		return host_error(error, err, "%s: %s", fn->item->what,
				  reason ? reason : strerror(-err));
	fn->pci = &fn->dev->pci;
	fn->ep = &fn->dev->ep;
	fn->ident = fn->dev->ident;
	if (fn->bus->bridge) {
		fn->dev->bus = &fn->bus->dbus;
		cds_list_add_tail(&fn->dev->bus_node, &fn->bus->dbus.devices);
	}
	if (fn->item->common.multifunction) {
		pci_set_multifunction(fn->pci, true);
		pci_seal(fn->pci);
	}
	if (!strcmp(driver, "none"))
		return 0;
	drv = host_driver_add(fn->host, driver);
	if (!drv)
		return -ENOMEM;
	fn->native = drv->name;
	return 0;
}

int host_function_build(struct host_function *fn, char **error)
{
	int err = fn->kind == HOST_ENDPOINT ? build_device(fn, error) : build_bridge(fn);

	if (err)
		return err;
	if (fn->host->unit && fn->pci->acs)
		pci_config_write(fn->pci, fn->pci->acs + PCI_ACS_CTRL, 2, ENABLED_ACS);
	fn->d3cold = fn->pci->pm != 0;
	host_reset_methods(fn, true, fn->reset_methods, sizeof(fn->reset_methods));
	fn->has_reset = *fn->reset_methods;
	return 0;
}

void host_function_free(struct host_function *fn)
{
	struct host_waiter *waiter, *next;

	cds_list_for_each_entry_safe(waiter, next, &fn->waiters, node)
		free(waiter);
	if (fn->mirror)
		host_config_unmap(fn);
	if (fn->ep && fn->ep->group)
		iommu_group_remove(fn->ep);
	if (fn->dev) {
		if (fn->dev->bus)
			cds_list_del(&fn->dev->bus_node);
		device_free(fn->dev);
	}
	cds_list_del(&fn->bus_node);
	cds_list_del(&fn->node);
	free(fn->own_pci);
	free(fn->own_ep);
	free(fn->driver_override);
	free(fn->dir);
	free(fn);
}
