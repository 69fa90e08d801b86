/* SPDX-License-Identifier: BSD-3-Clause */
/* base/prop.h */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prop.h"

struct thing {
	bool on;
	u64 count;
	u64 size;
	u64 mode;
	char *path;
};

static const char *const modes[] = { "fast", "slow", "careful", NULL };

static const struct prop props[] = {
	{ .name = "on", .type = PROP_BOOL, .offset = offsetof(struct thing, on), .def = "on" },
	{ .name = "count",
	  .type = PROP_UINT,
	  .offset = offsetof(struct thing, count),
	  .def = "0x10",
	  .min = 1,
	  .max = 100 },
	{ .name = "size", .type = PROP_SIZE, .offset = offsetof(struct thing, size), .def = "4K" },
	{ .name = "mode",
	  .type = PROP_ENUM,
	  .offset = offsetof(struct thing, mode),
	  .def = "slow",
	  .values = modes },
	{ .name = "path", .type = PROP_STRING, .offset = offsetof(struct thing, path) },
	{ 0 },
};

static void test_values(void **state)
{
	struct thing t;
	char *error;

	prop_defaults(props, &t);
	assert_true(t.on);
	assert_int_equal(t.count, 16);
	assert_int_equal(t.size, 4096);
	assert_int_equal(t.mode, 1);
	assert_null(t.path);
	assert_int_equal(prop_set(props, &t, "device x", "on", "off", &error), 0);
	assert_false(t.on);
	assert_int_equal(prop_set(props, &t, "device x", "count", "100", &error), 0);
	assert_int_equal(t.count, 100);
	assert_int_equal(prop_set(props, &t, "device x", "size", "0x2g", &error), 0);
	assert_int_equal(t.size, 2ULL << 30);
	assert_int_equal(prop_set(props, &t, "device x", "size", "18446744073709551615", &error),
			 0);
	assert_int_equal(t.size, UINT64_MAX);
	assert_int_equal(prop_set(props, &t, "device x", "mode", "careful", &error), 0);
	assert_int_equal(t.mode, 2);
	assert_int_equal(prop_set(props, &t, "device x", "path", "/a", &error), 0);
	assert_int_equal(prop_set(props, &t, "device x", "path", "/b", &error), 0);
	assert_string_equal(t.path, "/b");
	prop_clear(props, &t);
	assert_null(t.path);
	prop_defaults(NULL, &t);
	prop_clear(NULL, &t);
}

static void refused(const char *name, const char *value, const char *line)
{
	struct thing t, before;
	char *error = NULL;

	prop_defaults(props, &t);
	before = t;
	assert_int_equal(prop_set(props, &t, "device x", name, value, &error), -EINVAL);
	assert_string_equal(error, line);
	assert_memory_equal(&t, &before, sizeof(t));
	free(error);
}

static void test_errors(void **state)
{
	char *error = NULL;
	struct thing t;

	refused("on", "yes", "device x: on=yes: not off or on");
	refused("on", "onn", "device x: on=onn: not off or on; did you mean on?");
	refused("count", "0", "device x: count=0: not in 1 to 100");
	refused("count", "101", "device x: count=101: not in 1 to 100");
	refused("count", "99999999999999999999",
		"device x: count=99999999999999999999: not in 1 to 100");
	refused("count", "-1", "device x: count=-1: not a number");
	refused("count", "", "device x: count=: not a number");
	refused("count", " 5", "device x: count= 5: not a number");
	refused("count", "5K", "device x: count=5K: not a number");
	refused("count", "0x", "device x: count=0x: not a number");
	refused("size", "1X",
		"device x: size=1X: not a size (a number with K, M, G or T after it, or nothing)");
	refused("size", "1KB",
		"device x: size=1KB: not a size (a number with K, M, G or T after it, or nothing)");
	refused("size", "99999999T", "device x: size=99999999T: too large");
	refused("mode", "fsat",
		"device x: mode=fsat: not fast, slow or careful; "
		"did you mean fast?");
	refused("mode", "", "device x: mode=: not fast, slow or careful");
	refused("cuont", "1", "device x: no property cuont; did you mean count?");
	refused("quite different", "1", "device x: no property quite different");
	assert_int_equal(prop_set(NULL, &t, "device x", "a", "1", &error), -EINVAL);
	assert_string_equal(error, "device x: no property a: it has none");
	free(error);
}

static void test_type_text(void **state)
{
	static const char *const texts[] = { "bool", "integer", "size", "fast|slow|careful",
					     "string" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *text = prop_type_text(&props[i]);

		assert_string_equal(text, texts[i]);
		free(text);
	}
}

static void test_suggest(void **state)
{
	static const char *const words[] = { "device", "iommu", "edu", "nvme", "virtio-net", NULL };
	static const char *const none[] = { NULL };
	char huge[1000];

	assert_string_equal(suggest("eud", words), "edu");	/* swapped */
	assert_string_equal(suggest("devic", words), "device"); /* missing */
	assert_string_equal(suggest("nvmee", words), "nvme");	/* one too many */
	assert_string_equal(suggest("ionmu", words), "iommu");	/* another */
	assert_string_equal(suggest("virtionet", words), "virtio-net");
	assert_null(suggest("e1000", words));
	assert_null(suggest("", words));
	assert_null(suggest("edu", none));
	memset(huge, 'e', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = 0;
	assert_null(suggest(huge, words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_type_text),
		cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
