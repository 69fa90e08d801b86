/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/capability.h>
#include <linux/vfio.h>
#include <stdlib.h>

#include "vfio/type1.h"

/*
 * Charges @pages to @mm, against the limit of the program that asks (Linux: mm_lock_acct()).
 * -ENOMEM with nothing charged.
 */
static int type1_charge(struct vfio_task *task, struct iommu_mm *mm, u64 pages)
{
	const struct vfio_task_ops *ops = task->ops;

	if (mm->locked_pages + pages > ops->memlock_limit(task) >> PAGE_SHIFT_4K &&
	    !ops->capable(task, CAP_IPC_LOCK)) {
		if (ops->memlock_exceeded)
			ops->memlock_exceeded(task);
		return -ENOMEM;
	}
	mm->locked_pages += pages;
	return 0;
}

static u64 type1_accounted(const struct ioas_extents *extents)
{
	u64 bytes = 0;

	for (size_t i = 0; i < extents->nr; i++)
		if (!extents->extents[i].backing || !extents->extents[i].backing->unaccounted)
			bytes += extents->extents[i].len;
	return bytes >> PAGE_SHIFT_4K;
}

/*
 * Why [va, va + len) cannot be pinned: Linux pins and charges from the start on, so that a range
 * that passes the limit before its first bad page is -ENOMEM, not -EFAULT.
 */
static int type1_pin_error(struct vfio_task *task, struct iommu_mm *mm, u64 va, u64 len, u32 prot)
{
	struct iommu_extent extent;
	u64 pages = 0;
	int ret;

	while (len && !mm->ops->lookup(mm, va, len, prot, &extent)) {
		if (!extent.backing || !extent.backing->unaccounted)
			pages += extent.len >> PAGE_SHIFT_4K;
		iommu_backing_put(extent.backing);
		va += extent.len;
		len -= extent.len;
	}
	ret = pages ? type1_charge(task, mm, pages) : 0;
	if (ret)
		return ret;
	mm->locked_pages -= pages;
	return -EFAULT;
}

static int type1_add(struct type1 *type1, struct vfio_task *task,
		     const struct vfio_iommu_type1_dma_map *map, u32 prot)
{
	struct iommu_mm *mm = task->ops->mm(task);
	struct ioas_extents extents = { 0 };
	struct ioas_area *area;
	u64 pages;
	int ret;

	if (!mm)
		return -ENODEV;
	ret = ioas_pin(mm, map->vaddr, map->size, prot, &extents);
	if (ret == -EFAULT)
		return type1_pin_error(task, mm, map->vaddr, map->size, prot);
	if (ret)
		return ret;
	pages = type1_accounted(&extents);
	ret = pages ? type1_charge(task, mm, pages) : 0;
	if (ret) {
		ioas_extents_free(&extents);
		return ret;
	}
	if (type1->dirty_tracking && !type1_dirty_fits(type1, map->size)) {
		mm->locked_pages -= pages;
		ioas_extents_free(&extents);
		return -EINVAL;
	}
	ret = ioas_map(type1->ioas, map->iova, map->iova + map->size - 1, prot, mm, map->vaddr,
		       &extents, &area);
	if (ret) {
		mm->locked_pages -= pages;
		return ret;
	}
	type1_set_priv(area, pages, false);
	type1->dma_avail--;
	return 0;
}

static bool type1_present(struct iommu_mm *mm, const struct iommu_pte *pte)
{
	struct ioas_extents extents;
	int ret = ioas_pin(mm, pte->va, pte->last - pte->iova + 1, pte->prot, &extents);

	if (!ret)
		ioas_extents_free(&extents);
	return ret != -EFAULT;
}

/*
 * The memory of @area once the program says that it is at @va in @mm. In Linux it is pinned, and
 * stays what it was, wherever the program sees it now. So does shared memory here. Private memory
 * is known by its address: as long as there is memory at the old one, that is it, else it has
 * moved to the new one.
 */
static int type1_moved_extents(const struct type1 *type1, const struct ioas_area *area,
			       struct iommu_mm *mm, u64 va, struct ioas_extents *out)
{
	struct type1_domain *td = cds_list_entry(type1->domains.next, struct type1_domain, node);
	u64 iova = area->iova;
	struct range range;
	size_t nr = 0;

