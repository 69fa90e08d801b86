/* SPDX-License-Identifier: BSD-3-Clause */
/* The type1 backends: information, mapping, unmapping, dirty pages, limits. */
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "harness.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define MSI_WINDOW 0xfee00000UL
#define NEVER_MAPPED ((void *)0x1000)

static struct vfio v;

static void *open_with_memory(size_t size)
{
	vfio_open_iommu(&v);
	return test_memory(size);
}

static const struct vfio_info_cap_header *info_cap(const struct vfio_iommu_type1_info *info, u16 id)
{
	const struct vfio_info_cap_header *cap;

	for (u32 at = info->cap_offset; at; at = cap->next) {
		CHECK(at + sizeof(*cap) <= info->argsz);
		cap = (const void *)((const char *)info + at);
		if (cap->id == id)
			return cap;
	}
	test_failed(__FILE__, __LINE__, "no capability %u", id);
}

static struct vfio_iommu_type1_info *get_info(void)
{
	static union {
		struct vfio_iommu_type1_info info;
		char space[4096];
	} u;

	memset(&u, 0, sizeof(u));
	u.info.argsz = sizeof(u);
	OK(ioctl(v.container, VFIO_IOMMU_GET_INFO, &u.info));
	return &u.info;
}

static u32 mappings_left(void)
{
	const struct vfio_iommu_type1_info_dma_avail *cap =
		(const void *)info_cap(get_info(), VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);

	return cap->avail;
}

TEST(info)
{
	struct vfio_iommu_type1_info info;

	COVERS(VFIO_IOMMU_GET_INFO, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_INFO_CAPS);
	vfio_open_iommu(&v);
	for (u32 argsz = 0; argsz < 16; argsz++) {
		info.argsz = argsz;
		FAILS(ioctl(v.container, VFIO_IOMMU_GET_INFO, &info), EINVAL);
	}
	memset(&info, 0xee, sizeof(info));
	info.argsz = 17;
	OK(ioctl(v.container, VFIO_IOMMU_GET_INFO, &info));
	CHECK_EQ(info.flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
	CHECK_EQ(info.iova_pgsizes & (PAGE | (PAGE - 1)), PAGE);
	CHECK(info.argsz > sizeof(info));
	CHECK_EQ(info.cap_offset, 0xeeeeee00);
	info.argsz = sizeof(info);
	OK(ioctl(v.container, VFIO_IOMMU_GET_INFO, &info));
	CHECK_EQ(info.cap_offset, 0);
	FAILS(ioctl(v.container, VFIO_IOMMU_GET_INFO, NULL), EFAULT);
}

TEST(info_iova_ranges)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	void *memory = open_with_memory(2 * PAGE);
	u64 last;

	COVERS(VFIO_IOMMU_GET_INFO, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	ranges = (const void *)info_cap(get_info(), VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	CHECK_EQ(ranges->header.version, 1);
	CHECK_EQ(ranges->nr_iovas, 2);
	CHECK_EQ(ranges->iova_ranges[0].start, 0);
	CHECK_EQ(ranges->iova_ranges[0].end, MSI_WINDOW - 1);
	CHECK_EQ(ranges->iova_ranges[1].start, MSI_WINDOW + 0x100000);
	last = ranges->iova_ranges[1].end;
	OK(vfio_map(v.container, memory, last + 1 - PAGE, PAGE));
	FAILS(vfio_map(v.container, memory, last + 1, PAGE), EINVAL);
	FAILS(vfio_map(v.container, memory, MSI_WINDOW, PAGE), EINVAL);
	FAILS(vfio_map(v.container, memory, MSI_WINDOW - PAGE, 2 * PAGE), EINVAL);
	OK(vfio_map(v.container, memory, MSI_WINDOW - PAGE, PAGE));
}

TEST(info_migration)
{
	const struct vfio_iommu_type1_info_cap_migration *migration;

	COVERS(VFIO_IOMMU_GET_INFO, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	vfio_open_iommu(&v);
	migration = (const void *)info_cap(get_info(), VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION);
	CHECK_EQ(migration->pgsize_bitmap, PAGE);
	CHECK_EQ(migration->max_dirty_bitmap_size, 256 << 20);
}

TEST(info_dma_avail)
{
	void *memory = open_with_memory(PAGE);

	COVERS(VFIO_IOMMU_GET_INFO, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	CHECK_EQ(mappings_left(), 65535);
	OK(vfio_map(v.container, memory, 0, PAGE));
	CHECK_EQ(mappings_left(), 65534);
	OK(vfio_unmap(v.container, 0, PAGE));
	CHECK_EQ(mappings_left(), 65535);
}

TEST(map_flags)
{
	char *memory = open_with_memory(PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, 0), EINVAL);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, RW | 1 << 3), EINVAL);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, RW | 1U << 31), EINVAL);
	OK(vfio_map_flags(v.container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_READ));
	OK(vfio_map_flags(v.container, memory, PAGE, PAGE, VFIO_DMA_MAP_FLAG_WRITE));
	OK(vfio_map_flags(v.container, memory, 2 * PAGE, PAGE, RW));
}

