/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOMMU units, groups, domains and endpoints (Linux: include/linux/iommu.h, drivers/iommu/iommu.c).
 *
 * unit      one piece of IOMMU hardware (VT-d: one DMAR unit): address width, page sizes, reserved
 * regions. domain    one set of page tables of a unit: IOVA ranges to pieces of program memory,
 * with permissions. endpoint  one requester ID behind a unit. Attaching captures the whole
 * requester ID. group     the endpoints that the hardware cannot tell apart or isolate; they are
 * attached together.
 *
 * Threads: everything belongs to the control thread, but iommu/dma.h, which device threads call.
 */
#ifndef IOMMU_IOMMU_H
#define IOMMU_IOMMU_H

#include <stdatomic.h>
#include <urcu/list.h>

#include "base/range_map.h"
#include "base/util.h"
#include "iommu/mm.h"

enum iommu_resv_type {
	IOMMU_RESV_DIRECT,   /* "direct": must be mapped 1:1 */
	IOMMU_RESV_RESERVED, /* "reserved": must not be used */
	IOMMU_RESV_MSI,	     /* "msi": the platform's MSI doorbell */
};

struct iommu_resv_region {
	u64 start;
	u64 last; /* inclusive */
	enum iommu_resv_type type;
};

struct iommu_fault_log;

/* Made by a unit model (iommu/vtd.h); freed by iommu_unit_free() when no endpoint and no domain is
 * left. */
struct iommu_unit {
	char name[16];		/* "dmar0": /sys/class/iommu/NAME */
	const char *model;	/* "vtd" */
	unsigned int width;	/* bits of an IOVA: 39, 48, 57 */
	u64 aperture_last;	/* the last IOVA that can be mapped */
	u64 pgsize_bitmap;	/* sizes a leaf entry can have: 4 KiB, 2 MiB, 1 GiB */
	bool enforce_coherency; /* can force snooping: VFIO_DMA_CC_IOMMU */
	struct iommu_resv_region resv[4];
	unsigned int nr_resv;
	struct iommu_fault_log *faults; /* shared with the other units of the host */
	unsigned int domains;		/* alive */
};

struct iommu_domain {
	struct iommu_unit *unit;
	struct range_map *ptes;	   /* IOVA to struct iommu_pte; readers: device threads under RCU */
	unsigned int attached;	   /* endpoints */
	struct iommu_pte *retired; /* unmapped, until iommu_domain_sync() */
	/* Of what the IOTLBs of device threads hold: changes with every unmap, and no two domains
	 * ever have the same. */
	_Atomic u64 generation;
};

/* An entry of a domain: immutable while it is in the map. */
struct iommu_pte {
	u64 iova;
	u64 last;   /* inclusive */
	u64 va;	    /* of iova in mm */
	u64 offset; /* of iova in backing */
	struct iommu_mm *mm;
	struct iommu_backing *backing; /* or NULL */
	struct iommu_pte *next;	       /* the control thread's: in iommu_domain.retired */
	u32 prot;
};

struct iommu_group {
	unsigned int id;
	struct cds_list_head endpoints; /* struct iommu_endpoint.group_node */
	struct iommu_domain *domain; /* what all endpoints are attached to; NULL: DMA is blocked */
	/*
	 * Devices of the group that a driver owns which does DMA on the kernel's behalf (any but
	 * vfio-pci, pci-stub, pcieport). The group is viable while it is 0 (Linux:
	 * iommu_group_claim_dma_owner). Kept by src/host.
	 */
	unsigned int kernel_drivers;
};

/* One requester ID. Embedded in whatever is the device. */
struct iommu_endpoint {
	char name[16]; /* "0000:01:00.0"; for reports */
	u16 rid;       /* bus << 8 | devfn */
	struct iommu_unit *unit;
	struct iommu_group *group;
	struct cds_list_head group_node;
	_Atomic(struct iommu_domain *) domain; /* written by the control thread, read under RCU */
	_Atomic u64 faults;		       /* DMAs that failed */
};

/* NULL with errno. A domain must have no endpoint attached when it is freed; its entries are
 * dropped. */
struct iommu_domain *iommu_domain_new(struct iommu_unit *unit);
void iommu_domain_free(struct iommu_domain *domain);

/*
 * Maps [iova, last] to @mm at @va with @prot. @extent may be NULL; otherwise it names the backing
 * of exactly this range, of which the domain takes a reference of its own, as it does of @mm.
 * -EEXIST, -ERANGE (outside the aperture), -EINVAL (not page aligned), -ENOMEM; on error nothing
 * has changed.
 */
int iommu_domain_map(struct iommu_domain *domain, u64 iova, u64 last, u32 prot, struct iommu_mm *mm,
		     u64 va, const struct iommu_extent *extent);
/* Gives the entry that is exactly [iova, last] other memory, without a gap for DMA. As
 * iommu_domain_map(), and -ENOENT if there is no such entry. */
int iommu_domain_remap(struct iommu_domain *domain, u64 iova, u64 last, u32 prot,
		       struct iommu_mm *mm, u64 va, const struct iommu_extent *extent);
/* Removes the entries inside [iova, last], none of which may cross its ends. Readers may still use
 * them until iommu_domain_sync(). */
void iommu_domain_unmap(struct iommu_domain *domain, u64 iova, u64 last);
/* Returns once no DMA in flight can use what was unmapped, and drops the references held for it. */
void iommu_domain_sync(struct iommu_domain *domain);

struct iommu_group *iommu_group_new(unsigned int id);
/* The group must have no endpoints. */
void iommu_group_free(struct iommu_group *group);
void iommu_group_add(struct iommu_group *group, struct iommu_endpoint *ep);
void iommu_group_remove(struct iommu_endpoint *ep);
/* Attaches every endpoint of the group; replaces what was attached, without a gap. NULL blocks DMA.
 * Final on return. -EINVAL, with nothing changed: the domain is of another unit. */
int iommu_group_attach(struct iommu_group *group, struct iommu_domain *domain);

#endif
