/* SPDX-License-Identifier: BSD-3-Clause */
/* Type1 containers: what a 7.2 kernel answers to each step, v1 and v2. */
#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "fake_task.h"
#include "iommu/dma.h"

#define PG 0x1000ULL
#define BUF_SIZE (16ULL << 20)
#define R VFIO_DMA_MAP_FLAG_READ
#define W VFIO_DMA_MAP_FLAG_WRITE
#define RW (R | W)
#define MAP_VADDR VFIO_DMA_MAP_FLAG_VADDR
#define UNMAP_ALL VFIO_DMA_UNMAP_FLAG_ALL
#define UNMAP_VADDR VFIO_DMA_UNMAP_FLAG_VADDR
#define UNMAP_DIRTY VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP

static struct fake_machine m;
static int container, group, memfd;
static u64 buf, ro, none, hole, absent, shm, edge; /* addresses of the program */
static int v; /* 0: type1, 1: type1v2: the column of expectations */

static u64 area(size_t len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return (uintptr_t)p;
}

static void unmap_at(u64 va, size_t len)
{
	assert_int_equal(munmap((void *)(uintptr_t)va, len), 0);
}

static int memory_setup(void **state)
{
	const int anon = MAP_PRIVATE | MAP_ANONYMOUS;

	buf = area(BUF_SIZE, PROT_READ | PROT_WRITE, anon, -1);
	memset((void *)(uintptr_t)buf, 0xa5, BUF_SIZE);
	ro = area(16 * PG, PROT_READ, anon, -1);
	none = area(16 * PG, PROT_NONE, anon, -1);
	hole = area(4 * PG, PROT_READ | PROT_WRITE, anon, -1);
	/* Holes are not unmapped, so that nobody else's memory comes in. */
	assert_int_equal(mprotect((void *)(uintptr_t)(hole + 2 * PG), PG, PROT_NONE), 0);
	absent = none + 8 * PG;
	edge = area(2 * PG, PROT_READ | PROT_WRITE, anon, -1) + PG;
	assert_int_equal(mprotect((void *)(uintptr_t)edge, PG, PROT_NONE), 0);
	memfd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memfd, 16 * PG), 0);
	shm = area(16 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
	return iommu_dma_init();
}

static int memory_teardown(void **state)
{
	unmap_at(buf, BUF_SIZE);
	unmap_at(ro, 16 * PG);
	unmap_at(none, 16 * PG);
	unmap_at(hole, 4 * PG);
	unmap_at(edge - PG, 2 * PG);
	unmap_at(shm, 16 * PG);
	return close(memfd);
}

static int setup_type(int type)
{
	v = type == VFIO_TYPE1v2_IOMMU;
	fake_machine_init(&m, 39);
	fake_machine_add(&m, 0, 0);
	container = fake_open_container(&m.task);
	group = fake_open_group(&m.task, 0);
	assert_true(container >= 0 && group >= 0);
	assert_int_equal(fake_ioctl(&m.task, group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_SET_IOMMU, (void *)(uintptr_t)type),
			 0);
	return 0;
}

static int setup_v1(void **state)
{
	return setup_type(VFIO_TYPE1_IOMMU);
}

static int setup_v2(void **state)
{
	return setup_type(VFIO_TYPE1v2_IOMMU);
}

static int teardown(void **state)
{
	fake_machine_fini(&m);
	return 0;
}

static int map_as(struct fake_task *t, u32 argsz, u32 flags, u64 va, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_map map = { argsz, flags, va, iova, size };

	return fake_ioctl(t, container, VFIO_IOMMU_MAP_DMA, &map);
}

static int map(u64 va, u64 iova, u64 size)
{
	return map_as(&m.task, 32, RW, va, iova, size);
}

static int unmap_flags(u32 argsz, u32 flags, u64 iova, u64 *size)
{
	struct vfio_iommu_type1_dma_unmap unmap = { argsz, flags, iova, *size };
	int ret = fake_ioctl(&m.task, container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	*size = unmap.size;
	return ret;
}

static u64 unmap(u64 iova, u64 size)
{
	assert_int_equal(unmap_flags(24, 0, iova, &size), 0);
	return size;
}

static u64 unmap_all(void)
{
	u64 size = 0;

	assert_int_equal(unmap_flags(24, UNMAP_ALL, 0, &size), 0);
	return size;
}

struct step {
	const char *name;
	enum { MAP, UNMAP } op;
	u32 argsz, flags;
	u64 va, iova, size;
	int ret[2];   /* v1, v2 */
	u64 sizes[2]; /* UNMAP: what the size field holds after it */
};

#define BOTH(r) \
	{ \
		(r), (r) \
	}

static void run_steps(const struct step *steps, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct step *s = &steps[i];
		u64 size = s->size;
		int ret;

		if (s->op == MAP)
			ret = map_as(&m.task, s->argsz, s->flags, s->va, s->iova, s->size);
		else
			ret = unmap_flags(s->argsz, s->flags, s->iova, &size);
		if (ret != s->ret[v])
			fail_msg("%s: %d instead of %d", s->name, ret, s->ret[v]);
		if (s->op == UNMAP && size != s->sizes[v])
			fail_msg("%s: size %#llx", s->name, (unsigned long long)size);
	}
}

static void info_avail(unsigned int avail)
{
	u8 bytes[4096] = { 0 };
	struct vfio_iommu_type1_info *info = (void *)bytes;
	struct vfio_iommu_type1_info_dma_avail *cap = (void *)(bytes + 0x38);

	info->argsz = sizeof(bytes);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_GET_INFO, info), 0);
	assert_int_equal(cap->header.id, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	assert_int_equal(cap->avail, avail);
}

