/* SPDX-License-Identifier: BSD-3-Clause */
/* Device files: information, config space, BARs by call and by mapping, reset, features. */
#include <setjmp.h>
#include <signal.h>
#include <sys/uio.h>

#include "harness.h"

#define NEVER_MAPPED ((void *)0x1000)
#define LOW_POWER_US 300000 /* after which the kernel has suspended a device */

/* The compiler knows that pread does not take NULL. */
static void *volatile null;

static struct vfio v;

TEST(device_info)
{
	struct vfio_device_info info;

	COVERS(VFIO_DEVICE_GET_INFO, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_CAPS,
	       VFIO_DEVICE_FLAGS_RESET, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS);
	vfio_open_device(&v);
	for (u32 argsz = 0; argsz < 16; argsz++) {
		info.argsz = argsz;
		FAILS(ioctl(v.device, VFIO_DEVICE_GET_INFO, &info), EINVAL);
	}
	memset(&info, 0xee, sizeof(info));
	info.argsz = 17;
	OK(ioctl(v.device, VFIO_DEVICE_GET_INFO, &info));
	CHECK(info.flags & VFIO_DEVICE_FLAGS_PCI);
	CHECK(info.flags & VFIO_DEVICE_FLAGS_RESET);
	CHECK(!(info.flags & VFIO_DEVICE_FLAGS_CAPS));
	CHECK_EQ(info.num_regions, VFIO_PCI_NUM_REGIONS);
	CHECK_EQ(info.num_irqs, VFIO_PCI_NUM_IRQS);
	CHECK_EQ(info.cap_offset, 0xeeeeee00);
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_INFO, NULL), EFAULT);
	FAILS(ioctl(v.device, _IO(VFIO_TYPE, VFIO_BASE + 99)), ENOTTY);
}

TEST(region_info)
{
	static const u32 absent[] = { VFIO_PCI_BAR1_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX,
				      VFIO_PCI_BAR3_REGION_INDEX, VFIO_PCI_BAR4_REGION_INDEX,
				      VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_ROM_REGION_INDEX };
	struct vfio_region_info info = { .argsz = sizeof(info) };

	COVERS(VFIO_DEVICE_GET_REGION_INFO, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
	       VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_CAPS, VFIO_PCI_BAR0_REGION_INDEX,
	       VFIO_PCI_BAR1_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX, VFIO_PCI_BAR3_REGION_INDEX,
	       VFIO_PCI_BAR4_REGION_INDEX, VFIO_PCI_BAR5_REGION_INDEX, VFIO_PCI_ROM_REGION_INDEX,
	       VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_VGA_REGION_INDEX);
	vfio_open_device(&v);
	info.index = VFIO_PCI_BAR0_REGION_INDEX;
	OK(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info));
	CHECK_EQ(info.size, EDU_BAR_SIZE);
	CHECK_EQ(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				     VFIO_REGION_INFO_FLAG_MMAP);
	CHECK(!(info.flags & VFIO_REGION_INFO_FLAG_CAPS));
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		info.index = absent[i];
		OK(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info));
		CHECK_EQ(info.size, 0);
		CHECK_EQ(info.flags, 0);
		CHECK_EQ(info.offset, (u64)info.index << 40);
	}
	info.index = VFIO_PCI_CONFIG_REGION_INDEX;
	OK(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info));
	CHECK_EQ(info.size, 256);
	CHECK_EQ(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	CHECK_EQ(info.offset, 7UL << 40);
	info.index = VFIO_PCI_VGA_REGION_INDEX;
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info), EINVAL);
	info.index = VFIO_PCI_NUM_REGIONS;
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info), EINVAL);
	info.index = -1;
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info), EINVAL);
	info.index = 0;
	for (info.argsz = 0; info.argsz < sizeof(info); info.argsz++)
		FAILS(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, &info), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_REGION_INFO, NULL), EFAULT);
}

TEST(config_identity)
{
	vfio_open_device(&v);
	CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
	CHECK_EQ(vfio_config_read(v.device, PCI_DEVICE_ID, 2), 0x11e8);
	CHECK_EQ(vfio_config_read(v.device, PCI_REVISION_ID, 1), 0x10);
	CHECK_EQ(vfio_config_read(v.device, PCI_CLASS_DEVICE, 2), 0x00ff);
	CHECK_EQ(vfio_config_read(v.device, 0, 8), 0x0010010311e81234);
}

