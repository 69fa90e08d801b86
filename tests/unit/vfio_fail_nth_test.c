/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every allocation fails once: a life of two groups in one container is run again and again, with
 * the first, second, nth allocation failing, until none is left to fail. Each step succeeds or
 * says -ENOMEM, and afterwards nothing is left of it.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "fake_task.h"

#define PG 0x1000ULL

static unsigned long fail_at, count; /* fail_at 0: not armed */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
int __real_memfd_create(const char *name, unsigned int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
int __wrap_memfd_create(const char *name, unsigned int flags);

static bool fails(void)
{
	if (!fail_at || ++count != fail_at)
		return false;
	failed = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return fails() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

int __wrap_memfd_create(const char *name, unsigned int flags)
{
	return fails() ? -1 : __real_memfd_create(name, flags);
}

static struct fake_machine m;
static struct fake_task *t = &m.task;
static u8 *buf;

/* Whether the step was done; else it said -ENOMEM, for an allocation that failed. */
static bool done(long ret)
{
	if (ret >= 0)
		return true;
	assert_int_equal(ret, -ENOMEM);
	assert_true(failed);
	return false;
}

static bool map(int container, u32 flags, u64 iova, u64 pages)
{
	struct vfio_iommu_type1_dma_map map = { sizeof(map), flags, (uintptr_t)buf, iova,
						pages * PG };

	return done(fake_ioctl(t, container, VFIO_IOMMU_MAP_DMA, &map));
}

/* Cannot fail. */
static void unmap(int container, u32 flags, u64 iova, u64 pages)
{
	struct vfio_iommu_type1_dma_unmap unmap = { sizeof(unmap), flags, iova, pages * PG };

	assert_int_equal(fake_ioctl(t, container, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
}

static void use(int container, int group, int group2)
{
	u8 bytes[256];
	struct vfio_iommu_type1_info *info = (void *)bytes;
	u64 locked;

	info->argsz = sizeof(bytes);
	done(fake_ioctl(t, container, VFIO_IOMMU_GET_INFO, info));
	if (!map(container, 3, 0x100000, 3))
		assert_int_equal(t->mm->mm.locked_pages, 0);
	if (map(container, 1, 0x200000, 4)) {
		locked = t->mm->mm.locked_pages;
		unmap(container, VFIO_DMA_UNMAP_FLAG_VADDR, 0x200000, 4);
		map(container, VFIO_DMA_MAP_FLAG_VADDR, 0x200000, 4);
		assert_int_equal(t->mm->mm.locked_pages, locked);
		unmap(container, 0, 0x200000, 4);
	}
	done(fake_ioctl(t, group, VFIO_GROUP_GET_DEVICE_FD, "0000:01:00.0"));
	/* Behind another unit: all is mapped once more. */
	if (done(fake_ioctl(t, group2, VFIO_GROUP_SET_CONTAINER, &container)))
		map(container, 3, 0x300000, 1);
	unmap(container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
	assert_int_equal(t->mm->mm.locked_pages, 0);
}

static void live(void)
{
	int container = fake_open_container(t), group = fake_open_group(t, 0),
	    group2 = fake_open_group(t, 1);

	if (!done(container) || !done(group) || !done(group2))
		return;
	if (!done(fake_ioctl(t, group, VFIO_GROUP_SET_CONTAINER, &container)))
		return;
	if (done(fake_ioctl(t, container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU)))
		use(container, group, group2);
}

static void rebind(void)
{
	int ret = vfio_device_unbind(m.bound[0], NULL, NULL);

	assert_int_equal(ret, 0);
	m.bound[0] = NULL;
	ret = vfio_device_bind(m.core, m.devices[0], 0, &m.bound[0]);
	if (!done(ret)) {
		assert_false(vfio_group_exists(m.core, 0));
		fail_at = 0;
		fake_machine_bind(&m, 0);
	}
}

static void test_fail_nth(void **state)
{
	unsigned long n = 0;

	buf = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(buf, MAP_FAILED);
	fake_machine_init(&m, 39);
	fake_machine_add_unit(&m, 48);
	fake_machine_add(&m, 0, 0);
	fake_machine_add(&m, 1, 1);
	do {
		failed = false;
		count = 0;
		fail_at = ++n;
		live();
		fake_files_close(&m.files);
		rebind();
		fail_at = 0;
		assert_int_equal(t->mm->mm.locked_pages, 0);
		for (unsigned int i = 0; i < 2; i++) {
			assert_null(m.groups[i]->domain);
			assert_int_equal(m.units[i]->domains, 0);
			assert_int_equal(vfio_device_opens(m.bound[i]), 0);
		}
	} while (failed);
	assert_true(n > 30);
	fake_machine_fini(&m);
	munmap(buf, 4 * PG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fail_nth) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
