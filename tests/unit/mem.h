/* SPDX-License-Identifier: BSD-3-Clause */
/* Program memory for tests: an address space in an array, and shared memory in a memfd. */
#ifndef TESTS_MEM_H
#define TESTS_MEM_H

#include "iommu/mm.h"

#define MEM_PAGES 64
#define MEM_SIZE (MEM_PAGES * PAGE_SIZE_4K)
/* Where the array lies in the address space. */
#define MEM_VA 0x7f0000000000ULL

struct mem {
	struct iommu_mm mm;
	char bytes[MEM_SIZE];
	bool gone[MEM_PAGES];			  /* accesses to the page fail */
	struct iommu_backing *backing[MEM_PAGES]; /* what lookup finds; NULL: private */
	bool *freed;
};

/* One reference; *@freed becomes true when the last is gone. */
struct mem *mem_new(bool *freed);

struct shared {
	struct iommu_backing backing;
	int fd;
	bool *freed;
};

/* A memfd of @size bytes, mapped; one reference, as above. */
struct shared *shared_new(size_t size, bool *freed);

#endif
