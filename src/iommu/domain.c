/* SPDX-License-Identifier: BSD-3-Clause */
/* Domains: the page tables of a unit. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "iommu/iommu.h"

struct iommu_domain *iommu_domain_new(struct iommu_unit *unit)
{
	cleanup_free struct iommu_domain *domain = calloc(1, sizeof(*domain));

	if (!domain)
		return NULL;
	domain->ptes = range_map_new();
	if (!domain->ptes)
		return NULL;
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

int iommu_domain_map(struct iommu_domain *domain, u64 iova, u64 last, u32 prot, struct iommu_mm *mm,
		     u64 va, const struct iommu_extent *extent)
{
	cleanup_free struct iommu_pte *pte = NULL;
	int ret;

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
		.mm = mm,
		.backing = extent ? extent->backing : NULL,
		.prot = prot,
	};
	ret = range_map_insert(domain->ptes, iova, last, pte);
	if (ret)
		return ret;
	iommu_mm_get(mm);
	iommu_backing_get(steal_ptr(&pte)->backing);
	return 0;
}

void iommu_domain_unmap(struct iommu_domain *domain, u64 iova, u64 last)
{
	struct range range;

	while (range_map_first(domain->ptes, iova, last, &range)) {
		struct iommu_pte *pte = range_map_remove(domain->ptes, range.start);

		pte->next = domain->retired;
		domain->retired = pte;
		if (range.last >= last)
			return;
		iova = range.last + 1;
	}
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
