/* SPDX-License-Identifier: BSD-3-Clause */
/* iommufd/ioas.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/vtd.h"
#include "iommufd/ioas.h"
#include "mem.h"

#define RW (IOMMU_READ | IOMMU_WRITE)
#define PAGE PAGE_SIZE_4K

/* Counts down to the allocation that fails (the linker hands these functions over); 0: none does.
 */
static unsigned int fail_at;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool fail_now(void)
{
	return fail_at && !--fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fail_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fail_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fail_now() ? NULL : __real_realloc(p, size);
}

struct fixture {
	struct ioas *ioas;
	struct iommu_unit *unit;
	struct iommu_domain *domain[3];
	struct mem *mem;
	bool mem_freed;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ioas = ioas_new();
	f->unit = iommu_vtd_new(0, 48, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(f->domain); i++)
		f->domain[i] = iommu_domain_new(f->unit);
	f->mem = mem_new(&f->mem_freed);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(f->domain); i++) {
		ioas_remove_domain(f->ioas, f->domain[i]);
		assert_int_equal(range_map_count(f->domain[i]->ptes), 0);
		iommu_domain_free(f->domain[i]);
	}
	iommu_mm_put(&f->mem->mm);
	ioas_free(f->ioas);
	assert_true(f->mem_freed);
	iommu_unit_free(f->unit);
	free(f);
	return 0;
}

/* Pins and maps pages of the test's memory. */
static int map(struct fixture *f, u64 iova, u64 pages, u64 page, struct ioas_area **out)
{
	struct ioas_extents extents;
	u64 va = MEM_VA + page * PAGE;
	int ret = ioas_pin(&f->mem->mm, va, pages * PAGE, RW, &extents);

	if (ret)
		return ret;
	return ioas_map(f->ioas, iova, iova + pages * PAGE - 1, RW, &f->mem->mm, va, &extents, out);
}

static u64 ptes(struct fixture *f, size_t i)
{
	return range_map_count(f->domain[i]->ptes);
}

static void test_map(void **state)
{
	struct fixture *f = *state;
	struct ioas_area *area, *other;

	assert_int_equal(map(f, 0x10000, 4, 0, &area), 0);
	assert_int_equal(area->iova, 0x10000);
	assert_int_equal(area->last, 0x13fff);
	assert_int_equal(area->va, MEM_VA);
	assert_int_equal(area->prot, RW);
	assert_null(area->priv);
	assert_int_equal(map(f, 0x13000, 4, 0, NULL), -EEXIST);
	assert_int_equal(map(f, 0xf000, 2, 0, NULL), -EEXIST);
	assert_int_equal(map(f, 0x14800, 1, 0, NULL), -EINVAL);
	assert_int_equal(map(f, 0x14000, 1, 1, &other), 0);
	assert_int_equal(ioas_count(f->ioas), 2);
	assert_ptr_equal(ioas_find(f->ioas, 0x13fff), area);
	assert_ptr_equal(ioas_find(f->ioas, 0x14000), other);
	assert_null(ioas_find(f->ioas, 0x15000));
	assert_ptr_equal(ioas_first(f->ioas, 0, UINT64_MAX), area);
	assert_ptr_equal(ioas_first(f->ioas, area->last + 1, UINT64_MAX), other);
	assert_null(ioas_first(f->ioas, 0, 0xffff));
	assert_int_equal(f->mem->mm.refs, 3);
	ioas_unmap(f->ioas, area, false);
	assert_int_equal(f->mem->mm.refs, 2);
	assert_null(ioas_find(f->ioas, 0x10000));
	assert_int_equal(map(f, UINT64_MAX - PAGE + 1, 1, 1, NULL), 0);
}

