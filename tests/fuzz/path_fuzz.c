/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths as programs write them: normalization and classification, against what must hold for any
 * of them, and writes to whatever attribute a path may name. The first line of the input is the
 * directory, the second the path, the rest what is written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "models/edu/edu.h"

static struct host *host;
static char dir[] = "/tmp/path_fuzz.XXXXXX";

static void clean_up(void)
{
	host_free(host);
	rmdir(dir);
}

static void check(bool right)
{
	if (!right)
		abort();
}

static void set_up(void)
{
	static const struct device_model *const models[] = { &edu_model, NULL };
	struct host_config *config = host_config_new(models);
	char *error = NULL;

	check(config && mkdtemp(dir));
	check(!host_config_add_device(config, "edu", &error));
	check(!host_config_add_device(config, "edu,driver=foo", &error));
	check(!host_new(config, dir, NULL, NULL, &host, &error));
	host_config_free(config);
	atexit(clean_up);
}

static bool normal(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../"))
		return false;
	if (len == 1)
		return true;
	return path[len - 1] != '/' && (len < 2 || strcmp(path + len - 2, "/.")) &&
	       (len < 3 || strcmp(path + len - 3, "/.."));
}

static void classify(const char *path)
{
	struct host_node node = { .mode = 0 };
	enum host_path_kind kind = host_path(host, path, &node);

	check(kind == HOST_PATH_REAL || !strncmp(path, "/sys", 4) || !strncmp(path, "/dev", 4) ||
	      !strncmp(path, "/run", 4));
	/* The cheap question may say yes too often, but never no where it matters. */
	check(kind == HOST_PATH_REAL || host_path_covers(host, path));
	check((kind == HOST_PATH_NODE) == S_ISCHR(node.mode));
	check(kind == host_path(host, path, NULL));
}

static void done(void *opaque, int result)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *path, *rest, out[256], again[256];

	if (!host)
		set_up();
	check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	path = strchr(text, '\n');
	if (path) {
		*path++ = '\0';
		rest = strchr(path, '\n');
		if (rest)
			*rest++ = '\0';
		if (!host_path_normalize(text, path, out, sizeof(out))) {
			check(normal(out));
			check(!host_path_normalize("/", out, again, sizeof(again)));
			check(!strcmp(out, again));
			classify(out);
			host_config_written(host, out);
			if (rest && host_attr_writable(host, out))
				check(host_attr_write(host, out, rest, strlen(rest), done, NULL) <=
				      0);
		}
	}
	free(text);
	return 0;
}
