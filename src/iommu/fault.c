/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of failed DMAs. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "iommu/fault.h"

struct iommu_fault_log {
	pthread_mutex_t lock; /* of all that follows */
	u64 count;
	struct iommu_fault kept[IOMMU_FAULT_KEEP]; /* the first of them */
	void (*sink)(void *opaque, const struct iommu_fault *fault);
	void *opaque;
};

struct iommu_fault_log *iommu_fault_log_new(void)
{
	struct iommu_fault_log *log = calloc(1, sizeof(*log));

	if (log)
		pthread_mutex_init(&log->lock, NULL);
	return log;
}

void iommu_fault_log_free(struct iommu_fault_log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

void iommu_fault_log_set_sink(struct iommu_fault_log *log,
			      void (*sink)(void *opaque, const struct iommu_fault *fault),
			      void *opaque)
{
	pthread_mutex_lock(&log->lock);
	log->sink = sink;
	log->opaque = opaque;
	pthread_mutex_unlock(&log->lock);
}

/* The mapping at iova or else the one with the least distance to it; the lower of two. */
static bool nearest(struct iommu_domain *domain, u64 iova, struct range *out)
{
	struct range before, after;
	bool below, above;

	if (range_map_find(domain->ptes, iova, out))
		return true;
	below = range_map_before(domain->ptes, iova, &before);
	above = range_map_first(domain->ptes, iova, UINT64_MAX, &after);
	if (below && (!above || iova - before.last <= after.start - iova))
		*out = before;
	else if (above)
		*out = after;
	return below || above;
}

void iommu_fault_locate(struct iommu_domain *domain, struct iommu_fault *fault)
{
	struct range range;

	fault->near = nearest(domain, fault->iova, &range);
	if (!fault->near)
		return;
	fault->near_iova = range.start;
	fault->near_last = range.last;
	fault->near_prot = ((struct iommu_pte *)range.value)->prot;
}

static void log_fault(struct iommu_fault_log *log, const struct iommu_fault *fault)
{
	pthread_mutex_lock(&log->lock);
	if (log->count < IOMMU_FAULT_KEEP)
		log->kept[log->count] = *fault;
	log->count++;
	if (log->sink)
		log->sink(log->opaque, fault);
	pthread_mutex_unlock(&log->lock);
}

void iommu_fault_report(struct iommu_endpoint *ep, struct iommu_domain *domain,
			struct iommu_fault *fault)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	fault->time_ns = (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
	memcpy(fault->device, ep->name, sizeof(fault->device));
	if (domain)
		iommu_fault_locate(domain, fault);
	atomic_fetch_add_explicit(&ep->faults, 1, memory_order_relaxed);
	if (ep->unit && ep->unit->faults)
		log_fault(ep->unit->faults, fault);
}

u64 iommu_fault_count(struct iommu_fault_log *log)
{
	u64 count;

	pthread_mutex_lock(&log->lock);
	count = log->count;
	pthread_mutex_unlock(&log->lock);
	return count;
}

bool iommu_fault_get(struct iommu_fault_log *log, unsigned int i, struct iommu_fault *out)
{
	bool there;

	pthread_mutex_lock(&log->lock);
	there = i < MIN(log->count, IOMMU_FAULT_KEEP);
	if (there)
		*out = log->kept[i];
	pthread_mutex_unlock(&log->lock);
	return there;
}

const char *iommu_fault_reason_name(enum iommu_fault_reason reason)
{
	static const char *const names[] = {
		[IOMMU_FAULT_BLOCKED] = "blocked",	 [IOMMU_FAULT_UNMAPPED] = "unmapped",
		[IOMMU_FAULT_PERMISSION] = "permission", [IOMMU_FAULT_GONE] = "gone",
		[IOMMU_FAULT_BUS_MASTER] = "bus-master",
	};

	return (unsigned int)reason < ARRAY_SIZE(names) ? names[reason] : "unknown";
}
