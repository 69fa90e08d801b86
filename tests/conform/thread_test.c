/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads and what they share or do not: files, memory, the account of locked memory; signals. */
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "harness.h"

#define SIZE 256
#define IOVA 0x100000
#define NR_THREADS 16
#define ROUNDS 60

static struct vfio v;

static void round_trip(const struct vfio *files, u8 *memory, u64 iova, u8 seed)
{
	volatile void *bar = edu_map_bar(files->device);

	vfio_set_command(files->device, PCI_COMMAND_MASTER, 0);
	memset(memory, seed, SIZE);
	edu_dma(bar, iova, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, iova, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[0], seed);
	CHECK_EQ(memory[SIZE - 1], seed);
	OK(munmap((void *)bar, EDU_BAR_SIZE));
}

static void get_info(void)
{
	struct vfio_iommu_type1_info iommu = { .argsz = sizeof(iommu) };
	struct vfio_device_info device = { .argsz = sizeof(device) };

	OK(ioctl(v.container, VFIO_IOMMU_GET_INFO, &iommu));
	CHECK(iommu.flags & VFIO_IOMMU_INFO_PGSIZES);
	OK(ioctl(v.device, VFIO_DEVICE_GET_INFO, &device));
	CHECK_EQ(device.num_regions, VFIO_PCI_NUM_REGIONS);
}

/* Each works on addresses of its own; the files are everybody's. */
static void *all_at_once(void *arg)
{
	uintptr_t nr = (uintptr_t)arg;
	u64 iova = IOVA + nr * 16 * PAGE, size;
	u8 *memory = test_memory(4 * PAGE);
	int container, device;

	for (int i = 0; i < ROUNDS; i++) {
		OK(vfio_map(v.container, memory, iova, 4 * PAGE));
		FAILS(vfio_map(v.container, memory, iova + PAGE, PAGE), EEXIST);
		get_info();
		container = OK(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
		CHECK_EQ(ioctl(container, VFIO_GET_API_VERSION), VFIO_API_VERSION);
		FAILS(vfio_open_group(O_RDWR), EBUSY);
		device = OK(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, test_bdf));
		CHECK_EQ(vfio_config_read(device, PCI_VENDOR_ID, 4), 0x11e81234);
		OK(close(device));
		OK(close(container));
		size = 4 * PAGE;
		OK(vfio_unmap_flags(v.container, iova, &size, 0));
		CHECK_EQ(size, 4 * PAGE);
	}
	return NULL;
}

TEST(sixteen_threads)
{
	pthread_t threads[NR_THREADS];
	u8 *memory = test_memory(PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_GET_INFO, VFIO_DEVICE_GET_INFO,
	       VFIO_GET_API_VERSION, VFIO_GROUP_GET_DEVICE_FD);
	vfio_open_device(&v);
	OK(vfio_map(v.container, memory, 0x10000, PAGE));
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, all_at_once, (void *)i), 0);
	for (int i = 0; i < NR_THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	round_trip(&v, memory, 0x10000, 0x31);
}

static void *with_files_of_its_own(void *arg)
{
	struct vfio *own = arg;
	u8 *memory = test_memory(PAGE);

	OK(unshare(CLONE_FILES));
	vfio_open_device(own);
	OK(vfio_map(own->container, memory, IOVA, PAGE));
	round_trip(own, memory, IOVA, 0x41);
	return NULL;
}

/* The leader has no file where the thread has them. */
TEST(files_of_one_thread)
{
	pthread_t thread;
	struct vfio own;

	COVERS(VFIO_GROUP_SET_CONTAINER, VFIO_IOMMU_MAP_DMA, VFIO_GROUP_GET_DEVICE_FD);
	CHECK_EQ(pthread_create(&thread, NULL, with_files_of_its_own, &own), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	FAILS(fcntl(own.container, F_GETFD), EBADF);
	FAILS(ioctl(own.container, VFIO_GET_API_VERSION), EBADF);
	/* Its files go a moment after the thread is joined. */
	for (int i = 0; (v.group = vfio_open_group(O_RDWR)) < 0 && i < 200; i++)
		usleep(10000);
	OK(v.group);
}

static void *with_other_files(void *arg)
{
	int fd = (int)(intptr_t)arg, null;

	OK(unshare(CLONE_FILES));
	null = OK(open("/dev/null", O_RDWR | O_CLOEXEC));
	OK(dup2(null, fd));
	FAILS(ioctl(fd, VFIO_GET_API_VERSION), ENOTTY);
	return NULL;
}

/* The same number is the container in one thread, and something else in the other. */
TEST(number_with_two_meanings)
{
	pthread_t thread;

	COVERS(VFIO_GET_API_VERSION);
	vfio_open_device(&v);
	CHECK_EQ(pthread_create(&thread, NULL, with_other_files, (void *)(intptr_t)v.container), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(ioctl(v.container, VFIO_GET_API_VERSION), VFIO_API_VERSION);
}

/* Until the process's first thread is a zombie. */
static void wait_for_leader(void)
{
	char path[64], text[256] = "", *state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	for (int i = 0; i < 500; i++) {
		file = fopen(path, "re");
		CHECK(file && fgets(text, sizeof(text), file));
		fclose(file);
		state = strrchr(text, ')');
		CHECK(state);
		if (state[2] == 'Z')
			return;
		usleep(10000);
	}
	test_failed(__FILE__, __LINE__, "the leader does not end");
}

static void use_without_leader(void)
{
	u8 *memory = test_memory(PAGE);
	int fd = test_eventfd();

	OK(vfio_map(v.container, memory, IOVA, PAGE));
	round_trip(&v, memory, IOVA, 0x51);
	OK(vfio_set_irqs(v.device, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &fd));
	edu_write(edu_map_bar(v.device), EDU_IRQ_RAISE, 1);
	CHECK_EQ(test_eventfd_wait(fd, 2000), 1);
	OK(vfio_unmap(v.container, IOVA, PAGE));
	_exit(0);
}

static void *open_without_leader(void *arg)
{
	(void)arg;
	wait_for_leader();
	vfio_open_device(&v);
	use_without_leader();
	return NULL;
}

TEST(leader_gone_before)
{
	pthread_t thread;

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_DEVICE_SET_IRQS,
	       VFIO_GROUP_GET_DEVICE_FD);
	CHECK_EQ(pthread_create(&thread, NULL, open_without_leader, NULL), 0);
	pthread_exit(NULL);
}

static void *go_on_without_leader(void *arg)
{
	(void)arg;
	wait_for_leader();
	use_without_leader();
	return NULL;
}

TEST(leader_gone_meanwhile)
{
	pthread_t thread;

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_DEVICE_SET_IRQS);
	vfio_open_device(&v);
	CHECK_EQ(pthread_create(&thread, NULL, go_on_without_leader, NULL), 0);
	pthread_exit(NULL);
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int signal)
{
	(void)signal;
	signals_seen++;
}