static void test_map(void **state)
{
	const u64 top = 0x7fffffffffULL;
	const struct step steps[] = {
		{ "argsz 0", MAP, 0, RW, buf, 0x100000, PG, BOTH(-EINVAL) },
		{ "argsz 31", MAP, 31, RW, buf, 0x100000, PG, BOTH(-EINVAL) },
		{ "ok", MAP, 32, RW, buf, 0x100000, PG, BOTH(0) },
		{ "again", MAP, 32, RW, buf, 0x100000, PG, BOTH(-EEXIST) },
		{ "again, read-only", MAP, 32, R, buf, 0x100000, PG, BOTH(-EEXIST) },
		{ "argsz 128", MAP, 128, RW, buf, 0x102000, PG, BOTH(0) },
		{ "argsz max", MAP, ~0U, RW, buf, 0x104000, PG, BOTH(0) },
		{ "flags 0", MAP, 32, 0, buf, 0x2010000, PG, BOTH(-EINVAL) },
		{ "R", MAP, 32, R, buf, 0x2020000, PG, BOTH(0) },
		{ "W", MAP, 32, W, buf, 0x2030000, PG, BOTH(0) },
		{ "bit 3", MAP, 32, RW | 8, buf, 0x2040000, PG, BOTH(-EINVAL) },
		{ "bit 31", MAP, 32, RW | 1U << 31, buf, 0x2050000, PG, BOTH(-EINVAL) },
		{ "VADDR, no map", MAP, 32, MAP_VADDR, buf, 0x2060000, PG, BOTH(-ENOENT) },
		{ "VADDR, valid", MAP, 32, MAP_VADDR, buf, 0x100000, PG, BOTH(-EINVAL) },
		{ "VADDR and R", MAP, 32, MAP_VADDR | R, buf, 0x2070000, PG, BOTH(-EINVAL) },
		{ "size 0", MAP, 32, RW, buf, 0x2080000, 0, BOTH(-EINVAL) },
		{ "size 0, taken", MAP, 32, RW, buf, 0x100000, 0, BOTH(-EINVAL) },
		{ "size 2048", MAP, 32, RW, buf, 0x2090000, 0x800, BOTH(-EINVAL) },
		{ "size 1", MAP, 32, RW, buf, 0x20a0000, 1, BOTH(-EINVAL) },
		{ "size 4097", MAP, 32, RW, buf, 0x20b0000, PG + 1, BOTH(-EINVAL) },
		{ "iova unaligned", MAP, 32, RW, buf, 0x20c0800, PG, BOTH(-EINVAL) },
		{ "va unaligned", MAP, 32, RW, buf + 16, 0x20d0000, PG, BOTH(-EINVAL) },
		{ "both alike", MAP, 32, RW, buf + 0x800, 0x20e0800, PG, BOTH(-EINVAL) },
		{ "past 2^64", MAP, 32, RW, buf, ~0xfffULL, 2 * PG, BOTH(-EOVERFLOW) },
		{ "up to 2^64", MAP, 32, RW, buf, ~0xfffULL, PG, BOTH(-EINVAL) },
		{ "2^64 - 4096", MAP, 32, RW, buf, 0, ~0xfffULL, BOTH(-EOVERFLOW) },
		{ "size max", MAP, 32, RW, buf, 0x20f0000, ~0ULL, BOTH(-EOVERFLOW) },
		{ "va past 2^64", MAP, 32, RW, ~0xfffULL, 0x2100000, 2 * PG, BOTH(-EOVERFLOW) },
		{ "kernel", MAP, 32, RW, 0xffff888000000000, 0x2110000, PG, BOTH(-EFAULT) },
		{ "non-canonical", MAP, 32, RW, 1ULL << 63, 0x2120000, PG, BOTH(-EFAULT) },
		{ "va 0", MAP, 32, RW, 0, 0x2130000, PG, BOTH(-EFAULT) },
		{ "hole", MAP, 32, RW, hole, 0x2150000, 4 * PG, BOTH(-EFAULT) },
		{ "after a hole", MAP, 32, RW, buf, 0x2150000, PG, BOTH(0) },
		{ "up to a hole", MAP, 32, RW, hole, 0x2160000, 2 * PG, BOTH(0) },
		{ "PROT_NONE R", MAP, 32, R, none, 0x2170000, PG, BOTH(-EFAULT) },
		{ "PROT_NONE RW", MAP, 32, RW, none, 0x2180000, PG, BOTH(-EFAULT) },
		{ "PROT_READ R", MAP, 32, R, ro, 0x2190000, PG, BOTH(0) },
		{ "PROT_READ W", MAP, 32, W, ro, 0x21a0000, PG, BOTH(-EFAULT) },
		{ "PROT_READ RW", MAP, 32, RW, ro, 0x21b0000, PG, BOTH(-EFAULT) },
		{ "shared", MAP, 32, RW, shm, 0x320000, 16 * PG, BOTH(0) },
		{ "same va", MAP, 32, RW, buf, 0x400000, PG, BOTH(0) },
		{ "iova 0", MAP, 32, RW, buf, 0, PG, BOTH(0) },
		{ "MSI", MAP, 32, RW, buf, 0xfee00000, PG, BOTH(-EINVAL) },
		{ "into MSI", MAP, 32, RW, buf, 0xfedff000, 2 * PG, BOTH(-EINVAL) },
		{ "below MSI", MAP, 32, RW, buf, 0xfedff000, PG, BOTH(0) },
		{ "above MSI", MAP, 32, RW, buf, 0xfef00000, PG, BOTH(0) },
		{ "last page", MAP, 32, RW, buf, top & ~0xfffULL, PG, BOTH(0) },
		{ "past the top", MAP, 32, RW, buf, top + 1, PG, BOTH(-EINVAL) },
		/* Overlap comes before the validity of the address. */
		{ "over the top", MAP, 32, RW, buf, (top & ~0xfffULL) - PG, 3 * PG, BOTH(-EEXIST) },
		{ "8 pages", MAP, 32, RW, buf + 0x10000, 0x500000, 8 * PG, BOTH(0) },
		{ "overlap left", MAP, 32, RW, buf, 0x4ff000, 2 * PG, BOTH(-EEXIST) },
		{ "overlap right", MAP, 32, RW, buf, 0x507000, 2 * PG, BOTH(-EEXIST) },
		{ "overlap inside", MAP, 32, RW, buf, 0x502000, PG, BOTH(-EEXIST) },
		{ "superset", MAP, 32, RW, buf, 0x4ff000, 16 * PG, BOTH(-EEXIST) },
		{ "adjacent left", MAP, 32, RW, buf, 0x4ff000, PG, BOTH(0) },
		{ "adjacent right", MAP, 32, RW, buf, 0x508000, PG, BOTH(0) },
		{ "16 MiB", MAP, 32, RW, buf, 0x40000000, BUF_SIZE, BOTH(0) },
		/* Overlap comes before the address of the memory, too. */
		{ "bad va, taken", MAP, 32, RW, none, 0x100000, PG, BOTH(-EEXIST) },
		{ "bad va, bad iova", MAP, 32, RW, none, 0xfee00000, PG, BOTH(-EINVAL) },
	};

	run_steps(steps, ARRAY_SIZE(steps));
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_MAP_DMA, NULL), -EFAULT);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_MAP_DMA, (void *)(edge - 16)),
			 -EFAULT);
	info_avail(65517);
	assert_int_equal(unmap_all(), 0x1028000);
	info_avail(65535);
}

