/* SPDX-License-Identifier: BSD-3-Clause */
/* Control attributes: what a write does, as Linux does it. */
#include <ctype.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define TEXT_MAX 4096 /* one page; sysfs takes no more of a write */

/* The bytes of one write, and how its outcome is told later. */
struct attr_write {
	struct host *host;
	char text[TEXT_MAX + 1];
	size_t len;
	void (*done)(void *opaque, int result);
	void *opaque;
};

/* Linux: kstrtoul(): the whole text is one number; base 16 with 0x, 8 with 0; one newline. */
static int parse_ulong(const char *text, unsigned long *out)
{
	unsigned long long value;
	char *end;

	text += *text == '+';
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno)
		return -ERANGE;
	end += *end == '\n';
	*out = value;
	return *end ? -EINVAL : 0;
}

/* Linux: sysfs_streq(). */
static bool text_equals(const char *text, const char *word)
{
	size_t len = strlen(word);

	return !strncmp(text, word, len) && (!text[len] || (text[len] == '\n' && !text[len + 1]));
}

static struct host_function *find_by_text(struct host *host, const char *text)
{
	struct host_function *fn;

	cds_list_for_each_entry(fn, &host->functions, node)
		if (text_equals(text, fn->name))
			return fn;
	return NULL;
}

/* ---- attributes of a function ---- */

static int write_driver_override(struct host_function *fn, struct attr_write *w)
{
	cleanup_free char *copy = NULL;
	char *newline;

	if (w->len >= TEXT_MAX - 1)
		return -EINVAL;
	copy = strdup(w->text);
	if (!copy)
		return -ENOMEM;
	newline = strchr(copy, '\n');
	if (newline)
		*newline = '\0';
	free(fn->driver_override);
	fn->driver_override = *copy ? steal_ptr(&copy) : NULL;
	return 0;
}

static int write_enable(struct host_function *fn, struct attr_write *w)
{
	unsigned long value;

	if (parse_ulong(w->text, &value))
		return -EINVAL;
	if (fn->driver)
		return -EBUSY;
	if (value)
		fn->enable_count++;
	else if (fn->enable_count)
		fn->enable_count--;
	else
		return -EIO;
	return 0;
}

static void reset_device(struct device *dev, enum device_reset kind)
{
	struct pci_saved_state state;

	pthread_mutex_lock(&dev->lock);
	pci_save_state(&dev->pci, &state);
	device_reset(dev, kind);
	pci_restore_state(&dev->pci, &state);
	pthread_mutex_unlock(&dev->lock);
}

/* The first of the chosen methods that the function has (still). */
static int write_reset(struct host_function *fn, struct attr_write *w)
{
	char methods[sizeof(fn->reset_methods)], *save = NULL, *word;
	unsigned long value;

	if (parse_ulong(w->text, &value) || value != 1)
		return -EINVAL;
	memcpy(methods, fn->reset_methods, sizeof(methods));
	for (word = strtok_r(methods, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!host_can_reset(fn, word, false))
			continue;
		if (fn->dev)
			reset_device(fn->dev, strcmp(word, "bus") ? DEVICE_RESET_FUNCTION
								  : DEVICE_RESET_BUS);
		return 0;
	}
	return -ENOTTY;
}

