/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O address space: the software copy of the I/O page table, and the one place where mappings
 * are kept (Linux: drivers/iommu/iommufd/io_pagetable.c). Type1 containers and IOMMUFD's objects
 * are faces of it.
 *
 * When a domain is added, all areas are pushed into it; when an area is added or removed, every
 * domain follows, and where one cannot, the change is rolled back in all. The allowed IOVA ranges
 * and the page sizes are the common subset of all domains' units.
 *
 * Threads: the control thread. An unmap is final on return: no DMA in flight can reach what it
 * removed.
 */
#ifndef IOMMUFD_IOAS_H
#define IOMMUFD_IOAS_H

#include "iommu/iommu.h"

struct ioas;

/* One mapping as the user made it. Fields are read-only outside ioas.c, but for @priv. */
struct ioas_area {
	u64 iova;
	u64 last; /* inclusive */
	u64 va;
	u32 prot;
	struct iommu_mm *mm; /* a reference */
	void *priv;	     /* the owner's: type1 keeps its accounting and dirty bitmap here */
};

/* The pieces of memory that an area is made of, in order, without gaps; see iommu_mm_ops.lookup. */
struct ioas_extents {
	struct iommu_extent *extents; /* malloc'ed */
	size_t nr;
};

struct ioas *ioas_new(void);
/* Drops what is left; no domain may be attached. */
void ioas_free(struct ioas *ioas);

/* Pushes all areas into @domain. -EADDRINUSE: an area lies outside what the domain's unit allows;
 * -ENOMEM. */
int ioas_add_domain(struct ioas *ioas, struct iommu_domain *domain);
/* Takes all areas out of @domain (final on return). */
void ioas_remove_domain(struct ioas *ioas, struct iommu_domain *domain);
unsigned int ioas_nr_domains(const struct ioas *ioas);

/* The common subset of the page sizes; all sizes from 4 KiB on while there is no domain. */
u64 ioas_pgsize_bitmap(const struct ioas *ioas);
/* Whether [iova, last] lies in one allowed range. */
bool ioas_iova_allowed(const struct ioas *ioas, u64 iova, u64 last);
struct ioas_range {
	u64 start;
	u64 last; /* inclusive */
};
/* The allowed ranges in ascending order; returns how many there are, and writes at most @max of
 * them. */
size_t ioas_allowed_ranges(const struct ioas *ioas, struct ioas_range *out, size_t max);

/*
 * Collects the extents of [va, va + len) as @mm sees them now, with @prot: what the kernel does
 * when it pins. -EFAULT at the first page that is absent or forbids it, -ENOMEM. Merges what can be
 * merged.
 */
int ioas_pin(struct iommu_mm *mm, u64 va, u64 len, u32 prot, struct ioas_extents *out);
void ioas_extents_free(struct ioas_extents *extents);

/*
 * Adds an area made of @extents (which is consumed, also on error). -EEXIST (overlap), -EINVAL (not
 * allowed, not aligned), -ENOMEM; all or nothing in all domains. On success *@out, if given, is the
 * area.
 */
int ioas_map(struct ioas *ioas, u64 iova, u64 last, u32 prot, struct iommu_mm *mm, u64 va,
	     struct ioas_extents *extents, struct ioas_area **out);
/* Removes one area. Final on return unless @defer, where the caller calls ioas_sync() after the
 * last of several. Frees the area. */
void ioas_unmap(struct ioas *ioas, struct ioas_area *area, bool defer);
void ioas_sync(struct ioas *ioas);
/* Replaces the memory behind an area (type1: VADDR resume). Consumes @extents; 0 or -ENOMEM with
 * nothing changed. */
int ioas_remap(struct ioas *ioas, struct ioas_area *area, struct iommu_mm *mm, u64 va,
	       struct ioas_extents *extents);

/* The first area that intersects [iova, last], or NULL; with it, iterate: next = ioas_first(ioas,
 * area->last + 1, last). */
struct ioas_area *ioas_first(const struct ioas *ioas, u64 iova, u64 last);
/* The area that holds iova, or NULL. */
struct ioas_area *ioas_find(const struct ioas *ioas, u64 iova);
u64 ioas_count(const struct ioas *ioas);

#endif