	while (range_map_first(td->domain->ptes, iova, area->last, &range)) {
		nr++;
		if (range.last >= area->last)
			break;
		iova = range.last + 1;
	}
	out->extents = calloc(nr, sizeof(*out->extents));
	if (!out->extents)
		return -ENOMEM;
	out->nr = nr;
	iova = area->iova;
	for (size_t i = 0; i < nr; i++) {
		const struct iommu_pte *pte;
		bool stays;

		range_map_first(td->domain->ptes, iova, area->last, &range);
		pte = range.value;
		stays = !pte->backing && mm == pte->mm && type1_present(mm, pte);
		out->extents[i] = (struct iommu_extent){
			.va = stays ? pte->va : va + (pte->iova - area->iova),
			.len = pte->last - pte->iova + 1,
			.backing = iommu_backing_get(pte->backing),
			.offset = pte->offset,
		};
		iova = range.last + 1;
	}
	return 0;
}

/* MAP_DMA with VADDR: the mapping has a new address, and with it perhaps a new owner. */
static int type1_resume(struct type1 *type1, struct vfio_task *task, struct ioas_area *area, u64 va)
{
	struct iommu_mm *mm = task->ops->mm(task), *old = area->mm;
	u64 charged = type1_charged(area);
	struct ioas_extents extents;
	int ret;

	if (!mm)
		return -ENODEV;
	if (mm != old) {
		ret = type1_charge(task, mm, charged);
		if (ret)
			return ret;
	}
	iommu_mm_get(old);
	ret = type1_moved_extents(type1, area, mm, va, &extents);
	if (!ret)
		ret = ioas_remap(type1->ioas, area, mm, va, &extents);
	if (mm != old)
		(ret ? mm : old)->locked_pages -= charged;
	iommu_mm_put(old);
	if (ret)
		return ret;
	type1_set_priv(area, charged, false);
	type1->vaddr_invalid--;
	return 0;
}

static int type1_do_map(struct type1 *type1, struct vfio_task *task,
			const struct vfio_iommu_type1_dma_map *map)
{
	bool set_vaddr = map->flags & VFIO_DMA_MAP_FLAG_VADDR;
	u64 last, va_last, pgsize = type1_pgsize(type1);
	struct ioas_area *area;
	u32 prot = 0;

	if (!map->size)
		return -EINVAL;
	if (__builtin_add_overflow(map->iova, map->size - 1, &last) ||
	    __builtin_add_overflow(map->vaddr, map->size - 1, &va_last))
		return -EOVERFLOW;
	if (map->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (map->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;
	if (!prot != set_vaddr)
		return -EINVAL;
	if (!IS_ALIGNED(map->size | map->iova | map->vaddr, pgsize))
		return -EINVAL;
	area = ioas_first(type1->ioas, map->iova, last);
	if (set_vaddr) {
		if (!area)
			return -ENOENT;
		if (!type1_vaddr_invalid(area) || area->iova != map->iova || area->last != last)
			return -EINVAL;
		return type1_resume(type1, task, area, map->vaddr);
	}
	if (area)
		return -EEXIST;
	if (!type1->dma_avail)
		return -ENOSPC;
	if (!ioas_iova_allowed(type1->ioas, map->iova, last))
		return -EINVAL;
	return type1_add(type1, task, map, prot);
}

long type1_map_dma(struct type1 *type1, struct vfio_task *task, u64 arg)
{
	const u32 mask = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
	struct vfio_iommu_type1_dma_map map;

	if (task->ops->copy_in(task, &map, arg, sizeof(map)))
		return -EFAULT;
	if (map.argsz < sizeof(map) || map.flags & ~mask)
		return -EINVAL;
	return type1_do_map(type1, task, &map);
}

void type1_remove(struct type1 *type1, struct ioas_area *area)
{
	area->mm->locked_pages -= type1_charged(area);
	if (type1_vaddr_invalid(area))
		type1->vaddr_invalid--;
	type1->dma_avail++;
	ioas_unmap(type1->ioas, area, true);
}

void type1_remove_all(struct type1 *type1)
{
	struct ioas_area *area;

	while ((area = ioas_first(type1->ioas, 0, UINT64_MAX)))
		type1_remove(type1, area);
	ioas_sync(type1->ioas);
}
