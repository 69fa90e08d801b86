/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory of one PCI function: what Linux shows before a driver is bound. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define ROWS_DEVICE 13 /* BARs, ROM, SR-IOV */
#define ROWS_BRIDGE 17 /* and windows */
#define FIRST_WINDOW_ROW 13
#define UNSET 0x20000000
#define FIRST_MSI_IRQ 24

/* One attribute of @fn. */
static void attr(struct host_function *fn, const char *name, unsigned int mode, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));

static void attr(struct host_function *fn, const char *name, unsigned int mode, const char *format,
		 ...)
{
	cleanup_free char *path = NULL, *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		text = NULL;
	if (asprintf(&path, "%s/%s", fn->dir, name) < 0)
		path = NULL;
	if (path && text)
		host_tree_write(fn->host->tree, path, mode, "%s", text);
}

static void link_to(struct host_function *fn, const char *name, const char *target)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", fn->dir, name);
	host_tree_link(fn->host->tree, path, target);
}

static void subdir(struct host_function *fn, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", fn->dir, name);
	host_tree_mkdir(fn->host->tree, path);
}

void host_sysfs_power(struct host_tree *tree, const char *dir, const char *control,
		      const char *status)
{
	static const char *const names[] = { "autosuspend_delay_ms", "control",
					     "runtime_active_time", "runtime_status",
					     "runtime_suspended_time" };
	const char *values[] = { NULL, control, "0", status, "0" };
	char path[512];

	snprintf(path, sizeof(path), "%s/power", dir);
	host_tree_mkdir(tree, path);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/power/%s", dir, names[i]);
		host_tree_write(tree, path, i < 2 ? 0644 : 0444, "%s%s", values[i] ? values[i] : "",
				values[i] ? "\n" : "");
	}
}

static void modalias(const struct host_function *fn, char *out, size_t size)
{
	const struct pci_ident *id = &fn->ident;

	snprintf(out, size, "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", id->vendor, id->device,
		 id->subsystem_vendor, id->subsystem_device, id->class_code >> 16 & 0xff,
		 id->class_code >> 8 & 0xff, id->class_code & 0xff);
}

void host_sysfs_uevent(struct host_function *fn)
{
	const struct pci_ident *id = &fn->ident;
	char alias[80];

	modalias(fn, alias, sizeof(alias));
	attr(fn, "uevent", 0644,
	     "%s%s%sPCI_CLASS=%04X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\n"
	     "PCI_SLOT_NAME=%s\nMODALIAS=%s\n",
	     fn->driver ? "DRIVER=" : "", fn->driver ? fn->driver : "", fn->driver ? "\n" : "",
	     id->class_code, id->vendor, id->device, id->subsystem_vendor, id->subsystem_device,
	     fn->name, alias);
}

/* One row of "resource" for BAR @i. */
static void bar_row(FILE *f, const struct host_function *fn, unsigned int i)
{
	static const struct pci_bar none;
	const struct pci_bar *bar = i <= PCI_ROM_BAR ? &fn->pci->bars[i] : &none;
	u64 address, flags;

	if (bar->type == PCI_BAR_NONE) {
		fprintf(f, "0x%016x 0x%016x 0x%016x\n", 0, 0, 0);
		return;
	}
	address = pci_bar_address(fn->pci, i);
	flags = host_resource_flags(bar, i == PCI_ROM_BAR) | (address ? 0 : UNSET);
	fprintf(f, "0x%016llx 0x%016llx 0x%016llx\n", (unsigned long long)address,
		(unsigned long long)(address + bar->size - 1), (unsigned long long)flags);
}