/* None of the calls returns EINTR, and none is done twice. */
TEST(signals_during_calls)
{
	const struct itimerspec often = { { 0, 500000 }, { 0, 500000 } };
	struct sigaction action = { .sa_handler = count_signal, .sa_flags = SA_RESTART };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	u8 *memory = test_memory(PAGE);
	timer_t timer;

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_GET_INFO, VFIO_DEVICE_GET_INFO);
	OK(sigaction(SIGUSR2, &action, NULL));
	vfio_open_device(&v);
	OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	OK(timer_settime(timer, 0, &often, NULL));
	for (int i = 0; i < 1500; i++) {
		OK(vfio_map(v.container, memory, IOVA, PAGE));
		get_info();
		CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 4), 0x11e81234);
		OK(vfio_unmap(v.container, IOVA, PAGE));
		if (i % 50 == 0)
			OK(close(OK(open("/dev/vfio/vfio", O_RDWR))));
	}
	OK(timer_delete(timer));
	CHECK(signals_seen > 10);
	OK(vfio_map(v.container, memory, IOVA, PAGE));
	round_trip(&v, memory, IOVA, 0x61);
}

static void limit_locked_memory(unsigned int pages)
{
	const struct rlimit limit = { pages * PAGE, pages * PAGE };

	OK(setrlimit(RLIMIT_MEMLOCK, &limit));
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	OK(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	data[0].permitted &= ~(1U << CAP_IPC_LOCK);
	OK(syscall(SYS_capset, &header, data));
}

/* Root of a namespace of its own is not exempt from the limit. */
TEST(limit_in_user_namespace)
{
	u8 *memory = test_memory(8 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA);
	vfio_open_device(&v);
	limit_locked_memory(4);
	if (unshare(CLONE_NEWUSER))
		test_skip("no user namespaces");
	FAILS(vfio_map(v.container, memory, IOVA, 8 * PAGE), ENOMEM);
	OK(vfio_map(v.container, memory, IOVA, 4 * PAGE));
	FAILS(vfio_map(v.container, memory + 4 * PAGE, IOVA + 4 * PAGE, PAGE), ENOMEM);
}

TEST(limit_without_capability)
{
	u8 *memory = test_memory(8 * PAGE);

	COVERS(VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA);
	vfio_open_device(&v);
	limit_locked_memory(4);
	drop_ipc_lock();
	OK(vfio_map(v.container, memory, IOVA, 4 * PAGE));
	FAILS(vfio_map(v.container, memory + 4 * PAGE, IOVA + 4 * PAGE, PAGE), ENOMEM);
	OK(vfio_unmap(v.container, IOVA, 4 * PAGE));
	OK(vfio_map(v.container, memory + 4 * PAGE, IOVA, 4 * PAGE));
}

static u8 *shared_pages;

static int map_in_sharer(void *arg)
{
	(void)arg;
	FAILS(vfio_map(v.container, shared_pages + 3 * PAGE, IOVA + 3 * PAGE, 2 * PAGE), ENOMEM);
	OK(vfio_map(v.container, shared_pages + 3 * PAGE, IOVA + 3 * PAGE, PAGE));
	return 0;
}

/* Processes that share their memory share its account. */
TEST(limit_of_shared_memory)
{
	char *stack = test_memory(0x10000);
	u8 *memory = shared_pages = test_memory(8 * PAGE);
	int status;
	pid_t pid;

	COVERS(VFIO_IOMMU_MAP_DMA);
	vfio_open_device(&v);
	limit_locked_memory(4);
	drop_ipc_lock();
	OK(vfio_map(v.container, memory, IOVA, 3 * PAGE));
	pid = OK(clone(map_in_sharer, stack + 0x10000, CLONE_VM | SIGCHLD, NULL));
	OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
	FAILS(vfio_map(v.container, memory + 4 * PAGE, IOVA + 4 * PAGE, PAGE), ENOMEM);
	round_trip(&v, memory + 2 * PAGE, IOVA + 2 * PAGE, 0x71);
}
