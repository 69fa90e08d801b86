/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty pages. A device behind an IOMMU writes to what is mapped without anybody's knowledge, so
 * every page that such a device can reach counts as dirty, always: there is no bitmap to keep.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "vfio/type1.h"

/* The end of the addresses that a program can have, of its last page excluded, as on x86-64. */
#define USER_END ((1ULL << 47) - PAGE_SIZE_4K)

static u64 bitmap_bytes(u64 bits)
{
	return (bits / 64 + !!(bits % 64)) * 8;
}

bool type1_dirty_fits(const struct type1 *type1, u64 size)
{
	return size / type1_pgsize(type1) <= INT32_MAX;
}

int type1_dirty_check(const struct vfio_bitmap *bitmap, u64 size)
{
	u64 end, pages;

	if (__builtin_add_overflow((uintptr_t)bitmap->data, bitmap->size, &end) || end > USER_END)
		return -EINVAL;
	if (!bitmap->pgsize)
		return -EINVAL;
	pages = size / (bitmap->pgsize & -bitmap->pgsize);
	if (!pages || !bitmap->size || bitmap->size > TYPE1_DIRTY_SIZE_MAX ||
	    bitmap->size < bitmap_bytes(pages))
		return -EINVAL;
	return 0;
}

int type1_dirty_report(const struct type1 *type1, struct vfio_task *task, u64 bitmap,
		       const struct ioas_area *area, u64 base)
{
	u64 pgsize = type1_pgsize(type1), offset = (area->iova - base) / pgsize;
	u64 va = bitmap + offset / 64 * 8, shift = offset % 64, before = 0;
	u64 bits = type1_size(area) / pgsize + shift, words[512];
	size_t n;

	/* Bits of the areas before this one, in the word that they share. */
	if (shift && task->ops->copy_in(task, &before, va, sizeof(before)))
		return -EFAULT;
	while (bits) {
		n = MIN(bitmap_bytes(bits) / 8, ARRAY_SIZE(words));
		memset(words, 0xff, n * 8);
		if (bits < n * 64)
			words[n - 1] >>= n * 64 - bits;
		if (shift) {
			words[0] &= ~0ULL << shift;
			words[0] |= before & ~(~0ULL << shift);
			shift = 0;
		}
		if (task->ops->copy_out(task, va, words, n * 8))
			return -EFAULT;
		va += n * 8;
		bits -= MIN(bits, n * 64);
	}
	return 0;
}

static int type1_dirty_start(struct type1 *type1)
{
	struct ioas_area *area;

	if (type1->dirty_tracking)
		return 0;
	for (area = ioas_first(type1->ioas, 0, UINT64_MAX); area;
	     area = area->last < UINT64_MAX ? ioas_first(type1->ioas, area->last + 1, UINT64_MAX)
					    : NULL)
		if (!type1_dirty_fits(type1, type1_size(area)))
			return -EINVAL;
	type1->dirty_tracking = true;
	return 0;
}

static int type1_dirty_get(const struct type1 *type1, struct vfio_task *task,
			   const struct vfio_iommu_type1_dirty_bitmap_get *get)
{
	u64 pgsize = type1_pgsize(type1), last;
	struct ioas_area *area;
	int ret;

	if (!get->size)
		return -EINVAL;
	if (__builtin_add_overflow(get->iova, get->size - 1, &last))
		return -EOVERFLOW;
	ret = type1_dirty_check(&get->bitmap, get->size);
	if (ret)
		return ret;
	if (get->bitmap.pgsize != pgsize || !IS_ALIGNED(get->iova | get->size, pgsize))
		return -EINVAL;
	if (!type1->dirty_tracking || type1_bisects(type1, get->iova, last))
		return -EINVAL;
	for (area = ioas_first(type1->ioas, get->iova, last); area;
	     area = area->last < last ? ioas_first(type1->ioas, area->last + 1, last) : NULL) {
		ret = type1_dirty_report(type1, task, (uintptr_t)get->bitmap.data, area, get->iova);
		if (ret)
			return ret;
	}
	return 0;
}

long type1_dirty_pages(struct type1 *type1, struct vfio_task *task, u64 arg)
{
	struct vfio_iommu_type1_dirty_bitmap_get get;
	struct vfio_iommu_type1_dirty_bitmap dirty;

	if (!type1->v2)
		return -EACCES;
	if (task->ops->copy_in(task, &dirty, arg, sizeof(dirty)))
		return -EFAULT;
	if (dirty.argsz < sizeof(dirty))
		return -EINVAL;
	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return type1_dirty_start(type1);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		type1->dirty_tracking = false;
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		if (dirty.argsz - sizeof(dirty) < sizeof(get))
			return -EINVAL;
		if (task->ops->copy_in(task, &get, arg + sizeof(dirty), sizeof(get)))
			return -EFAULT;
		return type1_dirty_get(type1, task, &get);
	default:
		return -EINVAL;
	}
}
