/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device does through its IOMMU: translate and access. */
#include <errno.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/fault.h"
#include "iommu/guard.h"

/*
 * What this thread translated last, by page: an entry is good while its generation is that of the
 * domain. An entry that is good was in the map when the section began, at the least.
 */
#define IOTLB_SIZE 64

static __thread struct {
	u64 generation;
	const struct iommu_pte *pte;
} iotlb[IOTLB_SIZE];

struct dma {
	u64 iova;
	char *buf;
	size_t len;
	u32 prot; /* IOMMU_READ or IOMMU_WRITE */
};

int iommu_dma_init(void)
{
	return guard_init();
}

/* The entry that holds @iova, or NULL. Inside a section. */
static inline const struct iommu_pte *translate(struct iommu_domain *domain, u64 iova)
{
	/* Read before the map is: what is removed later is removed from this generation. */
	u64 generation = atomic_load_explicit(&domain->generation, memory_order_acquire);
	__typeof__(&iotlb[0]) cached = &iotlb[iova / PAGE_SIZE_4K % IOTLB_SIZE];
	struct range range;

	if (cached->generation == generation && iova >= cached->pte->iova &&
	    iova <= cached->pte->last)
		return cached->pte;
	if (!range_map_find(domain->ptes, iova, &range))
		return NULL;
	cached->generation = generation;
	cached->pte = range.value;
	return range.value;
}

/* @len bytes from @at bytes behind the start of @pte on. All, or -EFAULT after an unknown part. */
static int access_pte(const struct iommu_pte *pte, u64 at, char *buf, size_t len, bool write)
{
	struct iommu_backing *backing = pte->backing;
	u64 offset = pte->offset + at;
	char *host;

	if (!backing)
		return write ? pte->mm->ops->write(pte->mm, pte->va + at, buf, len)
			     : pte->mm->ops->read(pte->mm, buf, pte->va + at, len);
	if (!backing->host)
		return write ? backing->ops->write(backing, offset, buf, len)
			     : backing->ops->read(backing, offset, buf, len);
	if (offset > backing->size || len > backing->size - offset)
		return -EFAULT;
	host = (char *)backing->host + offset;
	return guard_copy(write ? host : buf, write ? buf : host, len, host) ? 0 : -EFAULT;
}

/* After a failure: how many bytes can be had, page by page, and transfers those. */
static size_t access_pages(const struct iommu_pte *pte, u64 at, char *buf, size_t len, bool write)
{
	size_t done = 0;

	/* An access to a device has effects: it is not repeated. */
	if (pte->backing && !pte->backing->host)
		return 0;
	while (done < len) {
		size_t n = PAGE_SIZE_4K - ((at + done) & (PAGE_SIZE_4K - 1));

		n = MIN(n, len - done);
		if (access_pte(pte, at + done, buf + done, n, write))
			break;
		done += n;
	}
	return done;
}

/* Advances @dma by what could be transferred. 0, or -EFAULT with the reason and dma at the first
 * byte that failed. */
static int transfer(struct iommu_domain *domain, struct dma *dma, enum iommu_fault_reason *reason)
{
	bool write = dma->prot == IOMMU_WRITE;

	if (!domain) {
		*reason = IOMMU_FAULT_BLOCKED;
		return -EFAULT;
	}
	while (dma->len) {
		const struct iommu_pte *pte = translate(domain, dma->iova);
		size_t n, done;
		u64 at;

		*reason = IOMMU_FAULT_UNMAPPED;
		if (!pte)
			return -EFAULT;
		*reason = IOMMU_FAULT_PERMISSION;
		if (!(pte->prot & dma->prot))
			return -EFAULT;
		at = dma->iova - pte->iova;
		n = dma->len - 1 > pte->last - dma->iova ? pte->last - dma->iova + 1 : dma->len;
		done = n;
		if (access_pte(pte, at, dma->buf, n, write))
			done = access_pages(pte, at, dma->buf, n, write);
		dma->iova += done;
		dma->buf += done;
		dma->len -= done;
		*reason = IOMMU_FAULT_GONE;
		if (done < n)
			return -EFAULT;
	}
	return 0;
}

/* Ends the section. */
__attribute__((noinline)) static int access_any(struct iommu_endpoint *ep,
						struct iommu_domain *domain, struct dma dma)
{
	enum iommu_fault_reason reason;
	struct iommu_fault fault;

	if (!transfer(domain, &dma, &reason)) {
		rcu_read_end();
		return 0;
	}
	fault = (struct iommu_fault){
		.iova = dma.iova,
		.length = dma.len,
		.prot = dma.prot,
		.reason = reason,
	};
	if (domain)
		iommu_fault_locate(domain, &fault);
	/* The sink may be slow: an unmap need not wait for it. */
	rcu_read_end();
	iommu_fault_report(ep, NULL, &fault);
	return -EFAULT;
}

/* The usual case: all of it in shared memory and in one entry. false: nothing is known. */
static inline bool access_shared(struct iommu_domain *domain, u64 iova, char *buf, size_t len,
				 u32 prot)
{
	const struct iommu_pte *pte = domain ? translate(domain, iova) : NULL;
	const struct iommu_backing *backing;
	u64 offset;
	char *host;

	if (!pte || !pte->backing || !(pte->prot & prot) || len - 1 > pte->last - iova)
		return false;
	backing = pte->backing;
	offset = pte->offset + (iova - pte->iova);
	if (!backing->host || offset > backing->size || len > backing->size - offset)
		return false;
	host = (char *)backing->host + offset;
	return prot == IOMMU_WRITE ? guard_copy(host, buf, len, host)
				   : guard_copy(buf, host, len, host);
}

static inline int dma_access(struct iommu_endpoint *ep, u64 iova, char *buf, size_t len, u32 prot)
{
	struct iommu_domain *domain;

	if (!len)
		return 0;
	rcu_read_begin();
	domain = atomic_load_explicit(&ep->domain, memory_order_acquire);
	if (!access_shared(domain, iova, buf, len, prot))
		return access_any(ep, domain, (struct dma){ iova, buf, len, prot });
	rcu_read_end();
	return 0;
}

int iommu_dma_read(struct iommu_endpoint *ep, u64 iova, void *buf, size_t len)
{
	return dma_access(ep, iova, buf, len, IOMMU_READ);
}

int iommu_dma_write(struct iommu_endpoint *ep, u64 iova, const void *buf, size_t len)
{
	/* The buffer is only read: the direction says so. */
	return dma_access(ep, iova, (char *)buf, len, IOMMU_WRITE);
}
