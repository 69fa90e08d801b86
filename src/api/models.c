/* SPDX-License-Identifier: BSD-3-Clause */
/* The device models: the one list of them, and what users may know of each. */
#include <string.h>

#include "api/models.h"
#include "base/prop.h"
#include "host/host.h"
#include "models/edu/edu.h"
#include "uvfio/run.h"

const struct device_model *const api_models[] = { &edu_model, NULL };

/* The public types are names for the internal ones. */
static const struct uvfio_model *to_public(const struct device_model *model)
{
	return (const struct uvfio_model *)model;
}

static const struct device_model *from_public(const struct uvfio_model *model)
{
	return (const struct device_model *)model;
}

static const struct prop *prop_from_public(const struct uvfio_prop *prop)
{
	return (const struct prop *)prop;
}

const struct uvfio_model *uvfio_model_get(size_t i)
{
	return i < ARRAY_SIZE(api_models) ? to_public(api_models[i]) : NULL;
}

const struct uvfio_model *uvfio_model_find(const char *name)
{
	for (size_t i = 0; api_models[i]; i++)
		if (!strcmp(api_models[i]->name, name))
			return to_public(api_models[i]);
	return NULL;
}

const char *uvfio_model_name(const struct uvfio_model *model)
{
	return from_public(model)->name;
}

const char *uvfio_model_description(const struct uvfio_model *model)
{
	return from_public(model)->description;
}

const struct uvfio_prop *uvfio_model_prop(const struct uvfio_model *model, size_t i)
{
	const struct prop *tables[] = { from_public(model)->props, host_device_props() };

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct prop *p = tables[t]; p && p->name; p++)
			if (!i--)
				return (const struct uvfio_prop *)p;
	}
	return NULL;
}

const char *uvfio_prop_name(const struct uvfio_prop *prop)
{
	return prop_from_public(prop)->name;
}

char *uvfio_prop_type(const struct uvfio_prop *prop)
{
	return prop_type_text(prop_from_public(prop));
}

const char *uvfio_prop_default(const struct uvfio_prop *prop)
{
	return prop_from_public(prop)->def;
}

const char *uvfio_prop_help(const struct uvfio_prop *prop)
{
	return prop_from_public(prop)->help;
}

const char *uvfio_suggest(const char *wrong, const char *const *words)
{
	return suggest(wrong, words);
}
