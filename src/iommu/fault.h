/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of failed DMAs.
 *
 * Threads: iommu_fault_report() may be called by any thread; the rest belongs to the control
 * thread. The log is bounded: all faults are counted, the first IOMMU_FAULT_KEEP of each host are
 * kept for the summary, and each is handed to the sink, if one is set, in the reporting thread
 * under the log's lock.
 */
#ifndef IOMMU_FAULT_H
#define IOMMU_FAULT_H

#include "iommu/iommu.h"

#define IOMMU_FAULT_KEEP 256

enum iommu_fault_reason {
	IOMMU_FAULT_BLOCKED,	/* the device is attached to nothing */
	IOMMU_FAULT_UNMAPPED,	/* no mapping at this IOVA */
	IOMMU_FAULT_PERMISSION, /* a mapping without the permission */
	IOMMU_FAULT_GONE,	/* mapped, but the memory behind it is gone from the program */
	IOMMU_FAULT_BUS_MASTER, /* the device tried with bus mastering disabled */
};

struct iommu_fault {
	char device[16];
	u64 iova;   /* of the first byte that failed */
	u64 length; /* bytes of the access that were not transferred */
	u32 prot;   /* IOMMU_READ or IOMMU_WRITE: what the device attempted */
	enum iommu_fault_reason reason;
	bool near; /* the fields below describe the mapping nearest to iova */
	u64 near_iova;
	u64 near_last; /* inclusive */
	u32 near_prot;
	u64 time_ns; /* CLOCK_MONOTONIC */
};

struct iommu_fault_log *iommu_fault_log_new(void);
void iommu_fault_log_free(struct iommu_fault_log *log);
void iommu_fault_log_set_sink(struct iommu_fault_log *log,
			      void (*sink)(void *opaque, const struct iommu_fault *fault),
			      void *opaque);
/* Fills in @fault->near and the fields of the mapping. Inside a section (base/rcu.h), or in the
 * control thread. */
void iommu_fault_locate(struct iommu_domain *domain, struct iommu_fault *fault);
/*
 * Counts the fault at @ep and records it; the device and the time are filled in here, and, unless
 * @domain is NULL, so is the nearest mapping, as by iommu_fault_locate().
 */
void iommu_fault_report(struct iommu_endpoint *ep, struct iommu_domain *domain,
			struct iommu_fault *fault);
u64 iommu_fault_count(struct iommu_fault_log *log);
/* Copies the kept fault number @i (0 is the first); false past the end. */
bool iommu_fault_get(struct iommu_fault_log *log, unsigned int i, struct iommu_fault *out);
const char *iommu_fault_reason_name(enum iommu_fault_reason reason);

#endif
