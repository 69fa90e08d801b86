/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Readers that never lock, against one writer: the range map, and "an unmap is final". Each defect
 * that these look for is a wrong answer by itself, or a data race that ThreadSanitizer sees, or a
 * use after free that AddressSanitizer sees.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/vtd.h"
#include "iommufd/ioas.h"
#include "mem.h"

#define RW (IOMMU_READ | IOMMU_WRITE)
#define PAGE PAGE_SIZE_4K
#define READERS 2
#define RUN_NS 700000000ULL

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static u64 rnd(u64 *seed, u64 below)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 33) % below;
}

/* Slot n is [n * 16, n * 16 + 9]. Every fourth is there from the beginning to the end. */
#define SLOTS 4000
#define KEEP 4

struct item {
	u64 slot;
	u64 magic;
};

struct map_stress {
	struct range_map *map;
	_Atomic bool stop;
	_Atomic u64 errors;
	_Atomic u64 hits;
};

static bool item_is(const struct range *r, u64 slot)
{
	const struct item *item = r->value;

	return r->start == slot * 16 && r->last == slot * 16 + 9 && item->slot == slot &&
	       item->magic == ~slot;
}

static u64 check_slot(struct range_map *map, u64 slot, u64 *hits)
{
	u64 errors = 0, keeper = ALIGN_UP(slot, (u64)KEEP);
	struct range r;

	if (range_map_find(map, slot * 16 + 5, &r)) {
		errors += !item_is(&r, slot);
		++*hits;
	} else {
		errors += slot % KEEP == 0;
	}
	errors += range_map_find(map, slot * 16 + 12, &r);
	/* The one behind is there, or something before it. */
	if (range_map_first(map, slot * 16, keeper * 16 + 9, &r))
		errors += !item_is(&r, r.start / 16);
	else
		errors++;
	if (range_map_before(map, keeper * 16 + 15, &r))
		errors += r.start != keeper * 16;
	else
		errors++;
	return errors;
}

static void *map_reader(void *arg)
{
	struct map_stress *s = arg;
	u64 seed = (u64)(uintptr_t)&seed, hits = 0, errors = 0;

	rcu_thread_start();
	while (!s->stop) {
		rcu_read_begin();
		for (int i = 0; i < 20; i++)
			errors += check_slot(s->map, rnd(&seed, SLOTS - KEEP), &hits);
		rcu_read_end();
	}
	rcu_thread_stop();
	s->errors += errors;
	s->hits += hits;
	return NULL;
}

static struct item *item_new(u64 slot)
{
	struct item *item = malloc(sizeof(*item));

	*item = (struct item){ .slot = slot, .magic = ~slot };
	return item;
}

/* Fills and drains, so that the tree grows and shrinks under the readers. */
static void map_writer(struct map_stress *s, u64 until)
{
	static struct item *items[SLOTS];
	u64 seed = 1, n = 0;

	for (; now_ns() < until && !s->errors; n++) {
		u64 slot = rnd(&seed, SLOTS);
		bool want = rnd(&seed, 8) > (n / 30000 % 2 ? 6 : 0);

		if (slot % KEEP == 0 || want == !!items[slot])
			continue;
		if (!items[slot]) {
			items[slot] = item_new(slot);
			assert_int_equal(
				range_map_insert(s->map, slot * 16, slot * 16 + 9, items[slot]), 0);
			continue;
		}
		assert_ptr_equal(range_map_remove(s->map, slot * 16), items[slot]);
		range_map_sync(s->map);
		items[slot]->magic = 0;
		free(items[slot]);
		items[slot] = NULL;
	}
}

static void test_map(void **state)
{
	struct map_stress s = { .map = range_map_new() };
	pthread_t readers[READERS];
	struct range r;

	for (u64 slot = 0; slot < SLOTS; slot += KEEP)
		assert_int_equal(range_map_insert(s.map, slot * 16, slot * 16 + 9, item_new(slot)),
				 0);
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, map_reader, &s);
	map_writer(&s, now_ns() + RUN_NS);
	s.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(s.errors, 0);
	assert_true(s.hits > 0);
	while (range_map_first(s.map, 0, UINT64_MAX, &r))
		free(range_map_remove(s.map, r.start));
	range_map_free(s.map);
}

struct dma_stress {
	struct iommu_endpoint ep;
	_Atomic bool stop;
	_Atomic u64 threads;
	_Atomic u64 done;
	_Atomic u64 failed;
};

#define DMA_IOVA 0x100000ULL
#define DMA_PAGES 16