static void test_unmap(void **state)
{
	const struct step steps[] = {
		{ "nothing there", UNMAP, 24, UNMAP_ALL, 0, 0, 0, BOTH(0), { 0, 0 } },
		{ "map", MAP, 32, RW, buf, 0x100000, 4 * PG, BOTH(0) },
		{ "argsz 0", UNMAP, 0, 0, 0, 0x100000, 4 * PG, BOTH(-EINVAL), BOTH(4 * PG) },
		{ "argsz 23", UNMAP, 23, 0, 0, 0x100000, 4 * PG, BOTH(-EINVAL), BOTH(4 * PG) },
		{ "bit 3", UNMAP, 24, 8, 0, 0x100000, 4 * PG, BOTH(-EINVAL), BOTH(4 * PG) },
		{ "bit 31", UNMAP, 24, 1U << 31, 0, 0x100000, PG, BOTH(-EINVAL), BOTH(PG) },
		{ "size 0", UNMAP, 24, 0, 0, 0x100000, 0, BOTH(-EINVAL), BOTH(0) },
		{ "size 0 of nothing", UNMAP, 24, 0, 0, 0x900000, 0, BOTH(-EINVAL), BOTH(0) },
		{ "size 2048", UNMAP, 24, 0, 0, 0x100000, 0x800, BOTH(-EINVAL), BOTH(0x800) },
		{ "iova unaligned", UNMAP, 24, 0, 0, 0x100800, PG, BOTH(-EINVAL), BOTH(PG) },
		{ "past 2^64", UNMAP, 24, 0, 0, ~0xfffULL, 2 * PG, BOTH(-EOVERFLOW), BOTH(2 * PG) },
		{ "up to 2^64", UNMAP, 24, 0, 0, ~0xfffULL, PG, BOTH(0), BOTH(0) },
		{ "size max", UNMAP, 24, 0, 0, 0x100000, ~0ULL, BOTH(-EINVAL), BOTH(~0ULL) },
		{ "nothing", UNMAP, 24, 0, 0, 0x900000, PG, BOTH(0), BOTH(0) },
		{ "much nothing", UNMAP, 24, 0, 0, 0x900000, 1 << 28, BOTH(0), BOTH(0) },
		{ "ALL, iova", UNMAP, 24, UNMAP_ALL, 0, 0x1000, 0, BOTH(-EINVAL), BOTH(0) },
		{ "ALL, size", UNMAP, 24, UNMAP_ALL, 0, 0, PG, BOTH(-EINVAL), BOTH(PG) },
		{ "ALL, DIRTY", UNMAP, 24, UNMAP_ALL | UNMAP_DIRTY, 0, 0, 0, BOTH(-EINVAL),
		  BOTH(0) },
		{ "short DIRTY", UNMAP, 24, UNMAP_DIRTY, 0, 0x100000, PG, BOTH(-EINVAL), BOTH(PG) },
		{ "head", UNMAP, 24, 0, 0, 0x100000, PG, { 0, -EINVAL }, { 4 * PG, PG } },
		{ "head: again", MAP, 32, RW, buf, 0x100000, 4 * PG, { 0, -EEXIST } },
		{ "tail", UNMAP, 24, 0, 0, 0x103000, PG, { 0, -EINVAL }, { 0, PG } },
		{ "tail: again", MAP, 32, RW, buf, 0x100000, 4 * PG, BOTH(-EEXIST) },
		{ "middle", UNMAP, 24, 0, 0, 0x101000, PG, { 0, -EINVAL }, { 0, PG } },
		{ "middle: again", MAP, 32, RW, buf, 0x100000, 4 * PG, BOTH(-EEXIST) },
		{ "cut left",
		  UNMAP,
		  24,
		  0,
		  0,
		  0xff000,
		  2 * PG,
		  { 0, -EINVAL },
		  { 4 * PG, 2 * PG } },
		{ "cut left: again", MAP, 32, RW, buf, 0x100000, 4 * PG, { 0, -EEXIST } },
		{ "cut right", UNMAP, 24, 0, 0, 0x102000, 4 * PG, { 0, -EINVAL }, { 0, 4 * PG } },
		{ "cut right: again", MAP, 32, RW, buf, 0x100000, 4 * PG, BOTH(-EEXIST) },
		{ "superset", UNMAP, 24, 0, 0, 0xff000, 8 * PG, BOTH(0), BOTH(4 * PG) },
		{ "superset again", UNMAP, 24, 0, 0, 0xff000, 8 * PG, BOTH(0), BOTH(0) },
		{ "2a", MAP, 32, RW, buf, 0x200000, PG, BOTH(0) },
		{ "2b", MAP, 32, R, buf, 0x201000, 2 * PG, BOTH(0) },
		{ "2c", MAP, 32, RW, buf, 0x208000, PG, BOTH(0) },
		{ "three, gap", UNMAP, 24, 0, 0, 0x200000, 9 * PG, BOTH(0), BOTH(4 * PG) },
		{ "3a", MAP, 32, RW, buf, 0x200000, 2 * PG, BOTH(0) },
		{ "3b", MAP, 32, RW, buf, 0x202000, 2 * PG, BOTH(0) },
		{ "cuts second",
		  UNMAP,
		  24,
		  0,
		  0,
		  0x200000,
		  3 * PG,
		  { 0, -EINVAL },
		  { 4 * PG, 3 * PG } },
		{ "the rest", UNMAP, 24, 0, 0, 0x200000, 4 * PG, BOTH(0), { 0, 4 * PG } },
		{ "4a", MAP, 32, RW, buf, 0x200000, 2 * PG, BOTH(0) },
		{ "4b", MAP, 32, RW, buf, 0x203000, PG, BOTH(0) },
		/* v1 stops at the first mapping that begins before the range. */
		{ "cuts first", UNMAP, 24, 0, 0, 0x201000, 3 * PG, { 0, -EINVAL }, { 0, 3 * PG } },
		{ "all", UNMAP, 24, UNMAP_ALL, 0, 0, 0, BOTH(0), BOTH(3 * PG) },
	};

	run_steps(steps, ARRAY_SIZE(steps));
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_UNMAP_DMA, NULL), -EFAULT);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_UNMAP_DMA, (void *)(edge - 16)),
			 -EFAULT);
	info_avail(65535);
}