TEST(config_bounds)
{
	u64 base;
	char data[8];

	COVERS(VFIO_PCI_CONFIG_REGION_INDEX);
	vfio_open_device(&v);
	base = vfio_region_offset(v.device, VFIO_PCI_CONFIG_REGION_INDEX);
	CHECK_EQ(pread(v.device, data, 1, base + 255), 1);
	CHECK_EQ(pread(v.device, data, 0, base), 0);
	FAILS(pread(v.device, data, 2, base + 255), EFAULT);
	FAILS(pread(v.device, data, 4, base + 256), EFAULT);
	FAILS(pwrite(v.device, data, 4, base + 254), EFAULT);
	FAILS(pread(v.device, null, 4, base), EFAULT);
	FAILS(pread(v.device, NEVER_MAPPED, 4, base), EFAULT);
}

TEST(config_bar_sizing)
{
	u32 address;

	vfio_open_device(&v);
	address = vfio_config_read(v.device, PCI_BASE_ADDRESS_0, 4);
	vfio_config_write(v.device, PCI_BASE_ADDRESS_0, 4, ~0U);
	CHECK_EQ(vfio_config_read(v.device, PCI_BASE_ADDRESS_0, 4), (u32)-EDU_BAR_SIZE);
	vfio_config_write(v.device, PCI_BASE_ADDRESS_0, 4, address);
	CHECK_EQ(vfio_config_read(v.device, PCI_BASE_ADDRESS_0, 4), address);
	vfio_config_write(v.device, PCI_BASE_ADDRESS_1, 4, ~0U);
	CHECK_EQ(vfio_config_read(v.device, PCI_BASE_ADDRESS_1, 4), 0);
}

