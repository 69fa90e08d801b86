/* SPDX-License-Identifier: BSD-3-Clause */
/* What programs do with their files and memory while they use VFIO: exec, fork, filters, limits. */
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "harness.h"

#define SIZE 256
#define IOVA_OLD 0x10000
#define IOVA_IMAGE 0x20000
/* Where nothing lies by itself. */
#define OLD_ADDRESS ((void *)0x200000000000UL)

extern char **environ;

static struct vfio v;

static void open_with_cloexec(void)
{
	v.container = OK(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
	v.group = OK(vfio_open_group(O_RDWR | O_CLOEXEC));
	OK(ioctl(v.group, VFIO_GROUP_SET_CONTAINER, &v.container));
	OK(ioctl(v.container, VFIO_SET_IOMMU, test_iommu_type));
	v.device = OK(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, test_bdf));
}

static void open_to_inherit(void)
{
	vfio_open_device(&v);
	OK(fcntl(v.device, F_SETFD, 0));
}

/* One page of the caller's own goes to the device and back. */
static void use_device(const struct vfio *files, u64 iova, u8 seed)
{
	volatile void *bar;
	u8 *memory = test_memory(PAGE);

	CHECK_EQ(vfio_config_read(files->device, PCI_VENDOR_ID, 4), 0x11e81234);
	vfio_set_command(files->device, PCI_COMMAND_MASTER, 0);
	bar = edu_map_bar(files->device);
	OK(vfio_map(files->container, memory, iova, PAGE));
	memset(memory, seed, SIZE);
	edu_dma(bar, iova, SIZE, 0);
	memset(memory, 0, SIZE);
	edu_dma(bar, iova, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[0], seed);
	CHECK_EQ(memory[SIZE - 1], seed);
	CHECK_EQ(memory[SIZE], 0);
	OK(munmap((void *)bar, EDU_BAR_SIZE));
}

static void ended_well(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	CHECK_EQ(status, 0);
}