static void test_vaddr(void **state)
{
	const struct step steps[] = {
		{ "a", MAP, 32, RW, buf, 0x300000, PG, BOTH(0) },
		{ "b", MAP, 32, RW, buf + PG, 0x301000, PG, BOTH(0) },
		{ "a suspended", UNMAP, 24, UNMAP_VADDR, 0, 0x300000, PG, BOTH(0), BOTH(PG) },
		{ "a twice", UNMAP, 24, UNMAP_VADDR, 0, 0x300000, PG, BOTH(-EINVAL), BOTH(PG) },
		{ "both", UNMAP, 24, UNMAP_VADDR, 0, 0x300000, 2 * PG, BOTH(-EINVAL),
		  BOTH(2 * PG) },
		{ "nothing", UNMAP, 24, UNMAP_VADDR, 0, 0x900000, PG, BOTH(0), BOTH(0) },
		{ "wrong size", MAP, 32, MAP_VADDR, buf, 0x300000, 2 * PG, BOTH(-EINVAL) },
		{ "other va", MAP, 32, MAP_VADDR, buf + 0x8000, 0x300000, PG, BOTH(0) },
		{ "again", MAP, 32, MAP_VADDR, buf, 0x300000, PG, BOTH(-EINVAL) },
		{ "all", UNMAP, 24, UNMAP_VADDR | UNMAP_ALL, 0, 0, 0, BOTH(0), BOTH(2 * PG) },
		{ "unmap a", UNMAP, 24, 0, 0, 0x300000, PG, BOTH(0), BOTH(PG) },
		{ "b back", MAP, 32, MAP_VADDR, buf, 0x301000, PG, BOTH(0) },
		{ "c", MAP, 32, RW, buf, 0x302000, PG, BOTH(0) },
		{ "c suspended", UNMAP, 24, UNMAP_VADDR, 0, 0x302000, PG, BOTH(0), BOTH(PG) },
		/* Fails at c, and b is as it was: it can be suspended alone. */
		{ "b, c", UNMAP, 24, UNMAP_VADDR, 0, 0x301000, 2 * PG, BOTH(-EINVAL),
		  BOTH(2 * PG) },
		{ "b alone", UNMAP, 24, UNMAP_VADDR, 0, 0x301000, PG, BOTH(0), BOTH(PG) },
		{ "taken still", MAP, 32, RW, buf, 0x302000, PG, BOTH(-EEXIST) },
		{ "VADDR unaligned", MAP, 32, MAP_VADDR, buf + 1, 0x302000, PG, BOTH(-EINVAL) },
		/* Nothing is pinned, so nothing is looked at. */
		{ "c, bad va", MAP, 32, MAP_VADDR, absent, 0x302000, PG, BOTH(0) },
		{ "VADDR, DIRTY", UNMAP, 48, UNMAP_VADDR | UNMAP_DIRTY, 0, 0x302000, PG,
		  BOTH(-EINVAL), BOTH(PG) },
		{ "end", UNMAP, 24, UNMAP_ALL, 0, 0, 0, BOTH(0), BOTH(2 * PG) },
	};

	run_steps(steps, ARRAY_SIZE(steps));
}

static int get_info(u32 argsz, u8 *bytes)
{
	memset(bytes, 0xee, 8192);
	memcpy(bytes, &argsz, sizeof(argsz));
	return fake_ioctl(&m.task, container, VFIO_IOMMU_GET_INFO, bytes);
}

static void test_info(void **state)
{
	static const u32 bad[] = { 0, 4, 15 }, small[] = { 16, 17, 20, 23, 24, 25, 40, 111, 119 },
			 enough[] = { 120, 127, 128, 200, 4096, ~0U };
	static u8 bytes[8192];
	struct vfio_iommu_type1_info *info = (void *)bytes;
	struct vfio_iommu_type1_info_cap_migration *mig = (void *)(bytes + 0x18);
	struct vfio_iommu_type1_info_dma_avail *avail = (void *)(bytes + 0x38);
	struct vfio_iommu_type1_info_cap_iova_range *ranges = (void *)(bytes + 0x48);
	u32 argsz = 4096;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(get_info(bad[i], bytes), -EINVAL);
		assert_int_equal(info->flags, 0xeeeeeeee);
	}
	for (size_t i = 0; i < ARRAY_SIZE(small); i++) {
		assert_int_equal(get_info(small[i], bytes), 0);
		assert_int_equal(info->argsz, 120);
		assert_int_equal(info->flags, 3);
		assert_int_equal(info->iova_pgsizes, 0x40201000);
		/* To the byte, and nothing behind. */
		for (size_t b = 16; b < 8192; b++)
			assert_int_equal(bytes[b], b < MIN(small[i], 24) ? 0 : 0xee);
	}
	for (size_t i = 0; i < ARRAY_SIZE(enough); i++) {
		assert_int_equal(get_info(enough[i], bytes), 0);
		assert_int_equal(info->argsz, enough[i]);
		assert_int_equal(info->cap_offset, 24);
		assert_int_equal(info->pad, 0);
		assert_int_equal(bytes[120], 0xee);
	}
	assert_int_equal(mig->header.id, 2);
	assert_int_equal(mig->header.version, 1);
	assert_int_equal(mig->header.next, 0x38);
	assert_int_equal(mig->flags, 0);
	assert_int_equal(mig->pgsize_bitmap, 0x1000);
	assert_int_equal(mig->max_dirty_bitmap_size, 0x10000000);
	assert_int_equal(avail->header.id, 3);
	assert_int_equal(avail->header.version, 1);
	assert_int_equal(avail->header.next, 0x48);
	assert_int_equal(avail->avail, 65535);
	assert_int_equal(ranges->header.id, 1);
	assert_int_equal(ranges->header.version, 1);
	assert_int_equal(ranges->header.next, 0);
	assert_int_equal(ranges->nr_iovas, 2);
	assert_int_equal(ranges->reserved, 0);
	assert_int_equal(ranges->iova_ranges[0].start, 0);
	assert_int_equal(ranges->iova_ranges[0].end, 0xfedfffff);
	assert_int_equal(ranges->iova_ranges[1].start, 0xfef00000);
	assert_int_equal(ranges->iova_ranges[1].end, 0x7fffffffff);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_GET_INFO, NULL), -EFAULT);
	memcpy((void *)(edge - 24), &argsz, sizeof(argsz));
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_GET_INFO, (void *)(edge - 24)),
			 -EFAULT);
}

