/* SPDX-License-Identifier: BSD-3-Clause */
#include <limits.h>
#include <poll.h>
#include <stdarg.h>

#include "harness.h"

unsigned long test_iommu_type;
const char *test_bdf = "0000:01:00.0";

void test_failed(const char *file, int line, const char *format, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

void test_skip(const char *reason)
{
	printf("# skipped: %s\n", reason);
	fflush(stdout);
	_exit(TEST_EXIT_SKIP);
}

void test_equal(const char *file, int line, const char *what, long long value, long long expected)
{
	if (value != expected)
		test_failed(file, line, "%s is %lld (%#llx), not %lld (%#llx)", what, value, value,
			    expected, expected);
}

long test_ok(const char *file, int line, const char *what, long result)
{
	if (result == -1)
		test_failed(file, line, "%s: %s", what, strerrorname_np(errno));
	return result;
}

void test_fails(const char *file, int line, const char *what, long result, int expected,
		const char *expected_name)
{
	int error = errno;

	if (result != -1)
		test_failed(file, line, "%s returned %ld, not %s", what, result, expected_name);
	if (error != expected)
		test_failed(file, line, "%s: %s, not %s", what, strerrorname_np(error),
			    expected_name);
}

int vfio_group_number(void)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", test_bdf);
	len = OK(readlink(path, target, sizeof(target) - 1));
	target[len] = '\0';
	return atoi(strrchr(target, '/') + 1);
}

int vfio_open_group(int flags)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/dev/vfio/%d", vfio_group_number());
	return open(path, flags);
}

void vfio_open_container(struct vfio *v)
{
	v->container = OK(open("/dev/vfio/vfio", O_RDWR));
	v->group = OK(vfio_open_group(O_RDWR));
	v->device = -1;
	OK(ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container));
}

void vfio_open_iommu(struct vfio *v)
{
	vfio_open_container(v);
	OK(ioctl(v->container, VFIO_SET_IOMMU, test_iommu_type));
}

void vfio_open_device(struct vfio *v)
{
	vfio_open_iommu(v);
	v->device = OK(ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, test_bdf));
}

int vfio_map_flags(int container, const void *va, u64 iova, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

int vfio_map(int container, const void *va, u64 iova, u64 size)
{
	return vfio_map_flags(container, va, iova, size,
			      VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

int vfio_unmap_flags(int container, u64 iova, u64 *size, u32 flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.iova = iova,
		.size = *size,
	};
	int ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);

	*size = unmap.size;
	return ret;
}

int vfio_unmap(int container, u64 iova, u64 size)
{
	return vfio_unmap_flags(container, iova, &size, 0);
}

u64 vfio_region_offset(int device, u32 index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	OK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info));
	return info.offset;
}

u64 vfio_config_read(int device, unsigned int offset, unsigned int width)
{
	u64 value = 0;

	CHECK_EQ(pread(device, &value, width,
		       vfio_region_offset(device, VFIO_PCI_CONFIG_REGION_INDEX) + offset),
		 width);
	return value;
}

void vfio_config_write(int device, unsigned int offset, unsigned int width, u64 value)
{
	CHECK_EQ(pwrite(device, &value, width,
			vfio_region_offset(device, VFIO_PCI_CONFIG_REGION_INDEX) + offset),
		 width);
}

void vfio_set_command(int device, u16 set, u16 clear)
{
	u16 command = vfio_config_read(device, PCI_COMMAND, 2);

	vfio_config_write(device, PCI_COMMAND, 2, (command & ~clear) | set);
}

int vfio_set_irqs(int device, u32 flags, u32 index, u32 start, u32 count, const int *fds)
{
	size_t size = sizeof(struct vfio_irq_set) + (fds ? count * sizeof(*fds) : 0);
	struct vfio_irq_set *set = calloc(1, size);
	int ret, error;

	CHECK(set);
	set->argsz = size;
	set->flags = flags | (fds ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = count;
	if (fds)
		memcpy(set->data, fds, count * sizeof(*fds));
	ret = ioctl(device, VFIO_DEVICE_SET_IRQS, set);
	error = errno;
	free(set);
	errno = error;
	return ret;
}

void *test_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

int test_eventfd(void)
{
	return OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

u64 test_eventfd_wait(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	u64 count = 0;

	OK(poll(&poll_fd, 1, ms));
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

volatile void *edu_map_bar(int device)
{
	void *bar = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, device,
			 vfio_region_offset(device, VFIO_PCI_BAR0_REGION_INDEX));

	CHECK(bar != MAP_FAILED);
	return bar;
}

void edu_dma(volatile void *bar, u64 iova, u32 size, u32 flags)
{
	edu_write(bar, EDU_DMA_SRC, flags & EDU_DMA_TO_RAM ? EDU_BUFFER : iova);
	edu_write(bar, EDU_DMA_DST, flags & EDU_DMA_TO_RAM ? iova : EDU_BUFFER);
	edu_write(bar, EDU_DMA_COUNT, size);
	edu_write(bar, EDU_DMA_CMD, flags | EDU_DMA_START);
	for (int i = 0; i < 2000; i++) {
		if (!(edu_read(bar, EDU_DMA_CMD) & EDU_DMA_START))
			return;
		usleep(5000);
	}
	test_failed(__FILE__, __LINE__, "the device does not end its DMA");
}
