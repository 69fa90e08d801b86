/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths into sysfs and /dev/vfio as the kernel walks them. */
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "harness.h"

/* More than the way from any device to the root. */
#define UP "../../../../../../../../.."

static void go_to_device(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", test_bdf);
	OK(chdir(path));
}

static void read_text(const char *path, char *text, size_t size)
{
	int fd = OK(open(path, O_RDONLY));
	long n = OK(read(fd, text, size - 1));

	text[n] = '\0';
	close(fd);
}

static int open_how(int dir, const char *path, u64 flags, u64 resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* Who leaves the view meets its own process, not another's. */
TEST(own_process)
{
	char text[4096], own[32];
	unsigned long word = 0x1122334455667788, copy = 0;
	struct stat st, direct;
	int fd;

	go_to_device();
	read_text("/proc/self/comm", own, sizeof(own));
	read_text(UP "/proc/self/comm", text, sizeof(text));
	CHECK(!strcmp(text, own));
	read_text(UP "/proc/thread-self/comm", text, sizeof(text));
	CHECK(!strcmp(text, own));
	text[OK(readlink(UP "/proc/self", text, sizeof(text) - 1))] = '\0';
	CHECK_EQ(atoi(text), getpid());
	fd = OK(open(UP "/proc/self/mem", O_RDONLY));
	CHECK_EQ(pread(fd, &copy, sizeof(copy), (off_t)(uintptr_t)&word), sizeof(copy));
	CHECK_EQ(copy, word);
	OK(stat(UP "/proc/self/exe", &st));
	OK(stat("/proc/self/exe", &direct));
	CHECK(st.st_ino == direct.st_ino && st.st_dev == direct.st_dev);
}

/* Nobody may read more that way than otherwise. */
TEST(other_user)
{
	char name[] = "/tmp/path_test.XXXXXX", path[128];
	int fd, status;
	pid_t pid;

	if (geteuid())
		test_skip("needs root");
	fd = OK(mkstemp(name));
	OK(fchmod(fd, 0600));
	go_to_device();
	snprintf(path, sizeof(path), UP "%s", name);
	OK(access(path, R_OK));
	pid = OK(fork());
	if (!pid) {
		OK(setresgid(65534, 65534, 65534));
		OK(setresuid(65534, 65534, 65534));
		FAILS(open(path, O_RDONLY), EACCES);
		FAILS(open(path, O_WRONLY | O_TRUNC), EACCES);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	unlink(name);
	CHECK_EQ(status, 0);
}

TEST(create_outside)
{
	char dir[] = "/tmp/path_test.XXXXXX", path[128];
	struct stat st;
	int fd;

	CHECK(mkdtemp(dir));
	go_to_device();
	umask(027);
	snprintf(path, sizeof(path), UP "%s/file", dir);
	fd = OK(open(path, O_RDWR | O_CREAT | O_EXCL, 0666));
	CHECK_EQ(write(fd, "text", 4), 4);
	OK(stat(path, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_size, 4);
	CHECK(!(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK));
	FAILS(open(path, O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST);
	OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666));
	OK(stat(path, &st));
	CHECK_EQ(st.st_size, 0);
	snprintf(path, sizeof(path), UP "%s/fifo", dir);
	OK(mkfifo(path + strlen(UP), 0600));
	/* Nobody but this thread waits for a writer. */
	fd = OK(open(path, O_RDONLY | O_NONBLOCK));
	OK(unlink(path + strlen(UP)));
	snprintf(path, sizeof(path), "%s/file", dir);
	OK(unlink(path));
	OK(rmdir(dir));
}

TEST(dots_and_slashes)
{
	char name[400];

	go_to_device();
	OK(open("power/../vendor", O_RDONLY));
	OK(open("./vendor", O_RDONLY));
	OK(open("driver/", O_RDONLY));
	FAILS(open("vendor/..", O_RDONLY), ENOTDIR);
	FAILS(open("vendor/.", O_RDONLY), ENOTDIR);
	FAILS(open("vendor/", O_RDONLY), ENOTDIR);
	FAILS(open("vendor/x", O_RDONLY), ENOTDIR);
	FAILS(open("nothing/..", O_RDONLY), ENOENT);
	FAILS(open("/nothing/../sys/bus/pci", O_RDONLY), ENOENT);
	FAILS(open("/dev/vfio/vfio/..", O_RDONLY), ENOTDIR);
	FAILS(open("/dev/vfio/vfio/", O_RDWR), ENOTDIR);
	FAILS(access("vendor/", F_OK), ENOTDIR);
	FAILS(chdir("vendor"), ENOTDIR);
	memset(name, 'a', 300);
	strcpy(name + 300, "/../vendor");
	FAILS(open(name, O_RDONLY), ENOENT);
	name[300] = '\0';
	FAILS(open(name, O_RDONLY), ENOENT);
	OK(chdir("/dev/vfio"));
	FAILS(open(name, O_RDONLY), ENAMETOOLONG);
	strcpy(name + 300, "/../vfio");
	FAILS(open(name, O_RDONLY), ENAMETOOLONG);
}

TEST(open_for_path)
{
	char text[64];
	struct stat st;
	int fd, container;

	go_to_device();
	fd = OK(open(".", O_PATH));
	OK(faccessat(fd, "vendor", R_OK, 0));
	OK(openat(fd, "vendor", O_PATH));
	fd = OK(open("resource0", O_PATH));
	OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode));
	FAILS(read(fd, text, 1), EBADF);
	fd = OK(open("driver", O_PATH | O_NOFOLLOW));
	OK(readlinkat(fd, "", text, sizeof(text)));
	FAILS(open("driver", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("vendor", O_PATH | O_DIRECTORY), ENOTDIR);
	OK(open("/dev/vfio/vfio", O_PATH));
	container = OK(open("/dev/vfio/vfio", O_RDWR));
	snprintf(text, sizeof(text), "/proc/self/fd/%d", container);
	fd = OK(open(text, O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &st));
	CHECK(S_ISLNK(st.st_mode));
}

TEST(changes)
{
	const char *name = "vendor";

	go_to_device();
	FAILS(unlink(name), EPERM);
	FAILS(unlink("power"), EISDIR);
	FAILS(unlink("nothing"), ENOENT);
	FAILS(rmdir("power"), EPERM);
	FAILS(rmdir(name), ENOTDIR);
	FAILS(mkdir("x", 0700), EPERM);
	FAILS(mkdir(name, 0700), EEXIST);
	FAILS(symlink("a", "x"), EPERM);
	FAILS(link(name, "x"), EPERM);
	FAILS(link(name, "device"), EEXIST);
	FAILS(link(name, "/tmp/x"), EXDEV);
	FAILS(link("nothing", "x"), ENOENT);
	FAILS(rename(name, "x"), EPERM);
	FAILS(rename(name, "device"), EPERM);
	FAILS(rename("nothing", "x"), ENOENT);
	FAILS(rename(name, "/tmp/x"), EXDEV);
	FAILS(renameat2(AT_FDCWD, name, AT_FDCWD, "device", RENAME_NOREPLACE), EEXIST);
	FAILS(mknod("x", S_IFREG | 0600, 0), EACCES);
	FAILS(mknod("x", S_IFIFO | 0600, 0), EPERM);
	FAILS(truncate("power", 0), EISDIR);
	FAILS(truncate("nothing", 0), ENOENT);
	FAILS(truncate("driver_override", -1), EINVAL);
	FAILS(truncate("/dev/vfio/vfio", 0), EINVAL);
	FAILS(utimensat(AT_FDCWD, "nothing", NULL, 0), ENOENT);
	OK(utimensat(AT_FDCWD, name, NULL, 0));
	FAILS(setxattr(name, "user.a", "b", 1, 0), EOPNOTSUPP);
	FAILS(removexattr(name, "user.a"), EOPNOTSUPP);
	FAILS(getxattr(name, "user.a", NULL, 0), ENODATA);
	FAILS(open("x", O_RDWR | O_CREAT, 0600), EACCES);
	FAILS(open(name, O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open(".", O_RDWR | O_TMPFILE, 0600), EOPNOTSUPP);
	OK(access(name, F_OK));
}

TEST(modes)
{
	go_to_device();
	FAILS(open("vendor", O_RDWR), EACCES);
	FAILS(open("remove", O_RDONLY), EACCES);
	FAILS(open("power", O_RDWR), EISDIR);
	OK(open("vendor", 3));
	CHECK_EQ(ioctl((int)OK(open("/dev/vfio/vfio", 3)), VFIO_GET_API_VERSION), 0);
}

TEST(resolve)
{
	char path[96], dir[64];
	int fd;

	OK(chdir("/sys/bus/pci"));
	snprintf(dir, sizeof(dir), "devices/%s", test_bdf);
	snprintf(path, sizeof(path), "%s/vendor", dir);
	OK(open_how(AT_FDCWD, path, O_RDONLY, 0));
	OK(open_how(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS));
	FAILS(open_how(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
	FAILS(open_how(AT_FDCWD, path, O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open_how(AT_FDCWD, path, O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
	OK(open_how(AT_FDCWD, "devices/..", O_RDONLY, RESOLVE_BENEATH));
	FAILS(open_how(AT_FDCWD, "devices/../..", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open_how(AT_FDCWD, "/sys/bus", O_RDONLY, RESOLVE_BENEATH), EXDEV);
	FAILS(open_how(AT_FDCWD, "/sys/bus/pci", O_RDONLY, RESOLVE_NO_XDEV), EXDEV);
	fd = OK(open_how(AT_FDCWD, "/devices/../../..", O_RDONLY, RESOLVE_IN_ROOT));
	OK(faccessat(fd, dir, F_OK, 0));
	FAILS(open_how(AT_FDCWD, "/sys", O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
	FAILS(open_how(AT_FDCWD, "/proc/self/cwd/devices", O_RDONLY, RESOLVE_NO_MAGICLINKS), ELOOP);
	OK(open_how(AT_FDCWD, "/proc/self/cwd/devices", O_RDONLY, 0));
	FAILS(open_how(AT_FDCWD, path, O_RDONLY, 1U << 20), EINVAL);
	FAILS(open_how(AT_FDCWD, path, 1ULL << 40, 0), EINVAL);
	FAILS(syscall(SYS_openat2, AT_FDCWD, path, &(struct open_how){}, 8), EINVAL);
}

TEST(flags)
{
	struct statx stx;
	struct statfs fs;
	struct stat st;

	go_to_device();
	FAILS(syscall(SYS_newfstatat, AT_FDCWD, "vendor", &st, 1 << 20), EINVAL);
	FAILS(syscall(SYS_statx, AT_FDCWD, "vendor", 1 << 20, STATX_BASIC_STATS, &stx), EINVAL);
	FAILS(syscall(SYS_statx, AT_FDCWD, "vendor", 0, 1U << 31, &stx), EINVAL);
	FAILS(syscall(SYS_faccessat2, AT_FDCWD, "vendor", R_OK, 1 << 20), EINVAL);
	FAILS(syscall(SYS_faccessat2, AT_FDCWD, "vendor", 8, 0), EINVAL);
	OK(statfs("/dev", &fs));
	OK(statfs("/dev/vfio", &fs));
	OK(statfs("/dev/vfio/vfio", &fs));
	FAILS(statfs("/dev/vfio/nothing", &fs), ENOENT);
}
