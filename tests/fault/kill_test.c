/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that is killed at any moment leaves nothing behind: ends children at random in the
 * midst of mapping, DMA and interrupts, and looks at the supervisor (its parent) afterwards. Runs
 * under `uvfio run -d edu`. Argument: how many times.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE "0000:01:00.0"
#define WARM_UP 20
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/* How much the supervisor may have grown after all: the allocator's slack, or a sanitizer's
 * quarantine. */
#ifdef SANITIZED
#define GROWTH_KB (512 << 10)
#else
#define GROWTH_KB 4096
#endif

static char group_path[64];

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void find_group(void)
{
	char link[256];
	ssize_t n = readlink("/sys/bus/pci/devices/" DEVICE "/iommu_group", link, sizeof(link) - 1);

	if (n < 0)
		die("iommu_group");
	link[n] = '\0';
	snprintf(group_path, sizeof(group_path), "/dev/vfio/%s", strrchr(link, '/') + 1);
}

static void enable_bus_master(int device)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = 0;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    pread(device, &command, 2, config.offset + 4) != 2)
		die("command");
	command |= 4;
	if (pwrite(device, &command, 2, config.offset + 4) != 2)
		die("command");
}

static void enable_msi(int device)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;
	int fd = eventfd(0, EFD_CLOEXEC);

	*set = (struct vfio_irq_set){ .argsz = sizeof(buffer),
				      .flags = VFIO_IRQ_SET_DATA_EVENTFD |
					       VFIO_IRQ_SET_ACTION_TRIGGER,
				      .index = VFIO_PCI_MSI_IRQ_INDEX,
				      .count = 1 };
	memcpy(set->data, &fd, sizeof(fd));
	if (ioctl(device, VFIO_DEVICE_SET_IRQS, set))
		die("SET_IRQS");
}

/* Maps, has the device write, unmaps, for as long as it lives. */
static void work(int container, volatile uint8_t *bar, char *memory)
{
	for (uint64_t i = 0;; i++) {
		struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map),
							.flags = VFIO_DMA_MAP_FLAG_READ |
								 VFIO_DMA_MAP_FLAG_WRITE,
							.vaddr = (uintptr_t)memory,
							.iova = (i % 16) << 16,
							.size = 0x10000 };
		struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
							    .iova = map.iova,
							    .size = map.size };

		if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
			die("MAP_DMA");
		*(volatile uint32_t *)(bar + 0x80) = 0x40000;
		*(volatile uint32_t *)(bar + 0x88) = map.iova;
		*(volatile uint32_t *)(bar + 0x90) = 4096;
		*(volatile uint32_t *)(bar + 0x98) = 1 | 2 | 4;
		if (i % 3 && ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
			die("UNMAP_DMA");
		unmap.iova = 0;
		unmap.size = 16 << 16;
		if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
			die("UNMAP_DMA");
	}
}

static void child(int shared)
{
	int container = open("/dev/vfio/vfio", O_RDWR), group = open(group_path, O_RDWR), device;
	struct vfio_region_info region = { .argsz = sizeof(region), .index = 0 };
	void *memory, *bar;

	if (container < 0 || group < 0)
		die(group_path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, DEVICE);
	if (device < 0 || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("device");
	enable_bus_master(device);
	enable_msi(device);
	bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, region.offset);
	memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE,
		      MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	if (bar == MAP_FAILED || memory == MAP_FAILED)
		die("mmap");
	work(container, bar, memory);
}

/* Kills a child after a random while. False: it ended by itself. */
static int kill_one(int round)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		child(round & 1);
		_exit(1);
	}
	usleep(rand() % 6000);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return WIFSIGNALED(status);
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	if (!dir)
		die(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct usage {
	int files, threads;
	long kb;
};

static struct usage supervisor_usage(void)
{
	struct usage usage = { 0 };
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fd", getppid());
	usage.files = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/task", getppid());
	usage.threads = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/status", getppid());
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "RssAnon: %ld", &usage.kb);
	if (f)
		fclose(f);
	return usage;
}

static void open_and_close_group(void)
{
	int group = open(group_path, O_RDWR);

	if (group < 0)
		die("the group after a kill");
	close(group);
}

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 1000;
	struct usage before, after;

	srand(1);
	find_group();
	for (int i = 0; i < WARM_UP; i++)
		kill_one(i);
	open_and_close_group();
	before = supervisor_usage();
	for (int i = 0; i < times; i++) {
		if (!kill_one(i)) {
			printf("round %d: a child failed before it was killed\n", i);
			return 1;
		}
		open_and_close_group();
	}
	open_and_close_group();
	/* What the last of them had is put away while nobody waits for it. */
	for (int i = 0; i < 100; i++) {
		after = supervisor_usage();
		if (after.files <= before.files && after.threads <= before.threads)
			break;
		usleep(10000);
	}
	printf("%d kills; the supervisor had %d files, %d threads, %ld kB, and has %d, %d, %ld\n",
	       times, before.files - 2, before.threads - 2, before.kb, after.files - 2,
	       after.threads - 2, after.kb);
	return after.files > before.files || after.threads > before.threads ||
	       after.kb > before.kb + GROWTH_KB;
}
