/* SPDX-License-Identifier: BSD-3-Clause */
/* Domains: the page tables of a unit. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "iommu/iommu.h"

/* Makes every IOTLB entry of the domain stale, once the readers of now are gone. */
static void flush_iotlbs(struct iommu_domain *domain)
{
	static _Atomic u64 generations;
	u64 next = atomic_fetch_add_explicit(&generations, 1, memory_order_relaxed) + 1;

	atomic_store_explicit(&domain->generation, next, memory_order_release);
}

struct iommu_domain *iommu_domain_new(struct iommu_unit *unit)
{
	cleanup_free struct iommu_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	domain->ptes = range_map_new();
	if (!domain->ptes)
		return NULL;
	flush_iotlbs(domain);
	domain->unit = unit;
	unit->domains++;
	return steal_ptr(&domain);
}

static void pte_free(struct iommu_pte *pte)
{
	iommu_backing_put(pte->backing);
	iommu_mm_put(pte->mm);
	free(pte);
}

void iommu_domain_free(struct iommu_domain *domain)
{
	if (!domain)
		return;
	iommu_domain_unmap(domain, 0, UINT64_MAX);
	iommu_domain_sync(domain);
	range_map_free(domain->ptes);
	domain->unit->domains--;
	free(domain);
}

/* Checks the arguments; the entry has its references. */
static int pte_new(struct iommu_domain *domain, u64 iova, u64 last, u32 prot, struct iommu_mm *mm,
		   u64 va, const struct iommu_extent *extent, struct iommu_pte **out)
{
	struct iommu_pte *pte;

	if (last < iova || !IS_ALIGNED(iova | (last + 1) | va, PAGE_SIZE_4K))
		return -EINVAL;
	if (last > domain->unit->aperture_last)
		return -ERANGE;
	pte = malloc(sizeof(*pte));
	if (!pte)
		return -ENOMEM;
	*pte = (struct iommu_pte){
		.iova = iova,
		.last = last,
		.va = va,
		.offset = extent ? extent->offset : 0,
		.mm = iommu_mm_get(mm),
		.backing = extent ? iommu_backing_get(extent->backing) : NULL,
		.prot = prot,
	};
	*out = pte;
	return 0;
}

int iommu_domain_map(struct iommu_domain *domain, u64 iova, u64 last, u32 prot, struct iommu_mm *mm,
		     u64 va, const struct iommu_extent *extent)
{
	struct iommu_pte *pte;
	int ret = pte_new(domain, iova, last, prot, mm, va, extent, &pte);

	if (ret)
		return ret;
	ret = range_map_insert(domain->ptes, iova, last, pte);
	if (ret)
		pte_free(pte);
	return ret;
}

static void pte_retire(struct iommu_domain *domain, struct iommu_pte *pte)
{
	pte->next = domain->retired;
	domain->retired = pte;
}

int iommu_domain_remap(struct iommu_domain *domain, u64 iova, u64 last, u32 prot,
		       struct iommu_mm *mm, u64 va, const struct iommu_extent *extent)
{
	struct iommu_pte *pte;
	struct range range;
	int ret;

	if (!range_map_find(domain->ptes, iova, &range) || range.start != iova ||
	    range.last != last)
		return -ENOENT;
	ret = pte_new(domain, iova, last, prot, mm, va, extent, &pte);
	if (ret)
		return ret;
	pte_retire(domain, range_map_replace(domain->ptes, iova, pte));
	flush_iotlbs(domain);
	return 0;
}

void iommu_domain_unmap(struct iommu_domain *domain, u64 iova, u64 last)
{
	struct range range;

	while (range_map_first(domain->ptes, iova, last, &range)) {
		pte_retire(domain, range_map_remove(domain->ptes, range.start));
		if (range.last >= last)
			break;
		iova = range.last + 1;
	}
	flush_iotlbs(domain);
}

void iommu_domain_sync(struct iommu_domain *domain)
{
	range_map_sync(domain->ptes);
	while (domain->retired) {
		struct iommu_pte *pte = domain->retired;

		domain->retired = pte->next;
		pte_free(pte);
	}
}