static u8 *map_old_address(u8 fill)
{
	u8 *memory = mmap(OLD_ADDRESS, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	CHECK(memory == OLD_ADDRESS);
	memset(memory, fill, PAGE);
	return memory;
}

/* What the old image mapped is still mapped, but is not this image's memory. */
static void check_old_mapping(const struct vfio *files)
{
	volatile void *bar = edu_map_bar(files->device);
	u8 *memory = map_old_address(0x11);

	edu_dma(bar, IOVA_OLD, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[0], 0x11);
	CHECK_EQ(memory[SIZE - 1], 0x11);
	FAILS(vfio_map(files->container, memory, IOVA_OLD, PAGE), EEXIST);
	OK(vfio_unmap(files->container, IOVA_OLD, PAGE));
	OK(vfio_map(files->container, memory, IOVA_OLD, PAGE));
	edu_dma(bar, IOVA_OLD, SIZE, EDU_DMA_TO_RAM);
	CHECK_EQ(memory[0], 0x5a);
	CHECK_EQ(memory[SIZE - 1], 0x5a);
}

/*
 * The new image of the tests that exec: PROGRAM image MODE WHAT CONTAINER GROUP DEVICE ADDRESS.
 * "use": the files are there and work. "replace": and OLD_ADDRESS was mapped before. "closed": the
 * files are not there, and the group is free.
 */
static void new_image(char **argv)
{
	struct vfio files = {
		.container = atoi(argv[4]),
		.group = atoi(argv[5]),
		.device = atoi(argv[6]),
	};

	test_iommu_type = strcmp(argv[2], "type1") ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU;
	test_bdf = argv[7];
	if (!strcmp(argv[3], "closed")) {
		FAILS(fcntl(files.container, F_GETFD), EBADF);
		FAILS(fcntl(files.group, F_GETFD), EBADF);
		FAILS(fcntl(files.device, F_GETFD), EBADF);
		vfio_open_device(&files);
		use_device(&files, IOVA_IMAGE, 0x33);
		return;
	}
	CHECK_EQ(ioctl(files.container, VFIO_GET_API_VERSION), VFIO_API_VERSION);
	FAILS(ioctl(files.container, VFIO_SET_IOMMU, test_iommu_type), EINVAL);
	FAILS(vfio_open_group(O_RDWR), EBUSY);
	use_device(&files, IOVA_IMAGE, 0x5a);
	if (!strcmp(argv[3], "replace"))
		check_old_mapping(&files);
}

static void __attribute__((constructor)) image_start(int argc, char **argv)
{
	if (argc != 8 || strcmp(argv[1], "image"))
		return;
	new_image(argv);
	fflush(stdout);
	_exit(0);
}

struct arguments {
	char fds[3][12];
	char *argv[9];
};

static void make_arguments(struct arguments *a, const char *what)
{
	const int fds[] = { v.container, v.group, v.device };

	a->argv[0] = (char *)"program_test";
	a->argv[1] = (char *)"image";
	a->argv[2] = (char *)(is_v2() ? "type1v2" : "type1");
	a->argv[3] = (char *)what;
	for (int i = 0; i < 3; i++) {
		snprintf(a->fds[i], sizeof(a->fds[i]), "%d", fds[i]);
		a->argv[4 + i] = a->fds[i];
	}
	a->argv[7] = (char *)test_bdf;
	a->argv[8] = NULL;
	fflush(stdout);
}

static void exec_image(const char *what)
{
	struct arguments a;

	make_arguments(&a, what);
	OK(execv("/proc/self/exe", a.argv));
}

TEST(exec_keeps_files)
{
	open_to_inherit();
	exec_image("use");
}

TEST(exec_closes_files)
{
	COVERS(VFIO_GROUP_GET_DEVICE_FD);
	open_with_cloexec();
	CHECK_EQ(OK(fcntl(v.device, F_GETFD)), FD_CLOEXEC);
	OK(vfio_map(v.container, test_memory(PAGE), IOVA_IMAGE, PAGE));
	exec_image("closed");
}

TEST(exec_leaves_old_memory)
{
	COVERS(VFIO_IOMMU_MAP_DMA);
	open_to_inherit();
	OK(vfio_map(v.container, map_old_address(0x77), IOVA_OLD, PAGE));
	exec_image("replace");
}

static void *exec_in_thread(void *what)
{
	exec_image(what);
	return NULL;
}

/* The thread, which has not used VFIO so far, becomes the leader, and its number another. */
TEST(exec_in_other_thread)
{
	pthread_t thread;

	COVERS(VFIO_IOMMU_MAP_DMA);
	open_to_inherit();
	OK(vfio_map(v.container, map_old_address(0x77), IOVA_OLD, PAGE));
	CHECK_EQ(pthread_create(&thread, NULL, exec_in_thread, (void *)"replace"), 0);
	pause();
	CHECK(false);
}

TEST(exec_in_other_thread_closes_files)
{
	pthread_t thread;

	open_with_cloexec();
	CHECK_EQ(pthread_create(&thread, NULL, exec_in_thread, (void *)"closed"), 0);
	pause();
	CHECK(false);
}

/* What an image that has ended mapped stays mapped, for its parent has the files too. */
static void after_child(void)
{
	u64 size = PAGE;

	use_device(&v, IOVA_OLD, 0x21);
	OK(vfio_unmap_flags(v.container, IOVA_IMAGE, &size, 0));
	CHECK_EQ(size, PAGE);
}

TEST(vfork_and_exec)
{
	struct arguments a;
	pid_t pid;

	COVERS(VFIO_IOMMU_UNMAP_DMA);
	open_to_inherit();
	make_arguments(&a, "use");
	pid = vfork();
	if (!pid) {
		execv("/proc/self/exe", a.argv);
		_exit(1);
	}
	OK(pid);
	ended_well(pid);
	after_child();
}

TEST(spawned_program)
{
	struct arguments a;
	pid_t pid;

	COVERS(VFIO_IOMMU_UNMAP_DMA);
	open_to_inherit();
	make_arguments(&a, "use");
	CHECK_EQ(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, a.argv, environ), 0);
	ended_well(pid);
	after_child();
}

static int *file_nr(int i)
{
	int *const files[] = { &v.container, &v.group, &v.device };

	return files[i];
}

/* The group is in use for as long as its file or its device's is open somewhere. */
static void close_in_order(const int *order)
{
	int group;

	for (int i = 0; i < 3; i++) {
		if (v.device >= 0)
			CHECK_EQ(vfio_config_read(v.device, PCI_VENDOR_ID, 2), 0x1234);
		OK(close(*file_nr(order[i])));
		*file_nr(order[i]) = -1;
		group = vfio_open_group(O_RDWR);
		if (v.group >= 0 || v.device >= 0) {
			FAILS(group, EBUSY);
		} else {
			OK(group);
			OK(close(group));
		}
	}
}

