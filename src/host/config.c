/* SPDX-License-Identifier: BSD-3-Clause */
/* The description of a host, from the command line. */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

/* What every function has; acs belongs to ports alone. */
static const struct prop common_props[] = {
	{ "addr", PROP_STRING, offsetof(struct host_common, addr),
	  .help = "place on the bus, BB:DD.F; 00:DD.F is on the root bus" },
	{ "multifunction", PROP_BOOL, offsetof(struct host_common, multifunction), "off",
	  .help = "the device has more functions than this one" },
	{ "driver", PROP_STRING, offsetof(struct host_common, driver), "vfio-pci",
	  .help = "kernel driver bound at the start, or none" },
	{ NULL },
};

static const struct prop port_props[] = {
	{ "addr", PROP_STRING, offsetof(struct host_common, addr),
	  .help = "place on the bus, DD.F" },
	{ "multifunction", PROP_BOOL, offsetof(struct host_common, multifunction), "off",
	  .help = "the device has more functions than this one" },
	{ "acs", PROP_BOOL, offsetof(struct host_common, acs), "on",
	  .help = "access control services keep what is behind the port apart from the rest" },
	{ NULL },
};

static const struct prop bridge_props[] = {
	{ "addr", PROP_STRING, offsetof(struct host_common, addr),
	  .help = "place on the bus, DD.F" },
	{ "multifunction", PROP_BOOL, offsetof(struct host_common, multifunction), "off",
	  .help = "the device has more functions than this one" },
	{ NULL },
};

static const struct {
	const char *name;
	enum host_kind kind;
} bridges[] = {
	{ "root-port", HOST_ROOT_PORT },
	{ "upstream-port", HOST_UPSTREAM_PORT },
	{ "downstream-port", HOST_DOWNSTREAM_PORT },
	{ "pcie-pci-bridge", HOST_PCIE_BRIDGE },
	{ "pci-bridge", HOST_PCI_BRIDGE },
};

struct iommu_props {
	u64 aw_bits; /* index into aw_bits_words */
};

static const char *const aw_bits_words[] = { "39", "48", "57", NULL };
static const struct prop vtd_props[] = {
	{ "aw-bits", PROP_ENUM, offsetof(struct iommu_props, aw_bits), "39",
	  .values = aw_bits_words, .help = "width of an I/O virtual address" },
	{ NULL },
};

const struct prop *host_device_props(void)
{
	return common_props;
}

int host_error(char **error, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(error, format, args) < 0)
		*error = NULL;
	va_end(args);
	return *error ? err : -ENOMEM;
}

static const struct prop *item_props(const struct host_item *item)
{
	switch (item->kind) {
	case HOST_ENDPOINT:
		return common_props;
	case HOST_ROOT_PORT:
	case HOST_DOWNSTREAM_PORT:
		return port_props;
	default:
		return bridge_props;
	}
}

struct host_item *host_item_new(enum host_kind kind, const char *what)
{
	struct host_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	item->kind = kind;
	item->slot = -1;
	CDS_INIT_LIST_HEAD(&item->node);
	CDS_INIT_LIST_HEAD(&item->children);
	prop_defaults(item_props(item), &item->common);
	item->what = strdup(what);
	if (!item->what) {
		host_item_free(item);
		return NULL;
	}
	return item;
}

/* Nesting is bounded by HOST_MAX_DEPTH. */
void host_item_free(struct host_item *item)
{
	struct host_item *child, *next;

	if (!item)
		return;
	cds_list_for_each_entry_safe(child, next, &item->children, node)
		host_item_free(child);
	cds_list_del(&item->node);
	for (size_t i = 0; i < item->nr_pairs; i++) {
		free(item->pairs[i].name);
		free(item->pairs[i].value);
	}
	free(item->pairs);
	prop_clear(common_props, &item->common);
	free(item->what);
	free(item);
}

static int fail_model(const struct host_config *config, const char *what, const char *name,
		      bool with_bridges, char **error)
{
	cleanup_free const char **words = NULL;
	const char *near;
	size_t n = 0, nr = 0;

	while (config->models[n])
		n++;
	words = calloc(n + ARRAY_SIZE(bridges) + 1, sizeof(*words));
	if (!words)
		return -ENOMEM;
	for (; nr < n; nr++)
		words[nr] = config->models[nr]->name;
	for (size_t i = 0; with_bridges && i < ARRAY_SIZE(bridges); i++)
		words[nr++] = bridges[i].name;
	near = suggest(name, words);
	if (near)
		return host_error(error, -EINVAL, "%s: no model %s; did you mean %s?", what, name,
				  near);
	return host_error(error, -EINVAL, "%s: no model %s; `uvfio models` lists them", what, name);
}