/* Both DIRTY_PAGES with GET_BITMAP and UNMAP_DMA with a bitmap. */
struct dirty_arg {
	u32 argsz, flags;
	u64 iova, size;
	struct vfio_bitmap bitmap;
};

static u64 bitmap[1024];

static int dirty_flag(u32 argsz, u32 flags)
{
	struct dirty_arg d = { argsz, flags };

	return fake_ioctl(&m.task, container, VFIO_IOMMU_DIRTY_PAGES, &d);
}

static int dirty_get(u32 argsz, u64 iova, u64 size, u64 pgsize, u64 bytes, void *data)
{
	struct dirty_arg d = {
		argsz, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, iova, size, { pgsize, bytes, data }
	};

	memset(bitmap, 0, sizeof(bitmap));
	return fake_ioctl(&m.task, container, VFIO_IOMMU_DIRTY_PAGES, &d);
}

static int dirty_unmap(u32 argsz, u64 iova, u64 *size, u64 pgsize, u64 bytes, void *data)
{
	struct dirty_arg d = { argsz, UNMAP_DIRTY, iova, *size, { pgsize, bytes, data } };
	int ret;

	memset(bitmap, 0, sizeof(bitmap));
	ret = fake_ioctl(&m.task, container, VFIO_IOMMU_UNMAP_DMA, &d);
	*size = d.size;
	return ret;
}

#define START VFIO_IOMMU_DIRTY_PAGES_FLAG_START
#define STOP VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP
#define GET_SIZE sizeof(struct dirty_arg)

static void test_dirty_flags(void **state)
{
	u64 size = 4 * PG;

	assert_int_equal(map_as(&m.task, 32, R, buf, 0x120000, 4 * PG), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_DIRTY_PAGES, NULL), -EFAULT);
	assert_int_equal(dirty_flag(0, START), -EINVAL);
	assert_int_equal(dirty_flag(7, START), -EINVAL);
	assert_int_equal(dirty_flag(8, 0), -EINVAL);
	assert_int_equal(dirty_flag(8, 8), -EINVAL);
	assert_int_equal(dirty_flag(8, START | STOP), -EINVAL);
	assert_int_equal(dirty_get(GET_SIZE, 0x120000, 4 * PG, PG, 8, bitmap), -EINVAL);
	assert_int_equal(dirty_unmap(48, 0x120000, &size, PG, 8, bitmap), -EINVAL);
	assert_int_equal(size, 4 * PG);
	assert_int_equal(dirty_flag(8, STOP), 0);
	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(dirty_flag(8, STOP), 0);
	assert_int_equal(dirty_flag(8, STOP), 0);
	assert_int_equal(dirty_get(GET_SIZE, 0x120000, 4 * PG, PG, 8, bitmap), -EINVAL);
}

static void assert_dirty(u64 iova, u64 size, u64 word0, u64 word1)
{
	assert_int_equal(dirty_get(GET_SIZE, iova, size, PG, 1024, bitmap), 0);
	assert_int_equal(bitmap[0], word0);
	assert_int_equal(bitmap[1], word1);
}

static void test_dirty_get(void **state)
{
	void *const kernel = (void *)0xffff888000000000;
	const struct {
		u32 argsz;
		u64 iova, size, pgsize, bytes;
		void *data;
		int ret;
	} wrong[] = {
		{ 8, 0x100000, 16 * PG, PG, 8, bitmap, -EINVAL },
		{ 47, 0x100000, 16 * PG, PG, 8, bitmap, -EINVAL },
		{ 48, 0x101000, 15 * PG, PG, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 8 * PG, PG, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 0, PG, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 0x1800, PG, 8, bitmap, -EINVAL },
		{ 48, 0x100800, PG, PG, 8, bitmap, -EINVAL },
		{ 48, ~0xfffULL, 2 * PG, PG, 8, bitmap, -EOVERFLOW },
		{ 48, 0x100000, 16 * PG, 2 * PG, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, 0x800, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, 0x3000, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, 0, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, PG, 0, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, PG, 4, bitmap, -EINVAL },
		{ 48, 0x100000, 65 * PG, PG, 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, PG, (1 << 28) + 8, bitmap, -EINVAL },
		{ 48, 0x100000, 16 * PG, PG, 8, NULL, -EFAULT },
		{ 48, 0x100000, 16 * PG, PG, 8, kernel, -EINVAL },
		{ 48, 0x100000, 16 * PG, PG, ~0ULL, bitmap, -EINVAL },
	};

	assert_int_equal(map(buf, 0x100000, 16 * PG), 0);
	assert_int_equal(map_as(&m.task, 32, R, buf, 0x120000, 4 * PG), 0);
	assert_int_equal(dirty_flag(8, START), 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int ret = dirty_get(wrong[i].argsz, wrong[i].iova, wrong[i].size, wrong[i].pgsize,
				    wrong[i].bytes, wrong[i].data);

		if (ret != wrong[i].ret)
			fail_msg("case %zu: %d", i, ret);
		assert_int_equal(bitmap[0], 0);
	}
	assert_dirty(0x100000, 16 * PG, 0xffff, 0);
	assert_dirty(0x100000, 16 * PG, 0xffff, 0);
	assert_dirty(0x120000, 4 * PG, 0xf, 0);
	assert_dirty(0x100000, 0x24000, 0xf0000ffff, 0);
	assert_dirty(0x900000, PG, 0, 0);
	assert_int_equal(dirty_get(GET_SIZE, 0x100000, 16 * PG, PG, 4096, bitmap), 0);
	assert_int_equal(map(buf, 0x140000, 2 * PG), 0);
	assert_dirty(0x140000, 2 * PG, 3, 0);
	/* A word shared by two mappings, one that crosses into the next word, and more than one
	 * buffer's worth of bits. */
	assert_int_equal(map(buf, 0x10000000, BUF_SIZE), 0);
	assert_int_equal(map(buf, 0x10000000 - 2 * PG, PG), 0);
	assert_int_equal(dirty_get(GET_SIZE, 0x10000000 - 3 * PG, BUF_SIZE + 3 * PG, PG,
				   sizeof(bitmap), bitmap),
			 0);
	assert_int_equal(bitmap[0], ~5ULL);
	for (size_t i = 1; i < 64; i++)
		assert_int_equal(bitmap[i], ~0ULL);
	assert_int_equal(bitmap[64], 7);
	assert_int_equal(bitmap[65], 0);
}