static void resource(struct host_function *fn)
{
	static const u32 window_flags[] = { 0x100, 0x200, 0x102201 };
	cleanup_free char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	for (unsigned int i = 0; i < FIRST_WINDOW_ROW; i++)
		bar_row(f, fn, i);
	for (unsigned int i = 0; fn->secondary && i < ROWS_BRIDGE - ROWS_DEVICE; i++) {
		const struct host_window *w = i < HOST_NR_WINDOWS ? &fn->windows[i] : NULL;
		bool open = w && w->size;

		fprintf(f, "0x%016llx 0x%016llx 0x%016x\n", open ? (unsigned long long)w->base : 0,
			open ? (unsigned long long)(w->base + w->size - 1) : 0,
			open ? window_flags[i] : 0);
	}
	if (!fclose(f))
		attr(fn, "resource", 0444, "%s", text);
}

static void bar_files(struct host_function *fn)
{
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
		const struct pci_bar *bar = &fn->pci->bars[i];
		char path[512];

		if (bar->type == PCI_BAR_NONE)
			continue;
		if (i == PCI_ROM_BAR)
			snprintf(path, sizeof(path), "%s/rom", fn->dir);
		else
			snprintf(path, sizeof(path), "%s/resource%u", fn->dir, i);
		host_tree_file(fn->host->tree, path, 0600, bar->size, NULL);
		/* Prefetchable memory can be mapped write-combining, by a second file. */
		if (i == PCI_ROM_BAR || !bar->prefetch)
			continue;
		snprintf(path, sizeof(path), "%s/resource%u_wc", fn->dir, i);
		host_tree_file(fn->host->tree, path, 0600, bar->size, NULL);
	}
}

static void identity(struct host_function *fn)
{
	const struct pci_ident *id = &fn->ident;
	char alias[80];

	modalias(fn, alias, sizeof(alias));
	attr(fn, "vendor", 0444, "0x%04x\n", id->vendor);
	attr(fn, "device", 0444, "0x%04x\n", id->device);
	attr(fn, "subsystem_vendor", 0444, "0x%04x\n", id->subsystem_vendor);
	attr(fn, "subsystem_device", 0444, "0x%04x\n", id->subsystem_device);
	attr(fn, "revision", 0444, "0x%02x\n", id->revision);
	attr(fn, "class", 0444, "0x%06x\n", id->class_code);
	attr(fn, "modalias", 0444, "%s\n", alias);
}

/* The CPUs near a device: all. "0-3" and "f", in words of 32 bits. */
static void cpus(char *list, size_t list_size, char *mask, size_t mask_size)
{
	long nr = sysconf(_SC_NPROCESSORS_CONF);
	size_t at = 0;

	nr = nr < 1 ? 1 : MIN(nr, 4096);
	snprintf(list, list_size, nr > 1 ? "0-%ld" : "0", nr - 1);
	for (long word = (nr - 1) / 32; word >= 0 && at < mask_size; word--) {
		long bits = MIN(nr - word * 32, 32);
		u32 value = bits == 32 ? 0xffffffff : BIT(bits) - 1;

		at += (size_t)snprintf(mask + at, mask_size - at, at ? ",%0*x" : "%0*x",
				       (int)((bits + 3) / 4), value);
	}
}

static void plain(struct host_function *fn)
{
	char list[32], mask[2048];

	cpus(list, sizeof(list), mask, sizeof(mask));
	attr(fn, "ari_enabled", 0444, "0\n");
	attr(fn, "consistent_dma_mask_bits", 0444, "32\n");
	attr(fn, "dma_mask_bits", 0444, "32\n");
	attr(fn, "local_cpulist", 0444, "%s\n", list);
	attr(fn, "local_cpus", 0444, "%s\n", mask);
	attr(fn, "power_state", 0444, "D0\n");
	attr(fn, "remove", 0220, "%s", "");
	attr(fn, "rescan", 0200, "%s", "");
	if (fn->has_reset)
		attr(fn, "reset", 0200, "%s", "");
	host_attr_show_all(fn);
	subdir(fn, "aer");
	subdir(fn, "link");
}

static const char *speed_text(u32 code)
{
	static const char *const texts[] = { "2.5 GT/s PCIe",  "5.0 GT/s PCIe",	 "8.0 GT/s PCIe",
					     "16.0 GT/s PCIe", "32.0 GT/s PCIe", "64.0 GT/s PCIe" };

	return code && code <= ARRAY_SIZE(texts) ? texts[code - 1] : "Unknown";
}

