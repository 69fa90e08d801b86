/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts: description, topology, groups, addresses, the tree, and writes to control attributes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fake_task.h"
#include "host/internal.h"
#include "models/edu/edu.h"

/* A model with a property, a large prefetchable BAR, an I/O BAR and a ROM. */
struct big_props {
	u64 size;
	char *label;
};

static const struct prop big_prop_table[] = {
	{ "size", PROP_SIZE, offsetof(struct big_props, size), "1M", .min = 4096 },
	{ "label", PROP_STRING, offsetof(struct big_props, label) },
	{ NULL },
};

static int big_init(struct device *dev, const void *props, char **error)
{
	const struct big_props *p = props;
	const struct pci_ident ident = { 0x1b36, 0x0005, 0x1af4, 0x1100, 0x00ff00, 1, 1 };

	if (p->label && !strcmp(p->label, "bad"))
		return asprintf(error, "label bad is bad") < 0 ? -ENOMEM : -EINVAL;
	pci_function_init(&dev->pci, &ident, true, NULL);
	dev->ident = ident;
	pci_add_pm(&dev->pci, 0);
	pci_add_express(&dev->pci, 0, PCI_EXP_TYPE_ENDPOINT, true);
	device_add_bar(dev, 0, &(struct pci_bar){ PCI_BAR_MEM64, true, p->size }, DEVICE_BAR_PORT);
	device_add_bar(dev, 2, &(struct pci_bar){ PCI_BAR_IO, false, 32 }, DEVICE_BAR_PORT);
	device_add_bar(dev, 3, &(struct pci_bar){ PCI_BAR_MEM32, false, 8192 }, DEVICE_BAR_PORT);
	return device_add_bar(dev, PCI_ROM_BAR, &(struct pci_bar){ PCI_BAR_MEM32, false, 65536 },
			      DEVICE_BAR_PORT);
}

static u64 big_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	return 0;
}

static void big_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
		      u64 value)
{
}

static const struct device_model big_model = {
	.name = "big",
	.props = big_prop_table,
	.props_size = sizeof(struct big_props),
	.init = big_init,
	.bar_read = big_read,
	.bar_write = big_write,
};

static const struct device_model *const models[] = { &edu_model, &big_model, NULL };

static struct host_config *config;
static struct host *host;
static char dir[64];
static char *error;

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/host_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	config = host_config_new(models);
	assert_non_null(config);
	host = NULL;
	error = NULL;
	return 0;
}

