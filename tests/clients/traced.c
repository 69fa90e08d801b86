/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver for a debugger to look at: registers by pread() and pwrite(), DMA, an MSI.
 *
 *	traced        without a mapping of the device's registers
 *	traced map    ends with the errno with which they could not be mapped, or 0
 */
#include "conform/harness.h"

#define SIZE 256
#define IOVA 0x10000

static int device;
static u64 bar;

static u32 reg_read(unsigned int reg)
{
	u32 value;

	CHECK_EQ(pread(device, &value, sizeof(value), bar + reg), sizeof(value));
	return value;
}

static void reg_write(unsigned int reg, u32 value)
{
	CHECK_EQ(pwrite(device, &value, sizeof(value), bar + reg), sizeof(value));
}

/* Where a debugger stops. */
static __attribute__((noinline)) u32 factorial(u32 n)
{
	reg_write(EDU_FACTORIAL, n);
	while (reg_read(EDU_STATUS) & 1)
		usleep(100);
	return reg_read(EDU_FACTORIAL);
}

static void copy(u32 source, u32 destination, u32 command)
{
	reg_write(EDU_DMA_SRC, source);
	reg_write(EDU_DMA_DST, destination);
	reg_write(EDU_DMA_COUNT, SIZE);
	reg_write(EDU_DMA_CMD, command);
	while (reg_read(EDU_DMA_CMD) & EDU_DMA_START)
		usleep(100);
}

int main(int argc, char **argv)
{
	int message = test_eventfd();
	struct vfio v;
	char *memory;

	test_iommu_type = VFIO_TYPE1v2_IOMMU;
	vfio_open_device(&v);
	device = v.device;
	bar = vfio_region_offset(device, VFIO_PCI_BAR0_REGION_INDEX);
	vfio_set_command(device, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 0);
	if (argc > 1)
		return mmap(NULL, EDU_BAR_SIZE, PROT_READ, MAP_SHARED, device, bar) == MAP_FAILED
			       ? errno
			       : 0;

	CHECK_EQ(vfio_config_read(device, PCI_VENDOR_ID, 4), 0x11e81234);
	CHECK_EQ(reg_read(EDU_ID), 0x010000ed);
	CHECK_EQ(factorial(7), 5040);
	memory = test_memory(PAGE);
	memset(memory, 0x5a, SIZE);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	copy(IOVA, EDU_BUFFER, EDU_DMA_START);
	memset(memory, 0, SIZE);
	copy(EDU_BUFFER, IOVA, EDU_DMA_START | EDU_DMA_TO_RAM);
	CHECK_EQ(memory[SIZE - 1], 0x5a);
	OK(vfio_set_irqs(device, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &message));
	reg_write(EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(message, 5000), 1);
	printf("done\n");
	return 0;
}