/* Words, each a method that the function has; the empty text disables all. */
static int write_reset_method(struct host_function *fn, struct attr_write *w)
{
	char chosen[sizeof(fn->reset_methods)] = "", *save = NULL, *word;
	size_t len = 0;

	if (text_equals(w->text, "default")) {
		host_reset_methods(fn, false, fn->reset_methods, sizeof(fn->reset_methods));
		return 0;
	}
	for (word = strtok_r(w->text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		if (!host_can_reset(fn, word, false) || len + strlen(word) + 2 > sizeof(chosen))
			return -EINVAL;
		len += (size_t)snprintf(chosen + len, sizeof(chosen) - len, "%s%s", len ? " " : "",
					word);
	}
	memcpy(fn->reset_methods, chosen, sizeof(chosen));
	return 0;
}

static int write_flag(struct attr_write *w, u8 *flag)
{
	unsigned long value;

	if (parse_ulong(w->text, &value))
		return -EINVAL;
	*flag = value != 0;
	return 0;
}

static int write_broken_parity(struct host_function *fn, struct attr_write *w)
{
	return write_flag(w, &fn->broken_parity);
}

static int write_d3cold(struct host_function *fn, struct attr_write *w)
{
	return write_flag(w, &fn->d3cold);
}

static int write_msi_bus(struct host_function *fn, struct attr_write *w)
{
	return write_flag(w, &fn->msi_bus);
}

static int write_numa_node(struct host_function *fn, struct attr_write *w)
{
	/* One node: 0, or -1 for none. */
	if (text_equals(w->text, "0"))
		fn->numa_node = 0;
	else if (text_equals(w->text, "-1"))
		fn->numa_node = -1;
	else
		return -EINVAL;
	return 0;
}

static int write_power_control(struct host_function *fn, struct attr_write *w)
{
	if (!text_equals(w->text, "auto") && !text_equals(w->text, "on"))
		return -EINVAL;
	fn->power_on = text_equals(w->text, "on");
	return 0;
}

/* PCI devices use no autosuspend. */
static int write_autosuspend(struct host_function *fn, struct attr_write *w)
{
	return -EIO;
}

static int write_rescan(struct host_function *fn, struct attr_write *w)
{
	unsigned long value;

	/* Nothing is there that has not been found. */
	return parse_ulong(w->text, &value) ? -EINVAL : 0;
}

static int write_uevent(struct host_function *fn, struct attr_write *w)
{
	static const char *const actions[] = { "add",	 "remove",  "change", "move",
					       "online", "offline", "bind",   "unbind" };

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		size_t n = strlen(actions[i]);

		if (!strncmp(w->text, actions[i], n) && (!w->text[n] || isspace(w->text[n])))
			return 0;
	}
	return -EINVAL;
}

static const struct {
	const char *name;
	int (*write)(struct host_function *fn, struct attr_write *w);
} function_attrs[] = {
	{ "driver_override", write_driver_override },
	{ "enable", write_enable },
	{ "reset", write_reset },
	{ "reset_method", write_reset_method },
	{ "broken_parity_status", write_broken_parity },
	{ "d3cold_allowed", write_d3cold },
	{ "msi_bus", write_msi_bus },
	{ "numa_node", write_numa_node },
	{ "power/control", write_power_control },
	{ "power/autosuspend_delay_ms", write_autosuspend },
	{ "rescan", write_rescan },
	{ "uevent", write_uevent },
};

void host_attr_show_all(struct host_function *fn)
{
	struct host_tree *tree = fn->host->tree;
	const struct {
		const char *name;
		long value;
	} numbers[] = {
		{ "enable", fn->enable_count },	  { "broken_parity_status", fn->broken_parity },
		{ "d3cold_allowed", fn->d3cold }, { "msi_bus", fn->msi_bus },
		{ "numa_node", fn->numa_node },
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		snprintf(path, sizeof(path), "%s/%s", fn->dir, numbers[i].name);
		host_tree_write(tree, path, 0644, "%ld\n", numbers[i].value);
	}
	snprintf(path, sizeof(path), "%s/driver_override", fn->dir);
	host_tree_write(tree, path, 0644, "%s\n",
			fn->driver_override ? fn->driver_override : "(null)");
	host_sysfs_power(tree, fn->dir, fn->power_on ? "on" : "auto",
			 fn->power_on || !fn->vdev ? "active" : "suspended");
	if (!fn->has_reset)
		return;
	snprintf(path, sizeof(path), "%s/reset_method", fn->dir);
	host_tree_write(tree, path, 0644, "%s%s", fn->reset_methods,
			*fn->reset_methods ? "\n" : "");
}

/* ---- attributes of a driver ---- */

static int write_driver_attr(struct host_driver *drv, const char *name, struct attr_write *w)
{
	struct host_function *fn = find_by_text(w->host, w->text);

	if (!strcmp(name, "bind"))
		return fn && host_driver_matches(drv, fn) ? host_driver_bind(fn, drv) : -ENODEV;
	if (!strcmp(name, "unbind"))
		return fn && fn->driver == drv->name ? host_driver_unbind(fn, w->done, w->opaque)
						     : -ENODEV;
	if (!strcmp(name, "new_id"))
		return host_driver_new_id(w->host, drv, w->text);
	if (!strcmp(name, "remove_id"))
		return host_driver_remove_id(drv, w->text);
	return write_uevent(NULL, w);
}