/* Nothing may be left in the directory. */
static int teardown(void **state)
{
	host_free(host);
	host_config_free(config);
	free(error);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static void add(const char *spec)
{
	int err = host_config_add_device(config, spec, &error);

	if (err)
		fail_msg("%s: %s", spec, error);
}

static void build(void)
{
	int err = host_new(config, dir, NULL, NULL, &host, &error);

	if (err)
		fail_msg("%s", error);
}

static void add_json(const char *text)
{
	char path[] = "/tmp/host_test.json.XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = host_config_read_file(config, path, &error);
	unlink(path);
	if (err)
		fail_msg("%s", error);
}

/* Contents of a file of the tree, without the last newline. */
static const char *contents(const char *path)
{
	static char text[4096];
	cleanup_free char *full = NULL;
	cleanup_fd int fd = -1;
	ssize_t n;

	assert_true(asprintf(&full, "%s%s", dir, path) > 0);
	fd = open(full, O_RDONLY);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	if (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return text;
}

static const char *target(const char *path)
{
	static char text[512];
	cleanup_free char *full = NULL;
	ssize_t n;

	assert_true(asprintf(&full, "%s%s", dir, path) > 0);
	n = readlink(full, text, sizeof(text) - 1);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

#define DEVICES "/sys/bus/pci/devices/"

/* "0: 0000:00:00.0 \n1: ...": as `ls` in each group would print it. */
static void assert_groups(const char *const *expected, size_t nr)
{
	assert_int_equal(host->nr_groups, nr);
	for (unsigned int i = 0; i < nr; i++) {
		char line[512] = "";
		struct host_function *fn;

		cds_list_for_each_entry(fn, &host->functions, node)
			if (fn->group == host->groups[i])
				sprintf(line + strlen(line), "%s%s", *line ? " " : "",
					fn->name + strlen("0000:"));
		assert_string_equal(line, expected[i]);
	}
}

static void assert_spec_fails(const char *spec, const char *message)
{
	assert_int_equal(host_config_add_device(config, spec, &error), -EINVAL);
	assert_string_equal(error, message);
	free(error);
	error = NULL;
}

static void test_wrong_devices(void **state)
{
	assert_spec_fails("edo", "--device edo: no model edo; did you mean edu?");
	assert_spec_fails("quux", "--device quux: no model quux; `uvfio models` lists them");
	assert_spec_fails("root-port",
			  "--device root-port: no model root-port; `uvfio models` lists them");
	assert_spec_fails("", "--device : no model ; `uvfio models` lists them");
	assert_spec_fails("edu,adr=01:00.0", "--device edu: no property adr; did you mean addr?");
	assert_spec_fails("big,sise=1M", "--device big: no property sise; did you mean size?");
	assert_spec_fails("edu,size=1M", "--device edu: no property size");
	assert_spec_fails("edu,multifunction",
			  "--device edu: multifunction: not of the form property=value");
	assert_spec_fails("edu,", "--device edu: an empty word: not of the form property=value");
	assert_spec_fails("edu,multifunction=of",
			  "--device edu: multifunction=of: not off or on; did you mean off?");
	assert_spec_fails("edu,driver=../x",
			  "--device edu: driver=../x: not the name of a kernel driver (such as "
			  "vfio-pci or nvme), nor none");
	assert_spec_fails("edu,addr=20.0",
			  "--device edu: addr=20.0: not an address like 01:00.0 (hexadecimal "
			  "bus:device.function, device up to 1f, function up to 7)");
}

static void test_addresses(void **state)
{
	static const char *const wrong[] = { "",	"1",	  "1:2",       "100:00.0",
					     "0:20.0",	"0:0.8",  "0:0.0x",    "0:0.",
					     "1:0:0.0", ":0.0",	  "0:0:0:0.0", "00000:0.0",
					     "0:0.0.0", "0 :0.0", "-1:0.0",    "0x1:0.0" };
	int bus, slot, func;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(host_parse_addr(wrong[i], &bus, &slot, &func), -EINVAL);
	assert_int_equal(host_parse_addr("0000:fF:1f.7", &bus, &slot, &func), 0);
	assert_int_equal(bus, 0xff);
	assert_int_equal(slot, 0x1f);
	assert_int_equal(func, 7);
	assert_int_equal(host_parse_addr("2.1", &bus, &slot, &func), 0);
	assert_int_equal(bus, -1);
}

static void assert_build_fails(const char *message)
{
	assert_int_equal(host_new(config, dir, NULL, NULL, &host, &error), -EINVAL);
	assert_string_equal(error, message);
}

static void test_taken(void **state)
{
	add("edu,addr=01:00.0");
	add("edu,addr=01:00.0");
	assert_build_fails("--device edu: addr=01:00.0: taken by another device");
}

static void test_lonely_function(void **state)
{
	add("edu,addr=01:00.0");
	add("edu,addr=01:00.1");
	assert_build_fails("--device edu: function 1 of a device whose function 0 lacks "
			   "multifunction=on");
}

static void test_no_function_zero(void **state)
{
	add("edu,addr=00:03.2");
	assert_build_fails("--device edu: function 2 of a device whose function 0 does not exist");
}

static void test_not_device_zero(void **state)
{
	add("edu,addr=01:05.0");
	assert_build_fails("--device edu: addr=01:05.0: only device 00 exists behind a root port: "
			   "write addr=01:00.0, or addr=00:05.0 for the root bus");
}

static void test_host_bridge_slot(void **state)
{
	add("edu,addr=00:00.0");
	assert_build_fails("--device edu: addr=00.0: taken by another device");
}

static void test_model_error(void **state)
{
	add("big,label=bad");
	assert_build_fails("--device big: label bad is bad");
}

static void test_too_big(void **state)
{
	add("edu");
	/* 64-bit memory goes above 4 GiB; it is all there is. */
	add("big,size=1T");
	build();
	assert_true(pci_bar_address(host_find(host, "0000:02:00.0")->pci, 0) >= 1ULL << 32);
}

static void test_wrong_iommu(void **state)
{
	static const char *const cases[][2] = {
		{ "vtb", "--iommu vtb: no such model; did you mean vtd?" },
		{ "quux", "--iommu quux: no such model; there are vtd and none" },
		{ "none,aw-bits=39", "--iommu none: it has no properties" },
		{ "vtd,aw-bits=40", "--iommu vtd: aw-bits=40: not 39, 48 or 57; did you mean 48?" },
		{ "vtd,awbits=39", "--iommu vtd: no property awbits; did you mean aw-bits?" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(host_config_set_iommu(config, cases[i][0], &error), -EINVAL);
		assert_string_equal(error, cases[i][1]);
		free(error);
		error = NULL;
	}
}

static void test_wrong_json(void **state)
{
	static const char *const cases[][2] = {
		{ "{\n\"devices\": [\n}", "line 3: not JSON: " },
		{ "[]", "not a JSON object" },
		{ "{\"device\": []}", "no member device; did you mean devices?" },
		{ "{\"devices\": {}}", "devices: not an array" },
		{ "{\"devices\": [{}]}", "devices[0]: not an object with a \"model\"" },
		{ "{\"devices\": [{\"model\": \"rootport\"}]}",
		  "devices[0]: no model rootport; did you mean root-port?" },
		{ "{\"devices\": [{\"model\": \"edu\", \"addr\": 1.5}]}",
		  "devices[0]: addr: not a string, a whole number, true or false" },
		{ "{\"devices\": [{\"model\": \"root-port\", \"acs\": \"maybe\"}]}",
		  "devices[0]: acs=maybe: not off or on" },
		{ "{\"devices\": [{\"model\": \"root-port\", \"devices\": [{\"model\": "
		  "\"edo\"}]}]}",
		  "devices[0].devices[0]: no model edo; did you mean edu?" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[] = "/tmp/host_test.json.XXXXXX";
		int fd = mkstemp(path);

		assert_int_equal(write(fd, cases[i][0], strlen(cases[i][0])), strlen(cases[i][0]));
		close(fd);
		assert_int_equal(host_config_read_file(config, path, &error), -EINVAL);
		unlink(path);
		if (!strstr(error, cases[i][1]) || !strstr(error, path))
			fail_msg("%s", error);
		free(error);
		error = NULL;
	}
	assert_int_equal(host_config_read_file(config, "/nonexistent", &error), -EINVAL);
	assert_string_equal(error, "--host /nonexistent: No such file or directory");
}

static void test_nesting(void **state)
{
	add_json("{\"devices\": [{\"model\": \"root-port\", \"devices\": ["
		 "{\"model\": \"pci-bridge\"}]}]}");
	assert_int_equal(host_new(config, dir, NULL, NULL, &host, &error), -EINVAL);
	assert_non_null(strstr(error, "devices[0].devices[0]: a pci-bridge is on the root bus"));
}

static void test_default_layout(void **state)
{
	static const char *const groups[] = { "00:00.0", "00:01.0", "00:02.0", "00:03.0",
					      "01:00.0", "02:00.0", "03:00.0" };

	add("edu");
	add("big");
	add("edu");
	build();
	assert_groups(groups, ARRAY_SIZE(groups));
	assert_string_equal(target(DEVICES "0000:02:00.0"),
			    "../../../devices/pci0000:00/0000:00:02.0/0000:02:00.0");
	assert_string_equal(target(DEVICES "0000:02:00.0/iommu_group"),
			    "../../../../kernel/iommu_groups/5");
	assert_string_equal(target(DEVICES "0000:02:00.0/driver"),
			    "../../../../bus/pci/drivers/vfio-pci");
	assert_string_equal(target(DEVICES "0000:02:00.0/vfio-dev/vfio1/device"),
			    "../../../0000:02:00.0");
	assert_string_equal(target(DEVICES "0000:00:02.0/driver"),
			    "../../../bus/pci/drivers/pcieport");
	assert_string_equal(contents(DEVICES "0000:01:00.0/modalias"),
			    "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00");
	assert_string_equal(contents(DEVICES "0000:01:00.0/uevent"),
			    "DRIVER=vfio-pci\nPCI_CLASS=FF00\nPCI_ID=1234:11E8\n"
			    "PCI_SUBSYS_ID=1AF4:1100\nPCI_SLOT_NAME=0000:01:00.0\n"
			    "MODALIAS=pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00");
	assert_string_equal(contents("/sys/class/vfio/5/dev"), "242:1");
	assert_string_equal(contents(DEVICES "0000:01:00.0/reset_method"), "bus");
	assert_string_equal(contents(DEVICES "0000:02:00.0/reset_method"), "flr bus");
}

static void test_mixed_addresses(void **state)
{
	static const char *const groups[] = { "00:00.0", "00:01.0",	    "00:02.0", "00:03.0",
					      "00:05.0", "01:00.0 01:00.1", "02:00.0", "07:00.0" };

	add("edu,addr=01:00.1");
	add("edu,addr=07:00.0");
	add("edu,addr=00:05.0");
	add("edu,addr=01:00.0,multifunction=on");
	add("edu");
	build();
	assert_groups(groups, ARRAY_SIZE(groups));
	assert_null(host_find(host, "0000:00:05.0")->dev->bus);
	assert_null(contents(DEVICES "0000:00:05.0/reset"));
	assert_non_null(host_find(host, "0000:01:00.1")->dev->bus);
	/* Linux asks for methods while the bus is being scanned. */
	assert_string_equal(contents(DEVICES "0000:01:00.0/reset_method"), "bus");
	assert_null(contents(DEVICES "0000:01:00.1/reset_method"));
	assert_int_equal(host_attr_write(host, host_find(host, "0000:01:00.0")->dir, "1", 1, NULL,
					 NULL),
			 -EIO);
}

/* What Linux 7.2 makes of this topology in QEMU, but for QEMU's own devices. */
static void test_groups_as_linux(void **state)
{
	static const char *const groups[] = {
		"00:00.0",	   "00:01.0",	      "00:01.1",
		"00:03.0 05:00.0", "00:04.0",	      "00:06.0",
		"00:07.0 00:07.1", "01:00.0 01:00.1", "02:00.0 03:01.0 03:02.0 03:03.0 04:04.0",
		"06:00.0",	   "07:00.0 08:00.0", "07:01.0 09:00.0",
	};

	add_json(
		"{\"devices\": ["
		"{\"model\": \"root-port\", \"addr\": \"01.0\", \"multifunction\": true,"
		" \"devices\": [{\"model\": \"edu\", \"addr\": \"0.0\", \"multifunction\": \"on\"},"
		"  {\"model\": \"edu\", \"addr\": \"0.1\"}]},"
		"{\"model\": \"root-port\", \"addr\": \"01.1\", \"devices\": ["
		" {\"model\": \"pcie-pci-bridge\", \"devices\": ["
		"  {\"model\": \"edu\", \"addr\": \"1.0\"}, {\"model\": \"edu\", \"addr\": "
		"\"2.0\"},"
		"  {\"model\": \"pci-bridge\", \"addr\": \"3.0\", \"devices\": ["
		"   {\"model\": \"edu\", \"addr\": \"4.0\"}]}]}]},"
		"{\"model\": \"root-port\", \"addr\": \"03.0\", \"acs\": false,"
		" \"devices\": [{\"model\": \"edu\"}]},"
		"{\"model\": \"root-port\", \"addr\": \"04.0\", \"devices\": ["
		" {\"model\": \"upstream-port\", \"devices\": ["
		"  {\"model\": \"downstream-port\", \"acs\": false,"
		"   \"devices\": [{\"model\": \"big\"}]},"
		"  {\"model\": \"downstream-port\", \"acs\": false,"
		"   \"devices\": [{\"model\": \"edu\"}]}]}]},"
		"{\"model\": \"edu\", \"addr\": \"00:06.0\"},"
		"{\"model\": \"big\", \"addr\": \"00:07.0\", \"multifunction\": true},"
		"{\"model\": \"edu\", \"addr\": \"00:07.1\"}]}");
	build();
	assert_groups(groups, ARRAY_SIZE(groups));
	assert_string_equal(contents(DEVICES "0000:06:00.0/subordinate_bus_number"), "9");
}

static void test_many_ports(void **state)
{
	struct host_function *fn;

	for (int i = 0; i < 64; i++)
		add("edu");
	build();
	/* 65 ports would need three functions for each of 31 slots; 64 do, too. */
	assert_non_null(host_find(host, "0000:40:00.0"));
	assert_null(host_find(host, "0000:41:00.0"));
	fn = host_find(host, "0000:02:00.0");
	assert_string_equal(fn->bus->bridge->name, "0000:00:01.1");
	assert_true(host_find(host, "0000:00:01.0")->multifunction);
	/* Ports have access control services: each device is alone. */
	assert_int_equal(host->nr_groups, 1 + 64 + 64);
}

static void test_no_iommu(void **state)
{
	add("edu");
	assert_int_equal(host_config_set_iommu(config, "none", &error), 0);
	build();
	assert_null(target(DEVICES "0000:01:00.0/iommu_group"));
	assert_null(target(DEVICES "0000:01:00.0/driver"));
	assert_string_equal(contents(DEVICES "0000:01:00.0/driver_override"), "vfio-pci");
	assert_int_equal(host_path(host, "/dev/vfio/0", NULL), HOST_PATH_TREE);
	assert_null(contents("/sys/class/vfio/0/dev"));
}

static void test_iommu_width(void **state)
{
	add("edu");
	assert_int_equal(host_config_set_iommu(config, "vtd,aw-bits=39", &error), 0);
	build();
	assert_string_equal(contents(DEVICES "0000:01:00.0/iommu/intel-iommu/cap"),
			    "d2008c22260206");
	assert_string_equal(contents("/sys/kernel/iommu_groups/2/reserved_regions"),
			    "0x00000000fee00000 0x00000000feefffff msi");
	assert_string_equal(contents("/sys/kernel/iommu_groups/2/type"), "DMA-FQ");
}

/* No two ranges of one bus overlap, and all lie inside the bridge's window. */
static void test_addresses_consistent(void **state)
{
	struct host_function *a, *b;

	for (int i = 0; i < 20; i++)
		add(i % 2 ? "big,size=16M" : "edu");
	add("big,addr=00:1f.0,size=2M");
	build();
	cds_list_for_each_entry(a, &host->functions, node) {
		for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
			u64 at = pci_bar_address(a->pci, i), size = a->pci->bars[i].size;
			bool io = a->pci->bars[i].type == PCI_BAR_IO;
			const struct host_window *w =
				a->bus->bridge ? a->bus->bridge->windows : NULL;

			if (a->pci->bars[i].type == PCI_BAR_NONE)
				continue;
			assert_true(at && !(at & (size - 1)));
			if (w) {
				w += io ? HOST_WINDOW_IO : i ? HOST_WINDOW_MEM : w[2].size ? 2 : 1;
				assert_true(at >= w->base && at + size <= w->base + w->size);
			}
			cds_list_for_each_entry(b, &host->functions, node)
				for (unsigned int j = 0; j <= PCI_ROM_BAR; j++) {
					u64 other = pci_bar_address(b->pci, j);

					if ((a == b && i == j) ||
					    b->pci->bars[j].type == PCI_BAR_NONE ||
					    (b->pci->bars[j].type == PCI_BAR_IO) != io)
						continue;
					assert_true(at + size <= other ||
						    other + b->pci->bars[j].size <= at);
				}
		}
	}
	assert_non_null(strstr(contents(DEVICES "0000:02:00.0/resource"), "0x000000000014220c"));
	assert_non_null(strstr(contents(DEVICES "0000:02:00.0/resource"), "0x0000000000046200"));
}

/* A program finds everything by following links, which must not lead out of the tree. */
static void check_links(const char *path, unsigned int depth)
{
	cleanup_dir DIR *d = opendir(path);
	struct dirent *de;

	assert_non_null(d);
	assert_true(depth < 24);
	while ((de = readdir(d))) {
		char full[1024], resolved[PATH_MAX];

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		snprintf(full, sizeof(full), "%s/%s", path, de->d_name);
		if (de->d_type == DT_DIR)
			check_links(full, depth + 1);
		if (de->d_type != DT_LNK)
			continue;
		if (!realpath(full, resolved))
			fail_msg("%s dangles", full);
		if (strncmp(resolved, dir, strlen(dir)))
			fail_msg("%s leads to %s", full, resolved);
	}
}

static void test_links(void **state)
{
	add("edu");
	add("big,driver=foo");
	build();
	check_links(dir, 0);
}

static void assert_path(const char *path, enum host_path_kind kind)
{
	if (host_path(host, path, NULL) != kind)
		fail_msg("%s: %d", path, host_path(host, path, NULL));
}

static void test_paths(void **state)
{
	struct host_node node;
	char path[128];

	add("edu");
	build();
	assert_path("/", HOST_PATH_REAL);
	assert_path("/tmp/x", HOST_PATH_REAL);
	assert_path("/sy", HOST_PATH_REAL);
	assert_path("/system", HOST_PATH_REAL);
	assert_path("/device/vfio", HOST_PATH_REAL);
	assert_path("/dev", HOST_PATH_TREE);
	assert_path("/dev/null", HOST_PATH_REAL);
	assert_path("/dev/vfio", HOST_PATH_TREE);
	assert_path("/dev/vfio/nonsense", HOST_PATH_TREE);
	assert_path("/dev/vfio/02", HOST_PATH_TREE);
	assert_path("/dev/vfio/0", HOST_PATH_TREE);
	assert_path("/dev/iommu", HOST_PATH_ABSENT);
	assert_path("/sys/devices/pci0000:17/0000:17:00.0", HOST_PATH_ABSENT);
	assert_path("/sys/devices/pci0000:00/x", HOST_PATH_TREE);
	assert_path("/sys/devices/system/node/node0/cpu1", HOST_PATH_REAL);
	assert_path("/sys/module", HOST_PATH_TREE);
	assert_path("/sys/module/vfio_pci", HOST_PATH_TREE);
	assert_path("/sys/module/vfio_spapr_eeh", HOST_PATH_TREE);
	assert_path("/sys/module/kvm", HOST_PATH_REAL);
	assert_path("/sys/dev/char/242:7", HOST_PATH_TREE);
	assert_path("/sys/dev/char/1:3", HOST_PATH_REAL);
	assert_path("/sys/class/misc", HOST_PATH_TREE);
	assert_path("/sys/class/net", HOST_PATH_REAL);
	assert_path("/run", HOST_PATH_REAL);
	assert_path("/run/lock", HOST_PATH_REAL);
	assert_path("/running", HOST_PATH_REAL);
	assert_path("/run/modprobe.d", HOST_PATH_TREE);
	assert_path("/run/modprobe.d/other.conf", HOST_PATH_REAL);
	assert_path("/run/modprobe.d/uvfio.conf", HOST_PATH_TREE);
	assert_int_equal(host_path(host, "/dev/vfio/vfio", &node), HOST_PATH_NODE);
	assert_int_equal(node.kind, HOST_NODE_CONTAINER);
	assert_int_equal(node.mode, S_IFCHR | 0666);
	assert_int_equal(host_path(host, "/dev/vfio/2", &node), HOST_PATH_NODE);
	assert_int_equal(node.kind, HOST_NODE_GROUP);
	assert_int_equal(node.group, 2);
	assert_int_equal(node.major, VFIO_GROUP_MAJOR);
	/* A merged directory lists the real machine's names. */
	snprintf(path, sizeof(path), "%s/dev/null", dir);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/sys/module/kernel", dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_attribute_kinds(void **state)
{
	static const struct {
		const char *path;
		enum host_attr_kind kind;
	} cases[] = {
		{ "/sys/devices/pci0000:00/0000:00:01.0/vendor", HOST_ATTR_TEXT },
		{ "/sys/devices/pci0000:00/0000:00:01.0/resource", HOST_ATTR_TEXT },
		{ "/sys/devices/pci0000:00/0000:00:01.0/config", HOST_ATTR_BINARY },
		{ "/sys/devices/pci0000:00/0000:00:01.0/rom", HOST_ATTR_REGISTERS },
		{ "/sys/devices/pci0000:00/0000:00:01.0/resource0", HOST_ATTR_REGISTERS },
		{ "/sys/devices/pci0000:00/0000:00:01.0/resource2_wc", HOST_ATTR_REGISTERS },
		{ "/sys/bus/pci/resource_alignment", HOST_ATTR_TEXT },
		{ "/sys/kernel/config", HOST_ATTR_TEXT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(host_attr_kind(cases[i].path), cases[i].kind);
}

static void test_keep_host_pci(void **state)
{
	add("edu");
	host_config_keep_host_pci(config, true);
	build();
	assert_path("/sys/devices/pci0000:17/0000:17:00.0", HOST_PATH_REAL);
	assert_path("/sys/devices/pci0000:00/0000:00:1e.0", HOST_PATH_REAL);
	assert_path("/sys/devices/pci0000:00/0000:00:01.0", HOST_PATH_TREE);
	assert_path("/sys/bus/pci/devices/0000:01:00.0", HOST_PATH_TREE);
	assert_path("/sys/bus/pci/devices/0000:03:00.0", HOST_PATH_REAL);
	assert_path("/sys/bus/pci/drivers/vfio-pci/bind", HOST_PATH_TREE);
	assert_path("/sys/kernel/iommu_groups/2", HOST_PATH_TREE);
	check_links(dir, 0);
}

/* ---- control attributes: each line is what Linux 7.2 answered ---- */

static int result;

static void done(void *opaque, int r)
{
	*(int *)opaque = r;
}

static int attr_write(const char *path, const char *text)
{
	return host_attr_write(host, path, text, strlen(text), done, &result);
}

static int dev_write(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/%s", name);
	assert_true(host_attr_writable(host, path));
	return attr_write(path, text);
}

#define DEV "0000:01:00.0"
#define DRIVERS "/sys/bus/pci/drivers/"

static void test_attr_values(void **state)
{
	add("edu");
	build();
	assert_int_equal(dev_write("driver_override", "abc\n"), 0);
	assert_string_equal(contents(DEVICES DEV "/driver_override"), "abc");
	assert_int_equal(dev_write("driver_override", "\n"), 0);
	assert_string_equal(contents(DEVICES DEV "/driver_override"), "(null)");
	assert_int_equal(dev_write("enable", "1"), -EBUSY);
	assert_int_equal(dev_write("enable", "x"), -EINVAL);
	assert_int_equal(dev_write("reset", "1\n"), 0);
	assert_int_equal(dev_write("reset", "0"), -EINVAL);
	assert_int_equal(dev_write("reset", "2"), -EINVAL);
	assert_int_equal(dev_write("reset", "x"), -EINVAL);
	assert_int_equal(dev_write("reset_method", "flr"), -EINVAL);
	assert_int_equal(dev_write("reset_method", "bus,pm"), -EINVAL);
	assert_int_equal(dev_write("reset_method", "bus"), 0);
	assert_int_equal(dev_write("reset_method", "\n"), 0);
	assert_string_equal(contents(DEVICES DEV "/reset_method"), "");
	assert_int_equal(dev_write("reset", "1"), -ENOTTY);
	assert_int_equal(dev_write("reset_method", "default"), 0);
	assert_string_equal(contents(DEVICES DEV "/reset_method"), "bus");
	assert_int_equal(dev_write("broken_parity_status", "5"), 0);
	assert_string_equal(contents(DEVICES DEV "/broken_parity_status"), "1");
	assert_int_equal(dev_write("broken_parity_status", "x"), -EINVAL);
	assert_int_equal(dev_write("msi_bus", "0"), 0);
	assert_string_equal(contents(DEVICES DEV "/msi_bus"), "0");
	assert_int_equal(dev_write("power/control", "foo"), -EINVAL);
	assert_int_equal(dev_write("power/control", "on"), 0);
	assert_string_equal(contents(DEVICES DEV "/power/control"), "on");
	assert_int_equal(dev_write("power/autosuspend_delay_ms", "10"), -EIO);
	assert_int_equal(dev_write("uevent", "3"), -EINVAL);
	assert_int_equal(dev_write("uevent", "add"), 0);
	assert_int_equal(dev_write("rescan", "x"), -EINVAL);
	assert_false(host_attr_writable(host, "/sys/bus/pci/devices"));
	assert_false(host_attr_writable(host, "/tmp/enable"));
}

static void test_bind_unbind(void **state)
{
	add("edu");
	build();
	assert_int_equal(attr_write(DRIVERS "vfio-pci/bind", DEV), -EBUSY);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/bind", "0000:09:00.0"), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/unbind", "0000:09:00.0"), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "pcieport/unbind", DEV), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "pcieport/bind", DEV), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/unbind", " " DEV), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/unbind", DEV "\n"), 0);
	assert_null(target(DEVICES DEV "/driver"));
	assert_null(target("/sys/class/vfio-dev/vfio0"));
	assert_null(target("/sys/class/vfio/2"));
	assert_null(target("/sys/dev/char/242:0"));
	assert_path("/dev/vfio/2", HOST_PATH_TREE);
	assert_null(contents("/dev/vfio/2"));
	assert_non_null(strstr(contents(DEVICES DEV "/uevent"), "PCI_CLASS"));
	assert_null(strstr(contents(DEVICES DEV "/uevent"), "DRIVER"));
	assert_int_equal(attr_write(DRIVERS "vfio-pci/unbind", DEV), -ENODEV);
	assert_int_equal(dev_write("enable", "1"), 0);
	assert_int_equal(dev_write("enable", "1"), 0);
	assert_string_equal(contents(DEVICES DEV "/enable"), "2");
	assert_int_equal(dev_write("enable", "0"), 0);
	assert_int_equal(dev_write("enable", "0"), 0);
	assert_int_equal(dev_write("enable", "0"), -EIO);
	assert_int_equal(attr_write("/sys/bus/pci/drivers_probe", DEV), 0);
	assert_path("/dev/vfio/2", HOST_PATH_NODE);
	assert_non_null(target("/sys/dev/char/242:0"));
	assert_int_equal(attr_write("/sys/bus/pci/drivers_probe", DEV), 0);
	assert_int_equal(attr_write("/sys/bus/pci/drivers_probe", "0000:09:00.0"), -ENODEV);
}

static void test_new_id(void **state)
{
	add("edu,driver=none");
	build();
	assert_null(target(DEVICES DEV "/driver"));
	assert_int_equal(attr_write(DRIVERS "vfio-pci/bind", DEV), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/new_id", "1234"), -EINVAL);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/new_id", "1234 11e8"), 0);
	assert_non_null(target(DEVICES DEV "/driver"));
	assert_int_equal(attr_write(DRIVERS "vfio-pci/new_id", "1234 11e8"), -EEXIST);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/remove_id", "1234 11e8"), 0);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/remove_id", "1234 11e8"), -ENODEV);
	assert_non_null(target(DEVICES DEV "/driver"));
}

