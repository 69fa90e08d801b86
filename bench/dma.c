/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a DMA costs: a device thread reads a program's memory through an I/O address space. Floors:
 * memcpy from the same pages where the memory is shared, process_vm_readv() where it is private.
 */
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rcu.h"
#include "bench.h"
#include "iommu/dma.h"
#include "iommu/fault.h"
#include "iommu/vtd.h"
#include "iommufd/ioas.h"
#include "supervisor/internal.h"

#define LARGE (1UL << 20)
#define SMALL 4096UL
#define PRIVATE_IOVA 0x10000000UL
#define SHARED_IOVA 0x20000000UL
#define RW (IOMMU_READ | IOMMU_WRITE)

static char *private_memory, *shared_memory;
static char buffer[LARGE];

static void die(const char *what)
{
	fprintf(stderr, "dma: %s\n", what);
	exit(1);
}

/* A process with both kinds of memory, at the addresses that this one has them. */
static pid_t make_program(void)
{
	int fd = memfd_create("bench", 0);
	pid_t pid;

	if (fd < 0 || ftruncate(fd, LARGE))
		die("memfd");
	private_memory =
		mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared_memory = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (private_memory == MAP_FAILED || shared_memory == MAP_FAILED)
		die("mmap");
	memset(shared_memory, 1, LARGE);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(private_memory, 2, LARGE);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
	return pid;
}

static void map(struct ioas *ioas, struct iommu_mm *mm, u64 iova, const char *memory)
{
	struct ioas_extents extents;

	if (ioas_pin(mm, (u64)memory, LARGE, RW, &extents) ||
	    ioas_map(ioas, iova, iova + LARGE - 1, RW, mm, (u64)memory, &extents, NULL))
		die("map");
}

static double measure_dma(struct iommu_endpoint *ep, u64 iova, size_t len, int times)
{
	double start = bench_now_ns();

	for (int i = 0; i < times; i++) {
		if (iommu_dma_read(ep, iova, buffer, len))
			die("DMA");
	}
	return (bench_now_ns() - start) / times;
}

static double measure_memcpy(size_t len, int times)
{
	double start = bench_now_ns();

	for (int i = 0; i < times; i++) {
		memcpy(buffer, shared_memory, len);
		__asm__ volatile("" : : "r"(buffer) : "memory");
	}
	return (bench_now_ns() - start) / times;
}

static double measure_readv(pid_t pid, size_t len, int times)
{
	struct iovec local = { buffer, len }, remote = { private_memory, len };
	double start = bench_now_ns();

	for (int i = 0; i < times; i++) {
		if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != (ssize_t)len)
			die("process_vm_readv");
	}
	return (bench_now_ns() - start) / times;
}

static void compare(pid_t pid, struct iommu_endpoint *ep, size_t len, int times, const char *shared,
		    const char *private)
{
	double copy[BENCH_ROUNDS], dma[BENCH_ROUNDS], readv[BENCH_ROUNDS],
		private_dma[BENCH_ROUNDS];

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		copy[i] = measure_memcpy(len, times);
		dma[i] = measure_dma(ep, SHARED_IOVA, len, times);
		readv[i] = measure_readv(pid, len, times);
		private_dma[i] = measure_dma(ep, PRIVATE_IOVA, len, times);
	}
	bench_line(shared, "us", 1e3, copy, dma, BENCH_ROUNDS, 1.05);
	bench_line(private, "us", 1e3, readv, private_dma, BENCH_ROUNDS, 1.1);
}

int main(void)
{
	struct supervisor *sv = calloc(1, sizeof(*sv));
	struct iommu_fault_log *faults = iommu_fault_log_new();
	struct iommu_unit *unit = iommu_vtd_new(0, 39, faults);
	struct iommu_domain *domain = iommu_domain_new(unit);
	struct iommu_group *group = iommu_group_new(0);
	struct iommu_endpoint ep = { .name = "bench", .unit = unit };
	struct ioas *ioas = ioas_new();
	struct program *program;
	struct iommu_mm *mm;
	pid_t pid = make_program();

	CDS_INIT_LIST_HEAD(&sv->programs);
	CDS_INIT_LIST_HEAD(&sv->backings);
	sv->epoll = epoll_create1(0);
	strcpy(sv->dir, "/"); /* no tree */
	if (files_init(sv) || iommu_dma_init())
		die("set-up");
	program = program_find(sv, pid);
	mm = program ? program_memory(sv, program, pid) : NULL;
	if (!mm || ioas_add_domain(ioas, domain))
		die("set-up");
	iommu_group_add(group, &ep);
	if (iommu_group_attach(group, domain))
		die("attach");
	map(ioas, mm, PRIVATE_IOVA, private_memory);
	map(ioas, mm, SHARED_IOVA, shared_memory);
	rcu_thread_start();
	bench_header();
	compare(pid, &ep, SMALL, 20000, "DMA of 4 KiB, shared memory",
		"DMA of 4 KiB, private memory");
	compare(pid, &ep, LARGE, 200, "DMA of 1 MiB, shared memory",
		"DMA of 1 MiB, private memory");
	rcu_thread_stop();
	kill(pid, SIGKILL);
	return 0;
}
