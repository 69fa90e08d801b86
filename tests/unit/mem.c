/* SPDX-License-Identifier: BSD-3-Clause */
/* Program memory for tests. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"

static struct mem *to_mem(struct iommu_mm *mm)
{
	return container_of(mm, struct mem, mm);
}

/* The bytes of [va, va + len) that are there, at most up to the first page that is gone. */
static size_t present(struct mem *mem, u64 va, size_t len)
{
	size_t n = 0;

	while (n < len && va + n - MEM_VA < MEM_SIZE &&
	       !mem->gone[(va + n - MEM_VA) / PAGE_SIZE_4K])
		n++;
	return n;
}

static int mem_read(struct iommu_mm *mm, void *dst, u64 va, size_t len)
{
	struct mem *mem = to_mem(mm);
	size_t n = present(mem, va, len);

	memcpy(dst, mem->bytes + (va - MEM_VA), n);
	return n < len ? -EFAULT : 0;
}

static int mem_write(struct iommu_mm *mm, u64 va, const void *src, size_t len)
{
	struct mem *mem = to_mem(mm);
	size_t n = present(mem, va, len);

	memcpy(mem->bytes + (va - MEM_VA), src, n);
	return n < len ? -EFAULT : 0;
}

/* One page at a time: that callers merge is part of the test. Backing page n lies at offset n. */
static int mem_lookup(struct iommu_mm *mm, u64 va, u64 len, u32 prot, struct iommu_extent *out)
{
	struct mem *mem = to_mem(mm);
	u64 page = (va - MEM_VA) / PAGE_SIZE_4K;

	if (!present(mem, va, 1))
		return -EFAULT;
	*out = (struct iommu_extent){
		.va = va,
		.len = MIN(len, PAGE_SIZE_4K - va % PAGE_SIZE_4K),
		.backing = iommu_backing_get(mem->backing[page]),
		.offset = va - MEM_VA,
	};
	return 0;
}

static void mem_free(struct iommu_mm *mm)
{
	struct mem *mem = to_mem(mm);

	if (mem->freed)
		*mem->freed = true;
	free(mem);
}

static const struct iommu_mm_ops mem_ops = {
	.read = mem_read,
	.write = mem_write,
	.lookup = mem_lookup,
	.free = mem_free,
};

struct mem *mem_new(bool *freed)
{
	struct mem *mem = calloc(1, sizeof(*mem));

	if (!mem)
		abort();
	mem->mm.ops = &mem_ops;
	mem->mm.refs = 1;
	mem->freed = freed;
	if (freed)
		*freed = false;
	return mem;
}

static void shared_free(struct iommu_backing *backing)
{
	struct shared *shared = container_of(backing, struct shared, backing);

	if (shared->freed)
		*shared->freed = true;
	munmap(backing->host, backing->size);
	close(shared->fd);
	free(shared);
}

static const struct iommu_backing_ops shared_ops = { .free = shared_free };

struct shared *shared_new(size_t size, bool *freed)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (!shared)
		abort();
	shared->fd = memfd_create("test", MFD_CLOEXEC);
	if (shared->fd < 0 || ftruncate(shared->fd, (off_t)size))
		abort();
	shared->backing.ops = &shared_ops;
	shared->backing.refs = 1;
	shared->backing.size = size;
	shared->backing.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared->fd, 0);
	if (shared->backing.host == MAP_FAILED)
		abort();
	shared->freed = freed;
	if (freed)
		*freed = false;
	return shared;
}