static void test_kernel_driver(void **state)
{
	struct host_function *fn;

	add("edu,multifunction=on,addr=01:00.0,driver=foo");
	add("edu,addr=01:00.1");
	build();
	fn = host_find(host, DEV);
	assert_string_equal(target(DEVICES DEV "/driver"), "../../../../bus/pci/drivers/foo");
	assert_int_equal(fn->group->kernel_drivers, 1);
	assert_string_equal(contents(DEVICES DEV "/enable"), "1");
	assert_int_equal(attr_write(DRIVERS "foo/unbind", DEV), 0);
	assert_int_equal(fn->group->kernel_drivers, 0);
	assert_int_equal(attr_write(DRIVERS "foo/bind", DEV), 0);
	assert_int_equal(fn->group->kernel_drivers, 1);
	assert_int_equal(attr_write(DRIVERS "foo/unbind", DEV), 0);
	assert_int_equal(dev_write("driver_override", "vfio-pci"), 0);
	assert_int_equal(attr_write(DRIVERS "foo/bind", DEV), -ENODEV);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/bind", DEV), 0);
	assert_non_null(target("/sys/class/vfio-dev/vfio1"));
}

/* An unbind waits for the device's user, and so do those that come after it. */
static void test_unbind_in_use(void **state)
{
	struct fake_files files = { 0 };
	int group, container, device, second = 1;
	struct fake_task task;

	add("edu");
	build();
	files.core = host_vfio(host);
	fake_task_init(&task, &files);
	container = fake_open_container(&task);
	group = fake_open_group(&task, 2);
	assert_int_equal(fake_ioctl(&task, group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(fake_ioctl(&task, container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU),
			 0);
	device = (int)fake_ioctl(&task, group, VFIO_GROUP_GET_DEVICE_FD, DEV);
	assert_true(device >= 0);
	result = 1;
	assert_int_equal(attr_write(DRIVERS "vfio-pci/unbind", DEV), -EINPROGRESS);
	assert_int_equal(host_attr_write(host, DRIVERS "vfio-pci/unbind", DEV, strlen(DEV), done,
					 &second),
			 -EINPROGRESS);
	host_repeat_requests(host);
	assert_int_equal(result, 1);
	assert_non_null(target(DEVICES DEV "/driver"));
	fake_close(&task, device);
	assert_int_equal(result, 0);
	assert_int_equal(second, -ENODEV);
	assert_null(target(DEVICES DEV "/driver"));
	fake_close(&task, group);
	fake_close(&task, container);
	assert_int_equal(attr_write(DRIVERS "vfio-pci/bind", DEV), 0);
	fake_files_close(&files);
	fake_task_fini(&task);
}

/* ---- config ---- */

static void test_config_file(void **state)
{
	static const char path[] = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config";
	cleanup_fd int fd = -1;
	struct device *dev;
	u32 value = 0xffffffff;
	u16 command = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;

	add("edu");
	build();
	dev = host_find(host, DEV)->dev;
	assert_int_equal(host_config_fd(host, "/sys/devices/pci0000:00/config"), -1);
	fd = dup(host_config_fd(host, path));
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &value, 4, 0), 4);
	assert_int_equal(value, 0x11e81234);
	assert_int_equal(pwrite(fd, &command, 2, PCI_COMMAND), 2);
	/* Identity is read-only, BARs keep their size. */
	value = 0xffffffff;
	assert_int_equal(pwrite(fd, &value, 4, 0), 4);
	assert_int_equal(pwrite(fd, &value, 4, PCI_BASE_ADDRESS_0), 4);
	host_config_written(host, path);
	assert_int_equal(device_config_read(dev, PCI_COMMAND, 2), command);
	assert_true(pci_bus_master(&dev->pci));
	assert_int_equal(pread(fd, &value, 4, 0), 4);
	assert_int_equal(value, 0x11e81234);
	assert_int_equal(pread(fd, &value, 4, PCI_BASE_ADDRESS_0), 4);
	assert_int_equal(value, 0xfff00000);
	/* The registers show in the file at once. */
	device_config_write(dev, PCI_INTERRUPT_LINE, 1, 0x42);
	assert_int_equal(pread(fd, &value, 4, PCI_INTERRUPT_LINE), 4);
	assert_int_equal(value & 0xff, 0x42);
	host_config_written(host, "/sys/devices/pci0000:00/config");
}