int host_item_set_model(const struct host_config *config, struct host_item *item, const char *name,
			bool with_bridges, char **error)
{
	for (size_t i = 0; config->models[i]; i++) {
		if (strcmp(config->models[i]->name, name))
			continue;
		item->kind = HOST_ENDPOINT;
		item->model = config->models[i];
		return 0;
	}
	for (size_t i = 0; with_bridges && i < ARRAY_SIZE(bridges); i++) {
		if (strcmp(bridges[i].name, name))
			continue;
		item->kind = bridges[i].kind;
		prop_clear(common_props, &item->common);
		prop_defaults(item_props(item), &item->common);
		return 0;
	}
	return fail_model(config, item->what, name, with_bridges, error);
}

static bool has_prop(const struct prop *table, const char *name)
{
	for (; table && table->name; table++)
		if (!strcmp(table->name, name))
			return true;
	return false;
}

static int fail_prop(const struct host_item *item, const char *name, char **error)
{
	const struct prop *tables[] = { item_props(item), item->model ? item->model->props : NULL };
	cleanup_free const char **words = NULL;
	const char *near;
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct prop *p = tables[i]; p && p->name; p++)
			nr++;
	words = calloc(nr + 1, sizeof(*words));
	if (!words)
		return -ENOMEM;
	nr = 0;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct prop *p = tables[i]; p && p->name; p++)
			words[nr++] = p->name;
	near = suggest(name, words);
	if (near)
		return host_error(error, -EINVAL, "%s: no property %s; did you mean %s?",
				  item->what, name, near);
	return host_error(error, -EINVAL, "%s: no property %s", item->what, name);
}

static int add_pair(struct host_item *item, const char *name, const char *value)
{
	struct host_pair *grown =
		reallocarray(item->pairs, item->nr_pairs + 1, sizeof(*item->pairs));
	struct host_pair pair = { strdup(name), strdup(value) };

	if (grown)
		item->pairs = grown;
	if (!grown || !pair.name || !pair.value) {
		free(pair.name);
		free(pair.value);
		return -ENOMEM;
	}
	item->pairs[item->nr_pairs++] = pair;
	return 0;
}

static int set_addr(struct host_item *item, const char *value, char **error)
{
	int bus, slot, func;

	if (!host_parse_addr(value, &bus, &slot, &func))
		return 0;
	return host_error(error, -EINVAL,
			  "%s: addr=%s: not an address like 01:00.0 (hexadecimal "
			  "bus:device.function, device up to 1f, function up to 7)",
			  item->what, value);
}

/* The kernel's names of drivers: no more than these characters, for they become file names. */
static int set_driver(struct host_item *item, const char *value, char **error)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t len = strlen(value);

	if (len && len < 56 && strspn(value, ok) == len)
		return 0;
	return host_error(error, -EINVAL,
			  "%s: driver=%s: not the name of a kernel driver (such as vfio-pci or "
			  "nvme), nor none",
			  item->what, value);
}

int host_item_set(struct host_item *item, const char *name, const char *value, char **error)
{
	int err = 0;

	if (has_prop(item_props(item), name)) {
		err = prop_set(item_props(item), &item->common, item->what, name, value, error);
		if (!err && !strcmp(name, "addr"))
			err = set_addr(item, value, error);
		if (!err && !strcmp(name, "driver"))
			err = set_driver(item, value, error);
		return err;
	}
	if (!item->model || !has_prop(item->model->props, name))
		return fail_prop(item, name, error);
	return add_pair(item, name, value);
}

int host_item_props(const struct host_item *item, void **out, char **error)
{
	const struct device_model *model = item->model;
	void *props = calloc(1, MAX(model->props_size, 1));

	if (!props)
		return -ENOMEM;
	prop_defaults(model->props, props);
	for (size_t i = 0; i < item->nr_pairs; i++) {
		int err = prop_set(model->props, props, item->what, item->pairs[i].name,
				   item->pairs[i].value, error);

		if (!err)
			continue;
		prop_clear(model->props, props);
		free(props);
		return err;
	}
	*out = props;
	return 0;
}

int host_item_check(struct host_item *item, char **error)
{
	void *props = NULL;
	int err;

	if (item->kind != HOST_ENDPOINT)
		return 0;
	err = host_item_props(item, &props, error);
	if (err)
		return err;
	prop_clear(item->model->props, props);
	free(props);
	return 0;
}

/* A hexadecimal number of at most @max, up to one of the characters in @ends. */
static bool parse_hex(const char **p, unsigned int max, int *out)
{
	unsigned int value = 0, digits = 0;

	for (; isxdigit((unsigned char)**p) && digits < 4; (*p)++, digits++)
		value = value << 4 |
			(unsigned int)(isdigit((unsigned char)**p)
					       ? **p - '0'
					       : tolower((unsigned char)**p) - 'a' + 10);
	*out = (int)value;
	return digits && value <= max;
}