TEST(map_sizes)
{
	struct vfio_iommu_type1_dma_map map = { .flags = RW, .size = PAGE };
	char *memory = open_with_memory(4 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA);
	map.vaddr = (uintptr_t)memory;
	for (map.argsz = 0; map.argsz < sizeof(map); map.argsz++)
		FAILS(ioctl(v.container, VFIO_IOMMU_MAP_DMA, &map), EINVAL);
	FAILS(ioctl(v.container, VFIO_IOMMU_MAP_DMA, NULL), EFAULT);
	FAILS(ioctl(v.container, VFIO_IOMMU_MAP_DMA, NEVER_MAPPED), EFAULT);
	FAILS(vfio_map(v.container, memory, 0, 0), EINVAL);
	FAILS(vfio_map(v.container, memory, 0, 1), EINVAL);
	FAILS(vfio_map(v.container, memory, 0, PAGE + 1), EINVAL);
	FAILS(vfio_map(v.container, memory, 0x800, PAGE), EINVAL);
	FAILS(vfio_map(v.container, memory + 0x800, 0, PAGE), EINVAL);
	FAILS(vfio_map(v.container, memory, -PAGE, 2 * PAGE), EOVERFLOW);
	FAILS(vfio_map(v.container, memory, -PAGE, PAGE), EINVAL);
	FAILS(vfio_map(v.container, memory, 0, -PAGE), EOVERFLOW);
	FAILS(vfio_map(v.container, (void *)-PAGE, 0, 2 * PAGE), EOVERFLOW);
	map.argsz = sizeof(map) + 1;
	OK(ioctl(v.container, VFIO_IOMMU_MAP_DMA, &map));
}

TEST(map_bad_memory)
{
	char *memory = open_with_memory(4 * PAGE);
	void *readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE);
	OK(munmap(memory + 2 * PAGE, PAGE));
	FAILS(vfio_map(v.container, memory, 0, 4 * PAGE), EFAULT);
	FAILS(vfio_map(v.container, memory + 2 * PAGE, 0, PAGE), EFAULT);
	FAILS(vfio_map(v.container, NULL, 0, PAGE), EFAULT);
	FAILS(vfio_map(v.container, (void *)0x8000000000000000, 0, PAGE), EFAULT);
	OK(mprotect(memory, PAGE, PROT_NONE));
	FAILS(vfio_map(v.container, memory, 0, PAGE), EFAULT);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_READ), EFAULT);
	FAILS(vfio_map(v.container, readonly, 0, PAGE), EFAULT);
	OK(vfio_map_flags(v.container, readonly, 0, PAGE, VFIO_DMA_MAP_FLAG_READ));
	OK(vfio_map(v.container, memory + PAGE, PAGE, PAGE));
}

