/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A user-space driver in miniature: plain VFIO on the educational device (1234:11e8), with a DMA
 * round trip, a factorial, and interrupts by MSI. It runs on real hardware, in a virtual machine,
 * and under "uvfio run -d edu".
 *
 *     edu_dma [--wrong-iova] [0000:01:00.0]
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH 1024
#define IOVA 0x100000ULL	/* the device drives 28 address bits */
#define WRONG_IOVA 0x5000000ULL /* nothing is mapped there */
#define BUFFER 0x40000ULL	/* the device's own, as its DMA registers name it */

enum { ID = 0x00, LIVENESS = 0x04, FACTORIAL = 0x08, STATUS = 0x20, IRQ_STATUS = 0x24 };
enum { IRQ_ACK = 0x64, DMA_SRC = 0x80, DMA_DST = 0x88, DMA_COUNT = 0x90, DMA_CMD = 0x98 };
enum { STATUS_IRQ = 0x80, DMA_RUN = 1, DMA_TO_RAM = 2, DMA_IRQ = 4 };

static volatile uint8_t *bar;
static int interrupt = -1; /* eventfd */

static uint32_t reg_read(unsigned int offset)
{
	return *(volatile uint32_t *)(bar + offset);
}

static void reg_write(unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(bar + offset) = value;
}

static void reg_write64(unsigned int offset, uint64_t value)
{
	*(volatile uint64_t *)(bar + offset) = value;
}

/* Whether the sysfs file PCI/@bdf/@name holds the number @value. */
static int has_id(const char *bdf, const char *name, unsigned long value)
{
	char path[PATH_MAX], text[16] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return strtoul(text, NULL, 16) == value;
}

static char *find_device(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (has_id(e->d_name, "vendor", 0x1234) && has_id(e->d_name, "device", 0x11e8))
			return strdup(e->d_name);
	}
	errx(1, "no edu device (1234:11e8) in /sys/bus/pci/devices");
}

static int open_group(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX], *number;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		err(1, "%s", path);
	link[n] = 0;
	number = strrchr(link, '/') + 1;
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	fd = open(path, O_RDWR);
	if (fd < 0)
		err(1, "%s", path);
	printf("device %s is in group %s\n", bdf, number);
	return fd;
}

static int open_container(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int container = open("/dev/vfio/vfio", O_RDWR), type = VFIO_TYPE1_IOMMU;

	if (container < 0)
		err(1, "/dev/vfio/vfio");
	if (ioctl(container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		errx(1, "unknown version of VFIO");
	if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0)
		type = VFIO_TYPE1v2_IOMMU;
	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
	    !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		errx(1, "the group is not viable: bind all of its devices to vfio-pci");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, type))
		err(1, "cannot set up the container");
	return container;
}

/* Two pages of memory, mapped for the device at IOVA. */
static uint8_t *map_memory(int container)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA,
		.size = 2 * (uint64_t)sysconf(_SC_PAGESIZE),
	};
	void *memory =
		mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	map.vaddr = (uintptr_t)memory;
	if (memory == MAP_FAILED || ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		err(1, "cannot map memory for DMA");
	return memory;
}

static struct vfio_region_info region(int device, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		err(1, "region %u", index);
	return info;
}

static void enable_device(int device)
{
	struct vfio_region_info config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
	struct vfio_region_info bar0 = region(device, VFIO_PCI_BAR0_REGION_INDEX);
	off_t command_at = (off_t)config.offset + PCI_COMMAND;
	uint16_t command;

	if (pread(device, &command, sizeof(command), command_at) != sizeof(command))
		err(1, "cannot read config space");
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(device, &command, sizeof(command), command_at) != sizeof(command))
		err(1, "cannot enable bus mastering");
	bar = mmap(NULL, bar0.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar0.offset);
	if (bar == MAP_FAILED)
		err(1, "cannot map BAR 0");
}

static void enable_msi(int device)
{
	union {
		struct vfio_irq_set set;
		char space[sizeof(struct vfio_irq_set) + sizeof(int)];
	} irq = { .set = { .argsz = sizeof(irq),
			   .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			   .index = VFIO_PCI_MSI_IRQ_INDEX,
			   .count = 1 } };

	interrupt = eventfd(0, EFD_CLOEXEC);
	memcpy(irq.set.data, &interrupt, sizeof(interrupt));
	if (interrupt < 0 || ioctl(device, VFIO_DEVICE_SET_IRQS, &irq))
		err(1, "cannot enable MSI");
}

/* Waits for the interrupt with @bit in the device's status, and acknowledges it. */
static void wait_interrupt(uint32_t bit)
{
	struct pollfd pfd = { .fd = interrupt, .events = POLLIN };
	uint64_t count;

	if (poll(&pfd, 1, 5000) != 1 || read(interrupt, &count, sizeof(count)) != sizeof(count))
		errx(1, "no interrupt within 5 seconds");
	if (!(reg_read(IRQ_STATUS) & bit))
		errx(1, "an interrupt for another reason: 0x%x", reg_read(IRQ_STATUS));
	reg_write(IRQ_ACK, bit);
}

static void dma(uint64_t from, uint64_t to, uint32_t direction)
{
	reg_write64(DMA_SRC, from);
	reg_write64(DMA_DST, to);
	reg_write64(DMA_COUNT, LENGTH);
	reg_write64(DMA_CMD, DMA_RUN | DMA_IRQ | direction);
	wait_interrupt(0x100);
}

static void check_factorial(void)
{
	reg_write(STATUS, STATUS_IRQ);
	reg_write(FACTORIAL, 10);
	wait_interrupt(0x001);
	if (reg_read(FACTORIAL) != 3628800)
		errx(1, "10! = %u?", reg_read(FACTORIAL));
	printf("10! = %u, interrupt received\n", reg_read(FACTORIAL));
}

int main(int argc, char **argv)
{
	int wrong = argc > 1 && !strcmp(argv[1], "--wrong-iova");
	const char *bdf = argc > 1 + wrong ? argv[1 + wrong] : find_device();
	int group = open_group(bdf), container = open_container(group);
	uint8_t *memory = map_memory(container), *back = memory + LENGTH;
	int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf), i;

	if (device < 0)
		err(1, "cannot open %s", bdf);
	setvbuf(stdout, NULL, _IOLBF, 0);
	enable_device(device);
	enable_msi(device);
	reg_write(LIVENESS, 0x12345678);
	if ((reg_read(ID) & 0xff) != 0xed || reg_read(LIVENESS) != ~0x12345678U)
		errx(1, "%s is no edu device, or it is dead", bdf);
	printf("edu %u.%u is alive\n", reg_read(ID) >> 24, reg_read(ID) >> 16 & 0xff);
	check_factorial();

	for (i = 0; i < LENGTH; i++)
		memory[i] = (uint8_t)(i * 7 + 1);
	dma(wrong ? WRONG_IOVA : IOVA, BUFFER, 0);
	dma(BUFFER, IOVA + LENGTH, DMA_TO_RAM);
	if (memcmp(memory, back, LENGTH))
		errx(1, "DMA round trip: the data did not arrive");
	printf("DMA round trip of %d bytes: all arrived, 2 interrupts received\n", LENGTH);
	return 0;
}
