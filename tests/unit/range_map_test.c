/* SPDX-License-Identifier: BSD-3-Clause */
/* base/range_map.h against a plain array, and base/bitmap.h against single bits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/range_map.h"

static u64 seed = 1;

static u64 rnd(u64 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

/* Where not 0, one allocation in so many fails (the linker hands malloc over). */
static u64 fail_one_in;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return fail_one_in && !rnd(fail_one_in) ? NULL : __real_malloc(size);
}

static void *val(u64 n)
{
	return (void *)(uintptr_t)(n + 1);
}

static void test_limits(void **state)
{
	struct range_map *map = range_map_new();
	struct range r;

	assert_false(range_map_find(map, 0, &r));
	assert_false(range_map_first(map, 0, UINT64_MAX, &r));
	assert_false(range_map_before(map, UINT64_MAX, &r));
	assert_null(range_map_remove(map, 0));
	assert_int_equal(range_map_insert(map, 5, 4, val(1)), -EINVAL);
	assert_int_equal(range_map_insert(map, 5, 5, NULL), -EINVAL);
	assert_int_equal(range_map_insert(map, 0, UINT64_MAX, val(1)), 0);
	assert_int_equal(range_map_insert(map, 7, 7, val(2)), -EEXIST);
	assert_true(range_map_find(map, UINT64_MAX, &r));
	assert_int_equal(r.last, UINT64_MAX);
	assert_false(range_map_before(map, UINT64_MAX, &r));
	assert_ptr_equal(range_map_remove(map, 0), val(1));
	assert_false(range_map_find(map, UINT64_MAX, &r));
	assert_int_equal(range_map_insert(map, UINT64_MAX, UINT64_MAX, val(3)), 0);
	assert_int_equal(range_map_insert(map, 0, 0, val(4)), 0);
	assert_int_equal(range_map_insert(map, 1, UINT64_MAX, val(5)), -EEXIST);
	assert_true(range_map_first(map, 1, UINT64_MAX, &r));
	assert_ptr_equal(r.value, val(3));
	assert_true(range_map_before(map, UINT64_MAX, &r));
	assert_ptr_equal(r.value, val(4));
	assert_int_equal(range_map_count(map), 2);
	range_map_free(map);
	range_map_free(NULL);
}

/* The model: owner[i] is the number of the range that covers position i, or -1. */
#define SPACE 6000
static int owner[SPACE];
static struct range model[SPACE];

static bool model_free(u64 start, u64 last)
{
	for (u64 i = start; i <= last; i++) {
		if (owner[i] >= 0)
			return false;
	}
	return true;
}

static void model_fill(u64 start, u64 last, int who)
{
	for (u64 i = start; i <= last; i++)
		owner[i] = who;
}

static void check_first(struct range_map *map, u64 start, u64 last)
{
	struct range r;
	u64 i = start;

	while (i <= last && owner[i] < 0)
		i++;
	assert_int_equal(range_map_first(map, start, last, &r), i <= last);
	if (i <= last)
		assert_memory_equal(&r, &model[owner[i]], sizeof(r));
}

static void check_point(struct range_map *map, u64 key)
{
	struct range r;
	int who = owner[key];
	u64 i = key;

	assert_int_equal(range_map_find(map, key, &r), who >= 0);
	if (who >= 0)
		assert_memory_equal(&r, &model[who], sizeof(r));
	while (i-- > 0) {
		if (owner[i] >= 0 && owner[i] != who)
			break;
	}
	assert_int_equal(range_map_before(map, key, &r), i != UINT64_MAX);
	if (i != UINT64_MAX)
		assert_memory_equal(&r, &model[owner[i]], sizeof(r));
}

static void random_insert(struct range_map *map, u64 longest)
{
	u64 start = rnd(SPACE), length = rnd(longest), last = MIN(start + length, SPACE - 1);
	bool free_ = model_free(start, last);
	int ret = range_map_insert(map, start, last, val(start));

	if (fail_one_in && free_ && ret == -ENOMEM)
		return;
	assert_int_equal(ret, free_ ? 0 : -EEXIST);
	if (!free_)
		return;
	model[start] = (struct range){ .start = start, .last = last, .value = val(start) };
	model_fill(start, last, (int)start);
}

static void random_remove(struct range_map *map)
{
	u64 start = rnd(SPACE);
	bool there = owner[start] == (int)start;

	/* Half the time aim at a range that is there. */
	if (!there && rnd(2) && owner[start] >= 0) {
		start = (u64)owner[start];
		there = true;
	}
	assert_ptr_equal(range_map_remove(map, start), there ? val(start) : NULL);
	if (there)
		model_fill(start, model[start].last, -1);
}

static u64 model_count(void)
{
	u64 n = 0;

	for (u64 i = 0; i < SPACE; i++)
		n += owner[i] == (int)i;
	return n;
}

/* Phases that fill and drain, so that leaves and inner nodes split, join and vanish. */
static void churn(struct range_map *map)
{

	model_fill(0, SPACE - 1, -1);
	for (int phase = 0; phase < 24; phase++) {
		u64 inserts = phase % 2 ? 2 : 8, longest = 1 + (u64)(phase % 5) * 3;

		for (int i = 0; i < 20000; i++) {
			if (rnd(10) < inserts)
				random_insert(map, longest);
			else
				random_remove(map);
			if (!rnd(50))
				range_map_sync(map);
			if (!rnd(4)) {
				u64 a = rnd(SPACE), b = rnd(SPACE);

				check_point(map, a);
				check_first(map, MIN(a, b), MAX(a, b));
			}
		}
		assert_int_equal(range_map_count(map), model_count());
	}
	for (u64 i = 0; i < SPACE; i++)
		check_point(map, i);
}

