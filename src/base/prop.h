/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Properties: "name=value" pairs with a type, a default and a meaning, as devices, IOMMU units and
 * host files have them.
 *
 * A table of struct prop describes the fields of a structure; prop_defaults() and prop_set() fill
 * it in. Errors are one line of text for the user that names the property, the reason, and the
 * nearest right name or the values allowed.
 */
#ifndef BASE_PROP_H
#define BASE_PROP_H

#include <stdbool.h>

#include "base/util.h"

enum prop_type {
	PROP_BOOL,   /* bool: on, off */
	PROP_UINT,   /* u64: decimal, 0x..., with limits */
	PROP_SIZE,   /* u64: as PROP_UINT, with a suffix K, M, G, T (powers of 1024) */
	PROP_STRING, /* char *: malloc'ed, NULL by default allowed */
	PROP_ENUM,   /* u64: the number of the word in ->values */
};

struct prop {
	const char *name;
	enum prop_type type;
	size_t offset;		   /* of the field in the structure */
	const char *def;	   /* default, as the user would write it; NULL: zero */
	u64 min, max;		   /* PROP_UINT, PROP_SIZE; max 0 means no limit */
	const char *const *values; /* PROP_ENUM: NULL-terminated */
	const char *help;	   /* one line, no full stop */
};

/* A table ends with a NULL name; NULL is an empty table. */
void prop_defaults(const struct prop *table, void *object);
/* 0, or -EINVAL/-ENOMEM with *@error a malloc'ed line. @what names the owner in it ("device edu").
 */
int prop_set(const struct prop *table, void *object, const char *what, const char *name,
	     const char *value, char **error);
/* Frees the strings. */
void prop_clear(const struct prop *table, void *object);
/* "on", "4096", ...: the type's name for listings: "bool", "integer", "size", "string", "a|b|c"
 * (malloc'ed). */
char *prop_type_text(const struct prop *p);

/* The word of @words (NULL-terminated) nearest to @wrong, or NULL if none is near (base/suggest.c).
 */
const char *suggest(const char *wrong, const char *const *words);

#endif
