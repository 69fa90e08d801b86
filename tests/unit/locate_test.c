/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths of a program's: whose they are, and how the walk ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "view.h"

#define DIR "/sys/devices/pci0000:00/0000:00:01.0"
#define LINK "/sys/bus/pci/devices/0000:00:01.0"

static struct supervisor sv;

struct expected {
	const char *path;
	enum where_kind kind;
	const char *result; /* NULL: not looked at */
	int error;
};

static void check(int dirfd, bool follow, u64 resolve, const struct expected *e)
{
	struct where w;
	bool link;

	view_locate(&sv, dirfd, e->path, follow, resolve, &w, &link);
	if (w.kind != e->kind || (e->result && strcmp(w.path, e->result)) ||
	    (w.kind == WHERE_ERROR && w.error != e->error))
		fail_msg("%s: kind %d, \"%s\", error %d", e->path, w.kind, w.path,
			 w.kind == WHERE_ERROR ? w.error : 0);
	assert_false(link);
}

static int open_dir(const char *path)
{
	char physical[2 * PATH_MAX];
	int fd;

	snprintf(physical, sizeof(physical), "%s%s", sv.dir, path);
	fd = open(physical, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	return fd;
}

static void test_absolute(void **state)
{
	static const struct expected cases[] = {
		{ "/sys/bus/pci/devices", WHERE_TREE, "/sys/bus/pci/devices" },
		{ "//sys/./bus//pci/devices/", WHERE_TREE, "/sys/bus/pci/devices" },
		{ "/usr/../sys/bus/pci", WHERE_TREE, "/sys/bus/pci" },
		{ LINK, WHERE_TREE, DIR },
		{ LINK "/vendor", WHERE_TREE, DIR "/vendor" },
		{ LINK "/power/../vendor", WHERE_TREE, DIR "/vendor" },
		{ LINK "/../0000:00:01.0/vendor", WHERE_TREE, DIR "/vendor" },
		{ LINK "/nothing", WHERE_TREE, DIR "/nothing" },
		{ LINK "/vendor/", WHERE_ERROR, NULL, -ENOTDIR },
		{ LINK "/vendor/..", WHERE_ERROR, NULL, -ENOTDIR },
		{ LINK "/vendor/.", WHERE_ERROR, NULL, -ENOTDIR },
		{ LINK "/nothing/../vendor", WHERE_ERROR, NULL, -ENOENT },
		{ "/dev/vfio/vfio", WHERE_NODE, "/dev/vfio/vfio" },
		{ "/dev/vfio/vfio/", WHERE_ERROR, NULL, -ENOTDIR },
		{ "/dev/vfio/vfio/..", WHERE_ERROR, NULL, -ENOTDIR },
		{ "/dev/iommu", WHERE_ERROR, NULL, -ENOENT },
		{ "/dev/null", WHERE_NATIVE },
		{ "/nothing/../sys/bus/pci", WHERE_NATIVE },
		{ "/etc/passwd/../../sys/bus/pci", WHERE_NATIVE },
		{ "/usr/lib", WHERE_NATIVE },
		{ "", WHERE_NATIVE },
		{ "/run/modprobe.d/uvfio.conf", WHERE_TREE, "/run/modprobe.d/uvfio.conf" },
		{ "/proc/self/root/sys/bus/pci", WHERE_TREE, "/sys/bus/pci" },
		{ LINK "/../../../../etc/passwd", WHERE_REAL, "/etc/passwd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(AT_FDCWD, true, 0, &cases[i]);
}

/* A link that is named on the way to ".." is followed. */
static void test_links_before_dots(void **state)
{
	char link[] = "/tmp/locate_test.XXXXXX", path[64];

	assert_non_null(mkdtemp(link));
	assert_int_equal(rmdir(link), 0);
	assert_int_equal(symlink("/usr/lib", link), 0);
	snprintf(path, sizeof(path), "%s/../sys/bus/pci", link);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_NATIVE });
	snprintf(path, sizeof(path), "%s/../../sys/bus/pci", link);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_TREE, "/sys/bus/pci" });
	unlink(link);
}

static void test_relative(void **state)
{
	char self[64], thread[64];
	int fd = open_dir(DIR);
	const struct expected cases[] = {
		{ "vendor", WHERE_TREE, DIR "/vendor" },
		{ ".", WHERE_TREE, DIR },
		{ "..", WHERE_TREE, "/sys/devices/pci0000:00" },
		{ "../../../..", WHERE_REAL, "/" },
		{ "../../../../proc/self/comm", WHERE_REAL, self },
		{ "../../../../proc/thread-self/comm", WHERE_REAL, thread },
		{ "../../../../proc/nothing/..", WHERE_ERROR, NULL, -ENOENT },
		{ "../../../../etc/passwd/", WHERE_ERROR, NULL, -ENOTDIR },
	};

	snprintf(self, sizeof(self), "/proc/%d/comm", getpid());
	snprintf(thread, sizeof(thread), "/proc/%d/task/%d/comm", getpid(), getpid());
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(fd, true, 0, &cases[i]);
	close(fd);
}

