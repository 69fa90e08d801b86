/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of the tree. */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/tree_internal.h"

static int note(struct host_tree *tree, int err)
{
	if (err && !tree->error)
		tree->error = err;
	return err;
}

int host_tree_error(const struct host_tree *tree)
{
	return tree->error;
}

int host_tree_mkdir(struct host_tree *tree, const char *path)
{
	if (mkdirat(tree->root, path + 1, 0755) && errno != EEXIST)
		return note(tree, -errno);
	return 0;
}

int host_tree_mkdirs(struct host_tree *tree, const char *path)
{
	char part[PATH_MAX];
	const char *p = path;
	int err;

	while (*p) {
		p = strchrnul(p + 1, '/');
		if ((size_t)(p - path) >= sizeof(part))
			return note(tree, -ENAMETOOLONG);
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		err = host_tree_mkdir(tree, part);
		if (err)
			return err;
	}
	return 0;
}

/* Opens for writing; what exists may have a mode that forbids it. */
static int create(struct host_tree *tree, const char *path, unsigned int mode, bool *fresh)
{
	int fd = openat(tree->root, path + 1, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	*fresh = true;
	if (fd < 0 && errno == EEXIST) {
		*fresh = false;
		fd = openat(tree->root, path + 1, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0 && !*fresh) {
		*fresh = true;
		unlinkat(tree->root, path + 1, 0);
		fd = openat(tree->root, path + 1, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	}
	if (fd < 0)
		return -errno;
	if ((!*fresh || mode & tree->mask) && fchmod(fd, mode)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* In place and with one write, for somebody may be reading. */
int host_tree_write(struct host_tree *tree, const char *path, unsigned int mode, const char *format,
		    ...)
{
	bool fresh;
	cleanup_fd int fd = create(tree, path, mode, &fresh);
	cleanup_free char *text = NULL;
	va_list args;
	int n;

	if (fd < 0)
		return note(tree, fd);
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return note(tree, -ENOMEM);
	}
	if ((n && pwrite(fd, text, (size_t)n, 0) != n) || (!fresh && ftruncate(fd, n)))
		return note(tree, errno ? -errno : -EIO);
	return 0;
}

int host_tree_file(struct host_tree *tree, const char *path, unsigned int mode, u64 size, int *out)
{
	bool fresh;
	cleanup_fd int fd = create(tree, path, mode, &fresh);

	if (fd < 0)
		return note(tree, fd);
	if (size > INT64_MAX || ftruncate(fd, (off_t)size))
		return note(tree, size > INT64_MAX ? -EFBIG : -errno);
	if (out)
		*out = steal_fd(&fd);
	return 0;
}

int host_tree_open(struct host_tree *tree, const char *path, int flags)
{
	int fd = openat(tree->root, path + 1, flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int host_tree_link(struct host_tree *tree, const char *path, const char *target)
{
	const char *end = strrchr(path, '/'), *last = strrchr(target, '/');
	size_t i = 0, common = 0;
	char text[PATH_MAX];
	char *p = text;
	int n;

	/* The deepest directory that holds both the link and the target. */
	for (;; i++) {
		bool dir = path + i == end || path[i] == '/';

		if (dir && (target + i == last || target[i] == '/'))
			common = i;
		if (path + i >= end || target + i >= last || path[i] != target[i])
			break;
	}
	for (i = common; path + i < end; i++) {
		if (path[i] != '/')
			continue;
		if ((size_t)(p - text) + 4 > sizeof(text))
			return note(tree, -ENAMETOOLONG);
		p = stpcpy(p, "../");
	}
	n = snprintf(p, sizeof(text) - (size_t)(p - text), "%s", target + common + 1);
	if ((size_t)n >= sizeof(text) - (size_t)(p - text))
		return note(tree, -ENAMETOOLONG);
	unlinkat(tree->root, path + 1, 0);
	return symlinkat(text, tree->root, path + 1) ? note(tree, -errno) : 0;
}

int host_tree_node(struct host_tree *tree, const char *path, unsigned int mode)
{
	unlinkat(tree->root, path + 1, 0);
	/* Device 0:0 needs no privilege; where even that is refused, a file will do. */
	if (!mknodat(tree->root, path + 1, S_IFCHR | 0600, 0)) {
		if (fchmodat(tree->root, path + 1, mode, 0))
			return note(tree, -errno);
		return 0;
	}
	return host_tree_file(tree, path, mode, 0, NULL);
}

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Depth first without recursion would need a stack of its own; the tree is 20 deep at most. */
void host_tree_unlink_all(int at, const char *name)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *de;
	int fd;

	if (!unlinkat(at, name, 0) || errno == ENOENT)
		return;
	fd = open_dir(at, name);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
			host_tree_unlink_all(dirfd(dir), de->d_name);
	unlinkat(at, name, AT_REMOVEDIR);
}

void host_tree_remove(struct host_tree *tree, const char *path)
{
	host_tree_unlink_all(tree->root, path + 1);
}

bool host_tree_exists(struct host_tree *tree, const char *path)
{
	return !faccessat(tree->root, path + 1, F_OK, AT_SYMLINK_NOFOLLOW);
}