static void test_pin(void **state)
{
	struct fixture *f = *state;
	bool freed;
	struct shared *shared = shared_new(MEM_SIZE, &freed);
	struct ioas_extents extents;

	/* private 0-2, shared 3-4 and 6 (a hole in the file between), private 7. */
	for (int page = 3; page <= 6; page++)
		f->mem->backing[page] = page == 5 ? NULL : &shared->backing;
	assert_int_equal(ioas_pin(&f->mem->mm, MEM_VA, 8 * PAGE, RW, &extents), 0);
	assert_int_equal(extents.nr, 5);
	assert_int_equal(extents.extents[0].len, 3 * PAGE);
	assert_null(extents.extents[0].backing);
	assert_int_equal(extents.extents[1].len, 2 * PAGE);
	assert_int_equal(extents.extents[1].offset, 3 * PAGE);
	assert_int_equal(extents.extents[2].len, PAGE);
	assert_int_equal(extents.extents[3].va, MEM_VA + 6 * PAGE);
	assert_int_equal(extents.extents[4].len, PAGE);
	assert_int_equal(shared->backing.refs, 3);
	ioas_extents_free(&extents);
	assert_int_equal(shared->backing.refs, 1);
	f->mem->gone[7] = true;
	assert_int_equal(ioas_pin(&f->mem->mm, MEM_VA, 8 * PAGE, RW, &extents), -EFAULT);
	assert_int_equal(shared->backing.refs, 1);
	iommu_backing_put(&shared->backing);
	assert_true(freed);
}

/* Domains follow: those there at the map, and those that come later. */
static void test_domains(void **state)
{
	struct fixture *f = *state;
	struct shared *shared = shared_new(MEM_SIZE, NULL);
	struct ioas_area *area;

	f->mem->backing[1] = &shared->backing;
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[0]), 0);
	assert_int_equal(map(f, 0x10000, 4, 0, &area), 0);
	assert_int_equal(ptes(f, 0), 3);
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[1]), 0);
	assert_int_equal(ptes(f, 1), 3);
	assert_int_equal(ioas_nr_domains(f->ioas), 2);
	assert_int_equal(shared->backing.refs, 4);
	ioas_remove_domain(f->ioas, f->domain[0]);
	assert_int_equal(ptes(f, 0), 0);
	assert_int_equal(shared->backing.refs, 3);
	ioas_unmap(f->ioas, area, true);
	assert_int_equal(ptes(f, 1), 0);
	assert_int_equal(shared->backing.refs, 2);
	ioas_sync(f->ioas);
	assert_int_equal(shared->backing.refs, 1);
	iommu_backing_put(&shared->backing);
}

/* The second or third domain cannot take it: nothing is left in any. */
static void test_map_rollback(void **state)
{
	struct fixture *f = *state;
	struct shared *shared = shared_new(MEM_SIZE, NULL);

	f->mem->backing[2] = &shared->backing;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ioas_add_domain(f->ioas, f->domain[i]), 0);
	for (size_t bad = 0; bad < 3; bad++) {
		/* Something is in the way of the last of five pieces. */
		u64 iova = 0x12000;

		assert_int_equal(iommu_domain_map(f->domain[bad], iova, iova + PAGE - 1, RW,
						  &f->mem->mm, MEM_VA, NULL),
				 0);
		assert_int_equal(map(f, 0x10000, 4, 0, NULL), -EEXIST);
		assert_int_equal(ioas_count(f->ioas), 0);
		assert_int_equal(shared->backing.refs, 1);
		assert_int_equal(f->mem->mm.refs, 2);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(ptes(f, i), i == bad);
		iommu_domain_unmap(f->domain[bad], iova, iova + PAGE - 1);
		iommu_domain_sync(f->domain[bad]);
	}
	assert_int_equal(map(f, 0x10000, 4, 0, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ptes(f, i), 3);
		ioas_remove_domain(f->ioas, f->domain[i]);
	}
	ioas_unmap(f->ioas, ioas_find(f->ioas, 0x10000), false);
	iommu_backing_put(&shared->backing);
}

static void test_add_rollback(void **state)
{
	struct fixture *f = *state;
	struct iommu_unit *small = iommu_vtd_new(1, 39, NULL);
	struct iommu_domain *domain = iommu_domain_new(small);

	assert_int_equal(map(f, 0x10000, 1, 0, NULL), 0);
	assert_int_equal(map(f, 1ULL << 40, 1, 0, NULL), 0);
	assert_int_equal(ioas_add_domain(f->ioas, domain), -EADDRINUSE);
	assert_int_equal(range_map_count(domain->ptes), 0);
	assert_int_equal(ioas_nr_domains(f->ioas), 0);
	assert_true(ioas_iova_allowed(f->ioas, 1ULL << 40, 1ULL << 41));
	/* The domain fails midway: what it took before is gone again. */
	ioas_unmap(f->ioas, ioas_find(f->ioas, 1ULL << 40), false);
	assert_int_equal(map(f, 0x20000, 1, 0, NULL), 0);
	assert_int_equal(iommu_domain_map(domain, 0x20000, 0x20fff, RW, &f->mem->mm, MEM_VA, NULL),
			 0);
	assert_int_equal(ioas_add_domain(f->ioas, domain), -EEXIST);
	assert_int_equal(range_map_count(domain->ptes), 0);
	assert_int_equal(ioas_nr_domains(f->ioas), 0);
	assert_int_equal(ioas_add_domain(f->ioas, domain), 0);
	assert_int_equal(range_map_count(domain->ptes), 2);
	ioas_remove_domain(f->ioas, domain);
	iommu_domain_free(domain);
	iommu_unit_free(small);
}