static void test_long_names(void **state)
{
	char path[PATH_MAX], name[NAME_MAX + 2];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/%s/../devices", name);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_ERROR, NULL, -ENOENT });
	snprintf(path, sizeof(path), "/dev/vfio/%s", name);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_ERROR, NULL, -ENAMETOOLONG });
	snprintf(path, sizeof(path), "/usr/%s/../../sys/bus/pci", name);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_NATIVE });
	name[NAME_MAX] = '\0';
	snprintf(path, sizeof(path), "/sys/bus/pci/%s", name);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_TREE, path });
}

static void test_descriptor_links(void **state)
{
	int fd = open_dir(DIR);
	char path[64];
	struct where w;
	bool link;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/vendor", fd);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_TREE, DIR "/vendor" });
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", getpid(), getpid(), fd);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_TREE, DIR });
	check(AT_FDCWD, true, RESOLVE_NO_MAGICLINKS,
	      &(struct expected){ path, WHERE_ERROR, NULL, -ELOOP });
	view_locate(&sv, AT_FDCWD, path, false, 0, &w, &link);
	assert_int_equal(w.kind, WHERE_TREE);
	assert_true(link);
	/* Not as the kernel writes numbers. */
	snprintf(path, sizeof(path), "/proc/0%d/fd/%d", getpid(), fd);
	check(AT_FDCWD, true, 0, &(struct expected){ path, WHERE_NATIVE });
	close(fd);
}

static void test_resolve(void **state)
{
	int fd = open_dir("/sys/bus/pci");
	static const struct {
		u64 resolve;
		struct expected e;
	} cases[] = {
		{ RESOLVE_NO_SYMLINKS, { "devices/0000:00:01.0/x", WHERE_ERROR, NULL, -ELOOP } },
		{ RESOLVE_NO_SYMLINKS, { "devices", WHERE_TREE, "/sys/bus/pci/devices" } },
		{ RESOLVE_BENEATH, { "devices/0000:00:01.0", WHERE_ERROR, NULL, -EXDEV } },
		{ RESOLVE_BENEATH, { "devices/..", WHERE_TREE, "/sys/bus/pci" } },
		{ RESOLVE_BENEATH, { "..", WHERE_ERROR, NULL, -EXDEV } },
		{ RESOLVE_BENEATH, { "/sys", WHERE_NATIVE } },
		{ RESOLVE_IN_ROOT, { "/devices/../../..", WHERE_TREE, "/sys/bus/pci" } },
		{ RESOLVE_IN_ROOT, { "/devices", WHERE_TREE, "/sys/bus/pci/devices" } },
		{ RESOLVE_NO_XDEV, { "devices/0000:00:01.0", WHERE_TREE, DIR } },
		{ RESOLVE_NO_XDEV, { "/sys/bus/pci", WHERE_ERROR, NULL, -EXDEV } },
		{ RESOLVE_NO_XDEV, { "../../../dev/vfio", WHERE_ERROR, NULL, -EXDEV } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(fd, true, cases[i].resolve, &cases[i].e);
	close(fd);
}

static void test_proc_split(void **state)
{
	static const struct {
		const char *path, *rest;
		pid_t tid;
	} cases[] = {
		{ "/proc/self/status", "status", 7 },
		{ "/proc/thread-self/status", "status", 7 },
		{ "/proc/12/status", "status", 12 },
		{ "/proc/12/task/13/status", "status", 13 },
		{ "/proc/self/task/13/fd/1", "fd/1", 13 },
		{ "/proc/12/net/status", "net/status", 12 },
		{ "/proc/12status", NULL, 0 },
		{ "/proc/012/status", NULL, 0 },
		{ "/proc/4294967308/status", NULL, 0 },
		{ "/proc/self", NULL, 0 },
		{ "/proc/selfish/status", NULL, 0 },
		{ "/sys/self/status", NULL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t tid = 0;
		const char *rest = proc_split(cases[i].path, 7, &tid);

		assert_int_equal(!rest, !cases[i].rest);
		if (!rest)
			continue;
		assert_string_equal(rest, cases[i].rest);
		assert_int_equal(tid, cases[i].tid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absolute),	 cmocka_unit_test(test_links_before_dots),
		cmocka_unit_test(test_relative),	 cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_descriptor_links), cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_proc_split),
	};
	int failed;

	if (!view_init(&sv))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	view_fini(&sv);
	return failed;
}
