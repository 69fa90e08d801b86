/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance tests: each is one body, run in every container mode, that talks to a device (edu) by
 * system calls alone, so that the same program can be run on a real kernel.
 *
 *	PROGRAM type1|type1v2 [0000:BB:DD.F]
 *
 * Each test runs in a process of its own; the result is TAP. COVERS() names the ioctl and the
 * constants of linux/vfio.h that the test exercises: scripts/conformance makes docs/conformance.md
 * of them.
 */
#ifndef CONFORM_HARNESS_H
#define CONFORM_HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;

#define PAGE 0x1000UL

#define TEST_EXIT_SKIP 77

struct test {
	const char *name;
	int line;
	void (*run)(void);
};

#define TEST(name_) \
	static void run_##name_(void); \
	static const struct test test_##name_ = { .name = #name_, \
						  .line = __LINE__, \
						  .run = run_##name_ }; \
	static const struct test *const test_ptr_##name_ \
		__attribute__((section("conform_tests"), used)) = &test_##name_; \
	static void run_##name_(void)

/* The compiler checks that what is claimed exists. */
#define COVERS(...) ((void)sizeof((const long long[]){ __VA_ARGS__ }))

/* All of these end the test when they do not hold. */
#define CHECK(condition) ((condition) ? (void)0 : test_failed(__FILE__, __LINE__, "%s", #condition))
#define CHECK_EQ(value, expected) \
	test_equal(__FILE__, __LINE__, #value, (long long)(value), (long long)(expected))
/* A system call's result: not -1; evaluates to it. */
#define OK(call) test_ok(__FILE__, __LINE__, #call, (call))
/* A system call that fails with @error. */
#define FAILS(call, error) test_fails(__FILE__, __LINE__, #call, (call), error, #error)

void test_failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));
void test_skip(const char *reason) __attribute__((noreturn));
void test_equal(const char *file, int line, const char *what, long long value, long long expected);
long test_ok(const char *file, int line, const char *what, long result);
void test_fails(const char *file, int line, const char *what, long result, int expected,
		const char *expected_name);

/* The mode of this run. */
extern unsigned long test_iommu_type; /* VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU */
extern const char *test_bdf;
static inline bool is_v2(void)
{
	return test_iommu_type == VFIO_TYPE1v2_IOMMU;
}

struct vfio {
	int container, group, device;
};

int vfio_group_number(void);
int vfio_open_group(int flags);
/* Everything up to SET_CONTAINER, up to SET_IOMMU, up to the device file. */
void vfio_open_container(struct vfio *v);
void vfio_open_iommu(struct vfio *v);
void vfio_open_device(struct vfio *v);

int vfio_map_flags(int container, const void *va, u64 iova, u64 size, u32 flags);
/* Readable and writable. */
int vfio_map(int container, const void *va, u64 iova, u64 size);
/* Returns the ioctl's result, and in *@size what the kernel wrote back. */
int vfio_unmap_flags(int container, u64 iova, u64 *size, u32 flags);
int vfio_unmap(int container, u64 iova, u64 size);

u64 vfio_region_offset(int device, u32 index);
u64 vfio_config_read(int device, unsigned int offset, unsigned int width);
void vfio_config_write(int device, unsigned int offset, unsigned int width, u64 value);
void vfio_set_command(int device, u16 set, u16 clear);
/* SET_IRQS with @count eventfds, or DATA_NONE where @fds is NULL. */
int vfio_set_irqs(int device, u32 flags, u32 index, u32 start, u32 count, const int *fds);

/* Private zeroed memory, page-aligned. */
void *test_memory(size_t size);
int test_eventfd(void);
/* The count of an eventfd, waited for at most @ms milliseconds; 0 when none came. */
u64 test_eventfd_wait(int fd, int ms);

/* Registers of the edu device. */
#define EDU_ID 0x00
#define EDU_LIVENESS 0x04
#define EDU_FACTORIAL 0x08
#define EDU_STATUS 0x20
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98
#define EDU_DMA_START 1
#define EDU_DMA_TO_RAM 2
#define EDU_DMA_IRQ 4
#define EDU_BUFFER 0x40000
#define EDU_BAR_SIZE 0x100000

volatile void *edu_map_bar(int device);
static inline u32 edu_read(volatile void *bar, unsigned int reg)
{
	return *(volatile u32 *)((volatile char *)bar + reg);
}
static inline void edu_write(volatile void *bar, unsigned int reg, u32 value)
{
	*(volatile u32 *)((volatile char *)bar + reg) = value;
}
/* One DMA between memory at @iova and the device's buffer; returns when the device says so. */
void edu_dma(volatile void *bar, u64 iova, u32 size, u32 flags);

#endif
