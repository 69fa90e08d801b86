/* SPDX-License-Identifier: BSD-3-Clause */
/* DMA of the device: permissions, kinds of memory, and what the life of processes does to it. */
#include <signal.h>
#include <sys/wait.h>

#include "harness.h"

#define SIZE 256
#define IOVA 0x10000

static struct vfio v;

static volatile void *open_edu(void)
{
	vfio_open_device(&v);
	vfio_set_command(v.device, PCI_COMMAND_MASTER, 0);
	return edu_map_bar(v.device);
}

static void fill(u8 *memory, u8 seed)
{
	for (int i = 0; i < SIZE; i++)
		memory[i] = seed + i * 7;
}

static bool filled(const u8 *memory, u8 seed)
{
	for (int i = 0; i < SIZE; i++)
		if (memory[i] != (u8)(seed + i * 7))
			return false;
	return true;
}

/* Through the device and back. */
static void round_trip(volatile void *bar, u8 *memory, u64 iova, u8 seed)
{
	fill(memory, seed);
	edu_dma(bar, iova, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, iova, SIZE, EDU_DMA_TO_RAM);
	CHECK(filled(memory, seed));
}

TEST(private_memory)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(2 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE);
	OK(vfio_map(v.container, memory, IOVA, 2 * PAGE));
	round_trip(bar, memory, IOVA, 1);
	round_trip(bar, memory + PAGE - SIZE / 2, IOVA + PAGE - SIZE / 2, 2);
}

TEST(shared_memory)
{
	volatile void *bar = open_edu();
	int memfd = OK(memfd_create("dma", MFD_CLOEXEC));
	u8 *memory;

	COVERS(VFIO_IOMMU_MAP_DMA);
	OK(ftruncate(memfd, 4 * PAGE));
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, PAGE);
	CHECK(memory != MAP_FAILED);
	OK(vfio_map(v.container, memory, IOVA, 2 * PAGE));
	round_trip(bar, memory, IOVA, 3);
	round_trip(bar, memory + PAGE, IOVA + PAGE, 4);
}

/* The pages are the device's until they are unmapped from it, whatever their owner does. */
TEST(shared_memory_after_munmap)
{
	volatile void *bar = open_edu();
	int memfd = OK(memfd_create("dma", MFD_CLOEXEC));
	u8 *memory, *again;

	COVERS(VFIO_IOMMU_MAP_DMA);
	OK(ftruncate(memfd, PAGE));
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	fill(memory, 5);
	OK(munmap(memory, PAGE));
	edu_dma(bar, IOVA, SIZE, 0);
	again = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	memset(again, 0, SIZE);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK(filled(again, 5));
}

TEST(permissions)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(2 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE);
	OK(vfio_map_flags(v.container, memory, IOVA, PAGE, VFIO_DMA_MAP_FLAG_READ));
	OK(vfio_map_flags(v.container, memory + PAGE, IOVA + PAGE, PAGE, VFIO_DMA_MAP_FLAG_WRITE));
	fill(memory, 6);
	edu_dma(bar, IOVA, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[1], 0);
	edu_dma(bar, IOVA + PAGE, SIZE, EDU_DMA_TO_RAM);
	CHECK(filled(memory + PAGE, 6));
}

TEST(after_unmap)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(PAGE);

	COVERS(VFIO_IOMMU_UNMAP_DMA);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	round_trip(bar, memory, IOVA, 7);
	memset(memory, 0, SIZE);
	OK(vfio_unmap(v.container, IOVA, PAGE));
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[1], 0);
}

TEST(without_bus_master)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	round_trip(bar, memory, IOVA, 8);
	memset(memory, 0, SIZE);
	vfio_set_command(v.device, 0, PCI_COMMAND_MASTER);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[1], 0);
	vfio_set_command(v.device, PCI_COMMAND_MASTER, 0);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_TO_RAM);
	CHECK(filled(memory, 8));
}

TEST(interrupt_at_the_end)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(PAGE);
	int fd = test_eventfd();

	COVERS(VFIO_DEVICE_SET_IRQS, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IOMMU_MAP_DMA);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	OK(vfio_set_irqs(v.device, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &fd));
	fill(memory, 9);
	edu_dma(bar, IOVA, SIZE, EDU_DMA_IRQ);
	CHECK_EQ(test_eventfd_wait(fd, 2000), 1);
	CHECK(edu_read(bar, EDU_IRQ_STATUS) & 0x100);
	edu_write(bar, EDU_IRQ_ACK, 0x100);
}

/* What a child does with inherited files is what its parent would do. */
TEST(fork_shares_files)
{
	volatile void *bar = open_edu();
	u8 *memory = test_memory(PAGE);
	int status;

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	if (!OK(fork())) {
		CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
		CHECK_EQ(edu_read(bar, EDU_ID), 0x010000ed);
		FAILS(vfio_map(v.container, memory, IOVA, PAGE), EEXIST);
		OK(vfio_map(v.container, memory, IOVA + PAGE, PAGE));
		OK(vfio_unmap(v.container, IOVA + PAGE, PAGE));
		_exit(0);
	}
	OK(wait(&status));
	CHECK_EQ(status, 0);
	round_trip(bar, memory, IOVA, 10);
}

/* Whatever the way a program ends, the next finds everything free. */
TEST(killed_program)
{
	char byte;
	int ready[2];

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_GROUP_SET_CONTAINER, VFIO_DEVICE_SET_IRQS);
	for (int i = 0; i < 10; i++) {
		pid_t child;

		OK(pipe(ready));
		child = OK(fork());
		if (!child) {
			volatile void *bar = open_edu();
			int fd = test_eventfd();

			OK(vfio_map(v.container, test_memory(PAGE), IOVA, PAGE));
			OK(vfio_set_irqs(v.device, VFIO_IRQ_SET_ACTION_TRIGGER,
					 VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &fd));
			edu_write(bar, EDU_DMA_SRC, IOVA);
			edu_write(bar, EDU_DMA_DST, EDU_BUFFER);
			edu_write(bar, EDU_DMA_COUNT, SIZE);
			edu_write(bar, EDU_DMA_CMD, EDU_DMA_START);
			OK(write(ready[1], "", 1));
			pause();
		}
		OK(close(ready[1]));
		CHECK_EQ(read(ready[0], &byte, 1), 1);
		OK(close(ready[0]));
		OK(kill(child, SIGKILL));
		OK(waitpid(child, NULL, 0));
		OK(close(OK(vfio_open_group(O_RDWR))));
	}
}