TEST(map_overlap)
{
	char *memory = open_with_memory(16 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA);
	OK(vfio_map(v.container, memory, 4 * PAGE, 4 * PAGE));
	FAILS(vfio_map(v.container, memory, 4 * PAGE, 4 * PAGE), EEXIST);
	FAILS(vfio_map(v.container, memory, 3 * PAGE, 2 * PAGE), EEXIST);
	FAILS(vfio_map(v.container, memory, 7 * PAGE, 2 * PAGE), EEXIST);
	FAILS(vfio_map(v.container, memory, 5 * PAGE, PAGE), EEXIST);
	FAILS(vfio_map(v.container, memory, 0, 16 * PAGE), EEXIST);
	FAILS(vfio_map(v.container, NULL, 5 * PAGE, PAGE), EEXIST);
	OK(vfio_map(v.container, memory, 3 * PAGE, PAGE));
	OK(vfio_map(v.container, memory, 8 * PAGE, PAGE));
}

TEST(unmap_arguments)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .size = PAGE };
	u64 size = PAGE;

	COVERS(VFIO_IOMMU_UNMAP_DMA);
	vfio_open_iommu(&v);
	for (unmap.argsz = 0; unmap.argsz < sizeof(unmap); unmap.argsz++)
		FAILS(ioctl(v.container, VFIO_IOMMU_UNMAP_DMA, &unmap), EINVAL);
	FAILS(ioctl(v.container, VFIO_IOMMU_UNMAP_DMA, NULL), EFAULT);
	FAILS(vfio_unmap_flags(v.container, 0, &size, 1 << 3), EINVAL);
	FAILS(vfio_unmap_flags(v.container, 0, &size, 1U << 31), EINVAL);
	FAILS(vfio_unmap(v.container, 0, 0), EINVAL);
	FAILS(vfio_unmap(v.container, 0, 0x800), EINVAL);
	FAILS(vfio_unmap(v.container, 0x800, PAGE), EINVAL);
	FAILS(vfio_unmap(v.container, -PAGE, 2 * PAGE), EOVERFLOW);
	size = PAGE;
	OK(vfio_unmap_flags(v.container, -PAGE, &size, 0));
	CHECK_EQ(size, 0);
}

TEST(unmap_whole)
{
	char *memory = open_with_memory(16 * PAGE);
	u64 size = 16 * PAGE;

	COVERS(VFIO_IOMMU_UNMAP_DMA);
	OK(vfio_map(v.container, memory, PAGE, PAGE));
	OK(vfio_map(v.container, memory, 4 * PAGE, 3 * PAGE));
	OK(vfio_unmap_flags(v.container, 0, &size, 0));
	CHECK_EQ(size, 4 * PAGE);
	size = 16 * PAGE;
	OK(vfio_unmap_flags(v.container, 0, &size, 0));
	CHECK_EQ(size, 0);
}

/* v1 unmaps the whole of what the range begins in and nothing of what it only ends in; v2 refuses
 * both. */
TEST(unmap_part)
{
	static const struct {
		u64 iova, size, v1_unmapped;
	} part[] = {
		{ 8 * PAGE, PAGE, 4 * PAGE },	  { 11 * PAGE, PAGE, 0 },     { 9 * PAGE, PAGE, 0 },
		{ 6 * PAGE, 4 * PAGE, 4 * PAGE }, { 10 * PAGE, 4 * PAGE, 0 },
	};
	char *memory = open_with_memory(4 * PAGE);

	COVERS(VFIO_IOMMU_UNMAP_DMA, VFIO_TYPE1v2_IOMMU);
	for (size_t i = 0; i < sizeof(part) / sizeof(*part); i++) {
		u64 size = part[i].size;

		OK(vfio_map(v.container, memory, 8 * PAGE, 4 * PAGE));
		if (is_v2()) {
			FAILS(vfio_unmap_flags(v.container, part[i].iova, &size, 0), EINVAL);
			CHECK_EQ(size, part[i].size);
		} else {
			OK(vfio_unmap_flags(v.container, part[i].iova, &size, 0));
			CHECK_EQ(size, part[i].v1_unmapped);
		}
		if (size == 4 * PAGE && !is_v2())
			OK(vfio_map(v.container, memory, 8 * PAGE, 4 * PAGE));
		OK(vfio_unmap(v.container, 8 * PAGE, 4 * PAGE));
	}
}

