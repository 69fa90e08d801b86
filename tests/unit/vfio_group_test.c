/* SPDX-License-Identifier: BSD-3-Clause */
/* Containers, groups and the lives of their files: what a 7.2 kernel answers, in many orders. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_task.h"
#include "vfio/internal.h"

#define PG 0x1000ULL
#define VIABLE VFIO_GROUP_FLAGS_VIABLE
#define CONTAINER_SET VFIO_GROUP_FLAGS_CONTAINER_SET

static struct fake_machine m;
static struct fake_task *t = &m.task;
static u8 *buf;

/* Devices 0 and 1 are alone in groups 0 and 1, devices 2 and 3 share group 2. */
static int setup(void **state)
{
	buf = mmap(NULL, 16 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(buf, MAP_FAILED);
	fake_machine_init(&m, 39);
	m.units[0]->enforce_coherency = false;
	fake_machine_add(&m, 0, 0);
	fake_machine_add(&m, 0, 1);
	fake_machine_add(&m, 0, 2);
	fake_machine_add(&m, 0, 2);
	return 0;
}

static int teardown(void **state)
{
	fake_machine_fini(&m);
	return munmap(buf, 16 * PG);
}

static int open_container(void)
{
	int fd = fake_open_container(t);

	assert_true(fd >= 0);
	return fd;
}

static int open_group(unsigned int id)
{
	int fd = fake_open_group(t, id);

	assert_true(fd >= 0);
	return fd;
}

static long set_container(int group, int container)
{
	return fake_ioctl(t, group, VFIO_GROUP_SET_CONTAINER, &container);
}

static long unset_container(int group)
{
	return fake_ioctl(t, group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

static long set_iommu(int container, u64 type)
{
	return fake_ioctl(t, container, VFIO_SET_IOMMU, (void *)(uintptr_t)type);
}

static long extension(int container, u64 ext)
{
	return fake_ioctl(t, container, VFIO_CHECK_EXTENSION, (void *)(uintptr_t)ext);
}

static long get_device(int group, const char *name)
{
	return fake_ioctl(t, group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static int open_device(int group, const char *name)
{
	int fd = get_device(group, name);

	assert_true(fd >= 0);
	return fd;
}

static long map(int container, u64 iova)
{
	struct vfio_iommu_type1_dma_map map = { sizeof(map),
						VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
						(uintptr_t)buf, iova, PG };

	return fake_ioctl(t, container, VFIO_IOMMU_MAP_DMA, &map);
}

/* The size that was unmapped, or -errno. */
static long unmap(int container, u64 iova)
{
	struct vfio_iommu_type1_dma_unmap unmap = { sizeof(unmap), 0, iova, PG };
	long ret = fake_ioctl(t, container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	return ret ? ret : (long)unmap.size;
}

static long get_info(int container)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	return fake_ioctl(t, container, VFIO_IOMMU_GET_INFO, &info);
}

static void assert_status(int group, u32 flags)
{
	struct vfio_group_status status = { .argsz = sizeof(status), .flags = 0xdead };

	assert_int_equal(fake_ioctl(t, group, VFIO_GROUP_GET_STATUS, &status), 0);
	assert_int_equal(status.flags, flags);
}

static void open_set(int *container, int *group, unsigned int id, int type)
{
	*container = open_container();
	*group = open_group(id);
	assert_int_equal(set_container(*group, *container), 0);
	if (type)
		assert_int_equal(set_iommu(*container, type), 0);
}

static void assert_extensions(int container, bool set)
{
	for (u64 e = 0; e <= 40; e++)
		assert_int_equal(extension(container, e),
				 e == 1 || e == 3 || e == 9 || (set && e == 10));
	assert_int_equal(extension(container, ~0ULL), 0);
	assert_int_equal(extension(container, 0x100000001ULL), 0);
}

static void test_container_alone(void **state)
{
	int c = open_container(), c2;
	struct vfio_file *file = fake_file(t, c);
	struct stat st;
	char b[64];

	assert_string_equal(file->link, "/dev/vfio/vfio");
	assert_int_equal(file->mode, S_IFCHR | 0666);
	assert_int_equal(file->major, 10);
	assert_int_equal(file->minor, 196);
	assert_int_equal(fake_ioctl(t, c, VFIO_GET_API_VERSION, NULL), 0);
	assert_int_equal(fake_ioctl(t, c, VFIO_GET_API_VERSION, (void *)0x1234), 0);
	assert_extensions(c, false);
	for (u64 i = 0; i <= 12; i++)
		assert_int_equal(set_iommu(c, i), -EINVAL);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(map(c, 0), -EINVAL);
	assert_int_equal(unmap(c, 0), -EINVAL);
	assert_int_equal(fake_ioctl(t, c, VFIO_IOMMU_DIRTY_PAGES, NULL), -EINVAL);
	assert_int_equal(fake_ioctl(t, c, _IO(';', 0xd0), NULL), -EINVAL);
	assert_int_equal(fake_ioctl(t, c, 0x5413, b), -EINVAL);
	assert_int_equal(fake_ioctl(t, c, VFIO_GROUP_GET_STATUS, b), -EINVAL);
	assert_int_equal(fake_ioctl(t, c, VFIO_DEVICE_GET_INFO, b), -EINVAL);
	assert_int_equal(fake_pread(t, c, b, 8, 0), -EINVAL);
	assert_int_equal(fake_pwrite(t, c, b, 8, 0), -EINVAL);
	assert_int_equal(file->ops->mmap(file, &t->task, PG, PROT_READ, MAP_SHARED, 0), -ENODEV);
	/* A program cannot keep data in the file that stands for a container. */
	assert_int_equal(write(c, b, 8), -1);
	assert_int_equal(ftruncate(c, 1 << 20), -1);
	assert_int_equal(fstat(c, &st), 0);
	assert_int_equal(st.st_size, 0);
	c2 = open_container();
	assert_int_equal(fake_close(t, c2), 0);
	assert_int_equal(m.files_gone, 1);
	assert_int_equal(fake_ioctl(t, c2, VFIO_GET_API_VERSION, NULL), -EBADF);
}

static void test_group_status(void **state)
{
	struct {
		struct vfio_group_status s;
		u32 tail;
	} a;
	int g = open_group(0);

	for (u32 argsz = 0; argsz <= 16; argsz++) {
		a.s = (struct vfio_group_status){ argsz, 0xdead };
		a.tail = 0x11;
		assert_int_equal(fake_ioctl(t, g, VFIO_GROUP_GET_STATUS, &a),
				 argsz < 8 ? -EINVAL : 0);
		assert_int_equal(a.s.argsz, argsz);
		assert_int_equal(a.s.flags, argsz < 8 ? 0xdead : VIABLE);
		assert_int_equal(a.tail, 0x11);
	}
	assert_int_equal(fake_ioctl(t, g, VFIO_GROUP_GET_STATUS, NULL), -EFAULT);
	assert_int_equal(fake_ioctl(t, g, _IO(';', 0xd0), NULL), -ENOTTY);
	assert_int_equal(fake_ioctl(t, g, VFIO_GET_API_VERSION, NULL), -ENOTTY);
	assert_int_equal(fake_ioctl(t, g, VFIO_DEVICE_GET_INFO, &a), -ENOTTY);
	assert_int_equal(fake_pread(t, g, &a, 8, 0), -EINVAL);
	assert_int_equal(fake_pwrite(t, g, &a, 8, 0), -EINVAL);
}

static void test_group_open(void **state)
{
	int g = open_group(0), g1, copy;

	assert_int_equal(fake_open_group(t, 7), -ENODEV);
	assert_true(vfio_group_exists(m.core, 0));
	assert_false(vfio_group_exists(m.core, 7));
	assert_int_equal(fake_open_group(t, 0), -EBUSY);
	g1 = open_group(1);
	assert_string_equal(fake_file(t, g)->link, "/dev/vfio/0");
	assert_string_equal(fake_file(t, g1)->link, "/dev/vfio/1");
	assert_int_equal(fake_file(t, g)->mode, S_IFCHR | 0600);
	assert_int_equal(fake_file(t, g)->major, VFIO_GROUP_MAJOR);
	assert_int_equal(fake_file(t, g)->minor, vfio_group_minor(m.core, 0));
	assert_int_not_equal(vfio_group_minor(m.core, 0), vfio_group_minor(m.core, 1));
	assert_int_equal(vfio_group_minor(m.core, 7), -ENODEV);
	/* The last of the descriptors counts. */
	copy = fake_dup(t, g);
	assert_true(copy >= 0);
	fake_close(t, g);
	assert_int_equal(fake_open_group(t, 0), -EBUSY);
	assert_status(copy, VIABLE);
	fake_close(t, copy);
	g = open_group(0);
	assert_status(g, VIABLE);
}

static void test_set_container(void **state)
{
	int c = open_container(), c2 = open_container(), g = open_group(0), d, null, event;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(unset_container(g), -EINVAL);
	assert_int_equal(get_device(g, "0000:01:00.0"), -EINVAL);
	assert_int_equal(get_device(g, "ffff:ff:1f.7"), -ENODEV);
	assert_int_equal(fake_ioctl(t, g, VFIO_GROUP_SET_CONTAINER, NULL), -EFAULT);
	assert_int_equal(set_container(g, -1), -EBADF);
	assert_int_equal(set_container(g, 9999), -EBADF);
	assert_int_equal(set_container(g, null), -EBADFD);
	assert_int_equal(set_container(g, event), -EBADFD);
	assert_int_equal(set_container(g, g), -EBADFD);
	assert_false(vfio_group_claimed(m.core, 0));
	assert_int_equal(set_container(g, c), 0);
	assert_true(vfio_group_claimed(m.core, 0));
	assert_int_equal(set_container(g, c), -EINVAL);
	assert_int_equal(set_container(g, c2), -EINVAL);
	assert_int_equal(set_container(g, null), -EINVAL);
	assert_int_equal(set_container(g, -1), -EBADF);
	assert_status(g, VIABLE | CONTAINER_SET);
	assert_extensions(c, false);
	assert_int_equal(get_device(g, "0000:01:00.0"), -EINVAL);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(map(c, 0), -EINVAL);
	for (u64 i = 0; i <= 12; i++)
		if (i != 1 && i != 3)
			assert_int_equal(set_iommu(c, i), i == 9 ? -EINVAL : -ENODEV);
	assert_int_equal(set_iommu(c, ~0ULL), -ENODEV);
	assert_int_equal(set_iommu(c2, 3), -EINVAL);
	assert_int_equal(set_iommu(c, 3), 0);
	assert_int_equal(set_iommu(c, 3), -EINVAL);
	assert_int_equal(set_iommu(c, 1), -EINVAL);
	assert_extensions(c, true);
	d = open_device(g, "0000:01:00.0");
	assert_int_equal(set_container(g, d), -EINVAL);
	close(null);
	close(event);
}

static void test_get_device_names(void **state)
{
	static const struct {
		const char *name;
		int error;
	} names[] = {
		{ "", -ENODEV },
		{ "ffff:ff:1f.7", -ENODEV },
		{ "01:00.0", -ENODEV },
		{ "0000:02:00.0", -ENODEV },
		{ "0000:01:00", -ENODEV },
		{ "0000:01:00.0x", -ENODEV },
		{ "0000:01:00.0\n", -ENODEV },
		{ " 0000:01:00.0", -ENODEV },
		{ "0000:01:00.0 junk", -EINVAL },
		{ "0000:01:00.0  x", -EINVAL },
		{ "0000:01:00.0 \t", -EINVAL },
		{ "0000:01:00.0 vf_token=zz", -EINVAL },
		{ "0000:01:00.0 vf_token=00112233-4455-6677-8899-aabbccddeeff", -EINVAL },
	};
	char *pages =
		mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int c, g;

	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(mprotect(pages + 2 * PG, PG, PROT_NONE), 0);
	open_set(&c, &g, 0, 3);
	assert_int_equal(get_device(g, NULL), -EFAULT);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (get_device(g, names[i].name) != names[i].error)
			fail_msg("\"%s\"", names[i].name);
	fake_close(t, open_device(g, "0000:01:00.0"));
	fake_close(t, open_device(g, "0000:01:00.0 "));
	fake_close(t, open_device(g, "0000:01:00.0    "));
	/* At most a page, its NUL included; what follows the NUL need not be there. */
	memset(pages, 'x', 2 * PG);
	assert_int_equal(get_device(g, pages), -EINVAL);
	assert_int_equal(get_device(g, pages + PG), -EINVAL);
	assert_int_equal(get_device(g, pages + 1), -EINVAL);
	assert_int_equal(get_device(g, pages + PG + 1), -EFAULT);
	memcpy(pages, "0000:01:00.0", 12);
	memset(pages + 12, ' ', PG - 12);
	assert_int_equal(get_device(g, pages), -EINVAL);
	pages[PG - 1] = 0;
	fake_close(t, open_device(g, pages));
	strcpy(pages + 2 * PG - 13, "0000:01:00.0");
	fake_close(t, open_device(g, pages + 2 * PG - 13));
	strcpy(pages + PG - 5, "0000:01:00.0");
	fake_close(t, open_device(g, pages + PG - 5));
	munmap(pages, 3 * PG);
}

static void test_get_device(void **state)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_file *file;
	int c, g, d, d2;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	d2 = open_device(g, "0000:01:00.0");
	assert_int_equal(vfio_device_opens(m.bound[0]), 2);
	file = fake_file(t, d);
	assert_string_equal(file->link, "anon_inode:[vfio-device]");
	assert_int_equal(file->mode, 0600);
	assert_ptr_equal(fake_file(t, d2), file);
	assert_int_equal(fcntl(d, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fake_ioctl(t, d, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_int_equal(unset_container(g), -EBUSY);
	assert_int_equal(fake_ioctl(t, d, VFIO_GROUP_GET_STATUS, &info), -ENOTTY);
	assert_int_equal(fake_ioctl(t, d, VFIO_GET_API_VERSION, NULL), -ENOTTY);
	fake_close(t, d);
	assert_int_equal(fake_ioctl(t, d2, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_int_equal(unset_container(g), -EBUSY);
	fake_close(t, d2);
	assert_int_equal(vfio_device_opens(m.bound[0]), 0);
	assert_status(g, VIABLE | CONTAINER_SET);
	assert_int_equal(unset_container(g), 0);
}

/* The program has no descriptor left: nothing stays open. */
static void test_get_device_no_descriptor(void **state)
{
	int c, g;

	open_set(&c, &g, 0, 3);
	t->install_error = -EMFILE;
	assert_int_equal(get_device(g, "0000:01:00.0"), -EMFILE);
	assert_int_equal(vfio_device_opens(m.bound[0]), 0);
	assert_int_equal(unset_container(g), 0);
	t->install_error = -EMFILE;
	assert_int_equal(fake_open_group(t, 1), -EMFILE);
	fake_close(t, open_group(1));
	t->install_error = -EMFILE;
	m.files_gone = 0;
	assert_int_equal(fake_open_container(t), -EMFILE);
	assert_int_equal(m.files_gone, 1);
}

static void test_unset(void **state)
{
	int c, c2, g;

	open_set(&c, &g, 0, 3);
	c2 = open_container();
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(unset_container(g), 0);
	/* The mappings went with the last group. */
	assert_int_equal(t->mm->mm.locked_pages, 0);
	assert_null(m.groups[0]->domain);
	assert_int_equal(unset_container(g), -EINVAL);
	assert_status(g, VIABLE);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(map(c, 0x200000), -EINVAL);
	assert_extensions(c, false);
	assert_int_equal(set_iommu(c, 3), -EINVAL);
	assert_int_equal(set_container(g, c2), 0);
	assert_int_equal(set_iommu(c2, 1), 0);
	assert_int_equal(map(c2, 0x100000), 0);
	assert_extensions(c2, true);
	/* And back, with the other type. */
	assert_int_equal(unset_container(g), 0);
	assert_int_equal(set_container(g, c), 0);
	assert_int_equal(set_iommu(c, 1), 0);
	assert_int_equal(unmap(c, 0x100000), 0);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(map(c2, 0x100000), -EINVAL);
}

static void test_close_container_first(void **state)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int c, g, d;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	assert_int_equal(map(c, 0x100000), 0);
	m.files_gone = 0;
	fake_close(t, c);
	assert_int_equal(m.files_gone, 0);
	assert_int_equal(t->mm->mm.locked_pages, 1);
	assert_int_equal(fake_ioctl(t, d, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_status(g, VIABLE | CONTAINER_SET);
	fake_close(t, open_device(g, "0000:01:00.0"));
	assert_int_equal(unset_container(g), -EBUSY);
	fake_close(t, d);
	assert_int_equal(unset_container(g), 0);
	assert_int_equal(m.files_gone, 1);
	assert_int_equal(t->mm->mm.locked_pages, 0);
	assert_status(g, VIABLE);
}

static void test_close_group_first(void **state)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int c, g, d;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	fake_close(t, g);
	assert_int_equal(fake_ioctl(t, d, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(fake_open_group(t, 0), -EBUSY);
	fake_close(t, d);
	g = open_group(0);
	assert_status(g, VIABLE);
	assert_int_equal(map(c, 0x200000), -EINVAL);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(set_container(g, c), 0);
	assert_int_equal(set_iommu(c, 3), 0);
	assert_int_equal(map(c, 0x100000), 0);
	fake_close(t, c);
	assert_int_equal(t->mm->mm.locked_pages, 1);
	fake_close(t, g);
	assert_int_equal(t->mm->mm.locked_pages, 0);
}

static void test_close_device_last(void **state)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int c, g, d;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	fake_close(t, c);
	fake_close(t, g);
	assert_int_equal(fake_ioctl(t, d, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_non_null(m.groups[0]->domain);
	fake_close(t, d);
	assert_null(m.groups[0]->domain);
	fake_close(t, open_group(0));
}

static void test_not_viable(void **state)
{
	int c = open_container(), g;

	m.groups[0]->kernel_drivers = 1;
	g = open_group(0);
	assert_status(g, 0);
	assert_int_equal(set_container(g, c), -EPERM);
	assert_int_equal(set_iommu(c, 3), -EINVAL);
	assert_int_equal(get_device(g, "0000:01:00.0"), -EINVAL);
	m.groups[0]->kernel_drivers = 0;
	assert_status(g, VIABLE);
	assert_int_equal(set_container(g, c), 0);
}

/* Two groups in one container, and one that moves to another. */
static void test_two_groups(void **state)
{
	int c = open_container(), c2 = open_container(), g = open_group(0), g2 = open_group(1);
	int d, d2;

	assert_int_equal(set_container(g, c), 0);
	assert_int_equal(set_container(g2, c), 0);
	assert_int_equal(set_iommu(c, 3), 0);
	assert_ptr_equal(m.groups[0]->domain, m.groups[1]->domain);
	assert_int_equal(get_device(g, "0000:02:00.0"), -ENODEV);
	d = open_device(g, "0000:01:00.0");
	d2 = open_device(g2, "0000:02:00.0");
	assert_int_equal(map(c, 0x100000), 0);
	fake_close(t, d2);
	assert_int_equal(unset_container(g2), 0);
	assert_null(m.groups[1]->domain);
	assert_int_equal(unmap(c, 0x100000), PG);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(set_container(g2, c), 0);
	assert_ptr_equal(m.groups[0]->domain, m.groups[1]->domain);
	d2 = open_device(g2, "0000:02:00.0");
	assert_int_equal(unmap(c, 0x100000), PG);
	fake_close(t, d2);
	assert_int_equal(unset_container(g), -EBUSY);
	fake_close(t, d);
	assert_int_equal(unset_container(g), 0);
	assert_int_equal(map(c, 0x200000), 0);
	assert_int_equal(get_device(g, "0000:01:00.0"), -EINVAL);
	assert_int_equal(set_container(g, c2), 0);
	assert_int_equal(set_iommu(c2, 1), 0);
	assert_int_equal(map(c2, 0x200000), 0);
	assert_int_equal(unmap(c, 0x200000), PG);
	assert_int_equal(unmap(c2, 0x200000), PG);
	assert_int_equal(unset_container(g2), 0);
	assert_int_equal(get_info(c), -EINVAL);
}

/* A second group cannot come while an address is suspended. */
static void test_attach_vaddr(void **state)
{
	struct vfio_iommu_type1_dma_unmap suspend = { sizeof(suspend), VFIO_DMA_UNMAP_FLAG_VADDR,
						      0x100000, PG },
					  both;
	int c, g, g2 = open_group(1);

	open_set(&c, &g, 0, 3);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(fake_ioctl(t, c, VFIO_IOMMU_UNMAP_DMA, &suspend), 0);
	assert_int_equal(set_container(g2, c), -EBUSY);
	assert_status(g2, VIABLE);
	/* One that fails suspends nothing. */
	assert_int_equal(map(c, 0xff000), 0);
	both = (struct vfio_iommu_type1_dma_unmap){ sizeof(both), VFIO_DMA_UNMAP_FLAG_VADDR,
						    0xff000, 2 * PG };
	assert_int_equal(fake_ioctl(t, c, VFIO_IOMMU_UNMAP_DMA, &both), -EINVAL);
	assert_int_equal(unmap(c, 0x100000), PG);
	assert_int_equal(set_container(g2, c), 0);
}

/* Two devices of one group are two users of its container. */
static void test_same_group(void **state)
{
	int c, g, d, d2;

	open_set(&c, &g, 2, 3);
	assert_ptr_equal(m.devices[2]->ep.domain, m.groups[2]->domain);
	assert_ptr_equal(m.devices[3]->ep.domain, m.groups[2]->domain);
	d = open_device(g, "0000:03:00.0");
	d2 = open_device(g, "0000:04:00.0");
	assert_ptr_equal(vfio_device_of_file(fake_file(t, d2)), m.bound[3]);
	assert_ptr_equal(vfio_device_of(m.devices[3]), m.bound[3]);
	assert_null(vfio_device_of_file(fake_file(t, g)));
	assert_null(vfio_group_of_file(fake_file(t, d)));
	assert_ptr_equal(vfio_group_of_file(fake_file(t, g)), m.bound[3]->group);
	assert_ptr_equal(vfio_device_core(m.bound[3]), m.core);
	assert_int_equal(unset_container(g), -EBUSY);
	fake_close(t, d);
	assert_int_equal(unset_container(g), -EBUSY);
	fake_close(t, g);
	assert_int_equal(fake_open_group(t, 2), -EBUSY);
	fake_close(t, d2);
	fake_close(t, open_group(2));
	/* One of the two can go. */
	assert_int_equal(vfio_device_unbind(m.bound[3], NULL, NULL), 0);
	assert_null(vfio_device_of(m.devices[3]));
	m.bound[3] = NULL;
	open_set(&c, &g, 2, 3);
	assert_int_equal(get_device(g, "0000:04:00.0"), -ENODEV);
	fake_machine_bind(&m, 3);
	fake_close(t, open_device(g, "0000:04:00.0"));
}

static void set_flag(void *opaque)
{
	*(bool *)opaque = true;
}

static void test_unbind(void **state)
{
	struct vfio_group_status status = { .argsz = sizeof(status), .flags = 0xdead };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	bool unbound = false;
	int c, g, d, minor;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	assert_int_equal(map(c, 0x100000), 0);
	minor = vfio_group_minor(m.core, 0);
	assert_int_equal(vfio_device_unbind(m.bound[0], set_flag, &unbound), -EBUSY);
	vfio_device_request(m.bound[0]);
	assert_false(unbound);
	assert_int_equal(fake_ioctl(t, d, VFIO_DEVICE_GET_INFO, &info), 0);
	assert_int_equal(get_device(g, "0000:01:00.0"), -ENODEV);
	m.bound[0] = NULL;
	m.files_gone = 0;
	fake_close(t, d);
	assert_true(unbound);
	assert_int_equal(m.files_gone, 1);
	assert_int_equal(t->mm->mm.locked_pages, 0);
	assert_int_equal(fake_ioctl(t, g, VFIO_GROUP_GET_STATUS, &status), -ENODEV);
	assert_int_equal(status.flags, 0xdead);
	assert_int_equal(get_device(g, "0000:01:00.0"), -ENODEV);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(unset_container(g), -EINVAL);
	assert_int_equal(set_container(g, c), -ENODEV);
	assert_false(vfio_group_exists(m.core, 0));
	assert_int_equal(fake_open_group(t, 0), -ENODEV);
	/* A new node of the same name, while the old file is still open. */
	fake_machine_bind(&m, 0);
	assert_true(vfio_group_exists(m.core, 0));
	assert_int_not_equal(vfio_group_minor(m.core, 0), minor);
	d = open_group(0);
	assert_status(d, VIABLE);
	assert_int_equal(fake_ioctl(t, g, VFIO_GROUP_GET_STATUS, &status), -ENODEV);
	fake_close(t, g);
	assert_int_equal(m.files_gone, 2);
	assert_int_equal(set_container(d, c), 0);
	assert_int_equal(set_iommu(c, 3), 0);
}

static void test_unbind_unused(void **state)
{
	int c, g;

	assert_int_equal(vfio_device_unbind(m.bound[1], NULL, NULL), 0);
	m.bound[1] = NULL;
	assert_false(vfio_group_exists(m.core, 1));
	/* Open, and in a container, but the device is not open: nothing holds it. */
	open_set(&c, &g, 0, 3);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(vfio_device_unbind(m.bound[0], NULL, NULL), 0);
	m.bound[0] = NULL;
	assert_null(m.groups[0]->domain);
	assert_int_equal(t->mm->mm.locked_pages, 0);
	assert_int_equal(get_info(c), -EINVAL);
	assert_int_equal(unset_container(g), -EINVAL);
}

/* The group's file is closed while its last device is being unbound. */
static void test_unbind_group_closed(void **state)
{
	bool unbound = false;
	int c, g, d;

	open_set(&c, &g, 0, 3);
	d = open_device(g, "0000:01:00.0");
	assert_int_equal(vfio_device_unbind(m.bound[0], set_flag, &unbound), -EBUSY);
	m.bound[0] = NULL;
	fake_close(t, g);
	assert_int_equal(fake_open_group(t, 0), -EBUSY);
	fake_close(t, c);
	m.files_gone = 0;
	fake_close(t, d);
	assert_true(unbound);
	assert_int_equal(m.files_gone, 3);
	assert_int_equal(fake_open_group(t, 0), -ENODEV);
}

static void test_bind_without_group(void **state)
{
	struct iommu_group *group = m.devices[0]->ep.group;
	struct vfio_device *vdev;

	assert_int_equal(vfio_device_unbind(m.bound[0], NULL, NULL), 0);
	m.bound[0] = NULL;
	m.devices[0]->ep.group = NULL;
	assert_int_equal(vfio_device_bind(m.core, m.devices[0], 9, &vdev), -EINVAL);
	m.devices[0]->ep.group = group;
}

/* Units of different widths: what both allow, and no more. */
static void test_two_units(void **state)
{
	unsigned int wide = fake_machine_add_unit(&m, 48);
	int c, g, g2;

	fake_machine_add(&m, wide, 3);
	open_set(&c, &g2, 3, 3);
	g = open_group(0);
	assert_int_equal(map(c, 1ULL << 40), 0);
	/* Mapped already where the other unit cannot reach. */
	assert_int_equal(set_container(g, c), -EINVAL);
	assert_status(g, VIABLE);
	assert_null(m.groups[0]->domain);
	assert_int_equal(unmap(c, 1ULL << 40), PG);
	assert_int_equal(map(c, 0x100000), 0);
	assert_int_equal(set_container(g, c), 0);
	assert_ptr_not_equal(m.groups[0]->domain, m.groups[3]->domain);
	assert_int_equal(map(c, 1ULL << 40), -EINVAL);
	assert_int_equal(map(c, 0x100000), -EEXIST);
	assert_int_equal(unset_container(g), 0);
	assert_int_equal(map(c, 1ULL << 40), 0);
	assert_int_equal(unmap(c, 0x100000), PG);
}

/* A backend of another kind: refuses a type, refuses a group, answers ioctls. */
static int other_groups, other_open;
static int other_refuse; /* the attach to fail, counted down */

static int other_open_(u64 type, void **data)
{
	*data = &other_open;
	other_open++;
	return type == 33 ? -EDOM : 0;
}

static void other_release(void *data)
{
	other_open--;
}

static long other_ioctl(void *data, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	if (cmd == VFIO_CHECK_EXTENSION)
		return (arg == 32 || arg == 33) + (data ? 10 : 0);
	return data ? 42 : -1;
}

static int other_attach(void *data, struct iommu_group *group)
{
	if (other_refuse && !--other_refuse)
		return -EXDEV;
	other_groups++;
	return 0;
}

static void other_detach(void *data, struct iommu_group *group)
{
	other_groups--;
}

static const struct vfio_iommu_backend other_backend = {
	.name = "other",
	.open = other_open_,
	.release = other_release,
	.ioctl = other_ioctl,
	.attach_group = other_attach,
	.detach_group = other_detach,
};

static void test_backends(void **state)
{
	int c = open_container(), g = open_group(0), g2 = open_group(1);

	assert_int_equal(vfio_register_backend(m.core, &vfio_type1_backend), -EINVAL);
	assert_int_equal(vfio_register_backend(m.core, &other_backend), 0);
	assert_int_equal(vfio_register_backend(m.core, &other_backend), -EINVAL);
	assert_int_equal(extension(c, 32), 1);
	assert_int_equal(extension(c, 1), 1);
	assert_int_equal(set_container(g, c), 0);
	assert_int_equal(set_container(g2, c), 0);
	assert_int_equal(set_iommu(c, 33), -EDOM);
	other_open = 0;
	/* The second of two groups is refused: the first is let go. */
	other_refuse = 2;
	assert_int_equal(set_iommu(c, 32), -EXDEV);
	assert_int_equal(other_groups, 0);
	assert_int_equal(other_open, 0);
	assert_int_equal(set_iommu(c, 32), 0);
	assert_int_equal(other_groups, 2);
	assert_int_equal(extension(c, 1), 10);
	assert_int_equal(fake_ioctl(t, c, 0x5413, NULL), 42);
	assert_int_equal(unset_container(g), 0);
	assert_int_equal(other_open, 1);
	other_refuse = 1;
	assert_int_equal(set_container(g, c), -EXDEV);
	assert_status(g, VIABLE);
	assert_int_equal(unset_container(g2), 0);
	assert_int_equal(other_open, 0);
	assert_int_equal(other_groups, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_container_alone),
		TEST(test_group_status),
		TEST(test_group_open),
		TEST(test_set_container),
		TEST(test_get_device_names),
		TEST(test_get_device),
		TEST(test_get_device_no_descriptor),
		TEST(test_unset),
		TEST(test_close_container_first),
		TEST(test_close_group_first),
		TEST(test_close_device_last),
		TEST(test_not_viable),
		TEST(test_two_groups),
		TEST(test_attach_vaddr),
		TEST(test_same_group),
		TEST(test_unbind),
		TEST(test_unbind_unused),
		TEST(test_unbind_group_closed),
		TEST(test_bind_without_group),
		TEST(test_two_units),
		TEST(test_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