TEST(config_read_only)
{
	vfio_open_device(&v);
	vfio_config_write(v.device, PCI_VENDOR_ID, 2, 0xdead);
	CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
	CHECK(!(vfio_config_read(v.device, PCI_COMMAND, 2) & PCI_COMMAND_MASTER));
	vfio_set_command(v.device, PCI_COMMAND_MASTER, 0);
	CHECK(vfio_config_read(v.device, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

TEST(bar_access)
{
	u32 value = 0;
	u64 bar;

	COVERS(VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR1_REGION_INDEX);
	vfio_open_device(&v);
	bar = vfio_region_offset(v.device, VFIO_PCI_BAR0_REGION_INDEX);
	CHECK_EQ(pread(v.device, &value, 4, bar + EDU_ID), 4);
	CHECK_EQ(value, 0x010000ed);
	value = 0x12345678;
	CHECK_EQ(pwrite(v.device, &value, 4, bar + EDU_LIVENESS), 4);
	CHECK_EQ(pread(v.device, &value, 4, bar + EDU_LIVENESS), 4);
	CHECK_EQ(value, ~0x12345678U);
	CHECK_EQ(pread(v.device, &value, 4, bar + EDU_BAR_SIZE - 2), 2);
	FAILS(pread(v.device, &value, 4, bar + EDU_BAR_SIZE), EINVAL);
	FAILS(pwrite(v.device, &value, 4, bar + EDU_BAR_SIZE), EINVAL);
	FAILS(pread(v.device, null, 4, bar), EFAULT);
	FAILS(pread(v.device, &value, 4, vfio_region_offset(v.device, VFIO_PCI_BAR1_REGION_INDEX)),
	      EINVAL);
	FAILS(pread(v.device, &value, 4, 9UL << 40), EINVAL);
}

TEST(vector_access)
{
	u32 low = 0, high = 0;
	struct iovec iov[2] = { { &low, 4 }, { &high, 4 } };
	u64 config;

	COVERS(VFIO_PCI_CONFIG_REGION_INDEX);
	vfio_open_device(&v);
	config = vfio_region_offset(v.device, VFIO_PCI_CONFIG_REGION_INDEX);
	CHECK_EQ(preadv(v.device, iov, 2, config), 8);
	CHECK_EQ(low, 0x11e81234);
	CHECK_EQ(high, vfio_config_read(v.device, PCI_COMMAND, 4));
}

TEST(memory_decoding_off)
{
	u32 value;
	u64 bar;

	COVERS(VFIO_PCI_BAR0_REGION_INDEX);
	vfio_open_device(&v);
	bar = vfio_region_offset(v.device, VFIO_PCI_BAR0_REGION_INDEX);
	vfio_set_command(v.device, 0, PCI_COMMAND_MEMORY);
	FAILS(pread(v.device, &value, 4, bar), EIO);
	FAILS(pwrite(v.device, &value, 4, bar), EIO);
	vfio_set_command(v.device, PCI_COMMAND_MEMORY, 0);
	CHECK_EQ(pread(v.device, &value, 4, bar), 4);
	CHECK_EQ(value, 0x010000ed);
}

static sigjmp_buf fault;

static void on_signal(int signal)
{
	siglongjmp(fault, signal);
}

TEST(mapped_memory_decoding_off)
{
	volatile void *bar;

	COVERS(VFIO_PCI_BAR0_REGION_INDEX);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);
	signal(SIGBUS, on_signal);
	vfio_set_command(v.device, 0, PCI_COMMAND_MEMORY);
	switch (sigsetjmp(fault, 1)) {
	case 0:
		edu_read(bar, EDU_ID);
		test_failed(__FILE__, __LINE__, "a BAR can be read while decoding is off");
	default:
		break;
	}
	vfio_set_command(v.device, PCI_COMMAND_MEMORY, 0);
	CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);
}

static void mmap_fails(u64 size, int prot, int flags, u64 offset, int error)
{
	CHECK(mmap(NULL, size, prot, flags, v.device, offset) == MAP_FAILED);
	CHECK_EQ(errno, error);
}

TEST(mmap_bounds)
{
	u64 bar, config, absent;

	COVERS(VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR1_REGION_INDEX,
	       VFIO_PCI_CONFIG_REGION_INDEX);
	vfio_open_device(&v);
	bar = vfio_region_offset(v.device, VFIO_PCI_BAR0_REGION_INDEX);
	absent = vfio_region_offset(v.device, VFIO_PCI_BAR1_REGION_INDEX);
	config = vfio_region_offset(v.device, VFIO_PCI_CONFIG_REGION_INDEX);
	mmap_fails(PAGE, PROT_READ, MAP_SHARED, bar + EDU_BAR_SIZE, EINVAL);
	mmap_fails(2 * PAGE, PROT_READ, MAP_SHARED, bar + EDU_BAR_SIZE - PAGE, EINVAL);
	mmap_fails(EDU_BAR_SIZE + PAGE, PROT_READ, MAP_SHARED, bar, EINVAL);
	mmap_fails(PAGE, PROT_READ, MAP_PRIVATE, bar, EINVAL);
	mmap_fails(PAGE, PROT_READ, MAP_SHARED, absent, EINVAL);
	mmap_fails(PAGE, PROT_READ, MAP_SHARED, config, EINVAL);
	mmap_fails(PAGE, PROT_READ, MAP_SHARED, 9UL << 40, EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, v.device, bar + EDU_BAR_SIZE - PAGE) !=
	      MAP_FAILED);
}

TEST(mapped_registers)
{
	volatile void *bar;

	COVERS(VFIO_PCI_BAR0_REGION_INDEX);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);
	edu_write(bar, EDU_LIVENESS, 0xf0f0f0f0);
	CHECK_EQ(edu_read(bar, EDU_LIVENESS), 0x0f0f0f0f);
	edu_write(bar, EDU_FACTORIAL, 5);
	while (edu_read(bar, EDU_STATUS) & 1)
		;
	CHECK_EQ(edu_read(bar, EDU_FACTORIAL), 120);
	OK(close(v.device));
	CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);
}