TEST(unmap_all)
{
	char *memory = open_with_memory(PAGE);
	u64 size = 0;

	COVERS(VFIO_IOMMU_UNMAP_DMA, VFIO_DMA_UNMAP_FLAG_ALL);
	OK(vfio_map(v.container, memory, PAGE, PAGE));
	OK(vfio_map(v.container, memory, 1UL << 38, PAGE));
	FAILS(vfio_unmap_flags(v.container, PAGE, &size, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL);
	size = PAGE;
	FAILS(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL);
	size = 0;
	FAILS(vfio_unmap_flags(v.container, 0, &size,
			       VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP),
	      EINVAL);
	OK(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	CHECK_EQ(size, 2 * PAGE);
	size = 0;
	OK(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	CHECK_EQ(size, 0);
}

TEST(vaddr)
{
	char *memory = open_with_memory(4 * PAGE);
	u64 size = PAGE;

	COVERS(VFIO_IOMMU_UNMAP_DMA, VFIO_DMA_UNMAP_FLAG_VADDR, VFIO_IOMMU_MAP_DMA,
	       VFIO_DMA_MAP_FLAG_VADDR, VFIO_DMA_UNMAP_FLAG_ALL);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_VADDR), ENOENT);
	OK(vfio_map(v.container, memory, 0, PAGE));
	OK(vfio_map(v.container, memory + PAGE, PAGE, PAGE));
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	FAILS(vfio_map_flags(v.container, memory, 0, PAGE, RW | VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	OK(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_VADDR));
	CHECK_EQ(size, PAGE);
	FAILS(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_VADDR), EINVAL);
	FAILS(vfio_map_flags(v.container, memory, 0, 2 * PAGE, VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	OK(vfio_map_flags(v.container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_VADDR));
	size = 0;
	OK(vfio_unmap_flags(v.container, 0, &size,
			    VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL));
	CHECK_EQ(size, 2 * PAGE);
	OK(vfio_map_flags(v.container, memory + 2 * PAGE, 0, PAGE, VFIO_DMA_MAP_FLAG_VADDR));
	OK(vfio_unmap(v.container, PAGE, PAGE));
}

static int dirty_pages(u32 flags)
{
	struct vfio_iommu_type1_dirty_bitmap dirty = { .argsz = sizeof(dirty), .flags = flags };

	return ioctl(v.container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
}

static int dirty_bitmap(u64 iova, u64 size, u64 *bits)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {
		.dirty = { .argsz = sizeof(arg), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		.get = { .iova = iova,
			 .size = size,
			 .bitmap = { .pgsize = PAGE,
				     .size = sizeof(*bits),
				     .data = (void *)bits } },
	};

	*bits = 0;
	return ioctl(v.container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

TEST(dirty_pages_v1)
{
	COVERS(VFIO_IOMMU_DIRTY_PAGES);
	if (is_v2())
		test_skip("v1 only");
	vfio_open_iommu(&v);
	FAILS(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_START), EACCES);
	FAILS(ioctl(v.container, VFIO_IOMMU_DIRTY_PAGES, NULL), EACCES);
}

TEST(dirty_pages)
{
	char *memory = open_with_memory(16 * PAGE);
	u64 bits;

	COVERS(VFIO_IOMMU_DIRTY_PAGES, VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
	       VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	if (!is_v2())
		test_skip("v2 only");
	OK(vfio_map(v.container, memory, 0, 8 * PAGE));
	OK(vfio_map_flags(v.container, memory, 16 * PAGE, PAGE, VFIO_DMA_MAP_FLAG_READ));
	FAILS(dirty_pages(0), EINVAL);
	FAILS(dirty_pages(1 << 3), EINVAL);
	FAILS(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_START | VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP),
	      EINVAL);
	FAILS(dirty_bitmap(0, 8 * PAGE, &bits), EINVAL);
	OK(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	OK(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	OK(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	OK(dirty_bitmap(0, 8 * PAGE, &bits));
	CHECK_EQ(bits, 0xff);
	OK(dirty_bitmap(0, 17 * PAGE, &bits));
	CHECK_EQ(bits, 0x100ff);
	OK(dirty_bitmap(9 * PAGE, PAGE, &bits));
	CHECK_EQ(bits, 0);
	FAILS(dirty_bitmap(PAGE, 8 * PAGE, &bits), EINVAL);
	FAILS(dirty_bitmap(0, 4 * PAGE, &bits), EINVAL);
	FAILS(dirty_bitmap(0, 0, &bits), EINVAL);
	FAILS(dirty_bitmap(-PAGE, 2 * PAGE, &bits), EOVERFLOW);
	OK(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
}

static int unmap_dirty(u64 iova, u64 *size, u64 *bits, u64 bitmap_size)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} arg = {
		.unmap = { .argsz = sizeof(arg),
			   .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			   .iova = iova,
			   .size = *size },
		.bitmap = { .pgsize = PAGE, .size = bitmap_size, .data = (void *)bits },
	};
	int ret = ioctl(v.container, VFIO_IOMMU_UNMAP_DMA, &arg);

	*size = arg.unmap.size;
	return ret;
}

TEST(dirty_pages_on_unmap)
{
	char *memory = open_with_memory(4 * PAGE);
	u64 size = 4 * PAGE, bits = 0;

	COVERS(VFIO_IOMMU_UNMAP_DMA, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP);
	OK(vfio_map(v.container, memory, 0, 4 * PAGE));
	FAILS(unmap_dirty(0, &size, &bits, sizeof(bits)), EINVAL);
	if (!is_v2())
		return;
	OK(dirty_pages(VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	FAILS(unmap_dirty(0, &size, &bits, 4), EINVAL);
	FAILS(unmap_dirty(0, &size, NULL, sizeof(bits)), EFAULT);
	OK(unmap_dirty(0, &size, &bits, sizeof(bits)));
	CHECK_EQ(size, 4 * PAGE);
	CHECK_EQ(bits, 0xf);
}

TEST(mapping_limit)
{
	char *memory = open_with_memory(PAGE);
	u64 size = 0;

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	for (u64 i = 0; i < 65535; i++)
		OK(vfio_map(v.container, memory, 2 * i * PAGE, PAGE));
	CHECK_EQ(mappings_left(), 0);
	FAILS(vfio_map(v.container, memory, PAGE, PAGE), ENOSPC);
	OK(vfio_unmap(v.container, 0, PAGE));
	OK(vfio_map(v.container, memory, PAGE, PAGE));
	OK(vfio_unmap_flags(v.container, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	CHECK_EQ(size, 65535 * PAGE);
}

/* Gives up what exempts from the limit of locked memory. */
static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	OK(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	OK(syscall(SYS_capset, &header, data));
}

TEST(locked_memory_limit)
{
	const struct rlimit limit = { 4 * PAGE, 4 * PAGE };
	char *memory = open_with_memory(8 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA);
	drop_ipc_lock();
	OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	memset(memory, 1, 8 * PAGE);
	FAILS(vfio_map(v.container, memory, 0, 5 * PAGE), ENOMEM);
	OK(vfio_map(v.container, memory, 0, 4 * PAGE));
	FAILS(vfio_map(v.container, memory, 8 * PAGE, PAGE), ENOMEM);
	OK(vfio_unmap(v.container, 0, 4 * PAGE));
	OK(vfio_map(v.container, memory, 8 * PAGE, PAGE));
}
