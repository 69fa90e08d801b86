/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The type1 backend (Linux: drivers/vfio/vfio_iommu_type1.c): a face of an I/O address space, with
 * locked-memory accounting. Everything belongs to the control thread.
 */
#ifndef VFIO_TYPE1_H
#define VFIO_TYPE1_H

#include <urcu/list.h>

#include "iommufd/ioas.h"
#include "vfio/internal.h"

/* Mappings that one container can have (Linux: the module parameter dma_entry_limit). */
#define TYPE1_MAX_MAPPINGS 65535U

/* The largest dirty bitmap, in bytes: 2^31 pages (Linux: DIRTY_BITMAP_SIZE_MAX). */
#define TYPE1_DIRTY_SIZE_MAX (1UL << 28)

struct type1 {
	bool v2; /* unmaps may not cut a mapping; dirty pages can be asked for */
	struct ioas *ioas;
	struct cds_list_head domains; /* struct type1_domain; never empty while a group is in */
	unsigned int dma_avail;	      /* mappings that can still be made */
	unsigned int vaddr_invalid;   /* mappings whose address is suspended */
	bool dirty_tracking;
};

struct type1_domain {
	struct iommu_domain *domain;
	struct cds_list_head node;
	unsigned int groups; /* attached */
};

/*
 * What type1 knows of an area lies in area->priv itself, so that a mapping costs no second
 * allocation: the pages charged to area->mm times two, plus one if its address is suspended.
 */
static inline u64 type1_charged(const struct ioas_area *area)
{
	return (uintptr_t)area->priv >> 1;
}

static inline bool type1_vaddr_invalid(const struct ioas_area *area)
{
	return (uintptr_t)area->priv & 1;
}

static inline void type1_set_priv(struct ioas_area *area, u64 charged, bool vaddr_invalid)
{
	area->priv = (void *)(uintptr_t)(charged << 1 | vaddr_invalid);
}

/* The smallest page size: the alignment of everything, and the unit of dirty bitmaps. */
static inline u64 type1_pgsize(const struct type1 *type1)
{
	u64 sizes = ioas_pgsize_bitmap(type1->ioas);

	return sizes & -sizes;
}

static inline u64 type1_size(const struct ioas_area *area)
{
	return area->last - area->iova + 1;
}

/* v2: whether @iova or @last cuts a mapping in two. */
bool type1_bisects(const struct type1 *type1, u64 iova, u64 last);

/* type1_map.c. */
long type1_map_dma(struct type1 *type1, struct vfio_task *task, u64 arg);
/* Uncharges and removes; the caller calls ioas_sync() after the last of several. */
void type1_remove(struct type1 *type1, struct ioas_area *area);
void type1_remove_all(struct type1 *type1);

/* type1_unmap.c. */
long type1_unmap_dma(struct type1 *type1, struct vfio_task *task, u64 arg);

/* type1_dirty.c. */
struct vfio_bitmap;
long type1_dirty_pages(struct type1 *type1, struct vfio_task *task, u64 arg);
/* Whether a mapping of @size can be tracked: its pages fit in the kernel's bitmaps. */
bool type1_dirty_fits(const struct type1 *type1, u64 size);
/* Checks a program's bitmap for @size bytes of address space. 0 or -EINVAL. */
int type1_dirty_check(const struct vfio_bitmap *bitmap, u64 size);
/* Writes the bits of @area to the program's bitmap, whose first bit stands for @base. 0 or
 * -EFAULT. */
int type1_dirty_report(const struct type1 *type1, struct vfio_task *task, u64 bitmap,
		       const struct ioas_area *area, u64 base);

#endif