/* Each thread has a part of the memory to itself: only the program is to race with it. */
static void *dma_thread(void *arg)
{
	struct dma_stress *s = arg;
	u64 part = s->threads++ * (DMA_PAGES / READERS) * PAGE;
	u64 seed = (u64)(uintptr_t)&seed;
	char buf[2 * PAGE];

	memset(buf, 0xff, sizeof(buf));
	rcu_thread_start();
	while (!s->stop) {
		u64 at = part + rnd(&seed, (DMA_PAGES / READERS - 2) * PAGE),
		    len = 1 + rnd(&seed, sizeof(buf));

		if (iommu_dma_write(&s->ep, DMA_IOVA + at, buf, len))
			s->failed++;
		else
			s->done++;
	}
	rcu_thread_stop();
	return NULL;
}

static bool all_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* Lets some DMA happen. */
static void wait_for_dma(struct dma_stress *s)
{
	u64 before = s->done + s->failed;

	while (s->done + s->failed < before + READERS)
		sched_yield();
}

/* What a program does after its unmap: it uses the memory for something else. */
static void check_final(struct dma_stress *s, char *bytes)
{
	memset(bytes, 0, DMA_PAGES * PAGE);
	wait_for_dma(s);
	assert_true(all_zero(bytes, DMA_PAGES * PAGE));
}

/* Page by page, so that DMA spans entries; the order in which they go varies. */
static void map_and_unmap(struct dma_stress *s, struct ioas *ioas, struct iommu_mm *mm, char *bytes,
			  u64 step)
{
	struct ioas_area *areas[DMA_PAGES];

	for (u64 i = 0; i < DMA_PAGES; i++) {
		struct ioas_extents extents;
		u64 va = MEM_VA + i * PAGE, iova = DMA_IOVA + i * PAGE;

		assert_int_equal(ioas_pin(mm, va, PAGE, RW, &extents), 0);
		assert_int_equal(
			ioas_map(ioas, iova, iova + PAGE - 1, RW, mm, va, &extents, &areas[i]), 0);
	}
	wait_for_dma(s);
	for (u64 i = 0; i < DMA_PAGES; i++) {
		u64 page = i * step % DMA_PAGES;

		ioas_unmap(ioas, areas[page], i % 3 == 0);
		if (i % 3 == 0)
			ioas_sync(ioas);
		memset(bytes + page * PAGE, 0, PAGE);
	}
}

static void run_dma(struct shared *shared)
{
	struct iommu_unit *unit = iommu_vtd_new(0, 48, NULL);
	struct iommu_domain *domain = iommu_domain_new(unit);
	struct iommu_group *group = iommu_group_new(0);
	struct dma_stress s = { .ep = { .unit = unit } };
	struct mem *mem = mem_new(NULL);
	char *bytes = shared ? shared->backing.host : mem->bytes;
	struct ioas *ioas = ioas_new();
	pthread_t threads[READERS];
	u64 until = now_ns() + RUN_NS, rounds = 0;

	for (int i = 0; shared && i < DMA_PAGES; i++)
		mem->backing[i] = &shared->backing;
	assert_int_equal(iommu_dma_init(), 0);
	iommu_group_add(group, &s.ep);
	assert_int_equal(iommu_group_attach(group, domain), 0);
	assert_int_equal(ioas_add_domain(ioas, domain), 0);
	for (int i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, dma_thread, &s);
	for (; now_ns() < until; rounds++) {
		map_and_unmap(&s, ioas, &mem->mm, bytes, rounds % 2 ? 7 : 1);
		check_final(&s, bytes);
		if (rounds % 4)
			continue;
		/* The same for a detach, with the mapping in place. */
		struct ioas_extents extents;

		assert_int_equal(ioas_pin(&mem->mm, MEM_VA, DMA_PAGES * PAGE, RW, &extents), 0);
		assert_int_equal(ioas_map(ioas, DMA_IOVA, DMA_IOVA + DMA_PAGES * PAGE - 1, RW,
					  &mem->mm, MEM_VA, &extents, NULL),
				 0);
		wait_for_dma(&s);
		assert_int_equal(iommu_group_attach(group, NULL), 0);
		check_final(&s, bytes);
		ioas_unmap(ioas, ioas_find(ioas, DMA_IOVA), false);
		assert_int_equal(iommu_group_attach(group, domain), 0);
	}
	s.stop = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(s.done > 0);
	assert_true(s.failed > 0);
	assert_int_equal(s.failed, s.ep.faults);
	assert_true(rounds > 0);
	ioas_remove_domain(ioas, domain);
	iommu_group_remove(&s.ep);
	iommu_domain_free(domain);
	iommu_group_free(group);
	iommu_unit_free(unit);
	ioas_free(ioas);
	iommu_mm_put(&mem->mm);
}

static void test_final_private(void **state)
{
	run_dma(NULL);
}

static void test_final_shared(void **state)
{
	struct shared *shared = shared_new(MEM_SIZE, NULL);

	run_dma(shared);
	iommu_backing_put(&shared->backing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_final_private),
		cmocka_unit_test(test_final_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