/* ---- attributes of the bus ---- */

static int write_drivers_probe(struct attr_write *w)
{
	struct host_function *fn = find_by_text(w->host, w->text);

	return fn ? host_driver_probe(fn) : -ENODEV;
}

static int write_drivers_autoprobe(struct attr_write *w)
{
	w->host->autoprobe = w->text[0] != '0';
	host_tree_write(w->host->tree, "/sys/bus/pci/drivers_autoprobe", 0644, "%d\n",
			w->host->autoprobe);
	return 0;
}

static int write_bus_rescan(struct attr_write *w)
{
	return write_rescan(NULL, w);
}

static int write_bus_uevent(struct attr_write *w)
{
	return write_uevent(NULL, w);
}

static const struct {
	const char *path;
	int (*write)(struct attr_write *w);
} bus_attrs[] = {
	{ "/sys/bus/pci/drivers_probe", write_drivers_probe },
	{ "/sys/bus/pci/drivers_autoprobe", write_drivers_autoprobe },
	{ "/sys/bus/pci/rescan", write_bus_rescan },
	{ "/sys/bus/pci/uevent", write_bus_uevent },
};

/* ---- which is which ---- */

struct target {
	struct host_function *fn;
	struct host_driver *drv;
	int attr;	  /* index into function_attrs or bus_attrs */
	const char *name; /* of the driver's */
};

static bool find_function_attr(struct host *host, const char *path, struct target *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(function_attrs); i++) {
		size_t len = strlen(path), n = strlen(function_attrs[i].name);

		if (len <= n + 1 || path[len - n - 1] != '/' ||
		    strcmp(path + len - n, function_attrs[i].name))
			continue;
		cds_list_for_each_entry(t->fn, &host->functions, node) {
			if (strlen(t->fn->dir) != len - n - 1 ||
			    strncmp(t->fn->dir, path, len - n - 1))
				continue;
			t->attr = (int)i;
			return t->fn->has_reset ||
			       strncmp(function_attrs[i].name, "reset", strlen("reset"));
		}
	}
	t->fn = NULL;
	return false;
}

static bool find_driver_attr(struct host *host, const char *path, struct target *t)
{
	static const char prefix[] = "/sys/bus/pci/drivers/";
	static const char *const names[] = { "bind", "unbind", "new_id", "remove_id", "uevent" };
	cleanup_free char *driver = NULL;
	const char *slash;

	if (strncmp(path, prefix, sizeof(prefix) - 1))
		return false;
	path += sizeof(prefix) - 1;
	slash = strchr(path, '/');
	if (!slash)
		return false;
	driver = strndup(path, (size_t)(slash - path));
	t->drv = driver ? host_driver_find(host, driver) : NULL;
	for (size_t i = 0; t->drv && i < ARRAY_SIZE(names); i++) {
		t->name = names[i];
		if (!strcmp(slash + 1, names[i]))
			return true;
	}
	return false;
}

static bool find_target(struct host *host, const char *path, struct target *t)
{
	*t = (struct target){ 0 };
	if (strncmp(path, "/sys/", 5))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(bus_attrs); i++) {
		t->attr = (int)i;
		if (!strcmp(path, bus_attrs[i].path))
			return true;
	}
	return find_driver_attr(host, path, t) || find_function_attr(host, path, t);
}

bool host_attr_writable(struct host *host, const char *path)
{
	struct target t;

	return find_target(host, path, &t);
}

int host_attr_write(struct host *host, const char *path, const void *data, size_t len,
		    void (*done)(void *opaque, int result), void *opaque)
{
	cleanup_free struct attr_write *w = NULL;
	struct target t;
	int err;

	if (!find_target(host, path, &t))
		return -EIO;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->host = host;
	w->done = done;
	w->opaque = opaque;
	w->len = MIN(len, TEXT_MAX);
	memcpy(w->text, data, w->len);
	w->text[w->len] = '\0';
	if (t.drv)
		return write_driver_attr(t.drv, t.name, w);
	if (!t.fn)
		return bus_attrs[t.attr].write(w);
	err = function_attrs[t.attr].write(t.fn, w);
	host_attr_show_all(t.fn);
	if (!strcmp(function_attrs[t.attr].name, "uevent"))
		host_sysfs_uevent(t.fn);
	return err;
}