TEST(fork_and_close_in_every_order)
{
	static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					  { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	int closed[2];
	char byte;
	pid_t pid;

	for (int i = 0; i < 36; i++) {
		vfio_open_device(&v);
		OK(vfio_map(v.container, test_memory(PAGE), IOVA_OLD, PAGE));
		OK(pipe(closed));
		pid = OK(fork());
		if (!pid) {
			OK(close(closed[1]));
			CHECK_EQ(read(closed[0], &byte, 1), 0);
			close_in_order(orders[i % 6]);
			_exit(0);
		}
		OK(close(closed[0]));
		for (int j = 0; j < 3; j++)
			OK(close(*file_nr(orders[i / 6][j])));
		FAILS(vfio_open_group(O_RDWR), EBUSY);
		OK(close(closed[1]));
		ended_well(pid);
	}
}

/* A filter that answers system call @nr with @action, and allows all others. */
static void add_filter(u32 nr, u32 action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		test_skip("no seccomp filters");
}

TEST(own_filter_that_allows)
{
	add_filter(SYS_ioctl, SECCOMP_RET_ALLOW);
	vfio_open_device(&v);
	use_device(&v, IOVA_OLD, 0x41);
}

TEST(own_filter_of_something_else)
{
	add_filter(SYS_getpriority, SECCOMP_RET_ERRNO | EXDEV);
	FAILS(getpriority(PRIO_PROCESS, 0), EXDEV);
	vfio_open_device(&v);
	use_device(&v, IOVA_OLD, 0x42);
}

TEST(own_filter_that_forbids)
{
	u8 *memory = test_memory(PAGE);

	vfio_open_device(&v);
	add_filter(SYS_ioctl, SECCOMP_RET_ERRNO | EXDEV);
	FAILS(ioctl(v.container, VFIO_GET_API_VERSION), EXDEV);
	FAILS(vfio_map(v.container, memory, IOVA_OLD, PAGE), EXDEV);
	FAILS(ioctl(v.device, VFIO_DEVICE_RESET), EXDEV);
}

static void check_link(int fd, const char *expected)
{
	char path[64], target[PATH_MAX] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(OK(readlink(path, target, sizeof(target) - 1)), strlen(expected));
	CHECK(!strcmp(target, expected));
	/* Cut short, as readlink(2) does. */
	CHECK_EQ(OK(readlink(path, target, 4)), 4);
}

TEST(names_of_descriptors)
{
	char name[32];

	vfio_open_device(&v);
	snprintf(name, sizeof(name), "/dev/vfio/%d", vfio_group_number());
	check_link(v.container, "/dev/vfio/vfio");
	check_link(v.group, name);
	check_link(v.device, "anon_inode:[vfio-device]");
}

/* The device number of the node that is open as @fd. */
static dev_t check_node(int fd, const char *path)
{
	struct stat by_fd, by_path;
	struct statx stx;

	OK(fstat(fd, &by_fd));
	OK(stat(path, &by_path));
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx));
	CHECK(S_ISCHR(by_fd.st_mode));
	CHECK_EQ(by_fd.st_mode, by_path.st_mode);
	CHECK_EQ(by_fd.st_rdev, by_path.st_rdev);
	CHECK_EQ(by_fd.st_dev, by_path.st_dev);
	CHECK_EQ(by_fd.st_ino, by_path.st_ino);
	CHECK_EQ(by_fd.st_nlink, by_path.st_nlink);
	CHECK_EQ(stx.stx_ino, by_path.st_ino);
	CHECK_EQ(stx.stx_mode, by_fd.st_mode);
	CHECK_EQ(makedev(stx.stx_rdev_major, stx.stx_rdev_minor), by_fd.st_rdev);
	return by_fd.st_rdev;
}

TEST(device_numbers)
{
	char name[32];
	dev_t device;

	vfio_open_container(&v);
	CHECK_EQ(check_node(v.container, "/dev/vfio/vfio"), makedev(10, 196));
	snprintf(name, sizeof(name), "/dev/vfio/%d", vfio_group_number());
	device = check_node(v.group, name);
	CHECK(major(device) != 10 && major(device) != 0);
}

static void check_vendor(int dir, const char *path)
{
	int fd = OK(openat(dir, path, O_RDONLY));
	char text[16] = "";

	CHECK_EQ(read(fd, text, sizeof(text) - 1), 7);
	CHECK(!strcmp(text, "0x1234\n"));
	OK(close(fd));
}

static void check_cwd(const char *expected)
{
	char path[PATH_MAX];

	CHECK(getcwd(path, sizeof(path)));
	CHECK(!strcmp(path, expected));
}

