/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths as programs write them: locate(), against what must hold for any of them and against the
 * kernel's own walk of the tree; and writes to whatever attribute a path may name. The first line
 * of the input is the directory, the second the path, the rest what is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "unit/view.h"

static struct supervisor sv;
static int tree = -1;

static void clean_up(void)
{
	close(tree);
	view_fini(&sv);
}

static void check(bool right)
{
	if (!right)
		abort();
}

static void set_up(void)
{
	check(view_init(&sv));
	tree = open(sv.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	check(tree >= 0);
	atexit(clean_up);
}

static bool normal(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../"))
		return false;
	if (len == 1)
		return true;
	return path[len - 1] != '/' && (len < 2 || strcmp(path + len - 2, "/.")) &&
	       (len < 3 || strcmp(path + len - 3, "/.."));
}

/* Where the kernel arrives when the tree is the root, without its directory; false: nowhere. */
static bool kernel_walk(const char *base, const char *path, bool follow, char *out)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
				.resolve = RESOLVE_IN_ROOT };
	char whole[2 * PATH_MAX], name[32], found[PATH_MAX];
	const char *stripped;
	ssize_t n;
	int fd;

	snprintf(whole, sizeof(whole), "%s/%s", path[0] == '/' ? "" : base, path);
	fd = (int)syscall(__NR_openat2, tree, whole, &how, sizeof(how));
	if (fd < 0)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, found, sizeof(found) - 1);
	close(fd);
	check(n > 0);
	found[n] = '\0';
	stripped = tree_strip(&sv, found);
	check(stripped);
	strcpy(out, stripped);
	return true;
}

/* What is ours is reached without another link, and never outside of the tree. */
static void check_physical(const struct where *w, bool follow)
{
	char parent[PATH_MAX], found[PATH_MAX];
	char *slash;

	check(!strncmp(w->physical, sv.dir, sv.dir_len));
	check(!strcmp(w->physical + sv.dir_len, w->path));
	strcpy(parent, w->physical);
	slash = strrchr(parent, '/');
	if (!follow && slash > parent + sv.dir_len)
		*slash = '\0';
	if (realpath(parent, found))
		check(!strcmp(parent, found));
}

static void check_walk(int dirfd, const char *base, const char *path, bool follow)
{
	struct host_node node = { .mode = 0 };
	char kernel[PATH_MAX];
	enum host_path_kind kind;
	struct where w;
	bool link;

	view_locate(&sv, dirfd, path, follow, 0, &w, &link);
	/* By a link of /proc, or from the real machine: nothing to compare with. */
	if (path[0] && !link && kernel_walk(base, path, follow, kernel)) {
		kind = host_path(sv.host, kernel, NULL);
		if (kind == HOST_PATH_TREE || kind == HOST_PATH_NODE) {
			check(w.kind == WHERE_TREE || w.kind == WHERE_NODE);
			check(!strcmp(w.path, kernel));
		}
	}
	if (w.kind == WHERE_ERROR)
		check(w.error < 0);
	if (w.kind == WHERE_REAL)
		check(normal(w.path) && host_path(sv.host, w.path, NULL) == HOST_PATH_REAL);
	/* The target of a link that is not followed may be a directory of the harness's own. */
	if (link || (w.kind != WHERE_TREE && w.kind != WHERE_NODE))
		return;
	check(normal(w.path));
	check_physical(&w, follow);
	kind = host_path(sv.host, w.path, &node);
	check(kind == (w.kind == WHERE_NODE ? HOST_PATH_NODE : HOST_PATH_TREE));
	check((kind == HOST_PATH_NODE) == S_ISCHR(node.mode));
}

static void done(void *opaque, int result)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_write(const char *path, const char *data)
{
	struct where w;

	view_locate(&sv, AT_FDCWD, path, true, 0, &w, NULL);
	if (w.kind != WHERE_TREE)
		return;
	host_config_written(sv.host, w.path);
	if (data && host_attr_writable(sv.host, w.path))
		check(host_attr_write(sv.host, w.path, data, strlen(data), done, NULL) <= 0);
}

/* The directory of the tree that is named so, or its top. */
static int open_base(const char *name, char *base)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT };
	int fd = -1;

	if (kernel_walk("", name, true, base))
		fd = (int)syscall(__NR_openat2, tree, base, &how, sizeof(how));
	if (fd < 0) {
		strcpy(base, "/");
		fd = (int)syscall(__NR_openat2, tree, base, &how, sizeof(how));
	}
	check(fd >= 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *path, *rest, base[PATH_MAX];
	int dirfd;

	if (tree < 0)
		set_up();
	check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	path = strchr(text, '\n');
	if (path && path - text < PATH_MAX) {
		*path++ = '\0';
		rest = strchr(path, '\n');
		if (rest)
			*rest++ = '\0';
		dirfd = open_base(text, base);
		check_walk(dirfd, base, path, true);
		check_walk(dirfd, base, path, false);
		close(dirfd);
		check_write(path, rest);
	}
	free(text);
	return 0;
}
