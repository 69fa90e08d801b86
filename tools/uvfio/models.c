/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "uvfio/run.h"

static void print_model(const struct uvfio_model *model)
{
	const struct uvfio_prop *prop;

	printf("%s: %s\n\n", uvfio_model_name(model), uvfio_model_description(model));
	printf("  %-16s %-12s %-10s %s\n", "property", "type", "default", "meaning");
	for (size_t i = 0; (prop = uvfio_model_prop(model, i)); i++) {
		const char *def = uvfio_prop_default(prop);
		char *type = uvfio_prop_type(prop);

		printf("  %-16s %-12s %-10s %s\n", uvfio_prop_name(prop), type ? type : "",
		       def ? def : "-", uvfio_prop_help(prop));
		free(type);
	}
}

static int unknown_model(const char *name)
{
	const struct uvfio_model *model;
	const char *near = NULL, *names[2] = { NULL, NULL };

	for (size_t i = 0; !near && (model = uvfio_model_get(i)); i++) {
		names[0] = uvfio_model_name(model);
		near = uvfio_suggest(name, names);
	}
	return near ? tool_error("unknown model '%s'; did you mean '%s'?", name, near)
		    : tool_error("unknown model '%s'; 'uvfio models' lists them", name);
}

int tool_models(int argc, char **argv)
{
	const struct uvfio_model *model;

	if (argc > 2)
		return tool_error("models takes one model at most, not '%s' too", argv[2]);
	if (argc == 2) {
		if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
			tool_help();
			return tool_flush();
		}
		if (argv[1][0] == '-')
			return tool_error("models has no option '%s'; see 'uvfio --help'", argv[1]);
		model = uvfio_model_find(argv[1]);
		if (!model)
			return unknown_model(argv[1]);
		print_model(model);
		return tool_flush();
	}
	for (size_t i = 0; (model = uvfio_model_get(i)); i++)
		printf("%-10s %s\n", uvfio_model_name(model), uvfio_model_description(model));
	return tool_flush();
}
