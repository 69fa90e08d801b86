/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O address spaces: the areas, and the domains that follow them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "iommufd/ioas.h"

struct area {
	struct ioas_area pub; /* first, so that one is the other */
	struct ioas_extents extents;
};

/* Ascending, disjoint. */
struct allowed {
	struct ioas_range *ranges; /* malloc'ed */
	size_t nr;
	u64 pgsize_bitmap;
};

struct ioas {
	struct range_map *areas; /* IOVA to struct area */
	struct iommu_domain **domains;
	size_t nr_domains;
	struct allowed allowed;
};

static struct area *to_area(struct ioas_area *pub)
{
	return container_of(pub, struct area, pub);
}

/* All page sizes from 4 KiB on, all of the IOVA space. */
static int allowed_all(struct allowed *allowed)
{
	allowed->ranges = malloc(sizeof(*allowed->ranges));
	if (!allowed->ranges)
		return -ENOMEM;
	allowed->ranges[0] = (struct ioas_range){ .start = 0, .last = UINT64_MAX };
	allowed->nr = 1;
	allowed->pgsize_bitmap = ~(u64)(PAGE_SIZE_4K - 1);
	return 0;
}

/* Takes [start, last] out; there is room for one range more. */
static void allowed_exclude(struct allowed *allowed, u64 start, u64 last)
{
	for (size_t i = 0; i < allowed->nr; i++) {
		struct ioas_range *r = &allowed->ranges[i], whole = *r;
		bool below = whole.start<start, above = whole.last> last;

		if (whole.last < start || whole.start > last)
			continue;
		if (below)
			r->last = start - 1;
		if (below && above) {
			memmove(r + 1, r, (allowed->nr++ - i) * sizeof(*r));
			r++;
			i++;
			r->last = whole.last;
		}
		if (above)
			r->start = last + 1;
		if (!below && !above) {
			memmove(r, r + 1, (--allowed->nr - i) * sizeof(*r));
			i--;
		}
	}
}