int host_parse_addr(const char *text, int *bus, int *slot, int *func)
{
	const char *p = text;
	int number[4], nr = 0;

	for (;;) {
		if (nr == 4 || !parse_hex(&p, 0xffff, &number[nr++]))
			return -EINVAL;
		if (*p != ':')
			break;
		p++;
	}
	if (*p++ != '.' || !parse_hex(&p, 7, func) || *p)
		return -EINVAL;
	*slot = number[nr - 1];
	*bus = nr > 1 ? number[nr - 2] : -1;
	if (*slot > 31 || *bus > 255 || nr == 4 || (nr == 3 && number[0]))
		return -EINVAL;
	return 0;
}

struct host_config *host_config_new(const struct device_model *const *models)
{
	struct host_config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->models = models;
	CDS_INIT_LIST_HEAD(&config->items);
	config->iommu = true;
	config->aw_bits = 39;
	return config;
}

void host_config_free(struct host_config *config)
{
	struct host_item *item, *next;

	if (!config)
		return;
	cds_list_for_each_entry_safe(item, next, &config->items, node)
		host_item_free(item);
	free(config);
}

bool host_config_is_empty(const struct host_config *config)
{
	return config->items.next == &config->items;
}

void host_config_keep_host_pci(struct host_config *config, bool keep)
{
	config->keep_pci = keep;
}

/* Cuts the next "word" off *text at a comma; two commas stand for one in the word. */
static char *next_word(char **text)
{
	char *word = *text, *in = word, *out = word;

	if (!word)
		return NULL;
	for (; *in; in++) {
		if (*in == ',') {
			if (in[1] != ',')
				break;
			in++;
		}
		*out++ = *in;
	}
	*text = *in ? in + 1 : NULL;
	*out = '\0';
	return word;
}

static int parse_pairs(char *rest, const char *what,
		       int (*set)(void *, const char *, const char *, char **), void *opaque,
		       char **error)
{
	char *word, *value;
	int err;

	while ((word = next_word(&rest))) {
		value = strchr(word, '=');
		if (!value)
			return host_error(error, -EINVAL, "%s: %s: not of the form property=value",
					  what, *word ? word : "an empty word");
		*value++ = '\0';
		err = set(opaque, word, value, error);
		if (err)
			return err;
	}
	return 0;
}

static int set_item(void *opaque, const char *name, const char *value, char **error)
{
	return host_item_set(opaque, name, value, error);
}

int host_config_add_device(struct host_config *config, const char *spec, char **error)
{
	cleanup_free char *copy = strdup(spec), *what = NULL;
	char *rest = copy, *name;
	struct host_item *item;
	int err;

	*error = NULL;
	if (!copy)
		return -ENOMEM;
	name = next_word(&rest);
	if (asprintf(&what, "--device %s", name) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	item = host_item_new(HOST_ENDPOINT, what);
	if (!item)
		return -ENOMEM;
	err = host_item_set_model(config, item, name, false, error);
	if (!err)
		err = parse_pairs(rest, what, set_item, item, error);
	if (!err)
		err = host_item_check(item, error);
	if (err)
		host_item_free(item);
	else
		cds_list_add_tail(&item->node, &config->items);
	return err;
}

static int set_vtd(void *opaque, const char *name, const char *value, char **error)
{
	return prop_set(vtd_props, opaque, "--iommu vtd", name, value, error);
}

int host_config_set_iommu(struct host_config *config, const char *spec, char **error)
{
	static const char *const models[] = { "vtd", "none", NULL };
	cleanup_free char *copy = strdup(spec);
	struct iommu_props props;
	char *rest = copy, *name;
	const char *near;
	int err;

	*error = NULL;
	if (!copy)
		return -ENOMEM;
	name = next_word(&rest);
	if (!strcmp(name, "none") && !rest) {
		config->iommu = false;
		return 0;
	}
	if (!strcmp(name, "none"))
		return host_error(error, -EINVAL, "--iommu none: it has no properties");
	if (strcmp(name, "vtd")) {
		near = suggest(name, models);
		return host_error(error, -EINVAL, "--iommu %s: no such model; %s%s", name,
				  near ? "did you mean " : "there are vtd and none",
				  near ? (near == models[0] ? "vtd?" : "none?") : "");
	}
	prop_defaults(vtd_props, &props);
	err = parse_pairs(rest, "--iommu vtd", set_vtd, &props, error);
	if (err)
		return err;
	config->iommu = true;
	config->aw_bits = (unsigned int)atoi(aw_bits_words[props.aw_bits]);
	return 0;
}
