/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What system calls cost under uvfio. Floors, taken in turn with each measurement: a bare
 * notification loop with one process_vm_readv(); the same call without uvfio; starting a program
 * without uvfio.
 *
 *   trap UVFIO            prints the table
 *   trap --client NAME    measures one call, and prints nanoseconds (what the former runs under
 * UVFIO)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/vfio.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define CALLS 20000
#define STARTS 21

/* What the floor reads: in the parent and the forked child at the same address. */
static const char anchor[32];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Any ioctl of type ';'. */
static double measure_ioctl(int fd)
{
	double start = bench_now_ns();

	for (int i = 0; i < CALLS; i++)
		ioctl(fd, VFIO_GET_API_VERSION);
	return (bench_now_ns() - start) / CALLS;
}

static double measure_getppid(void)
{
	double start = bench_now_ns();

	for (int i = 0; i < CALLS * 10; i++)
		syscall(__NR_getppid);
	return (bench_now_ns() - start) / (CALLS * 10);
}

/* A container with the first device of the host. */
static int open_container(void)
{
	int container = open("/dev/vfio/vfio", O_RDWR), group = -1;
	DIR *dir = opendir("/dev/vfio");
	const struct dirent *e;
	char path[300];

	while (dir && group < 0 && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/dev/vfio/%s", e->d_name);
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			group = open(path, O_RDWR);
	}
	if (dir)
		closedir(dir);
	if (container < 0 || group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("container");
	return container;
}

/* Map and unmap of one page, timed apart. */
static void measure_map(double *map_ns, double *unmap_ns)
{
	int container = open_container();
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map),
						.flags = VFIO_DMA_MAP_FLAG_READ |
							 VFIO_DMA_MAP_FLAG_WRITE,
						.vaddr = (unsigned long)page,
						.size = 4096 };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .size = 4096 };
	double t0, t1, t2;

	*map_ns = *unmap_ns = 0;
	for (int round = 0; round < CALLS / 1000; round++) {
		t0 = bench_now_ns();
		for (int i = 0; i < 1000; i++) {
			map.iova = i * 4096UL;
			if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
				die("map");
		}
		t1 = bench_now_ns();
		for (int i = 0; i < 1000; i++) {
			unmap.iova = i * 4096UL;
			if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
				die("unmap");
		}
		t2 = bench_now_ns();
		*map_ns += (t1 - t0) / CALLS;
		*unmap_ns += (t2 - t1) / CALLS;
	}
}

static int client(const char *name)
{
	double a = 0, b = 0;

	if (!strcmp(name, "version"))
		a = measure_ioctl(open("/dev/vfio/vfio", O_RDWR));
	else if (!strcmp(name, "getppid"))
		a = measure_getppid();
	else
		measure_map(&a, &b);
	printf("%f %f\n", a, b);
	return 0;
}

/* The child of the floor: a filter for one ioctl, then the measurement. */
static void floor_child(int sock)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };
	double result;
	int fd;
	char go;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
		     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		     &prog);
	if (fd < 0 || write(sock, &fd, sizeof(fd)) < 0 || read(sock, &go, 1) != 1)
		_exit(1);
	result = measure_ioctl(sock);
	if (write(sock, &result, sizeof(result)) < 0)
		_exit(1);
	_exit(0);
}

/* A notification loop that does nothing but one read of the program's memory. */
static double measure_floor(void)
{
	int socks[2], fd, pidfd, listener;
	double result = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		die("socketpair");
	pid = fork();
	if (!pid)
		floor_child(socks[1]);
	if (read(socks[0], &fd, sizeof(fd)) != sizeof(fd))
		die("floor");
	pidfd = pidfd_open(pid, 0);
	listener = pidfd_getfd(pidfd, fd, 0);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	if (write(socks[0], "", 1) != 1)
		die("floor");
	for (int i = 0; i < CALLS; i++) {
		struct seccomp_notif req = {};
		struct seccomp_notif_resp resp = {};
		char buf[32];
		struct iovec local = { buf, sizeof(buf) }, remote;

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req))
			die("receive");
		remote = (struct iovec){ (void *)anchor, sizeof(buf) };
		process_vm_readv(pid, &local, 1, &remote, 1, 0);
		resp.id = req.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
	if (read(socks[0], &result, sizeof(result)) != sizeof(result))
		die("floor");
	waitpid(pid, NULL, 0);
	close(listener);
	close(pidfd);
	close(socks[0]);
	close(socks[1]);
	return result;
}

static void run_client(const char *uvfio, const char *self, const char *name, double *a, double *b)
{
	char command[1024];
	double second;
	FILE *f;

	snprintf(command, sizeof(command), "%s %s %s --client %s", uvfio ? uvfio : "",
		 uvfio ? "run -d edu --" : "", self, name);
	f = popen(command, "r");
	if (!f || fscanf(f, "%lf %lf", a, b ? b : &second) != 2)
		die(command);
	pclose(f);
}

static double measure_start(const char *command)
{
	double start = bench_now_ns();

	if (system(command))
		die(command);
	return bench_now_ns() - start;
}

/* Without devices uvfio only waits; with one there is a host to make. */
static void compare_start(const char *uvfio, const char *options)
{
	double bare[STARTS], started[STARTS], more[STARTS];
	char command[600];

	snprintf(command, sizeof(command), "%s run %s-- true", uvfio, options);
	for (int i = 0; i < STARTS; i++) {
		bare[i] = measure_start("true");
		started[i] = measure_start(command);
		more[i] = started[i] - bare[i];
	}
	printf("uvfio run %-34s %9.2f ms %9.2f ms; %.2f ms more (goal 10)\n",
	       options[0] ? "-d edu -- true" : "-- true", bench_median(bare, STARTS) / 1e6,
	       bench_median(started, STARTS) / 1e6, bench_median(more, STARTS) / 1e6);
}

int main(int argc, char **argv)
{
	double floor[BENCH_ROUNDS], version[BENCH_ROUNDS], map[BENCH_ROUNDS], unmap[BENCH_ROUNDS];
	double plain[BENCH_ROUNDS], under[BENCH_ROUNDS];

	if (argc == 3 && !strcmp(argv[1], "--client"))
		return client(argv[2]);
	if (argc != 2) {
		fprintf(stderr, "usage: %s UVFIO\n", argv[0]);
		return 1;
	}
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		floor[i] = measure_floor();
		run_client(argv[1], argv[0], "version", &version[i], NULL);
		run_client(argv[1], argv[0], "map", &map[i], &unmap[i]);
		run_client(NULL, argv[0], "getppid", &plain[i], NULL);
		run_client(argv[1], argv[0], "getppid", &under[i], NULL);
	}
	bench_header();
	bench_line("VFIO_GET_API_VERSION", "us", 1e3, floor, version, BENCH_ROUNDS, 1.1);
	bench_line("VFIO_IOMMU_MAP_DMA, 4 KiB", "us", 1e3, floor, map, BENCH_ROUNDS, 1.3);
	bench_line("VFIO_IOMMU_UNMAP_DMA, 4 KiB", "us", 1e3, floor, unmap, BENCH_ROUNDS, 1.3);
	bench_line("getppid, which uvfio does not touch", "us", 1e3, plain, under, BENCH_ROUNDS,
		   1.05);
	compare_start(argv[1], "");
	compare_start(argv[1], "-d edu ");
	return 0;
}