TEST(reset)
{
	u32 value = 5;
	u64 bar;

	COVERS(VFIO_DEVICE_RESET);
	vfio_open_device(&v);
	bar = vfio_region_offset(v.device, VFIO_PCI_BAR0_REGION_INDEX);
	CHECK_EQ(pwrite(v.device, &value, 4, bar + EDU_LIVENESS), 4);
	vfio_config_write(v.device, PCI_INTERRUPT_LINE, 1, 77);
	OK(ioctl(v.device, VFIO_DEVICE_RESET));
	OK(ioctl(v.device, VFIO_DEVICE_RESET, -1L));
	CHECK_EQ(vfio_config_read(v.device, PCI_INTERRUPT_LINE, 1), 77);
	CHECK_EQ(pread(v.device, &value, 4, bar), 4);
	CHECK_EQ(value, 0x010000ed);
}

TEST(hot_reset_info)
{
	struct {
		struct vfio_pci_hot_reset_info info;
		struct vfio_pci_dependent_device devices[8];
	} arg = {};

	COVERS(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	vfio_open_device(&v);
	for (arg.info.argsz = 0; arg.info.argsz < sizeof(arg.info); arg.info.argsz++)
		FAILS(ioctl(v.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg), ENOSPC);
	CHECK_EQ(arg.info.count, 1);
	arg.info.argsz = sizeof(arg);
	OK(ioctl(v.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &arg));
	CHECK_EQ(arg.info.count, 1);
	CHECK(!(arg.info.flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID));
	CHECK_EQ(arg.info.flags, 0);
	CHECK_EQ(arg.devices[0].group_id, vfio_group_number());
	CHECK_EQ(arg.devices[0].bus, 1);
	CHECK_EQ(arg.devices[0].devfn, 0);
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, NULL), EFAULT);
}

TEST(hot_reset)
{
	struct {
		struct vfio_pci_hot_reset reset;
		s32 fd;
	} arg = { .reset = { .argsz = sizeof(arg), .count = 1 } };

	COVERS(VFIO_DEVICE_PCI_HOT_RESET);
	vfio_open_device(&v);
	arg.fd = v.container;
	FAILS(ioctl(v.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	arg.fd = -1;
	FAILS(ioctl(v.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), EBADF);
	arg.fd = v.group;
	arg.reset.flags = 1;
	FAILS(ioctl(v.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	arg.reset.flags = 0;
	arg.reset.argsz = sizeof(arg.reset) - 1;
	FAILS(ioctl(v.device, VFIO_DEVICE_PCI_HOT_RESET, &arg), EINVAL);
	arg.reset.argsz = sizeof(arg);
	OK(ioctl(v.device, VFIO_DEVICE_PCI_HOT_RESET, &arg));
}

static int feature(u32 flags, void *data, size_t size)
{
	struct {
		struct vfio_device_feature feature;
		char data[64];
	} arg = { .feature = { .argsz = sizeof(arg.feature) + size, .flags = flags } };

	if (data)
		memcpy(arg.data, data, size);
	return ioctl(v.device, VFIO_DEVICE_FEATURE, &arg);
}

TEST(feature_probe)
{
	static const u32 absent[] = {
		VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
		VFIO_DEVICE_FEATURE_MIGRATION,
		VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
		VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
		VFIO_DEVICE_FEATURE_BUS_MASTER,
		0xffff,
	};

	COVERS(VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_GET,
	       VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
	       VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
	       VFIO_DEVICE_FEATURE_DMA_LOGGING_START, VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
	       VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
	       VFIO_DEVICE_FEATURE_BUS_MASTER, VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2);
	vfio_open_device(&v);
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		FAILS(feature(VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | absent[i], NULL,
			      0),
		      ENOTTY);
		FAILS(feature(VFIO_DEVICE_FEATURE_GET | absent[i], NULL, 0), ENOTTY);
		FAILS(feature(VFIO_DEVICE_FEATURE_SET | absent[i], NULL, 0), ENOTTY);
	}
	FAILS(feature(0, NULL, 0), ENOTTY);
	FAILS(feature(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, NULL, 0),
	      EINVAL);
	FAILS(feature(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, NULL, 0), EINVAL);
	FAILS(feature(VFIO_DEVICE_FEATURE_PROBE | 1 << 19, NULL, 0), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_FEATURE, NULL), EFAULT);
}

TEST(feature_low_power)
{
	struct vfio_device_low_power_entry_with_wakeup wakeup = { .wakeup_eventfd =
									  test_eventfd() };
	const u32 set = VFIO_DEVICE_FEATURE_SET;

	COVERS(VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
	       VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	       VFIO_DEVICE_FEATURE_SET);
	vfio_open_device(&v);
	OK(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0));
	OK(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0));
	FAILS(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, NULL, 0), EINVAL);
	CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
	OK(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0));
	OK(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, &wakeup, sizeof(wakeup)));
	usleep(LOW_POWER_US);
	CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
	CHECK_EQ(test_eventfd_wait(wakeup.wakeup_eventfd, 1000), 1);
	OK(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, NULL, 0));
	wakeup.wakeup_eventfd = -1;
	FAILS(feature(set | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, &wakeup,
		      sizeof(wakeup)),
	      EINVAL);
}

