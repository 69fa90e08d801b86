/* SPDX-License-Identifier: BSD-3-Clause */
/* Containers and groups: API version, extensions, attaching, the life of files. */
#include "harness.h"

#define NEVER_MAPPED ((void *)0x1000)

TEST(api_version)
{
	int container = OK(open("/dev/vfio/vfio", O_RDWR));

	COVERS(VFIO_GET_API_VERSION, VFIO_API_VERSION);
	CHECK_EQ(ioctl(container, VFIO_GET_API_VERSION), VFIO_API_VERSION);
	CHECK_EQ(ioctl(container, VFIO_GET_API_VERSION, -1L), VFIO_API_VERSION);
}

TEST(extensions_without_iommu)
{
	static const struct {
		long extension;
		int answer;
	} expected[] = {
		{ 0, 0 },
		{ VFIO_TYPE1_IOMMU, 1 },
		{ VFIO_SPAPR_TCE_IOMMU, 0 },
		{ VFIO_TYPE1v2_IOMMU, 1 },
		{ VFIO_DMA_CC_IOMMU, 0 },
		{ VFIO_EEH, 0 },
		{ __VFIO_RESERVED_TYPE1_NESTING_IOMMU, 0 },
		{ VFIO_SPAPR_TCE_v2_IOMMU, 0 },
		{ VFIO_NOIOMMU_IOMMU, 0 },
		{ VFIO_UNMAP_ALL, 1 },
		{ VFIO_UPDATE_VADDR, 0 },
		{ 11, 0 },
		{ -1, 0 },
		{ (1L << 32) | VFIO_TYPE1_IOMMU, 0 },
	};
	int container = OK(open("/dev/vfio/vfio", O_RDWR));

	COVERS(VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_DMA_CC_IOMMU,
	       VFIO_NOIOMMU_IOMMU, VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR,
	       __VFIO_RESERVED_TYPE1_NESTING_IOMMU);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
		CHECK_EQ(ioctl(container, VFIO_CHECK_EXTENSION, expected[i].extension),
			 expected[i].answer);
}

TEST(extensions_with_iommu)
{
	struct vfio v;

	COVERS(VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR);
	vfio_open_iommu(&v);
	CHECK_EQ(ioctl(v.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
	CHECK_EQ(ioctl(v.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);
	CHECK_EQ(ioctl(v.container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
	CHECK_EQ(ioctl(v.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1);
	CHECK_EQ(ioctl(v.container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);
}

TEST(container_without_group)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int container = OK(open("/dev/vfio/vfio", O_RDWR));

	COVERS(VFIO_SET_IOMMU, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA);
	FAILS(ioctl(container, VFIO_SET_IOMMU, test_iommu_type), EINVAL);
	FAILS(ioctl(container, VFIO_IOMMU_GET_INFO, &info), EINVAL);
	FAILS(vfio_map(container, &info, 0, PAGE), EINVAL);
	FAILS(vfio_unmap(container, 0, PAGE), EINVAL);
	FAILS(ioctl(container, _IO(VFIO_TYPE, VFIO_BASE + 99)), EINVAL);
}

TEST(group_status)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container = OK(open("/dev/vfio/vfio", O_RDWR));
	int group = OK(vfio_open_group(O_RDWR));

	COVERS(VFIO_GROUP_GET_STATUS, VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_FLAGS_CONTAINER_SET);
	OK(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	CHECK_EQ(status.flags, VFIO_GROUP_FLAGS_VIABLE);
	OK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	OK(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	CHECK_EQ(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	for (status.argsz = 0; status.argsz < sizeof(status); status.argsz++)
		FAILS(ioctl(group, VFIO_GROUP_GET_STATUS, &status), EINVAL);
	status.argsz = sizeof(status) + 1;
	OK(ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	FAILS(ioctl(group, VFIO_GROUP_GET_STATUS, NULL), EFAULT);
}

TEST(group_set_container)
{
	int container = OK(open("/dev/vfio/vfio", O_RDWR));
	int other = OK(open("/dev/vfio/vfio", O_RDWR));
	int group = OK(vfio_open_group(O_RDWR));
	int null = OK(open("/dev/null", O_RDWR));
	int closed = -1;

	COVERS(VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER);
	FAILS(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EINVAL);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, NULL), EFAULT);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &closed), EBADF);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), EBADFD);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), EBADFD);
	OK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), EINVAL);
	FAILS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &other), EINVAL);
	OK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	FAILS(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), EINVAL);
	OK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &other));
}

TEST(group_is_exclusive)
{
	int group = OK(vfio_open_group(O_RDWR)), copy;

	FAILS(vfio_open_group(O_RDWR), EBUSY);
	FAILS(vfio_open_group(O_RDONLY), EBUSY);
	copy = OK(dup(group));
	OK(close(group));
	FAILS(vfio_open_group(O_RDWR), EBUSY);
	OK(close(copy));
	OK(vfio_open_group(O_RDWR));
}