static void express(struct host_function *fn)
{
	unsigned int at = fn->pci->express;
	u32 cap, status;

	if (!at)
		return;
	cap = pci_config_get(fn->pci, at + PCI_EXP_LNKCAP, 4);
	status = pci_config_get(fn->pci, at + PCI_EXP_LNKSTA, 2);
	attr(fn, "current_link_speed", 0444, "%s\n", speed_text(status & PCI_EXP_LNKSTA_CLS));
	attr(fn, "current_link_width", 0444, "%u\n", (status & PCI_EXP_LNKSTA_NLW) >> 4);
	attr(fn, "max_link_speed", 0444, "%s\n", speed_text(cap & PCI_EXP_LNKCAP_SLS));
	attr(fn, "max_link_width", 0444, "%u\n", (cap & PCI_EXP_LNKCAP_MLW) >> 4);
}

static void counters(struct host_function *fn, const char *name, const char *const *errors,
		     size_t nr, const char *total)
{
	cleanup_free char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	for (size_t i = 0; i < nr; i++)
		fprintf(f, "%s 0\n", errors[i]);
	fprintf(f, "%s 0\n", total);
	if (!fclose(f))
		attr(fn, name, 0444, "%s", text);
}

static void error_reporting(struct host_function *fn)
{
	static const char *const correctable[] = { "RxErr",	 "BadTLP",  "BadDLLP",
						   "Rollover",	 "Timeout", "NonFatalErr",
						   "CorrIntErr", "HeaderOF" };
	static const char *const uncorrectable[] = { "Undefined",
						     "DLP",
						     "SDES",
						     "TLP",
						     "FCP",
						     "CmpltTO",
						     "CmpltAbrt",
						     "UnxCmplt",
						     "RxOF",
						     "MalfTLP",
						     "ECRC",
						     "UnsupReq",
						     "ACSViol",
						     "UncorrIntErr",
						     "BlockedTLP",
						     "AtomicOpBlocked",
						     "TLPBlockedErr",
						     "PoisonTLPBlocked",
						     "DMWrReqBlocked",
						     "IDECheck",
						     "MisIDETLP",
						     "PCRC_CHECK",
						     "TLPXlatBlocked" };

	if (!fn->pci->aer)
		return;
	counters(fn, "aer_dev_correctable", correctable, ARRAY_SIZE(correctable), "TOTAL_ERR_COR");
	counters(fn, "aer_dev_fatal", uncorrectable, ARRAY_SIZE(uncorrectable), "TOTAL_ERR_FATAL");
	counters(fn, "aer_dev_nonfatal", uncorrectable, ARRAY_SIZE(uncorrectable),
		 "TOTAL_ERR_NONFATAL");
	attr(fn, "aer/correctable_ratelimit_burst", 0644, "10\n");
	attr(fn, "aer/correctable_ratelimit_interval_ms", 0644, "1250\n");
	attr(fn, "aer/nonfatal_ratelimit_burst", 0644, "10\n");
	attr(fn, "aer/nonfatal_ratelimit_interval_ms", 0644, "1250\n");
	if (fn->kind != HOST_ROOT_PORT)
		return;
	attr(fn, "aer_rootport_total_err_cor", 0444, "0\n");
	attr(fn, "aer_rootport_total_err_fatal", 0444, "0\n");
	attr(fn, "aer_rootport_total_err_nonfatal", 0444, "0\n");
}

/* A port's driver uses one MSI for its services; numbers follow the order of the ports. */
static void interrupt(struct host_function *fn)
{
	unsigned int irq = FIRST_MSI_IRQ;
	struct host_function *other;
	char name[32];

	if (!fn->native || fn->dev) {
		attr(fn, "irq", 0444, "%u\n", pci_config_get(fn->pci, PCI_INTERRUPT_LINE, 1));
		return;
	}
	cds_list_for_each_entry(other, &fn->host->functions, node) {
		if (other == fn)
			break;
		irq += other->native && !other->dev;
	}
	attr(fn, "irq", 0444, "%u\n", irq);
	subdir(fn, "msi_irqs");
	snprintf(name, sizeof(name), "msi_irqs/%u", irq);
	attr(fn, name, 0444, "msi\n");
}