TEST(working_directory)
{
	char path[PATH_MAX], real[PATH_MAX];
	int dir;

	OK(chdir("/sys/bus/pci/devices"));
	check_cwd("/sys/bus/pci/devices");
	CHECK(realpath(test_bdf, real));
	snprintf(path, sizeof(path), "%s/vendor", test_bdf);
	check_vendor(AT_FDCWD, path);
	/* Up from what the link leads to, not from where it is. */
	snprintf(path, sizeof(path), "%s/../../%s", test_bdf, test_bdf);
	FAILS(access(path, R_OK), ENOENT);

	OK(chdir(test_bdf));
	check_cwd(real);
	check_vendor(AT_FDCWD, "vendor");
	OK(access("iommu_group/devices", R_OK));
	OK(access("../uevent", R_OK));
	FAILS(access("../nothing", R_OK), ENOENT);
	CHECK(!getcwd(path, strlen(real)) && errno == ERANGE);

	dir = OK(open("..", O_RDONLY | O_DIRECTORY));
	OK(chdir("/"));
	check_cwd("/");
	OK(fchdir(dir));
	*strrchr(real, '/') = '\0';
	check_cwd(real);
	snprintf(path, sizeof(path), "%s/vendor", test_bdf);
	check_vendor(dir, path);
	check_vendor(AT_FDCWD, path);
}

static int next_free_descriptor(void)
{
	int fd = OK(dup(STDOUT_FILENO));

	OK(close(fd));
	return fd;
}

TEST(no_descriptors_left)
{
	struct rlimit limit;
	int fd;

	COVERS(VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_UNSET_CONTAINER);
	vfio_open_iommu(&v);
	OK(getrlimit(RLIMIT_NOFILE, &limit));
	fd = next_free_descriptor();
	OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ fd, limit.rlim_max }));
	for (int i = 0; i < 100; i++) {
		FAILS(open("/dev/vfio/vfio", O_RDWR), EMFILE);
		FAILS(ioctl(v.group, VFIO_GROUP_GET_DEVICE_FD, test_bdf), EMFILE);
		FAILS(open("/sys/bus/pci/devices", O_RDONLY), EMFILE);
	}
	/* No device is open: the group can leave its container, and be opened anew. */
	OK(ioctl(v.group, VFIO_GROUP_UNSET_CONTAINER));
	OK(close(v.group));
	OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ v.group, limit.rlim_max }));
	for (int i = 0; i < 100; i++)
		FAILS(vfio_open_group(O_RDWR), EMFILE);
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_EQ(next_free_descriptor(), v.group);
	OK(close(v.container));
	vfio_open_device(&v);
	use_device(&v, IOVA_OLD, 0x61);
}

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(3 * sizeof(int))];
};

/* A process that puts its device's files into @socket, and is gone. */
static void send_and_die(int socket)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
	pid_t pid = OK(fork());

	if (pid) {
		ended_well(pid);
		return;
	}
	vfio_open_device(&v);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(3 * sizeof(int));
	memcpy(CMSG_DATA(cmsg), (int[]){ v.container, v.group, v.device }, 3 * sizeof(int));
	OK(sendmsg(socket, &message, 0));
	_exit(0);
}

static void receive(int socket, int *fds)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
	CHECK(CMSG_FIRSTHDR(&message));
	CHECK_EQ(CMSG_FIRSTHDR(&message)->cmsg_len, CMSG_LEN(3 * sizeof(int)));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), 3 * sizeof(int));
}

TEST(files_in_flight)
{
	int sockets[2], fds[3];

	OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
	send_and_die(sockets[0]);
	FAILS(vfio_open_group(O_RDWR), EBUSY);
	receive(sockets[1], fds);
	v = (struct vfio){ .container = fds[0], .group = fds[1], .device = fds[2] };
	use_device(&v, IOVA_OLD, 0x71);
	for (int i = 0; i < 3; i++)
		OK(close(fds[i]));
	OK(close(OK(vfio_open_group(O_RDWR))));
}

/* Nobody takes them: they are closed with the socket. */
TEST(files_lost_in_flight)
{
	int sockets[2];

	for (int i = 0; i < 5; i++) {
		OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
		send_and_die(sockets[0]);
		FAILS(vfio_open_group(O_RDWR), EBUSY);
		OK(close(sockets[0]));
		OK(close(sockets[1]));
		OK(close(OK(vfio_open_group(O_RDWR))));
	}
}
