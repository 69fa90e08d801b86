/* SPDX-License-Identifier: BSD-3-Clause */
/* The description of a host, from a JSON file: uvfio-host(5). */
#include <json-c/json.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/internal.h"

#define HOST_FILE_MAX (1 << 20)

struct reader {
	struct host_config *config;
	const char *path;
	char **error;
};

static int read_all(const char *path, char **text, size_t *size, char **error)
{
	cleanup_file FILE *f = fopen(path, "re");
	cleanup_free char *buf = malloc(HOST_FILE_MAX + 1);
	size_t n;

	if (!f)
		return host_error(error, -EINVAL, "--host %s: %s", path, strerror(errno));
	if (!buf)
		return -ENOMEM;
	n = fread(buf, 1, HOST_FILE_MAX + 1, f);
	if (ferror(f))
		return host_error(error, -EINVAL, "--host %s: %s", path, strerror(errno));
	if (n > HOST_FILE_MAX)
		return host_error(error, -EINVAL, "--host %s: larger than 1 MiB", path);
	buf[n] = '\0';
	*text = steal_ptr(&buf);
	*size = n;
	return 0;
}

static int line_of(const char *text, size_t offset)
{
	int line = 1;

	for (size_t i = 0; text && i < offset && text[i]; i++)
		line += text[i] == '\n';
	return line;
}

static int parse(const char *path, const char *text, size_t size, struct json_object **out,
		 char **error)
{
	struct json_tokener *tokener = json_tokener_new_ex(2 * HOST_MAX_DEPTH + 4);
	enum json_tokener_error status;
	size_t end;

	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*out = json_tokener_parse_ex(tokener, text, (int)size + 1);
	status = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (status != json_tokener_success) {
		json_object_put(*out);
		*out = NULL;
		return host_error(error, -EINVAL, "--host %s: line %d: not JSON: %s", path,
				  line_of(text, end), json_tokener_error_desc(status));
	}
	if (!json_object_is_type(*out, json_type_object)) {
		json_object_put(*out);
		return host_error(error, -EINVAL, "--host %s: not a JSON object", path);
	}
	return 0;
}

/* The value as it would be written on the command line; NULL where it has no such form. */
static const char *value_text(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_string:
		return json_object_get_string(value);
	case json_type_int:
		return json_object_to_json_string(value);
	case json_type_boolean:
		return json_object_get_boolean(value) ? "on" : "off";
	default:
		return NULL;
	}
}

static int read_devices(struct reader *r, struct json_object *array, const char *where,
			struct cds_list_head *list, struct host_item *parent, unsigned int depth);

static int read_members(struct reader *r, struct json_object *object, struct host_item *item,
			unsigned int depth)
{
	json_object_object_foreach(object, name, value)
	{
		const char *text;
		int err;

		if (!strcmp(name, "model"))
			continue;
		if (!strcmp(name, "devices") && item->kind != HOST_ENDPOINT) {
			cleanup_free char *where = NULL;

			if (asprintf(&where, "%s.devices", item->what) < 0) {
				where = NULL;
				return -ENOMEM;
			}
			err = read_devices(r, value, where, &item->children, item, depth + 1);
			if (err)
				return err;
			continue;
		}
		text = value_text(value);
		if (!text)
			return host_error(r->error, -EINVAL,
					  "%s: %s: not a string, a whole number, true or false",
					  item->what, name);
		err = host_item_set(item, name, text, r->error);
		if (err)
			return err;
	}
	return host_item_check(item, r->error);
}

static int read_device(struct reader *r, struct json_object *object, const char *what,
		       struct cds_list_head *list, struct host_item *parent, unsigned int depth)
{
	struct json_object *model;
	struct host_item *item;
	int err;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, "model", &model) ||
	    !json_object_is_type(model, json_type_string))
		return host_error(r->error, -EINVAL, "%s: not an object with a \"model\"", what);
	item = host_item_new(HOST_ENDPOINT, what);
	if (!item)
		return -ENOMEM;
	item->parent = parent;
	err = host_item_set_model(r->config, item, json_object_get_string(model), true, r->error);
	if (!err)
		err = read_members(r, object, item, depth);
	if (err)
		host_item_free(item);
	else
		cds_list_add_tail(&item->node, list);
	return err;
}

