/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the IOMMU can tell apart, and what can reset a function: Linux's rules, decided from the
 * registers (drivers/iommu/iommu.c: pci_device_group; drivers/pci: search.c, pci.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/internal.h"

#define REQUIRED_ACS (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

static int express_type(const struct host_function *fn)
{
	if (!fn->pci->express)
		return -1;
	return (int)(pci_config_get(fn->pci, fn->pci->express + PCI_EXP_FLAGS, 2) &
		     PCI_EXP_FLAGS_TYPE) >>
	       4;
}

static bool acs_flags_enabled(const struct host_function *fn)
{
	const struct pci_function *pci = fn->pci;
	u32 capable, control;

	if (!pci->acs)
		return false;
	/* What a port is not capable of, it does not do. */
	capable = pci_config_get(pci, pci->acs + PCI_ACS_CAP, 2) & REQUIRED_ACS;
	control = pci_config_get(pci, pci->acs + PCI_ACS_CTRL, 2);
	return (control & capable) == capable;
}

static bool acs_enabled(const struct host_function *fn)
{
	switch (express_type(fn)) {
	case -1:
	case PCI_EXP_TYPE_PCI_BRIDGE:
	case PCI_EXP_TYPE_PCIE_BRIDGE:
	case PCI_EXP_TYPE_RC_EC:
		return false;
	case PCI_EXP_TYPE_DOWNSTREAM:
	case PCI_EXP_TYPE_ROOT_PORT:
		return acs_flags_enabled(fn);
	default:
		return !fn->multifunction || acs_flags_enabled(fn);
	}
}

static bool acs_path_enabled(const struct host_function *fn)
{
	for (; fn; fn = fn->bus->bridge)
		if (!acs_enabled(fn))
			return false;
	return true;
}

/* Whether DMA from below carries the bridge's requester ID. */
static bool bridge_aliases(const struct host_function *bridge)
{
	switch (express_type(bridge)) {
	case PCI_EXP_TYPE_ROOT_PORT:
	case PCI_EXP_TYPE_UPSTREAM:
	case PCI_EXP_TYPE_DOWNSTREAM:
		return false;
	default:
		return true;
	}
}

static struct iommu_group *function_alias_group(const struct host_function *fn)
{
	const struct host_function *other;

	if (!fn->multifunction || acs_enabled(fn))
		return NULL;
	cds_list_for_each_entry(other, &fn->bus->functions, bus_node)
		if (other != fn && HOST_SLOT(other->devfn) == HOST_SLOT(fn->devfn) &&
		    !acs_enabled(other) && other->group)
			return other->group;
	return NULL;
}

/* A group that exists, or NULL: a new one is needed. */
static struct iommu_group *find_group(struct host_function *fn)
{
	struct host_function *at = fn, *bridge;

	for (bridge = fn->bus->bridge; bridge; bridge = bridge->bus->bridge) {
		if (!bridge_aliases(bridge))
			continue;
		if (bridge->group)
			return bridge->group;
		at = bridge;
	}
	for (bridge = at->bus->bridge; bridge; bridge = bridge->bus->bridge) {
		if (acs_path_enabled(bridge))
			break;
		if (bridge->group)
			return bridge->group;
		at = bridge;
	}
	return at->group ? at->group : function_alias_group(at);
}

static struct iommu_group *new_group(struct host *host)
{
	struct iommu_group **grown =
		reallocarray(host->groups, host->nr_groups + 1, sizeof(struct iommu_group *));
	struct iommu_group *group;

	if (!grown)
		return NULL;
	host->groups = grown;
	group = iommu_group_new(host->nr_groups);
	if (group)
		host->groups[host->nr_groups++] = group;
	return group;
}

int host_assign_groups(struct host *host)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node) {
		struct iommu_group *group = find_group(fn);

		if (!group)
			group = new_group(host);
		if (!group)
			return -ENOMEM;
		fn->group = group;
		fn->ep->unit = host->unit;
		iommu_group_add(group, fn->ep);
	}
	return 0;
}

static bool can_flr(const struct pci_function *pci)
{
	return pci->express &&
	       pci_config_get(pci, pci->express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR;
}

static bool can_af_flr(const struct pci_function *pci)
{
	u32 both = PCI_AF_CAP_TP | PCI_AF_CAP_FLR;

	return pci->af && (pci_config_get(pci, pci->af + PCI_AF_CAP, 1) & both) == both;
}

static bool can_pm_reset(const struct pci_function *pci)
{
	return pci->pm &&
	       !(pci_config_get(pci, pci->pm + PCI_PM_CTRL, 2) & PCI_PM_CTRL_NO_SOFT_RESET);
}

/*
 * A bus reset serves for one function only where it is alone on its bus. Linux asks first when it
 * has just found the function, and not what comes after it: so the first on a bus always can.
 */
static bool can_bus_reset(const struct host_function *fn, bool discovery)
{
	const struct cds_list_head *functions = &fn->bus->functions;

	if (!fn->bus->bridge || functions->next != &fn->bus_node)
		return false;
	return discovery || (!fn->secondary && functions->prev == &fn->bus_node);
}

bool host_can_reset(const struct host_function *fn, const char *method, bool discovery)
{
	if (!strcmp(method, "flr"))
		return can_flr(fn->pci);
	if (!strcmp(method, "af_flr"))
		return can_af_flr(fn->pci);
	if (!strcmp(method, "pm"))
		return can_pm_reset(fn->pci);
	return !strcmp(method, "bus") && can_bus_reset(fn, discovery);
}

void host_reset_methods(const struct host_function *fn, bool discovery, char *out, size_t size)
{
	static const char *const methods[] = { "flr", "af_flr", "pm", "bus" };
	size_t len = 0;

	*out = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (host_can_reset(fn, methods[i], discovery) && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "",
						methods[i]);
}