static void test_dirty_get_large(void **state)
{
	u64 size = 512 * 64 * PG + 5 * PG;
	u64 va = area(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(map(va, 0x10000000, size), 0);
	assert_int_equal(dirty_get(GET_SIZE, 0x10000000 - 62 * PG, size + 62 * PG, PG,
				   sizeof(bitmap), bitmap),
			 0);
	assert_int_equal(bitmap[0], 3ULL << 62);
	for (size_t i = 1; i < 513; i++)
		assert_int_equal(bitmap[i], ~0ULL);
	assert_int_equal(bitmap[513], 7);
	assert_int_equal(bitmap[514], 0);
	assert_int_equal(unmap_all(), size);
	unmap_at(va, size);
}

static void test_dirty_unmap(void **state)
{
	u64 size = 2 * PG;

	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(map(buf, 0x140000, 2 * PG), 0);
	assert_int_equal(dirty_unmap(47, 0x140000, &size, PG, 8, bitmap), -EINVAL);
	assert_int_equal(dirty_unmap(48, 0x140000, &size, PG, 0, bitmap), -EINVAL);
	assert_int_equal(dirty_unmap(48, 0x140000, &size, 2 * PG, 8, bitmap), -EINVAL);
	assert_int_equal(size, 2 * PG);
	/* What could not be reported is not unmapped. */
	assert_int_equal(dirty_unmap(48, 0x140000, &size, PG, 8, NULL), -EFAULT);
	assert_int_equal(map(buf, 0x140000, 2 * PG), -EEXIST);
	assert_int_equal(dirty_unmap(48, 0x140000, &size, PG, 8, bitmap), 0);
	assert_int_equal(size, 2 * PG);
	assert_int_equal(bitmap[0], 3);
	assert_int_equal(dirty_unmap(48, 0x140000, &size, PG, 8, bitmap), 0);
	assert_int_equal(size, 0);
	assert_int_equal(bitmap[0], 0);
	assert_int_equal(map(buf, 0x100000, 16 * PG), 0);
	assert_int_equal(map(buf, 0x120000, 4 * PG), 0);
	size = 0x24000;
	assert_int_equal(dirty_unmap(48, 0x100000, &size, PG, 8, bitmap), 0);
	assert_int_equal(size, 20 * PG);
	assert_int_equal(bitmap[0], 0xf0000ffff);
	info_avail(65535);
}

static void test_dirty_v1(void **state)
{
	u64 size = 4 * PG;

	assert_int_equal(map(buf, 0x120000, 4 * PG), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_DIRTY_PAGES, NULL), -EACCES);
	assert_int_equal(dirty_flag(8, START), -EACCES);
	assert_int_equal(dirty_flag(8, STOP), -EACCES);
	assert_int_equal(dirty_get(GET_SIZE, 0x120000, 4 * PG, PG, 8, bitmap), -EACCES);
	assert_int_equal(dirty_unmap(48, 0x120000, &size, PG, 8, bitmap), -EINVAL);
	assert_int_equal(size, 4 * PG);
}

static u64 locked(struct fake_task *t)
{
	return t->mm->mm.locked_pages;
}

static void test_memlock_capable(void **state)
{
	m.task.memlock = 16 * PG;
	assert_int_equal(map(buf, 0x100000, 16 * PG), 0);
	assert_int_equal(locked(&m.task), 16);
	assert_int_equal(map(buf + 16 * PG, 0x200000, PG), 0);
	assert_int_equal(locked(&m.task), 17);
	/* Each mapping counts, also of the same page. */
	assert_int_equal(map(buf, 0x201000, PG), 0);
	assert_int_equal(map_as(&m.task, 32, R, ro, 0x202000, PG), 0);
	assert_int_equal(locked(&m.task), 19);
	assert_int_equal(unmap(0x100000, 16 * PG), 16 * PG);
	assert_int_equal(locked(&m.task), 3);
	m.task.memlock = 0;
	assert_int_equal(map(buf, 0x500000, PG), 0);
	assert_int_equal(m.task.memlock_exceeded, 0);
	assert_int_equal(unmap_all(), 4 * PG);
	assert_int_equal(locked(&m.task), 0);
}

static void test_memlock(void **state)
{
	m.task.memlock = 16 * PG + 5; /* whole pages count */
	m.task.ipc_lock = false;
	assert_int_equal(map(buf, 0x100000, 16 * PG), 0);
	assert_int_equal(locked(&m.task), 16);
	assert_int_equal(map(buf + 16 * PG, 0x200000, PG), -ENOMEM);
	assert_int_equal(m.task.memlock_exceeded, 1);
	assert_int_equal(locked(&m.task), 16);
	assert_int_equal(map(buf, 0x201000, PG), -ENOMEM);
	assert_int_equal(unmap(0x100000, 16 * PG), 16 * PG);
	assert_int_equal(locked(&m.task), 0);
	assert_int_equal(map(buf, 0x300000, PG), 0);
	assert_int_equal(map(buf, 0x400000, 32 * PG), -ENOMEM);
	assert_int_equal(map(buf, 0x400000, 15 * PG), 0);
	m.task.memlock = 0;
	assert_int_equal(map(buf, 0x500000, PG), -ENOMEM);
	/* Every other check comes first. */
	assert_int_equal(map(buf, 0x400000, PG), -EEXIST);
	assert_int_equal(map(buf, 0xfee00000, PG), -EINVAL);
	assert_int_equal(map(none, 0x500000, PG), -EFAULT);
	/* But pages before the first bad one are charged before it is seen. */
	assert_int_equal(map(hole, 0x500000, 4 * PG), -ENOMEM);
	m.task.memlock = 18 * PG;
	assert_int_equal(map(hole, 0x500000, 4 * PG), -EFAULT);
	assert_int_equal(locked(&m.task), 16);
	assert_int_equal(unmap(0x300000, PG), PG);
	assert_int_equal(unmap_all(), 15 * PG);
	assert_int_equal(locked(&m.task), 0);
}