static void bus_directory(struct host *host, const char *parent, const struct host_bus *bus)
{
	char list[32], mask[2048], dir[512], path[640];

	cpus(list, sizeof(list), mask, sizeof(mask));
	snprintf(dir, sizeof(dir), "%s/pci_bus", parent);
	host_tree_mkdir(host->tree, dir);
	snprintf(dir, sizeof(dir), "%s/pci_bus/0000:%02x", parent, bus->number);
	host_tree_own(host->tree, dir);
	host_tree_mkdir(host->tree, dir);
	snprintf(path, sizeof(path), "%s/cpuaffinity", dir);
	host_tree_write(host->tree, path, 0444, "%s\n", mask);
	snprintf(path, sizeof(path), "%s/cpulistaffinity", dir);
	host_tree_write(host->tree, path, 0444, "%s\n", list);
	snprintf(path, sizeof(path), "%s/rescan", dir);
	host_tree_write(host->tree, path, 0200, "%s", "");
	snprintf(path, sizeof(path), "%s/uevent", dir);
	host_tree_write(host->tree, path, 0644, "%s", "");
	snprintf(path, sizeof(path), "%s/device", dir);
	host_tree_link(host->tree, path, parent);
	snprintf(path, sizeof(path), "%s/subsystem", dir);
	host_tree_link(host->tree, path, "/sys/class/pci_bus");
	host_sysfs_power(host->tree, dir, "auto", "unsupported");
	snprintf(path, sizeof(path), "/sys/class/pci_bus/0000:%02x", bus->number);
	host_tree_own(host->tree, path);
	host_tree_link(host->tree, path, dir);
}

void host_sysfs_root_bus(struct host *host)
{
	const struct host_bus *root = cds_list_first_entry(&host->buses, struct host_bus, node);

	bus_directory(host, "/sys/devices/pci0000:00", root);
}

static void bridge(struct host_function *fn)
{
	attr(fn, "secondary_bus_number", 0444, "%u\n", fn->secondary->number);
	attr(fn, "subordinate_bus_number", 0444, "%u\n", fn->secondary->last);
	attr(fn, "reset_subordinate", 0200, "%s", "");
	bus_directory(fn->host, fn->dir, fn->secondary);
}

static void iommu(struct host_function *fn)
{
	char path[512];

	if (!fn->group)
		return;
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u", fn->group->id);
	link_to(fn, "iommu_group", path);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices/%s", fn->group->id,
		 fn->name);
	host_tree_link(fn->host->tree, path, fn->dir);
	snprintf(path, sizeof(path), "/sys/devices/virtual/iommu/%s", fn->host->unit->name);
	link_to(fn, "iommu", path);
	snprintf(path, sizeof(path), "/sys/devices/virtual/iommu/%s/devices/%s",
		 fn->host->unit->name, fn->name);
	host_tree_link(fn->host->tree, path, fn->dir);
}

int host_sysfs_function(struct host_function *fn)
{
	char path[64];
	int err;

	host_tree_own(fn->host->tree, fn->dir);
	host_tree_mkdir(fn->host->tree, fn->dir);
	identity(fn);
	plain(fn);
	resource(fn);
	bar_files(fn);
	express(fn);
	error_reporting(fn);
	interrupt(fn);
	host_sysfs_uevent(fn);
	link_to(fn, "subsystem", "/sys/bus/pci");
	if (fn->secondary)
		bridge(fn);
	iommu(fn);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", fn->name);
	host_tree_own(fn->host->tree, path);
	host_tree_link(fn->host->tree, path, fn->dir);
	err = host_config_map(fn);
	return err ? err : host_tree_error(fn->host->tree);
}