static int read_devices(struct reader *r, struct json_object *array, const char *where,
			struct cds_list_head *list, struct host_item *parent, unsigned int depth)
{
	if (!json_object_is_type(array, json_type_array))
		return host_error(r->error, -EINVAL, "%s: not an array", where);
	if (depth > HOST_MAX_DEPTH)
		return host_error(r->error, -EINVAL, "%s: more than %d bridges behind each other",
				  where, HOST_MAX_DEPTH);
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		cleanup_free char *what = NULL;
		int err;

		if (asprintf(&what, "%s[%zu]", where, i) < 0) {
			what = NULL;
			return -ENOMEM;
		}
		err = read_device(r, json_object_array_get_idx(array, i), what, list, parent,
				  depth);
		if (err)
			return err;
	}
	return 0;
}

/* Either a line as on the command line, or an object with the same names. */
static int read_iommu(struct reader *r, struct json_object *value)
{
	cleanup_free char *spec = NULL;
	struct json_object *model;
	size_t size;
	FILE *f;

	if (json_object_is_type(value, json_type_string))
		return host_config_set_iommu(r->config, json_object_get_string(value), r->error);
	if (!json_object_is_type(value, json_type_object) ||
	    !json_object_object_get_ex(value, "model", &model) ||
	    !json_object_is_type(model, json_type_string))
		return host_error(r->error, -EINVAL,
				  "--host %s: iommu: not an object with a \"model\"", r->path);
	f = open_memstream(&spec, &size);
	if (!f)
		return -ENOMEM;
	fputs(json_object_get_string(model), f);
	json_object_object_foreach(value, name, member)
	{
		const char *text = value_text(member);

		if (strcmp(name, "model"))
			fprintf(f, ",%s=%s", name, text ? text : "");
	}
	if (fclose(f))
		return -ENOMEM;
	return host_config_set_iommu(r->config, spec, r->error);
}

static int read_top(struct reader *r, struct json_object *top)
{
	static const char *const names[] = { "devices", "iommu", NULL };
	struct cds_list_head items = CDS_LIST_HEAD_INIT(items);
	cleanup_free char *where = NULL;
	struct host_item *item, *next;
	int err = 0;

	if (asprintf(&where, "--host %s: devices", r->path) < 0) {
		where = NULL;
		return -ENOMEM;
	}
	json_object_object_foreach(top, name, value)
	{
		const char *near = suggest(name, names);

		if (!strcmp(name, "devices"))
			err = read_devices(r, value, where, &items, NULL, 0);
		else if (!strcmp(name, "iommu"))
			err = read_iommu(r, value);
		else
			err = host_error(r->error, -EINVAL, "--host %s: no member %s; %s%s",
					 r->path, name,
					 near ? "did you mean " : "there are devices and iommu",
					 near ? (near == names[0] ? "devices?" : "iommu?") : "");
		if (err)
			break;
	}
	cds_list_for_each_entry_safe(item, next, &items, node) {
		if (err) {
			host_item_free(item);
			continue;
		}
		cds_list_del(&item->node);
		cds_list_add_tail(&item->node, &r->config->items);
	}
	return err;
}

int host_config_read_file(struct host_config *config, const char *path, char **error)
{
	struct reader r = { config, path, error };
	cleanup_free char *text = NULL;
	struct json_object *top;
	size_t size = 0;
	int err;

	*error = NULL;
	err = read_all(path, &text, &size, error);
	if (err)
		return err;
	err = parse(path, text, size, &top, error);
	if (err)
		return err;
	err = read_top(&r, top);
	json_object_put(top);
	return err;
}