/* Two processes that use one container are charged each for his own. */
static void test_memlock_processes(void **state)
{
	struct fake_task child;

	fake_task_init(&child, &m.files);
	child.ipc_lock = false;
	child.memlock = 4 * PG;
	assert_int_equal(map_as(&child, 32, RW, buf, 0x100000, 4 * PG), 0);
	assert_int_equal(map_as(&child, 32, RW, buf, 0x200000, PG), -ENOMEM);
	assert_int_equal(map(buf, 0x200000, 8 * PG), 0);
	assert_int_equal(locked(&child), 4);
	assert_int_equal(locked(&m.task), 8);
	/* The child is gone, its mapping is not. */
	fake_task_fini(&child);
	assert_int_equal(map(buf, 0x100000, PG), -EEXIST);
	assert_int_equal(unmap_all(), 12 * PG);
	assert_int_equal(locked(&m.task), 0);
}

/* VADDR moves the charge to whoever resumes. */
static void test_memlock_exec(void **state)
{
	struct iommu_mm *old = iommu_mm_get(&m.task.mm->mm);
	u64 size = 4 * PG;

	assert_int_equal(map(buf, 0x100000, 4 * PG), 0);
	assert_int_equal(unmap_flags(24, UNMAP_VADDR, 0x100000, &size), 0);
	fake_task_exec(&m.task);
	m.task.ipc_lock = false;
	m.task.memlock = 3 * PG;
	assert_int_equal(old->locked_pages, 4);
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, buf, 0x100000, 4 * PG), -ENOMEM);
	assert_int_equal(old->locked_pages, 4);
	assert_int_equal(locked(&m.task), 0);
	m.task.memlock = 4 * PG;
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, buf + PG, 0x100000, 4 * PG), 0);
	assert_int_equal(old->locked_pages, 0);
	assert_int_equal(locked(&m.task), 4);
	assert_int_equal(old->refs, 1);
	iommu_mm_put(old);
	assert_int_equal(unmap_all(), 4 * PG);
	assert_int_equal(locked(&m.task), 0);
}

static void test_memlock_device_memory(void **state)
{
	m.task.ipc_lock = false;
	m.task.memlock = PG;
	fake_task_share(&m.task, (void *)shm, 16 * PG, memfd, true);
	assert_int_equal(map(shm, 0x100000, 16 * PG), 0);
	assert_int_equal(locked(&m.task), 0);
	assert_int_equal(map(buf, 0x200000, PG), 0);
	assert_int_equal(locked(&m.task), 1);
	assert_int_equal(unmap_all(), 17 * PG);
	assert_int_equal(locked(&m.task), 0);
}

static void test_entry_limit(void **state)
{
	for (u64 i = 0; i < 65535; i++)
		assert_int_equal(map(buf, 0x10000000 + i * PG, PG), 0);
	assert_int_equal(map(buf, 0x8000000, PG), -ENOSPC);
	info_avail(0);
	assert_int_equal(map(buf, 0x10000000, PG), -EEXIST);
	/* Before the validity of the address. */
	assert_int_equal(map(buf, 0xfee00000, PG), -ENOSPC);
	assert_int_equal(unmap(0x10000000, PG), PG);
	assert_int_equal(map(buf, 0x8000000, PG), 0);
	assert_int_equal(unmap_all(), 0xffff000);
	info_avail(65535);
}

static void test_extensions(void **state)
{
	for (u64 e = 0; e <= 40; e++) {
		void *arg = (void *)(uintptr_t)e;
		bool has = e == 1 || e == 3 || e == 9 || e == 10;

		m.units[0]->enforce_coherency = false;
		assert_int_equal(fake_ioctl(&m.task, container, VFIO_CHECK_EXTENSION, arg), has);
		m.units[0]->enforce_coherency = true;
		assert_int_equal(fake_ioctl(&m.task, container, VFIO_CHECK_EXTENSION, arg),
				 has || e == VFIO_DMA_CC_IOMMU);
	}
	assert_int_equal(
		fake_ioctl(&m.task, container, VFIO_CHECK_EXTENSION, (void *)0x100000001ULL), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_CHECK_EXTENSION, (void *)~0ULL), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_ENABLE, NULL), -ENOTTY);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_DISABLE, NULL), -ENOTTY);
	assert_int_equal(fake_ioctl(&m.task, container, _IO(';', 0xd0), NULL), -ENOTTY);
	assert_int_equal(fake_ioctl(&m.task, container, 0x5413, NULL), -ENOTTY);
}

static int dma_read(u64 iova, void *dst, size_t len)
{
	return iommu_dma_read(&m.devices[0]->ep, iova, dst, len);
}

static void test_dma(void **state)
{
	u8 *page = (void *)buf, got[16], put[16] = "written by DMA";
	u64 size = PG;

	rcu_thread_start();
	memcpy(page, "program", 8);
	assert_int_equal(dma_read(0x100000, got, 8), -EFAULT);
	assert_int_equal(map(buf, 0x100000, PG), 0);
	assert_int_equal(map_as(&m.task, 32, R, buf, 0x102000, PG), 0);
	assert_int_equal(dma_read(0x100000, got, 8), 0);
	assert_string_equal((char *)got, "program");
	assert_int_equal(iommu_dma_write(&m.devices[0]->ep, 0x102010, put, 16), -EFAULT);
	assert_int_equal(iommu_dma_write(&m.devices[0]->ep, 0x100010, put, 16), 0);
	assert_memory_equal(page + 16, put, 16);
	/* Suspended is not stopped. */
	assert_int_equal(unmap_flags(24, UNMAP_VADDR, 0x100000, &size), 0);
	assert_int_equal(dma_read(0x100010, got, 16), 0);
	assert_memory_equal(got, put, 16);
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, buf, 0x100000, PG), 0);
	assert_int_equal(dma_read(0x100010, got, 16), 0);
	assert_int_equal(unmap(0x100000, PG), PG);
	assert_int_equal(dma_read(0x100010, got, 16), -EFAULT);
	memset(page, 0xa5, PG);
	rcu_thread_stop();
}

static void assert_dma(u64 iova, const char *text)
{
	char got[8] = "";

	assert_int_equal(dma_read(iova, got, sizeof(got)), 0);
	assert_string_equal(got, text);
}

static void resume(u64 va, u64 iova, u64 size)
{
	u64 suspended = size;

	assert_int_equal(unmap_flags(24, UNMAP_VADDR, iova, &suspended), 0);
	assert_int_equal(suspended, size);
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, va, iova, size), 0);
}

