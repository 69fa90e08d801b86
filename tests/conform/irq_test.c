/* SPDX-License-Identifier: BSD-3-Clause */
/* Interrupts: information, SET_IRQS right and wrong, INTx and MSI of the device. */
#include "harness.h"

static struct vfio v;

#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK

/* Long enough for an interrupt that must not come. */
#define NEVER_MS 50
#define SOON_MS 2000

static int set_none(u32 action, u32 index, u32 start, u32 count)
{
	return vfio_set_irqs(v.device, action, index, start, count, NULL);
}

static int set_fd(u32 action, u32 index, int fd)
{
	return vfio_set_irqs(v.device, action, index, 0, 1, &fd);
}

static int set_bool(u32 action, u32 index, u8 value)
{
	struct {
		struct vfio_irq_set set;
		u8 value;
	} arg = {
		.set = { .argsz = sizeof(arg.set) + 1,
			 .flags = action | VFIO_IRQ_SET_DATA_BOOL,
			 .index = index,
			 .count = 1 },
		.value = value,
	};

	return ioctl(v.device, VFIO_DEVICE_SET_IRQS, &arg);
}

TEST(irq_info)
{
	static const struct {
		u32 index, flags, count;
	} expected[] = {
		{ VFIO_PCI_INTX_IRQ_INDEX,
		  VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED, 1 },
		{ VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 1 },
		{ VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 0 },
		{ VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 1 },
	};
	struct vfio_irq_info info = { .argsz = sizeof(info) };

	COVERS(VFIO_DEVICE_GET_IRQ_INFO, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE,
	       VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_NORESIZE, VFIO_PCI_INTX_IRQ_INDEX,
	       VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_ERR_IRQ_INDEX,
	       VFIO_PCI_REQ_IRQ_INDEX);
	vfio_open_device(&v);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		info.index = expected[i].index;
		OK(ioctl(v.device, VFIO_DEVICE_GET_IRQ_INFO, &info));
		CHECK_EQ(info.flags, expected[i].flags);
		CHECK_EQ(info.count, expected[i].count);
	}
	info.index = VFIO_PCI_ERR_IRQ_INDEX;
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_IRQ_INFO, &info), EINVAL);
	info.index = VFIO_PCI_NUM_IRQS;
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_IRQ_INFO, &info), EINVAL);
	info.index = 0;
	for (info.argsz = 0; info.argsz < sizeof(info); info.argsz++)
		FAILS(ioctl(v.device, VFIO_DEVICE_GET_IRQ_INFO, &info), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_GET_IRQ_INFO, NULL), EFAULT);
}

TEST(set_irqs_arguments)
{
	struct vfio_irq_set set = { .flags = VFIO_IRQ_SET_DATA_NONE | TRIGGER, .count = 1 };

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_DATA_NONE, VFIO_IRQ_SET_DATA_BOOL,
	       VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_MASK);
	vfio_open_device(&v);
	for (set.argsz = 0; set.argsz < sizeof(set); set.argsz++)
		FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), EINVAL);
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, NULL), EFAULT);
	set.flags = 0;
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), EINVAL);
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | TRIGGER;
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), EINVAL);
	set.flags = VFIO_IRQ_SET_DATA_NONE;
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), ENOTTY);
	set.flags = VFIO_IRQ_SET_DATA_NONE | TRIGGER | MASK;
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), ENOTTY);
	set.flags = VFIO_IRQ_SET_DATA_NONE | TRIGGER | 1 << 6;
	FAILS(ioctl(v.device, VFIO_DEVICE_SET_IRQS, &set), EINVAL);
	FAILS(set_none(TRIGGER, VFIO_PCI_NUM_IRQS, 0, 1), EINVAL);
	FAILS(set_none(TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 1, 1), EINVAL);
	FAILS(set_none(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 2), EINVAL);
	FAILS(set_none(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 1, ~0U), EINVAL);
	FAILS(set_none(TRIGGER, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1), EINVAL);
}

TEST(eventfd_arguments)
{
	int null = OK(open("/dev/null", O_RDWR));

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_DATA_EVENTFD);
	vfio_open_device(&v);
	for (u32 index = VFIO_PCI_INTX_IRQ_INDEX; index <= VFIO_PCI_MSI_IRQ_INDEX; index++) {
		FAILS(set_fd(TRIGGER, index, 999), EBADF);
		FAILS(set_fd(TRIGGER, index, null), EINVAL);
		OK(set_fd(TRIGGER, index, -1));
		OK(set_none(TRIGGER, index, 0, 0));
	}
	FAILS(vfio_set_irqs(v.device, TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 0, 0, &null), EINVAL);
	FAILS(vfio_set_irqs(v.device, TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 0, &null), ERANGE);
}

static void loop_back(u32 index)
{
	int first = test_eventfd(), second = test_eventfd();

	FAILS(set_none(TRIGGER, index, 0, 1), EINVAL);
	OK(set_fd(TRIGGER, index, first));
	OK(set_none(TRIGGER, index, 0, 1));
	CHECK_EQ(test_eventfd_wait(first, SOON_MS), 1);
	OK(set_bool(TRIGGER, index, 1));
	CHECK_EQ(test_eventfd_wait(first, SOON_MS), 1);
	OK(set_bool(TRIGGER, index, 0));
	CHECK_EQ(test_eventfd_wait(first, 0), 0);
	OK(set_fd(TRIGGER, index, second));
	OK(set_none(TRIGGER, index, 0, 1));
	CHECK_EQ(test_eventfd_wait(second, SOON_MS), 1);
	CHECK_EQ(test_eventfd_wait(first, 0), 0);
	OK(set_none(TRIGGER, index, 0, 0));
	FAILS(set_none(TRIGGER, index, 0, 0), EINVAL);
}

