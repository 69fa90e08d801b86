/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>

#include "vfio/type1.h"

bool type1_bisects(const struct type1 *type1, u64 iova, u64 last)
{
	struct ioas_area *area = ioas_find(type1->ioas, iova);

	if (area && area->iova != iova)
		return true;
	/* Mostly one area is both the first and the last. */
	if (area && area->last == last)
		return false;
	area = ioas_find(type1->ioas, last);
	return area && area->last != last;
}

static struct ioas_area *area_after(const struct type1 *type1, const struct ioas_area *area,
				    u64 last)
{
	return area->last < last ? ioas_first(type1->ioas, area->last + 1, last) : NULL;
}

/* Suspends the addresses of all mappings in the range, or of none: -EINVAL if one is already. */
static int type1_suspend(struct type1 *type1, u64 iova, u64 last, u64 *unmapped)
{
	struct ioas_area *area, *undo;

	area = ioas_first(type1->ioas, iova, last);
	while (area && (type1->v2 || area->iova >= iova)) {
		if (type1_vaddr_invalid(area)) {
			for (undo = ioas_first(type1->ioas, iova, last); undo != area;
			     undo = area_after(type1, undo, last)) {
				type1_set_priv(undo, type1_charged(undo), false);
				type1->vaddr_invalid--;
			}
			return -EINVAL;
		}
		type1_set_priv(area, type1_charged(area), true);
		type1->vaddr_invalid++;
		*unmapped += type1_size(area);
		area = area_after(type1, area, last);
	}
	return 0;
}

static int type1_do_unmap(struct type1 *type1, struct vfio_task *task,
			  struct vfio_iommu_type1_dma_unmap *unmap,
			  const struct vfio_bitmap *bitmap)
{
	u64 iova = unmap->iova, size = unmap->size, last, unmapped = 0;
	bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
	u64 pgsize = type1_pgsize(type1), next;
	struct ioas_area *area;
	int ret = 0;

	if (!IS_ALIGNED(iova, pgsize))
		return -EINVAL;
	if (all) {
		if (iova || size)
			return -EINVAL;
		last = UINT64_MAX;
	} else {
		if (!size || !IS_ALIGNED(size, pgsize))
			return -EINVAL;
		if (__builtin_add_overflow(iova, size - 1, &last))
			return -EOVERFLOW;
	}
	if (bitmap && (!type1->dirty_tracking || bitmap->pgsize != pgsize))
		return -EINVAL;
	if (type1->v2 && !all && type1_bisects(type1, iova, last))
		return -EINVAL;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR) {
		ret = type1_suspend(type1, iova, last, &unmapped);
		unmap->size = unmapped;
		return ret;
	}
	area = ioas_first(type1->ioas, iova, last);
	/* v1: what begins before the range stays, and what follows it; what the range cuts at its
	 * end goes as a whole. */
	while (area && (type1->v2 || area->iova >= iova)) {
		if (bitmap) {
			ret = type1_dirty_report(type1, task, (uintptr_t)bitmap->data, area, iova);
			if (ret)
				break;
		}
		unmapped += type1_size(area);
		next = area->last;
		type1_remove(type1, area);
		area = next < last ? ioas_first(type1->ioas, next + 1, last) : NULL;
	}
	if (unmapped)
		ioas_sync(type1->ioas);
	unmap->size = unmapped;
	return ret;
}

long type1_unmap_dma(struct type1 *type1, struct vfio_task *task, u64 arg)
{
	const u32 mask = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR |
			 VFIO_DMA_UNMAP_FLAG_ALL;
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
	bool dirty;
	int ret;

	if (task->ops->copy_in(task, &unmap, arg, sizeof(unmap)))
		return -EFAULT;
	if (unmap.argsz < sizeof(unmap) || unmap.flags & ~mask)
		return -EINVAL;
	dirty = unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	if (dirty) {
		if (unmap.flags & ~VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
			return -EINVAL;
		if (unmap.argsz < sizeof(unmap) + sizeof(bitmap))
			return -EINVAL;
		if (task->ops->copy_in(task, &bitmap, arg + sizeof(unmap), sizeof(bitmap)))
			return -EFAULT;
		ret = type1_dirty_check(&bitmap, unmap.size);
		if (ret)
			return ret;
	}
	ret = type1_do_unmap(type1, task, &unmap, dirty ? &bitmap : NULL);
	if (ret)
		return ret;
	return task->ops->copy_out(task, arg, &unmap, sizeof(unmap)) ? -EFAULT : 0;
}