TEST(group_absent)
{
	FAILS(open("/dev/vfio/4711", O_RDWR), ENOENT);
}

TEST(set_iommu)
{
	static const long absent[] = { 0,
				       VFIO_SPAPR_TCE_IOMMU,
				       VFIO_DMA_CC_IOMMU,
				       VFIO_EEH,
				       __VFIO_RESERVED_TYPE1_NESTING_IOMMU,
				       VFIO_SPAPR_TCE_v2_IOMMU,
				       VFIO_NOIOMMU_IOMMU,
				       VFIO_UPDATE_VADDR,
				       11,
				       -1 };
	struct vfio v;

	COVERS(VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_NOIOMMU_IOMMU,
	       VFIO_UNMAP_ALL, VFIO_UPDATE_VADDR, VFIO_DMA_CC_IOMMU,
	       __VFIO_RESERVED_TYPE1_NESTING_IOMMU);
	vfio_open_container(&v);
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
		FAILS(ioctl(v.container, VFIO_SET_IOMMU, absent[i]), ENODEV);
	FAILS(ioctl(v.container, VFIO_SET_IOMMU, VFIO_UNMAP_ALL), EINVAL);
	OK(ioctl(v.container, VFIO_SET_IOMMU, test_iommu_type));
	FAILS(ioctl(v.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), EINVAL);
	FAILS(ioctl(v.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), EINVAL);
	FAILS(ioctl(v.container, VFIO_IOMMU_ENABLE), ENOTTY);
	FAILS(ioctl(v.container, _IO(VFIO_TYPE, VFIO_BASE + 99)), ENOTTY);
}

TEST(get_device_fd)
{
	struct vfio v;
	char name[64];
	int fd;

	COVERS(VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_UNSET_CONTAINER);
	vfio_open_container(&v);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, test_bdf), EINVAL);
	OK(ioctl(v.container, VFIO_SET_IOMMU, test_iommu_type));
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, NULL), EFAULT);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, NEVER_MAPPED), EFAULT);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, ""), ENODEV);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, "0000:7f:1f.7"), ENODEV);
	snprintf(name, sizeof(name), "%sx", test_bdf);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, name), ENODEV);
	snprintf(name, sizeof(name), "%s junk", test_bdf);
	FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, name), EINVAL);
	snprintf(name, sizeof(name), "%s ", test_bdf);
	fd = OK(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, name));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	FAILS(ioctl(v.group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
	OK(close(fd));
	OK(ioctl(v.group, VFIO_GROUP_UNSET_CONTAINER));
}

TEST(device_outlives_group_and_container)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio v;
	int group;

	COVERS(VFIO_DEVICE_GET_INFO);
	vfio_open_device(&v);
	OK(close(v.container));
	OK(close(v.group));
	OK(ioctl(v.device, VFIO_DEVICE_GET_INFO, &info));
	FAILS(vfio_open_group(O_RDWR), EBUSY);
	OK(close(v.device));
	group = OK(vfio_open_group(O_RDWR));
	OK(close(group));
}

TEST(last_group_takes_the_mappings)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	void *memory = test_memory(PAGE);
	struct vfio v;

	COVERS(VFIO_GROUP_UNSET_CONTAINER, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_GET_INFO);
	vfio_open_iommu(&v);
	OK(vfio_map(v.container, memory, 0, PAGE));
	OK(ioctl(v.group, VFIO_GROUP_UNSET_CONTAINER));
	FAILS(ioctl(v.container, VFIO_IOMMU_GET_INFO, &info), EINVAL);
	FAILS(vfio_map(v.container, memory, 0, PAGE), EINVAL);
	OK(ioctl(v.group, VFIO_GROUP_SET_CONTAINER, &v.container));
	OK(ioctl(v.container, VFIO_SET_IOMMU, test_iommu_type));
	OK(vfio_map(v.container, memory, 0, PAGE));
}

TEST(wrong_file)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio v;

	COVERS(VFIO_DEVICE_GET_INFO, VFIO_GROUP_GET_STATUS);
	vfio_open_device(&v);
	FAILS(ioctl(v.group, VFIO_DEVICE_GET_INFO, &info), ENOTTY);
	FAILS(ioctl(v.group, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), ENOTTY);
	FAILS(ioctl(v.device, VFIO_GROUP_GET_STATUS, &status), ENOTTY);
	FAILS(ioctl(OK(open("/dev/null", O_RDWR)), VFIO_DEVICE_GET_INFO, &info), ENOTTY);
	FAILS(ioctl(-1, VFIO_DEVICE_GET_INFO, &info), EBADF);
}
