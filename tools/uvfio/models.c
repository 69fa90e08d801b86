/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/host.h"
#include "uvfio.h"

static void print_props(const struct prop *props)
{
	for (const struct prop *p = props; p && p->name; p++) {
		cleanup_free char *type = prop_type_text(p);

		printf("  %-16s %-12s %-10s %s\n", p->name, type ? type : "", p->def ? p->def : "-",
		       p->help);
	}
}

static void print_model(const struct device_model *model)
{
	printf("%s: %s\n\n", model->name, model->description);
	printf("  %-16s %-12s %-10s %s\n", "property", "type", "default", "meaning");
	print_props(model->props);
	print_props(host_device_props());
}

static int unknown_model(const char *name)
{
	const char *near = NULL, *names[2] = { NULL, NULL };

	for (size_t i = 0; uvfio_models[i] && !near; i++) {
		names[0] = uvfio_models[i]->name;
		near = suggest(name, names);
	}
	return near ? uvfio_error("unknown model '%s'; did you mean '%s'?", name, near)
		    : uvfio_error("unknown model '%s'; 'uvfio models' lists them", name);
}

int uvfio_list_models(int argc, char **argv)
{
	if (argc > 2)
		return uvfio_error("models takes one model at most, not '%s' too", argv[2]);
	for (size_t i = 0; uvfio_models[i]; i++) {
		if (argc == 1) {
			printf("%-10s %s\n", uvfio_models[i]->name, uvfio_models[i]->description);
		} else if (!strcmp(argv[1], uvfio_models[i]->name)) {
			print_model(uvfio_models[i]);
			return fflush(stdout) ? EXIT_UVFIO : 0;
		}
	}
	if (argc == 1)
		return fflush(stdout) ? EXIT_UVFIO : 0;
	return unknown_model(argv[1]);
}