static int allowed_restrict(struct allowed *allowed, const struct iommu_unit *unit)
{
	struct ioas_range *ranges;

	ranges = realloc(allowed->ranges, (allowed->nr + unit->nr_resv + 1) * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	allowed->ranges = ranges;
	if (unit->aperture_last != UINT64_MAX)
		allowed_exclude(allowed, unit->aperture_last + 1, UINT64_MAX);
	for (unsigned int i = 0; i < unit->nr_resv; i++)
		allowed_exclude(allowed, unit->resv[i].start, unit->resv[i].last);
	allowed->pgsize_bitmap &= unit->pgsize_bitmap;
	return 0;
}

/* What @nr domains allow in common. */
static int allowed_compute(struct allowed *out, struct iommu_domain *const *domains, size_t nr)
{
	struct allowed allowed = { 0 };
	int ret = allowed_all(&allowed);

	for (size_t i = 0; !ret && i < nr; i++)
		ret = allowed_restrict(&allowed, domains[i]->unit);
	if (ret)
		free(allowed.ranges);
	else
		*out = allowed;
	return ret;
}

static bool allowed_range(const struct allowed *allowed, u64 iova, u64 last)
{
	for (size_t i = 0; i < allowed->nr; i++) {
		if (iova >= allowed->ranges[i].start && last <= allowed->ranges[i].last)
			return true;
	}
	return false;
}

/* Whether both ends, and the memory, are at a boundary of the smallest page. */
static bool allowed_aligned(const struct allowed *allowed, u64 iova, u64 last, u64 va)
{
	u64 page = allowed->pgsize_bitmap & -allowed->pgsize_bitmap;

	return page && IS_ALIGNED(iova | (last + 1) | va, page);
}

struct ioas *ioas_new(void)
{
	cleanup_free struct ioas *ioas = calloc(1, sizeof(*ioas));

	if (!ioas || allowed_all(&ioas->allowed))
		return NULL;
	ioas->areas = range_map_new_private();
	if (!ioas->areas) {
		free(ioas->allowed.ranges);
		return NULL;
	}
	return steal_ptr(&ioas);
}

static void area_free(struct area *area)
{
	ioas_extents_free(&area->extents);
	iommu_mm_put(area->pub.mm);
	free(area);
}

void ioas_free(struct ioas *ioas)
{
	struct ioas_area *area;

	if (!ioas)
		return;
	while ((area = ioas_first(ioas, 0, UINT64_MAX)))
		ioas_unmap(ioas, area, true);
	range_map_free(ioas->areas);
	free(ioas->allowed.ranges);
	free(ioas->domains);
	free(ioas);
}

/* All extents of an area, or nothing, which is then final. */
static int push_area(struct iommu_domain *domain, const struct area *area)
{
	u64 iova = area->pub.iova;

	for (size_t i = 0; i < area->extents.nr; i++) {
		const struct iommu_extent *extent = &area->extents.extents[i];
		int ret = iommu_domain_map(domain, iova, iova + extent->len - 1, area->pub.prot,
					   area->pub.mm, extent->va, extent);

		if (ret) {
			if (iova > area->pub.iova)
				iommu_domain_unmap(domain, area->pub.iova, iova - 1);
			iommu_domain_sync(domain);
			return ret;
		}
		iova += extent->len;
	}
	return 0;
}

static int push_all(struct ioas *ioas, struct iommu_domain *domain)
{
	struct range range;
	u64 iova = 0;

	while (range_map_first(ioas->areas, iova, UINT64_MAX, &range)) {
		int ret = push_area(domain, range.value);

		if (ret) {
			iommu_domain_unmap(domain, 0, UINT64_MAX);
			iommu_domain_sync(domain);
			return ret;
		}
		if (range.last == UINT64_MAX)
			break;
		iova = range.last + 1;
	}
	return 0;
}

/* Whether every area is among what @allowed allows. */
static bool areas_fit(const struct ioas *ioas, const struct allowed *allowed)
{
	struct range range;
	u64 iova = 0;

	while (range_map_first(ioas->areas, iova, UINT64_MAX, &range)) {
		const struct ioas_area *area = range.value;

		if (!allowed_range(allowed, area->iova, area->last) ||
		    !allowed_aligned(allowed, area->iova, area->last, area->va))
			return false;
		if (range.last == UINT64_MAX)
			break;
		iova = range.last + 1;
	}
	return true;
}

int ioas_add_domain(struct ioas *ioas, struct iommu_domain *domain)
{
	struct iommu_domain **domains;
	struct allowed allowed;
	int ret;

	domains = realloc(ioas->domains, (ioas->nr_domains + 1) * sizeof(*domains));
	if (!domains)
		return -ENOMEM;
	ioas->domains = domains;
	domains[ioas->nr_domains] = domain;
	ret = allowed_compute(&allowed, domains, ioas->nr_domains + 1);
	if (ret)
		return ret;
	ret = areas_fit(ioas, &allowed) ? push_all(ioas, domain) : -EADDRINUSE;
	if (ret) {
		free(allowed.ranges);
		return ret;
	}
	free(ioas->allowed.ranges);
	ioas->allowed = allowed;
	ioas->nr_domains++;
	return 0;
}

void ioas_remove_domain(struct ioas *ioas, struct iommu_domain *domain)
{
	struct allowed allowed;
	size_t i = 0;

	while (i < ioas->nr_domains && ioas->domains[i] != domain)
		i++;
	if (i == ioas->nr_domains)
		return;
	iommu_domain_unmap(domain, 0, UINT64_MAX);
	iommu_domain_sync(domain);
	ioas->nr_domains--;
	memmove(&ioas->domains[i], &ioas->domains[i + 1],
		(ioas->nr_domains - i) * sizeof(*ioas->domains));
	/* Without memory, what was allowed stays: less than could be. */
	if (allowed_compute(&allowed, ioas->domains, ioas->nr_domains))
		return;
	free(ioas->allowed.ranges);
	ioas->allowed = allowed;
}

unsigned int ioas_nr_domains(const struct ioas *ioas)
{
	return (unsigned int)ioas->nr_domains;
}

u64 ioas_pgsize_bitmap(const struct ioas *ioas)
{
	return ioas->allowed.pgsize_bitmap;
}

bool ioas_iova_allowed(const struct ioas *ioas, u64 iova, u64 last)
{
	return last >= iova && allowed_range(&ioas->allowed, iova, last);
}

size_t ioas_allowed_ranges(const struct ioas *ioas, struct ioas_range *out, size_t max)
{
	for (size_t i = 0; i < MIN(max, ioas->allowed.nr); i++)
		out[i] = ioas->allowed.ranges[i];
	return ioas->allowed.nr;
}

static bool extent_continues(const struct iommu_extent *a, const struct iommu_extent *b)
{
	return a->backing == b->backing && (!a->backing || a->offset + a->len == b->offset);
}

/* Consumes @next. */
static int extents_append(struct ioas_extents *list, size_t *room, struct iommu_extent next)
{
	struct iommu_extent *grown;

	if (list->nr && extent_continues(&list->extents[list->nr - 1], &next)) {
		list->extents[list->nr - 1].len += next.len;
		iommu_backing_put(next.backing);
		return 0;
	}
	if (list->nr == *room) {
		*room = *room ? *room * 2 : 1;
		grown = realloc(list->extents, *room * sizeof(*grown));
		if (!grown) {
			iommu_backing_put(next.backing);
			return -ENOMEM;
		}
		list->extents = grown;
	}
	list->extents[list->nr++] = next;
	return 0;
}

int ioas_pin(struct iommu_mm *mm, u64 va, u64 len, u32 prot, struct ioas_extents *out)
{
	struct ioas_extents list = { 0 };
	size_t room = 0;

	while (len) {
		struct iommu_extent next = { 0 };
		int ret = mm->ops->lookup(mm, va, len, prot, &next);

		if (!ret)
			ret = extents_append(&list, &room, next);
		if (ret) {
			ioas_extents_free(&list);
			return ret;
		}
		va += next.len;
		len -= next.len;
	}
	*out = list;
	return 0;
}

void ioas_extents_free(struct ioas_extents *extents)
{
	for (size_t i = 0; i < extents->nr; i++)
		iommu_backing_put(extents->extents[i].backing);
	free(extents->extents);
	*extents = (struct ioas_extents){ 0 };
}

static struct ioas_extents steal_extents(struct ioas_extents *extents)
{
	struct ioas_extents taken = *extents;

	*extents = (struct ioas_extents){ 0 };
	return taken;
}

/* Whether the extents are exactly as long as the area. */
static bool extents_cover(const struct ioas_extents *extents, u64 iova, u64 last)
{
	u64 sum = 0;

	for (size_t i = 0; i < extents->nr; i++)
		sum += extents->extents[i].len;
	return sum && sum - 1 == last - iova;
}

static int map_check(const struct ioas *ioas, u64 iova, u64 last, u64 va,
		     const struct ioas_extents *extents)
{
	struct range range;

	if (last < iova || !allowed_aligned(&ioas->allowed, iova, last, va) ||
	    !extents_cover(extents, iova, last))
		return -EINVAL;
	if (range_map_first(ioas->areas, iova, last, &range))
		return -EEXIST;
	return allowed_range(&ioas->allowed, iova, last) ? 0 : -EINVAL;
}

/* Into all domains, or none. */
static int push_to_domains(struct ioas *ioas, const struct area *area)
{
	for (size_t i = 0; i < ioas->nr_domains; i++) {
		int ret = push_area(ioas->domains[i], area);

		if (!ret)
			continue;
		while (i--) {
			iommu_domain_unmap(ioas->domains[i], area->pub.iova, area->pub.last);
			iommu_domain_sync(ioas->domains[i]);
		}
		return ret;
	}
	return 0;
}

static int area_add(struct ioas *ioas, struct area *area)
{
	int ret = range_map_insert(ioas->areas, area->pub.iova, area->pub.last, area);

	if (ret)
		return ret;
	ret = push_to_domains(ioas, area);
	if (ret) {
		range_map_remove(ioas->areas, area->pub.iova);
		range_map_sync(ioas->areas);
	}
	return ret;
}

int ioas_map(struct ioas *ioas, u64 iova, u64 last, u32 prot, struct iommu_mm *mm, u64 va,
	     struct ioas_extents *extents, struct ioas_area **out)
{
	struct area *area;
	int ret = map_check(ioas, iova, last, va, extents);

	area = ret ? NULL : malloc(sizeof(*area));
	if (!area) {
		ioas_extents_free(extents);
		return ret ? ret : -ENOMEM;
	}
	*area = (struct area){
		.pub = { .iova = iova,
			 .last = last,
			 .va = va,
			 .prot = prot,
			 .mm = iommu_mm_get(mm) },
		.extents = steal_extents(extents),
	};
	ret = area_add(ioas, area);
	if (ret) {
		area_free(area);
		return ret;
	}
	if (out)
		*out = &area->pub;
	return 0;
}

void ioas_unmap(struct ioas *ioas, struct ioas_area *area, bool defer)
{
	range_map_remove(ioas->areas, area->iova);
	for (size_t i = 0; i < ioas->nr_domains; i++)
		iommu_domain_unmap(ioas->domains[i], area->iova, area->last);
	area_free(to_area(area));
	if (!defer)
		ioas_sync(ioas);
}

void ioas_sync(struct ioas *ioas)
{
	range_map_sync(ioas->areas);
	for (size_t i = 0; i < ioas->nr_domains; i++)
		iommu_domain_sync(ioas->domains[i]);
}

static bool same_shape(const struct ioas_extents *a, const struct ioas_extents *b)
{
	if (a->nr != b->nr)
		return false;
	for (size_t i = 0; i < a->nr; i++) {
		if (a->extents[i].len != b->extents[i].len)
			return false;
	}
	return true;
}

/* Replaces entry by entry, without a gap for DMA in flight. On an error, some are replaced. */
static int swap_entries(struct iommu_domain *domain, const struct area *area)
{
	u64 iova = area->pub.iova;

	for (size_t i = 0; i < area->extents.nr; i++) {
		const struct iommu_extent *extent = &area->extents.extents[i];
		int ret = iommu_domain_remap(domain, iova, iova + extent->len - 1, area->pub.prot,
					     area->pub.mm, extent->va, extent);

		if (ret)
			return ret;
		iova += extent->len;
	}
	return 0;
}

/* Makes every domain follow from @from to @to, two states of one area. */
static int switch_domains(struct ioas *ioas, const struct area *from, const struct area *to)
{
	bool same = same_shape(&from->extents, &to->extents);

	for (size_t i = 0; i < ioas->nr_domains; i++) {
		int ret;

		if (same) {
			ret = swap_entries(ioas->domains[i], to);
		} else {
			iommu_domain_unmap(ioas->domains[i], to->pub.iova, to->pub.last);
			ret = push_area(ioas->domains[i], to);
		}
		if (ret)
			return ret;
	}
	return 0;
}

/* Puts @area back into the domains after a switch that failed midway: what it still has is left. */
static void restore_domains(struct ioas *ioas, const struct area *area)
{
	for (size_t i = 0; i < ioas->nr_domains; i++) {
		if (swap_entries(ioas->domains[i], area) == 0)
			continue;
		iommu_domain_unmap(ioas->domains[i], area->pub.iova, area->pub.last);
		/* Should memory be short even now, DMA faults: it never reaches the wrong place. */
		push_area(ioas->domains[i], area);
	}
}

int ioas_remap(struct ioas *ioas, struct ioas_area *pub, struct iommu_mm *mm, u64 va,
	       struct ioas_extents *extents)
{
	struct area *area = to_area(pub), old = *area;
	int ret;

	if (!allowed_aligned(&ioas->allowed, pub->iova, pub->last, va) ||
	    !extents_cover(extents, pub->iova, pub->last)) {
		ioas_extents_free(extents);
		return -EINVAL;
	}
	area->pub.mm = iommu_mm_get(mm);
	area->pub.va = va;
	area->extents = steal_extents(extents);
	ret = switch_domains(ioas, &old, area);
	if (ret) {
		struct area new = *area;

		*area = old;
		old = new;
		restore_domains(ioas, area);
	}
	ioas_sync(ioas);
	ioas_extents_free(&old.extents);
	iommu_mm_put(old.pub.mm);
	return ret;
}

struct ioas_area *ioas_first(const struct ioas *ioas, u64 iova, u64 last)
{
	struct range range;

	if (!range_map_first(ioas->areas, iova, last, &range))
		return NULL;
	return &((struct area *)range.value)->pub;
}

struct ioas_area *ioas_find(const struct ioas *ioas, u64 iova)
{
	return ioas_first(ioas, iova, iova);
}

u64 ioas_count(const struct ioas *ioas)
{
	return range_map_count(ioas->areas);
}