static void test_random(void **state)
{
	struct range_map *map = range_map_new();

	churn(map);
	range_map_free(map);
}

/* A failed insertion changes nothing; a removal never fails. */
static void test_no_memory(void **state)
{
	for (u64 rate = 9; rate; rate /= 3) {
		struct range_map *map = range_map_new_private();

		fail_one_in = rate;
		churn(map);
		fail_one_in = 0;
		range_map_free(map);
	}
}

static void test_replace(void **state)
{
	struct range_map *map = range_map_new();
	struct range r;

	assert_null(range_map_replace(map, 5, val(1)));
	assert_int_equal(range_map_insert(map, 5, 9, val(1)), 0);
	assert_null(range_map_replace(map, 6, val(2)));
	assert_null(range_map_replace(map, 5, NULL));
	assert_ptr_equal(range_map_replace(map, 5, val(2)), val(1));
	assert_true(range_map_find(map, 9, &r));
	assert_ptr_equal(r.value, val(2));
	assert_int_equal(range_map_count(map), 1);
	range_map_free(map);
}

/* Many ranges, in ascending, descending and shuffled order; removal of all, in another. */
static void many(u64 n, u64 in_step, u64 out_step)
{
	struct range_map *map = range_map_new();
	struct range r;

	for (u64 i = 0, k = 0; i < n; i++, k = (k + in_step) % n)
		assert_int_equal(range_map_insert(map, k * 4096, k * 4096 + 4095, val(k)), 0);
	assert_int_equal(range_map_count(map), n);
	for (u64 k = 0; k < n; k++) {
		assert_true(range_map_find(map, k * 4096 + 17, &r));
		assert_int_equal(r.start, k * 4096);
		assert_ptr_equal(r.value, val(k));
	}
	for (u64 i = 0, k = 0; i < n; i++, k = (k + out_step) % n) {
		assert_ptr_equal(range_map_remove(map, k * 4096), val(k));
		assert_false(range_map_find(map, k * 4096 + 17, &r));
	}
	assert_int_equal(range_map_count(map), 0);
	assert_false(range_map_first(map, 0, UINT64_MAX, &r));
	range_map_free(map);
}

static void test_orders(void **state)
{
	const u64 n = 100003; /* a prime: every step visits all */

	many(n, 1, 1);
	many(n, n - 1, 1);
	many(n, 1, n - 1);
	many(n, 31337, 1);
	many(n, 31337, 77773);
	many(n, 50001, 31337);
}

static void test_bitmap(void **state)
{
	u64 a[6], b[6], want;

	for (int round = 0; round < 20000; round++) {
		u64 first = rnd(300), nr = rnd(300 - first + 1), from = rnd(300 - nr + 1);
		int op = (int)rnd(4);
		u64 before[6];

		for (int i = 0; i < 6; i++) {
			a[i] = rnd(1ULL << 31) << 33 | rnd(1ULL << 31) << 2;
			b[i] = rnd(1ULL << 31) << 33 | rnd(1ULL << 31) << 2;
		}
		memcpy(before, a, sizeof(a));
		if (op == 0)
			bitmap_set(a, first, nr);
		else if (op == 1)
			bitmap_clear(a, first, nr);
		else if (op == 2)
			bitmap_copy(a, first, b, from, nr);
		else
			bitmap_or(a, first, b, from, nr);
		want = 0;
		for (u64 i = 0; i < 384; i++) {
			bool old = bitmap_test(before, i), now = bitmap_test(a, i);
			bool src = i >= first && i - first < nr && bitmap_test(b, from + i - first);

			if (i < first || i - first >= nr) {
				assert_int_equal(now, old);
				continue;
			}
			assert_int_equal(now, op == 0	? true
					      : op == 1 ? false
					      : op == 2 ? src
							: (old || src));
			want += now;
		}
		assert_int_equal(bitmap_weight(a, first, nr), want);
	}
}

static void test_bitmap_next(void **state)
{
	u64 map[3] = { 0 };

	assert_int_equal(bitmap_next_set(map, 0, 190), 190);
	assert_int_equal(bitmap_next_clear(map, 5, 190), 5);
	bitmap_set(map, 60, 70);
	assert_int_equal(bitmap_next_set(map, 0, 190), 60);
	assert_int_equal(bitmap_next_set(map, 0, 40), 40);
	assert_int_equal(bitmap_next_clear(map, 60, 190), 130);
	assert_int_equal(bitmap_next_clear(map, 60, 100), 100);
	assert_int_equal(BITMAP_BYTES(65), 16);
	assert_int_equal(BITMAP_BYTES(64), 8);
}

/* The last word may end the memory: nothing is read behind it. */
static void test_bitmap_bounds(void **state)
{
	u64 *src = calloc(1, sizeof(u64)), dst[2] = { 0 };

	src[0] = ~0ULL;
	bitmap_copy(dst, 60, src, 3, 61);
	assert_int_equal(bitmap_weight(dst, 0, 128), 61);
	assert_int_equal(bitmap_next_set(dst, 0, 128), 60);
	free(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),	    cmocka_unit_test(test_random),
		cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_replace),
		cmocka_unit_test(test_orders),	    cmocka_unit_test(test_bitmap),
		cmocka_unit_test(test_bitmap_next), cmocka_unit_test(test_bitmap_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