/* What is pinned stays behind the mapping, wherever the program says that it sees it now. */
static void test_dma_vaddr(void **state)
{
	const int rw = PROT_READ | PROT_WRITE;
	u64 mixed = area(3 * PG, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1), size = PG;

	rcu_thread_start();
	assert_ptr_not_equal(mmap((void *)(mixed + PG), PG, rw, MAP_SHARED | MAP_FIXED, memfd, 0),
			     MAP_FAILED);
	fake_task_share(&m.task, (void *)(mixed + PG), PG, memfd, false);
	strcpy((char *)mixed, "private");
	strcpy((char *)(mixed + PG), "shared!");
	strcpy((char *)(buf + PG), "other 0");
	strcpy((char *)(buf + 2 * PG), "other 1");
	strcpy((char *)(buf + 3 * PG), "other 2");
	assert_int_equal(map(mixed, 0x100000, 3 * PG), 0);
	resume(buf, 0x100000, 3 * PG);
	resume(buf + PG, 0x100000, 3 * PG);
	assert_dma(0x100000, "private");
	assert_dma(0x101000, "shared!");
	/* Private memory is gone from its old address: it is at the new one. */
	unmap_at(mixed, 3 * PG);
	resume(buf + PG, 0x100000, 3 * PG);
	assert_dma(0x100000, "other 0");
	assert_dma(0x101000, "shared!");
	assert_dma(0x102000, "other 2");
	assert_int_equal(locked(&m.task), 3);
	/* And in another address space. */
	unmap_all();
	assert_int_equal(map(buf + PG, 0x100000, PG), 0);
	assert_int_equal(unmap_flags(24, UNMAP_VADDR, 0x100000, &size), 0);
	fake_task_exec(&m.task);
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, buf + 3 * PG, 0x100000, PG), 0);
	assert_dma(0x100000, "other 2");
	memset((void *)buf, 0xa5, 5 * PG);
	rcu_thread_stop();
}

/* The flag of dirty tracking belongs to the container's IOMMU, and goes with it. */
static void test_dirty_reset(void **state)
{
	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(fake_ioctl(&m.task, group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0);
	assert_int_equal(fake_ioctl(&m.task, group, VFIO_GROUP_SET_CONTAINER, &container), 0);
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_SET_IOMMU,
				    (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU),
			 0);
	assert_int_equal(map(buf, 0x100000, PG), 0);
	assert_int_equal(dirty_get(GET_SIZE, 0x100000, PG, PG, 8, bitmap), -EINVAL);
}

/* Bits that no mapping in the range stands for are the program's, but for those that share a word
 * with the end of one; an unmap stops where the bitmap cannot be written. */
static void test_dirty_words(void **state)
{
	struct dirty_arg d = { 48,
			       VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
			       0x1000000 - 62 * PG,
			       134 * PG,
			       { PG, 64, (void *)bitmap } };
	u64 size = 65 * PG;

	assert_int_equal(dirty_flag(8, START), 0);
	assert_int_equal(map(buf, 0x1000000, 70 * PG), 0);
	assert_int_equal(map(buf, 0x1000000 + 71 * PG, PG), 0);
	memset(bitmap, 0xff, sizeof(bitmap));
	assert_int_equal(fake_ioctl(&m.task, container, VFIO_IOMMU_DIRTY_PAGES, &d), 0);
	assert_int_equal(bitmap[0], ~0ULL);
	assert_int_equal(bitmap[1], ~0ULL);
	assert_int_equal(bitmap[2], 0x2f);
	assert_int_equal(bitmap[3], ~0ULL);
	assert_dirty(0x1000000, 72 * PG, ~0ULL, 0xbf);
	unmap_all();
	assert_int_equal(map(buf, 0x1000000, PG), 0);
	assert_int_equal(map(buf, 0x1000000 + 64 * PG, PG), 0);
	assert_int_equal(dirty_unmap(48, 0x1000000, &size, PG, 64, (void *)(edge - 8)), -EFAULT);
	assert_int_equal(map(buf, 0x1000000, PG), 0);
	assert_int_equal(map(buf, 0x1000000 + 64 * PG, PG), -EEXIST);
}

/* The hot path: one copy of the argument each way, one look at the memory. */
static void test_copies(void **state)
{
	m.task.copies_in = m.task.copies_out = m.task.mm->lookups = 0;
	assert_int_equal(map(buf, 0x100000, PG), 0);
	assert_int_equal(m.task.copies_in, 1);
	assert_int_equal(m.task.copies_out, 0);
	assert_int_equal(m.task.mm->lookups, 1);
	assert_int_equal(unmap(0x100000, PG), PG);
	assert_int_equal(m.task.copies_in, 2);
	assert_int_equal(m.task.copies_out, 1);
}

/* The address space of a caller that is ending. */
static void test_no_mm(void **state)
{
	u64 size = PG;

	assert_int_equal(map(buf, 0x100000, PG), 0);
	assert_int_equal(unmap_flags(24, UNMAP_VADDR, 0x100000, &size), 0);
	fake_task_fini(&m.task);
	assert_int_equal(map(buf, 0x200000, PG), -ENODEV);
	assert_int_equal(map_as(&m.task, 32, MAP_VADDR, buf, 0x100000, PG), -ENODEV);
	assert_int_equal(unmap_all(), PG);
}

#define V1(test) cmocka_unit_test_setup_teardown(test, setup_v1, teardown)
#define V2(test) cmocka_unit_test_setup_teardown(test, setup_v2, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		V1(test_map),
		V2(test_map),
		V1(test_unmap),
		V2(test_unmap),
		V1(test_vaddr),
		V2(test_vaddr),
		V1(test_info),
		V2(test_info),
		V2(test_dirty_flags),
		V2(test_dirty_get),
		V2(test_dirty_get_large),
		V2(test_dirty_unmap),
		V1(test_dirty_v1),
		V2(test_memlock_capable),
		V2(test_memlock),
		V2(test_memlock_processes),
		V2(test_memlock_exec),
		V2(test_memlock_device_memory),
		V2(test_entry_limit),
		V1(test_extensions),
		V2(test_extensions),
		V2(test_dma),
		V2(test_dma_vaddr),
		V2(test_dirty_reset),
		V2(test_dirty_words),
		V2(test_copies),
		V2(test_no_mm),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