static void expect_ranges(struct ioas *ioas, const struct ioas_range *want, size_t nr)
{
	struct ioas_range got[8];

	memset(got, 0, sizeof(got));
	assert_int_equal(ioas_allowed_ranges(ioas, got, ARRAY_SIZE(got)), nr);
	assert_memory_equal(got, want, nr * sizeof(*want));
	assert_int_equal(ioas_allowed_ranges(ioas, NULL, 0), nr);
}

static void test_allowed(void **state)
{
	struct fixture *f = *state;
	const struct ioas_range all[] = { { 0, UINT64_MAX } };
	const struct ioas_range wide[] = { { 0, 0xfedfffff }, { 0xfef00000, 0xffffffffffff } };
	const struct ioas_range narrow[] = { { 0x1000, 0xfedfffff }, { 0xfef00000, 0x7ffffeffff } };
	struct iommu_unit *small = iommu_vtd_new(1, 39, NULL);
	struct iommu_domain *domain = iommu_domain_new(small);

	small->resv[1] = (struct iommu_resv_region){ 0, 0xfff, IOMMU_RESV_RESERVED };
	small->resv[2] =
		(struct iommu_resv_region){ 0x7fffff0000, 0x8fffffffff, IOMMU_RESV_RESERVED };
	small->nr_resv = 3;
	small->pgsize_bitmap = 0x201000;
	expect_ranges(f->ioas, all, 1);
	assert_int_equal(ioas_pgsize_bitmap(f->ioas), ~0xfffULL);
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[0]), 0);
	expect_ranges(f->ioas, wide, 2);
	assert_int_equal(ioas_pgsize_bitmap(f->ioas), 0x40201000);
	assert_int_equal(ioas_add_domain(f->ioas, domain), 0);
	expect_ranges(f->ioas, narrow, 2);
	assert_int_equal(ioas_pgsize_bitmap(f->ioas), 0x201000);
	assert_true(ioas_iova_allowed(f->ioas, 0x1000, 0xfedfffff));
	assert_false(ioas_iova_allowed(f->ioas, 0x1000, 0xfee00000));
	assert_false(ioas_iova_allowed(f->ioas, 0x2000, 0x1000));
	assert_int_equal(map(f, 0xfedff000, 2, 0, NULL), -EINVAL);
	assert_int_equal(map(f, 0, 1, 0, NULL), -EINVAL);
	assert_int_equal(map(f, 0xfedfe000, 2, 0, NULL), 0);
	ioas_remove_domain(f->ioas, f->domain[0]);
	expect_ranges(f->ioas, narrow, 2);
	ioas_remove_domain(f->ioas, domain);
	expect_ranges(f->ioas, all, 1);
	iommu_domain_free(domain);
	iommu_unit_free(small);
}

/* A window that covers all of an allowed range takes it away. */
static void test_allowed_swallowed(void **state)
{
	struct fixture *f = *state;
	const struct ioas_range want[] = { { 0x10000, 0xffffffffffff } };

	f->unit->resv[0] = (struct iommu_resv_region){ 0x8000, 0xbfff, IOMMU_RESV_RESERVED };
	f->unit->resv[1] = (struct iommu_resv_region){ 0, 0xffff, IOMMU_RESV_RESERVED };
	f->unit->nr_resv = 2;
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[0]), 0);
	expect_ranges(f->ioas, want, 1);
}

static int remap(struct fixture *f, struct ioas_area *area, u64 page)
{
	struct ioas_extents extents;
	u64 va = MEM_VA + page * PAGE;

	assert_int_equal(ioas_pin(&f->mem->mm, va, area->last - area->iova + 1, RW, &extents), 0);
	return ioas_remap(f->ioas, area, &f->mem->mm, va, &extents);
}

static void expect_va(struct fixture *f, size_t i, u64 iova, u64 va)
{
	struct range range;
	struct iommu_pte *pte;

	assert_true(range_map_find(f->domain[i]->ptes, iova, &range));
	pte = range.value;
	assert_int_equal(pte->va + (iova - pte->iova), va);
}