TEST(feature_dma_buf)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} arg = {
		.feature = { .argsz = sizeof(arg),
			     .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		.dma_buf = { .region_index = VFIO_PCI_BAR0_REGION_INDEX,
			     .open_flags = O_CLOEXEC,
			     .nr_ranges = 1 },
		.range = { .length = PAGE },
	};
	int fd;

	COVERS(VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_DMA_BUF);
	vfio_open_device(&v);
	fd = OK(ioctl(v.device, VFIO_DEVICE_FEATURE, &arg));
	CHECK_EQ(lseek(fd, 0, SEEK_END), PAGE);
	OK(close(fd));
	arg.dma_buf.nr_ranges = 0;
	FAILS(ioctl(v.device, VFIO_DEVICE_FEATURE, &arg), EINVAL);
	arg.dma_buf.nr_ranges = 1;
	arg.range.length = 2 * EDU_BAR_SIZE;
	FAILS(ioctl(v.device, VFIO_DEVICE_FEATURE, &arg), EINVAL);
	arg.range.length = PAGE;
	arg.dma_buf.region_index = VFIO_PCI_CONFIG_REGION_INDEX;
	FAILS(ioctl(v.device, VFIO_DEVICE_FEATURE, &arg), ENODEV);
}

TEST(ioeventfd)
{
	struct vfio_device_ioeventfd io = {
		.argsz = sizeof(io),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.data = 0xffff0000,
	};
	u64 bar, one = 1;
	u32 value;

	COVERS(VFIO_DEVICE_IOEVENTFD, VFIO_DEVICE_IOEVENTFD_8, VFIO_DEVICE_IOEVENTFD_16,
	       VFIO_DEVICE_IOEVENTFD_32, VFIO_DEVICE_IOEVENTFD_64);
	vfio_open_device(&v);
	bar = vfio_region_offset(v.device, VFIO_PCI_BAR0_REGION_INDEX);
	io.offset = bar + EDU_LIVENESS;
	io.fd = test_eventfd();
	OK(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io));
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EEXIST);
	CHECK_EQ(write(io.fd, &one, sizeof(one)), sizeof(one));
	usleep(100000);
	CHECK_EQ(pread(v.device, &value, 4, bar + EDU_LIVENESS), 4);
	CHECK_EQ(value, 0x0000ffff);
	io.fd = -1;
	OK(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io));
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), ENODEV);
	io.fd = test_eventfd();
	io.flags = 0;
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EINVAL);
	io.flags = VFIO_DEVICE_IOEVENTFD_8 | VFIO_DEVICE_IOEVENTFD_16;
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EINVAL);
	io.flags = VFIO_DEVICE_IOEVENTFD_64;
	io.offset = bar + 8;
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EINVAL);
	io.flags = VFIO_DEVICE_IOEVENTFD_16;
	io.offset = bar + EDU_BAR_SIZE;
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EINVAL);
	io.offset = vfio_region_offset(v.device, VFIO_PCI_CONFIG_REGION_INDEX);
	FAILS(ioctl(v.device, VFIO_DEVICE_IOEVENTFD, &io), EINVAL);
}

TEST(iommufd_calls_on_a_group_device)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = -1 };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	COVERS(VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT,
	       VFIO_DEVICE_DETACH_IOMMUFD_PT);
	vfio_open_device(&v);
	FAILS(ioctl(v.device, VFIO_DEVICE_BIND_IOMMUFD, &bind), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), ENOTTY);
	FAILS(ioctl(v.device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), ENOTTY);
}