/* A program cannot take the file away under the device. */
static void test_config_sealed(void **state)
{
	static const char path[] = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/config";
	cleanup_free char *full = NULL;
	char found[128];
	struct stat st;

	add("edu");
	build();
	assert_int_equal(ftruncate(host_config_fd(host, path), 0), -1);
	assert_int_equal(fstat(host_config_fd(host, path), &st), 0);
	assert_int_equal(host_config_path(host, st.st_ino, found, sizeof(found)), 0);
	assert_string_equal(found, path);
	assert_int_equal(host_config_path(host, st.st_ino + 1000000, found, sizeof(found)),
			 -ENOENT);
	assert_int_equal(host_config_path(host, st.st_ino, found, 10), -ENOENT);
	assert_int_equal(st.st_size, 256);
	assert_true(asprintf(&full, "%s%s", dir, path) > 0);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_size, 256);
}

static void test_man_page(void **state)
{
	cleanup_file FILE *f = fopen(HOST_MAN_PAGE, "r");
	char text[8192] = "", line[512];
	bool inside = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, ".Ed", 3))
			inside = false;
		if (inside)
			strcat(text, line);
		if (!strncmp(line, ".Bd -literal", 12))
			inside = true;
	}
	add_json(text);
	build();
	assert_string_equal(host_find(host, "0000:00:1c.0")->secondary->bridge->name,
			    "0000:00:1c.0");
	assert_ptr_equal(host_find(host, "0000:02:00.0")->group,
			 host_find(host, "0000:02:00.1")->group);
	assert_ptr_not_equal(host_find(host, "0000:05:00.0")->group,
			     host_find(host, "0000:06:00.0")->group);
	assert_int_equal(host->unit->width, 48);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wrong_devices),
		TEST(test_addresses),
		TEST(test_taken),
		TEST(test_lonely_function),
		TEST(test_no_function_zero),
		TEST(test_not_device_zero),
		TEST(test_host_bridge_slot),
		TEST(test_model_error),
		TEST(test_too_big),
		TEST(test_wrong_iommu),
		TEST(test_wrong_json),
		TEST(test_nesting),
		TEST(test_default_layout),
		TEST(test_mixed_addresses),
		TEST(test_groups_as_linux),
		TEST(test_many_ports),
		TEST(test_no_iommu),
		TEST(test_iommu_width),
		TEST(test_addresses_consistent),
		TEST(test_links),
		TEST(test_paths),
		TEST(test_attribute_kinds),
		TEST(test_keep_host_pci),
		TEST(test_attr_values),
		TEST(test_bind_unbind),
		TEST(test_new_id),
		TEST(test_kernel_driver),
		TEST(test_unbind_in_use),
		TEST(test_config_file),
		TEST(test_config_sealed),
		TEST(test_man_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