static void test_remap(void **state)
{
	struct fixture *f = *state;
	struct shared *shared = shared_new(MEM_SIZE, NULL);
	struct ioas_area *area;

	f->mem->backing[22] = &shared->backing;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ioas_add_domain(f->ioas, f->domain[i]), 0);
	assert_int_equal(map(f, 0x10000, 4, 0, &area), 0);
	assert_int_equal(remap(f, area, 10), 0);
	assert_int_equal(area->va, MEM_VA + 10 * PAGE);
	for (size_t i = 0; i < 3; i++)
		expect_va(f, i, 0x11000, MEM_VA + 11 * PAGE);
	/* Another shape: three pieces. */
	assert_int_equal(remap(f, area, 20), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(ptes(f, i), 3);
		expect_va(f, i, 0x12000, MEM_VA + 22 * PAGE);
	}
	assert_int_equal(shared->backing.refs, 5);
	assert_int_equal(remap(f, area, 0), 0);
	assert_int_equal(shared->backing.refs, 1);
	assert_int_equal(f->mem->mm.refs, 1 + 1 + 3);
	/* One domain has lost its entry and has something else there: all go back. */
	iommu_domain_unmap(f->domain[1], 0x10000, 0x13fff);
	iommu_domain_sync(f->domain[1]);
	assert_int_equal(
		iommu_domain_map(f->domain[1], 0x13000, 0x14fff, RW, &f->mem->mm, MEM_VA, NULL), 0);
	assert_int_not_equal(remap(f, area, 10), 0);
	assert_int_equal(area->va, MEM_VA);
	expect_va(f, 0, 0x11000, MEM_VA + PAGE);
	expect_va(f, 2, 0x11000, MEM_VA + PAGE);
	iommu_backing_put(&shared->backing);
}

/* Fails the first, second, ... allocation of a map, of a new domain and of a remap, until each
 * succeeds. */
static void test_no_memory(void **state)
{
	struct fixture *f = *state;
	struct shared *shared = shared_new(MEM_SIZE, NULL);
	struct ioas_area *area = NULL;
	unsigned int n;
	int ret;

	f->mem->backing[2] = &shared->backing;
	f->mem->backing[12] = &shared->backing;
	f->mem->backing[21] = &shared->backing;
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[0]), 0);
	assert_int_equal(ioas_add_domain(f->ioas, f->domain[1]), 0);
	for (n = 1;; n++) {
		fail_at = n;
		ret = map(f, 0x10000, 4, 0, &area);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(ioas_count(f->ioas) + ptes(f, 0) + ptes(f, 1), 0);
		assert_int_equal(shared->backing.refs, 1);
		assert_int_equal(f->mem->mm.refs, 1);
	}
	assert_true(n > 5);
	for (n = 1;; n++) {
		fail_at = n;
		ret = ioas_add_domain(f->ioas, f->domain[2]);
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_int_equal(ioas_nr_domains(f->ioas), 2);
		assert_int_equal(ptes(f, 2), 0);
	}
	assert_true(n > 3);
	/* Of the same shape, then of another. */
	for (u64 page = 10; page <= 20; page += 10) {
		u64 va = area->va, refs = shared->backing.refs;

		for (n = 1;; n++) {
			struct ioas_extents extents;

			fail_at = 0;
			assert_int_equal(ioas_pin(&f->mem->mm, MEM_VA + page * PAGE, 4 * PAGE, RW,
						  &extents),
					 0);
			fail_at = n;
			ret = ioas_remap(f->ioas, area, &f->mem->mm, MEM_VA + page * PAGE,
					 &extents);
			if (!ret)
				break;
			assert_int_equal(ret, -ENOMEM);
			assert_int_equal(area->va, va);
			assert_int_equal(shared->backing.refs, refs);
			for (size_t i = 0; i < 3; i++) {
				assert_int_equal(ptes(f, i), 3);
				expect_va(f, i, 0x12000, va + 0x2000);
			}
		}
		assert_true(n > 3);
		for (size_t i = 0; i < 3; i++)
			expect_va(f, i, 0x12000, MEM_VA + (page + 2) * PAGE);
	}
	fail_at = 0;
	ioas_unmap(f->ioas, area, false);
	assert_int_equal(shared->backing.refs, 1);
	iommu_backing_put(&shared->backing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_allowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_allowed_swallowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
