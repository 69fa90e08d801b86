/* SPDX-License-Identifier: BSD-3-Clause */
/* Properties: "name=value" pairs with a type, a default and a meaning. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/prop.h"

static const char *const bool_words[] = { "off", "on", NULL };

static void *field(const struct prop *p, void *object)
{
	return (char *)object + p->offset;
}

/* Sets *@error and returns -EINVAL, or -ENOMEM. */
__attribute__((format(printf, 2, 3))) static int fail(char **error, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(error, format, args);
	va_end(args);
	if (n < 0)
		*error = NULL;
	return n < 0 ? -ENOMEM : -EINVAL;
}

/* A decimal or 0x number, with a suffix if @size. -EINVAL, or -ERANGE where it does not fit. */
static int parse_number(const char *text, bool size, u64 *out)
{
	static const char suffixes[] = "KMGT";
	char *end;
	u64 value;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, strncasecmp(text, "0x", 2) ? 10 : 16);
	if (errno)
		return -ERANGE;
	if (size && *end) {
		const char *suffix = strchr(suffixes, toupper((unsigned char)*end));

		if (!suffix)
			return -EINVAL;
		if (__builtin_mul_overflow(value, 1ULL << 10 * (suffix - suffixes + 1), &value))
			return -ERANGE;
		end++;
	}
	if (*end)
		return -EINVAL;
	*out = value;
	return 0;
}

static int find_word(const char *const *words, const char *value)
{
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], value))
			return i;
	}
	return -1;
}

/* "a, b or c"; malloc'ed, NULL without memory. */
static char *join_words(const char *const *words, const char *comma, const char * or)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; words[i]; i++)
		fprintf(f, "%s%s", !i ? "" : words[i + 1] ? comma : or, words[i]);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static int fail_word(char **error, const char *what, const char *name, const char *value,
		     const char *const *words)
{
	cleanup_free char *list = join_words(words, ", ", " or ");
	const char *near = suggest(value, words);

	if (!list)
		return -ENOMEM;
	if (near)
		return fail(error, "%s: %s=%s: not %s; did you mean %s?", what, name, value, list,
			    near);
	return fail(error, "%s: %s=%s: not %s", what, name, value, list);
}

static int set_number(const struct prop *p, u64 *slot, const char *what, const char *value,
		      char **error)
{
	bool size = p->type == PROP_SIZE;
	u64 number = 0, max = p->max ? p->max : UINT64_MAX;
	int ret = parse_number(value, size, &number);

	if (ret == -EINVAL)
		return fail(error, "%s: %s=%s: not a %s", what, p->name, value,
			    size ? "size (a number with K, M, G or T after it, or nothing)"
				 : "number");
	if (ret || number < p->min || number > max) {
		if (!p->max)
			return fail(error, "%s: %s=%s: too %s", what, p->name, value,
				    ret ? "large" : "small");
		return fail(error, "%s: %s=%s: not in %llu to %llu", what, p->name, value,
			    (unsigned long long)p->min, (unsigned long long)p->max);
	}
	*slot = number;
	return 0;
}

static int set_string(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int set_value(const struct prop *p, void *object, const char *what, const char *value,
		     char **error)
{
	int word;

	switch (p->type) {
	case PROP_BOOL:
		word = find_word(bool_words, value);
		if (word < 0)
			return fail_word(error, what, p->name, value, bool_words);
		*(bool *)field(p, object) = word;
		return 0;
	case PROP_ENUM:
		word = find_word(p->values, value);
		if (word < 0)
			return fail_word(error, what, p->name, value, p->values);
		*(u64 *)field(p, object) = (u64)word;
		return 0;
	case PROP_UINT:
	case PROP_SIZE:
		return set_number(p, field(p, object), what, value, error);
	case PROP_STRING:
		return set_string(field(p, object), value);
	}
	return -EINVAL;
}

static int fail_name(const struct prop *table, char **error, const char *what, const char *name)
{
	cleanup_free const char **names = NULL;
	const char *near;
	size_t n = 0;

	while (table && table[n].name)
		n++;
	if (!n)
		return fail(error, "%s: no property %s: it has none", what, name);
	names = calloc(n + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		names[i] = table[i].name;
	near = suggest(name, names);
	if (near)
		return fail(error, "%s: no property %s; did you mean %s?", what, name, near);
	return fail(error, "%s: no property %s", what, name);
}

void prop_defaults(const struct prop *table, void *object)
{
	for (const struct prop *p = table; p && p->name; p++) {
		cleanup_free char *error = NULL;

		switch (p->type) {
		case PROP_BOOL:
			*(bool *)field(p, object) = false;
			break;
		case PROP_STRING:
			*(char **)field(p, object) = NULL;
			break;
		default:
			*(u64 *)field(p, object) = 0;
			break;
		}
		if (p->def)
			set_value(p, object, "default", p->def, &error);
	}
}

int prop_set(const struct prop *table, void *object, const char *what, const char *name,
	     const char *value, char **error)
{
	*error = NULL;
	for (const struct prop *p = table; p && p->name; p++) {
		if (!strcmp(p->name, name))
			return set_value(p, object, what, value, error);
	}
	return fail_name(table, error, what, name);
}

void prop_clear(const struct prop *table, void *object)
{
	for (const struct prop *p = table; p && p->name; p++) {
		if (p->type == PROP_STRING) {
			char **slot = field(p, object);

			free(*slot);
			*slot = NULL;
		}
	}
}

char *prop_type_text(const struct prop *p)
{
	switch (p->type) {
	case PROP_BOOL:
		return strdup("bool");
	case PROP_UINT:
		return strdup("integer");
	case PROP_SIZE:
		return strdup("size");
	case PROP_STRING:
		return strdup("string");
	case PROP_ENUM:
		return join_words(p->values, "|", "|");
	}
	return NULL;
}