TEST(loop_back_intx)
{
	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_NONE,
	       VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_INTX_IRQ_INDEX);
	vfio_open_device(&v);
	loop_back(VFIO_PCI_INTX_IRQ_INDEX);
}

TEST(loop_back_msi)
{
	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_NONE,
	       VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_MSI_IRQ_INDEX);
	vfio_open_device(&v);
	loop_back(VFIO_PCI_MSI_IRQ_INDEX);
}

TEST(loop_back_req)
{
	int fd = test_eventfd();

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_PCI_REQ_IRQ_INDEX);
	vfio_open_device(&v);
	OK(set_fd(TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, fd));
	OK(set_none(TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, 0, 1));
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	FAILS(set_fd(TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, -2), EINVAL);
	OK(set_fd(TRIGGER, VFIO_PCI_REQ_IRQ_INDEX, -1));
}

TEST(one_kind_at_a_time)
{
	int fd = test_eventfd();

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX);
	vfio_open_device(&v);
	OK(set_fd(TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, fd));
	FAILS(set_fd(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, fd), EINVAL);
	OK(set_none(TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, 0, 0));
	OK(set_fd(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, fd));
	FAILS(set_fd(TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, fd), EINVAL);
}

TEST(mask_msi)
{
	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_UNMASK,
	       VFIO_PCI_MSI_IRQ_INDEX);
	vfio_open_device(&v);
	OK(set_fd(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, test_eventfd()));
	FAILS(set_none(MASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1), ENOTTY);
	FAILS(set_none(UNMASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1), ENOTTY);
}

TEST(intx_of_the_device)
{
	const u32 intx = VFIO_PCI_INTX_IRQ_INDEX;
	int fd = test_eventfd();
	volatile void *bar;

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_ACTION_MASK,
	       VFIO_PCI_INTX_IRQ_INDEX);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	OK(set_fd(TRIGGER, intx, fd));
	edu_write(bar, EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	CHECK_EQ(edu_read(bar, EDU_IRQ_STATUS), 1);
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
	/* Still raised: it comes again. */
	OK(set_none(UNMASK, intx, 0, 1));
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	edu_write(bar, EDU_IRQ_ACK, 1);
	OK(set_none(UNMASK, intx, 0, 1));
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
	OK(set_none(MASK, intx, 0, 1));
	edu_write(bar, EDU_IRQ_RAISE, 2);
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
	OK(set_none(UNMASK, intx, 0, 1));
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	edu_write(bar, EDU_IRQ_ACK, 2);
}

TEST(intx_unmask_by_eventfd)
{
	int fd = test_eventfd(), unmask = test_eventfd();
	const u32 intx = VFIO_PCI_INTX_IRQ_INDEX;
	volatile void *bar;
	u64 one = 1;

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD,
	       VFIO_IRQ_SET_ACTION_MASK);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	OK(set_fd(TRIGGER, intx, fd));
	FAILS(set_fd(MASK, intx, unmask), ENOTTY);
	OK(set_fd(UNMASK, intx, unmask));
	FAILS(set_fd(UNMASK, intx, unmask), EBUSY);
	edu_write(bar, EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	CHECK_EQ(write(unmask, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	edu_write(bar, EDU_IRQ_ACK, 1);
	CHECK_EQ(write(unmask, &one, sizeof(one)), sizeof(one));
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
}

TEST(intx_disabled_by_command)
{
	int fd = test_eventfd();
	volatile void *bar;

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_PCI_INTX_IRQ_INDEX);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	OK(set_fd(TRIGGER, VFIO_PCI_INTX_IRQ_INDEX, fd));
	vfio_set_command(v.device, PCI_COMMAND_INTX_DISABLE, 0);
	edu_write(bar, EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
	CHECK(vfio_config_read(v.device, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	vfio_set_command(v.device, 0, PCI_COMMAND_INTX_DISABLE);
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	edu_write(bar, EDU_IRQ_ACK, 1);
}

TEST(msi_of_the_device)
{
	int fd = test_eventfd();
	volatile void *bar;

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_PCI_MSI_IRQ_INDEX);
	vfio_open_device(&v);
	bar = edu_map_bar(v.device);
	OK(set_fd(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, fd));
	CHECK_EQ(vfio_config_read(v.device, 0x42, 2) & PCI_MSI_FLAGS_ENABLE, 0);
	edu_write(bar, EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(fd, NEVER_MS), 0);
	edu_write(bar, EDU_IRQ_ACK, 1);
	vfio_set_command(v.device, PCI_COMMAND_MASTER, 0);
	edu_write(bar, EDU_IRQ_RAISE, 4);
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	edu_write(bar, EDU_IRQ_ACK, 4);
	edu_write(bar, EDU_STATUS, 0x80);
	edu_write(bar, EDU_FACTORIAL, 6);
	CHECK_EQ(test_eventfd_wait(fd, SOON_MS), 1);
	CHECK_EQ(edu_read(bar, EDU_FACTORIAL), 720);
	edu_write(bar, EDU_IRQ_ACK, 1);
	edu_write(bar, EDU_STATUS, 0);
	OK(set_none(TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 0));
}
