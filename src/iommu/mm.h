/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program's memory, as the I/O side needs it: declared here, implemented by whoever runs the
 * program.
 *
 * An iommu_mm is one address space (Linux: mm_struct), shared by all threads of a process and
 * outliving none of its mappings: it is reference counted, and lives until the last mapping of it
 * is gone, also after the process has ended (its accesses then fail with -EFAULT).
 *
 * Threads: reference counts, lookups and accounting belong to the control thread. read() and
 * write() may be called by any thread at any time.
 */
#ifndef IOMMU_MM_H
#define IOMMU_MM_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/util.h"

struct iommu_mm;
struct iommu_backing;

/* Directions of access; the bits of a mapping's protection. */
#define IOMMU_READ BIT(0)  /* the device reads memory */
#define IOMMU_WRITE BIT(1) /* the device writes memory */

/*
 * What a piece of program memory is made of. A backing is shared memory that this process has
 * mapped too (host is its address), or a region of a device that DMA reaches (peer to peer). It is
 * reference counted like the mm.
 */
struct iommu_backing_ops {
	/* Peer to peer and other memory that is no plain memory; NULL where ->host is set. 0 or
	 * -errno. Any thread. */
	int (*read)(struct iommu_backing *backing, u64 offset, void *buf, size_t len);
	int (*write)(struct iommu_backing *backing, u64 offset, const void *buf, size_t len);
	void (*free)(struct iommu_backing *backing);
};

struct iommu_backing {
	const struct iommu_backing_ops *ops;
	unsigned long refs; /* control thread */
	void *host;	    /* where this process has it mapped, or NULL; fixed for its life */
	u64 size; /* bytes behind host; an access past the end of the file raises SIGBUS, see
		     iommu/dma.h */
	bool unaccounted; /* device memory: not charged to the locked-memory limit */
};

/* One piece of an address range, all of it of one kind. */
struct iommu_extent {
	u64 va;
	u64 len;
	struct iommu_backing *backing; /* NULL: private memory, reached by mm->ops->read and
					  ->write; else a reference */
	u64 offset;		       /* of va in the backing */
};

struct iommu_mm_ops {
	/* Copies exactly len bytes; 0, or -EFAULT after a part at most. Any thread. */
	int (*read)(struct iommu_mm *mm, void *dst, u64 va, size_t len);
	int (*write)(struct iommu_mm *mm, u64 va, const void *src, size_t len);
	/*
	 * Describes the first piece of [va, va + len): what pins it in the kernel. @prot is
	 * IOMMU_READ and IOMMU_WRITE; a page that is absent or does not allow that is -EFAULT. On
	 * 0, ->va is va, 0 < ->len <= len, and the caller owns a reference to ->backing. Control
	 * thread.
	 */
	int (*lookup)(struct iommu_mm *mm, u64 va, u64 len, u32 prot, struct iommu_extent *out);
	void (*free)(struct iommu_mm *mm);
};

struct iommu_mm {
	const struct iommu_mm_ops *ops;
	unsigned long refs;
	u64 locked_pages; /* charged to RLIMIT_MEMLOCK by type1 (Linux: mm->locked_vm) */
};

static inline struct iommu_mm *iommu_mm_get(struct iommu_mm *mm)
{
	mm->refs++;
	return mm;
}

static inline void iommu_mm_put(struct iommu_mm *mm)
{
	if (mm && !--mm->refs)
		mm->ops->free(mm);
}

static inline struct iommu_backing *iommu_backing_get(struct iommu_backing *backing)
{
	if (backing)
		backing->refs++;
	return backing;
}

static inline void iommu_backing_put(struct iommu_backing *backing)
{
	if (backing && !--backing->refs)
		backing->ops->free(backing);
}

#endif
