/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/real.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A file by its directory, which is open. */
struct place {
	int dir;
	const char *name;
	bool magic; /* a link of a process, which leads to a file and not to a name */
};

static void place_close(struct place *place)
{
	if (place->dir >= 0)
		close(place->dir);
}

#define cleanup_place __attribute__((cleanup(place_close)))

static int place_open(struct caller *c, const char *path, struct place *place)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_NO_SYMLINKS };
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	struct statfs fs;

	if (!proc_same_rights(c->tid))
		return -EACCES;
	snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path), path);
	place->dir = (int)syscall(__NR_openat2, AT_FDCWD, dir, &how, sizeof(how));
	if (place->dir < 0)
		return -errno;
	place->name = slash[1] ? slash + 1 : ".";
	place->magic =
		strcmp(dir, "/proc/") && !fstatfs(place->dir, &fs) && fs.f_type == PROC_SUPER_MAGIC;
	return 0;
}

/* A new file gets its mode by the caller's mask, and not by that of our process. */
static int open_or_create(const struct caller *c, const struct place *place, int flags, mode_t mode)
{
	cleanup_fd int fd = -1;

	if (!(flags & O_CREAT)) {
		fd = openat(place->dir, place->name, flags);
		return fd < 0 ? -errno : steal_fd(&fd);
	}
	fd = openat(place->dir, place->name, flags | O_EXCL, 0600);
	if (fd < 0 && errno == EEXIST && !(flags & O_EXCL))
		return open_or_create(c, place, flags & ~O_CREAT, 0);
	if (fd < 0 || fchmod(fd, mode & 07777 & ~proc_umask(c->tid)))
		return -errno;
	return steal_fd(&fd);
}

int real_open_fd(struct caller *c, const char *path, u64 flags, mode_t mode)
{
	cleanup_place struct place place = { .dir = -1, .name = "." };
	int how = (int)flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	cleanup_fd int fd = -1;
	int r = place_open(c, path, &place);

	if (r)
		return r;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
	if (!place.magic)
		how |= O_NOFOLLOW;
	fd = open_or_create(c, &place, how, mode);
	if (fd < 0)
		return fd;
	if (!(flags & O_NONBLOCK)) {
		r = fcntl(fd, F_GETFL);
		if (r < 0 || fcntl(fd, F_SETFL, r & ~O_NONBLOCK))
			return -errno;
	}
	return steal_fd(&fd);
}

long real_open(struct caller *c, const char *path, u64 flags, mode_t mode)
{
	cleanup_fd int fd = real_open_fd(c, path, flags, mode);

	return fd < 0 ? fd : caller_add_fd(c, fd, flags & O_CLOEXEC);
}

/* AT_SYMLINK_NOFOLLOW, where it must be. */
static int no_follow(const struct place *place, bool follow)
{
	return follow && place->magic ? 0 : AT_SYMLINK_NOFOLLOW;
}

int real_stat(struct caller *c, const char *path, bool follow, struct stat *st)
{
	cleanup_place struct place place = { .dir = -1, .name = "." };
	int r = place_open(c, path, &place);

	if (r)
		return r;
	return fstatat(place.dir, place.name, st, no_follow(&place, follow)) ? -errno : 0;
}

int real_statx(struct caller *c, const char *path, bool follow, unsigned int mask,
	       struct statx *stx)
{
	cleanup_place struct place place = { .dir = -1, .name = "." };
	int r = place_open(c, path, &place);

	if (r)
		return r;
	return syscall(__NR_statx, place.dir, place.name, no_follow(&place, follow), mask, stx)
		       ? -errno
		       : 0;
}

int real_access(struct caller *c, const char *path, bool follow, int mode)
{
	cleanup_place struct place place = { .dir = -1, .name = "." };
	int r = place_open(c, path, &place);

	if (r)
		return r;
	return faccessat(place.dir, place.name, mode, no_follow(&place, follow)) ? -errno : 0;
}

ssize_t real_readlink(struct caller *c, const char *path, char *buf, size_t size)
{
	cleanup_place struct place place = { .dir = -1, .name = "." };
	struct program *program = program_find(c->sv, c->tid);
	int r = place_open(c, path, &place);
	ssize_t n;

	if (r)
		return r;
	if (program && !strcmp(path, "/proc/self"))
		return snprintf(buf, size, "%d", program->tgid);
	if (program && !strcmp(path, "/proc/thread-self"))
		return snprintf(buf, size, "%d/task/%d", program->tgid, c->tid);
	n = readlinkat(place.dir, place.name, buf, size);
	return n < 0 ? -errno : n;
}
