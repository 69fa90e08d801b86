/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls that take a path, where the path is ours. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/attr.h"
#include "supervisor/inject.h"
#include "supervisor/locate.h"
#include "supervisor/real.h"

#ifndef O_TMPFILE
#define O_TMPFILE (020000000 | O_DIRECTORY)
#endif

/* How long the memory of a program that has ended may be in use by our threads. */
#define ENDING_NS 50000000ULL

/* Whether the caller may access, for @want (R_OK, W_OK, X_OK), a file of the given mode and owners.
 */
static int permitted(struct caller *c, const struct stat *st, int want)
{
	u32 mode = st->st_mode;
	uid_t uid;

	if (caller_fsuid(c, &uid))
		return -EACCES;
	if (caller_ops.capable(&c->task, CAP_DAC_OVERRIDE))
		return 0;
	if (uid == st->st_uid)
		mode >>= 6;
	else if ((mode >> 3 & 7) != (mode & 7) && caller_in_group(c, st->st_gid))
		mode >>= 3;
	return (mode & want) == (u32)want ? 0 : -EACCES;
}

static int wanted(u64 flags)
{
	static const int want[] = { R_OK, W_OK, R_OK | W_OK, R_OK | W_OK };

	return want[flags & O_ACCMODE];
}

/*
 * A program that has been killed may be in the midst of a DMA or a trapped access: then one of our
 * threads uses its memory, and the last mapping of the device goes only when that is over, after
 * the program's parent has seen it end. The group is free as soon as that.
 */
static int open_group(struct caller *c, unsigned int group, struct vfio_file **file)
{
	u64 now = device_now_ns(), since = c->received_ns ? c->received_ns : now;
	int r = vfio_group_open(host_vfio(c->sv->host), group, file);

	if (r == -EBUSY && now < c->sv->ended_ns + ENDING_NS && now < since + ENDING_NS)
		return REPLY_RETRY;
	return r;
}

static long open_node(struct caller *c, const struct host_node *node, const char *physical,
		      u64 flags)
{
	struct vfio_file *file;
	struct stat st = {};
	int r;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (lstat(physical, &st))
		return -errno;
	r = permitted(c, &st, wanted(flags));
	if (r)
		return r;
	if (node->kind == HOST_NODE_CONTAINER)
		r = vfio_container_open(host_vfio(c->sv->host), &file);
	else
		r = open_group(c, node->group, &file);
	if (r)
		return r;
	/* Mode 3 is for ioctls alone; it needs, and may use, no less than this. */
	if ((flags & O_ACCMODE) == O_ACCMODE)
		flags ^= O_ACCMODE ^ O_RDWR;
	r = caller_ops.install(&c->task, file, (int)flags);
	if (r < 0)
		file->ops->release(file);
	return r;
}

/* open("/proc/self/fd/N") of a file of ours: opens the node again. */
static long open_again(struct caller *c, const struct vfio_file *file, u64 flags)
{
	char physical[PATH_MAX + sizeof(file->link)];
	struct host_node node;

	if (host_path(c->sv->host, file->link, &node) != HOST_PATH_NODE)
		return -ENXIO;
	snprintf(physical, sizeof(physical), "%s%s", c->sv->dir, file->link);
	return open_node(c, &node, physical, flags);
}

/*
 * O_PATH. No such descriptor can be handed over. For a directory, and for a file of which the tree
 * holds what may be read, one that may read does as well; anything else the thread must open
 * itself, by the end of the path that it has named.
 */
static long open_path(struct caller *c, const char *path, const char *physical, u64 name, u64 flags)
{
	const char *base = strrchr(physical, '/') + 1;
	cleanup_fd int fd = -1;
	char text[PATH_MAX];
	struct stat st = {};
	ssize_t n, len = strlen(base);

	if (lstat(physical, &st))
		return -errno;
	if (flags & O_DIRECTORY && !S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (S_ISDIR(st.st_mode) ||
	    (S_ISREG(st.st_mode) && host_attr_kind(path) != HOST_ATTR_REGISTERS)) {
		fd = open(physical, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 || errno != EACCES)
			return fd < 0 ? -errno : caller_add_fd(c, fd, flags & O_CLOEXEC);
	}
	n = caller_read_string(c, text, sizeof(text), name);
	if (n < len || strcmp(text + n - len, base))
		return -EACCES;
	snprintf(text, sizeof(text), "%.*s", (int)(base - physical), physical);
	fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : inject_open_path(c, fd, name + n - len, flags & O_CLOEXEC);
}

/* The same outside of the tree. */
static long open_real_path(struct caller *c, const char *path, u64 name, u64 flags)
{
	struct stat st = {};
	int r = real_stat(c, path, !(flags & O_NOFOLLOW), &st);

	if (r)
		return r;
	if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode))
		return real_open(c, path, flags & (O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 0);
	return open_path(c, path, path, name, flags);
}

/* Opens @path for the program and hands it over. */
static long open_for(struct caller *c, const char *path, u64 flags)
{
	cleanup_fd int fd = open(path, (int)(flags & ~(u64)(O_CREAT | O_EXCL | O_TRUNC)) |
					       O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return caller_add_fd(c, fd, flags & O_CLOEXEC);
}

/*
 * For those who may open for writing what takes no writes, as root may any attribute: a copy that
 * refuses them.
 */
static long open_sealed(struct caller *c, const char *path, const struct stat *st, u64 flags)
{
	cleanup_fd int from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int to = memfd_create("attribute", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char link[32];

	if (from < 0 || to < 0 || fchmod(to, st->st_mode & 07777) ||
	    sendfile(to, from, NULL, PAGE_SIZE_4K) < 0 ||
	    fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", to);
	return open_for(c, link, flags & ~(u64)O_NOFOLLOW);
}

/* What sysfs refuses to everybody: what the attribute cannot do; and writes to those that would do
 * nothing. */
static long attribute_open(const char *path, const struct stat *st, u64 flags)
{
	static const char *const inert[] = { "remove", "reset_subordinate" };
	int want = (flags & O_ACCMODE) == O_ACCMODE ? 0 : wanted(flags);
	const char *name = strrchr(path, '/') + 1;

	if (strncmp(path, "/sys/", 5) || !S_ISREG(st->st_mode))
		return 0;
	if ((want & R_OK && !(st->st_mode & 0444)) || (want & W_OK && !(st->st_mode & 0222)))
		return -EACCES;
	for (size_t i = 0; i < ARRAY_SIZE(inert); i++) {
		if (want & W_OK && !strcmp(name, inert[i]))
			return -EACCES;
	}
	return 0;
}

static long open_tree(struct caller *c, const struct where *w, u64 flags)
{
	char link[32];
	struct stat st = {};
	int config;
	long r;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
	if (lstat(w->physical, &st))
		return flags & O_CREAT && errno == ENOENT ? -EACCES : -errno;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (flags & O_CREAT && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		r = permitted(c, &st, wanted(flags));
		if (r)
			return r;
	}
	r = attribute_open(w->path, &st, flags);
	if (r)
		return r;
	if ((flags & O_ACCMODE) != O_RDONLY && host_attr_writable(c->sv->host, w->path))
		return attr_open(c, w->path, (int)flags);
	if (S_ISREG(st.st_mode) && host_attr_kind(w->path) == HOST_ATTR_REGISTERS)
		return -EPERM;
	config = host_config_fd(c->sv->host, w->path);
	if (config < 0 && S_ISREG(st.st_mode) && (flags & O_ACCMODE) != O_RDONLY)
		return open_sealed(c, w->physical, &st, flags);
	if (config < 0)
		return open_for(c, w->physical, flags);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", config);
	r = open_for(c, link, flags & ~(u64)O_NOFOLLOW);
	if (r >= 0 && (flags & O_ACCMODE) != O_RDONLY)
		files_watch_config(c->sv, link, w->path);
	return r;
}

long path_open(struct caller *c, int dirfd, u64 path, u64 flags, mode_t mode, u64 resolve)
{
	bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct where w;
	bool link;

	locate_beneath(c, dirfd, path, follow, resolve, &w, &link);
	/* A link itself: ELOOP, or what O_PATH may have of it. */
	if (link)
		return REPLY_CONTINUE;
	switch (w.kind) {
	case WHERE_TREE:
		return flags & O_PATH ? open_path(c, w.path, w.physical, path, flags)
				      : open_tree(c, &w, flags);
	case WHERE_NODE:
		return flags & O_PATH ? open_path(c, w.path, w.physical, path, flags)
				      : open_node(c, &w.node, w.physical, flags);
	case WHERE_FILE:
		/* Nobody may have a memfd of ours but by an open that is counted. */
		return flags & O_PATH ? -ENXIO : open_again(c, w.tracked->file, flags);
	case WHERE_REAL:
		return flags & O_PATH ? open_real_path(c, w.path, path, flags)
				      : real_open(c, w.path, flags, mode);
	case WHERE_ERROR:
		return w.error;
	default:
		return proc_open_status(c, w.path, flags);
	}
}

/* An open container or group is the node that it was opened by, as long as there is one. */
static void stat_same_inode(const struct supervisor *sv, const struct vfio_file *file,
			    struct stat *st)
{
	char path[PATH_MAX + sizeof(file->link)];
	struct stat node;

	if (!S_ISCHR(file->mode))
		return;
	snprintf(path, sizeof(path), "%s%s", sv->dir, file->link);
	if (lstat(path, &node))
		return;
	st->st_dev = node.st_dev;
	st->st_ino = node.st_ino;
	st->st_nlink = node.st_nlink;
	st->st_uid = node.st_uid;
	st->st_gid = node.st_gid;
	st->st_mode = S_IFCHR | (node.st_mode & 07777);
}

static void stat_as_node(struct stat *st, u32 mode, u32 major, u32 minor)
{
	st->st_mode = mode;
	st->st_rdev = S_ISCHR(mode) ? makedev(major, minor) : 0;
	st->st_size = 0;
	st->st_blocks = 0;
}

/* Links and directories have no size there, and nothing has blocks. */
static void stat_as_sysfs(struct stat *st, const char *path)
{
	if (strncmp(path, "/sys", 4))
		return;
	st->st_blocks = 0;
	if (!S_ISREG(st->st_mode))
		st->st_size = 0;
	else if (host_attr_kind(path) == HOST_ATTR_TEXT)
		st->st_size = PAGE_SIZE_4K;
}

/* 0 with *@st; REPLY_CONTINUE; or -errno. */
static long stat_where(struct caller *c, struct where *w, bool follow, struct stat *st)
{
	switch (w->kind) {
	case WHERE_TREE:
		if (fstatat(AT_FDCWD, w->physical, st, AT_SYMLINK_NOFOLLOW))
			return -errno;
		stat_as_sysfs(st, w->path);
		return 0;
	case WHERE_NODE:
		if (fstatat(AT_FDCWD, w->physical, st, AT_SYMLINK_NOFOLLOW))
			return -errno;
		stat_as_node(st, S_IFCHR | (st->st_mode & 07777), w->node.major, w->node.minor);
		return 0;
	case WHERE_FILE:
		if (fstat(w->tracked->file->memfd, st))
			return -errno;
		stat_as_node(st, w->tracked->file->mode, w->tracked->file->major,
			     w->tracked->file->minor);
		stat_same_inode(c->sv, w->tracked->file, st);
		return 0;
	case WHERE_REAL:
		return real_stat(c, w->path, follow, st);
	case WHERE_ERROR:
		return w->error;
	default:
		return REPLY_CONTINUE;
	}
}

/* What AT_EMPTY_PATH asks about. False: not an empty path. */
static bool is_empty(struct caller *c, u64 path, int flags)
{
	char first;

	return flags & AT_EMPTY_PATH && (!path || (!caller_read(c, &first, path, 1) && !first));
}

/* A link of /proc that is not followed stays the kernel's, but for what readlink says of it. */
static void locate_for_stat(struct caller *c, int dirfd, u64 path, bool follow, struct where *w)
{
	bool link;

	locate(c, dirfd, path, follow, w, &link);
	if (link)
		w->kind = WHERE_NATIVE;
}

long file_stat(struct caller *c, int fd, u64 buf)
{
	struct where w;
	struct stat st = {};
	long r;

	locate_fd(c, fd, &w);
	r = stat_where(c, &w, true, &st);
	/* What has been removed meanwhile. */
	if (r == -ENOENT)
		return REPLY_CONTINUE;
	return r ? r : caller_write(c, buf, &st, sizeof(st));
}

/* The flags of fstatat() and statx(). Others are for the kernel to refuse. */
#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

long path_stat(struct caller *c, int dirfd, u64 path, u64 buf, int flags)
{
	bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
	struct where w;
	struct stat st = {};
	long r;

	if (flags & ~STAT_FLAGS)
		return REPLY_CONTINUE;
	if (is_empty(c, path, flags))
		return dirfd < 0 ? REPLY_CONTINUE : file_stat(c, dirfd, buf);
	locate_for_stat(c, dirfd, path, follow, &w);
	r = stat_where(c, &w, follow, &st);
	return r ? r : caller_write(c, buf, &st, sizeof(st));
}

/* The C library's wrapper is avoided for its older structure. */
static int kernel_statx(int dirfd, const char *path, int flags, unsigned int mask,
			struct statx *stx)
{
	return syscall(__NR_statx, dirfd, path, flags, mask, stx) ? -errno : 0;
}

long path_statx(struct caller *c, int dirfd, u64 path, int flags, unsigned int mask, u64 buf)
{
	bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
	struct statx stx;
	struct where w;
	struct stat st = {};
	bool empty;
	long r;

	if (flags & ~STAT_FLAGS || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
	    mask & STATX__RESERVED)
		return REPLY_CONTINUE;
	empty = is_empty(c, path, flags);
	if (empty && dirfd < 0)
		return REPLY_CONTINUE;
	if (empty)
		locate_fd(c, dirfd, &w);
	else
		locate_for_stat(c, dirfd, path, follow, &w);
	r = stat_where(c, &w, follow, &st);
	if (r)
		return empty && r == -ENOENT ? REPLY_CONTINUE : r;
	if (w.kind == WHERE_FILE)
		r = kernel_statx(w.tracked->file->memfd, "", AT_EMPTY_PATH, mask, &stx);
	else if (w.kind == WHERE_REAL)
		r = real_statx(c, w.path, follow, mask, &stx);
	else
		r = kernel_statx(AT_FDCWD, w.physical, AT_SYMLINK_NOFOLLOW, mask, &stx);
	if (r)
		return r;
	stx.stx_mode = st.st_mode;
	stx.stx_uid = st.st_uid;
	stx.stx_gid = st.st_gid;
	stx.stx_ino = st.st_ino;
	stx.stx_nlink = st.st_nlink;
	stx.stx_dev_major = major(st.st_dev);
	stx.stx_dev_minor = minor(st.st_dev);
	stx.stx_size = st.st_size;
	stx.stx_blocks = st.st_blocks;
	stx.stx_rdev_major = major(st.st_rdev);
	stx.stx_rdev_minor = minor(st.st_rdev);
	return caller_write(c, buf, &stx, sizeof(stx));
}

long path_access(struct caller *c, int dirfd, u64 path, int mode, int flags)
{
	bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
	struct where w;
	struct stat st = {};
	long r;

	if (mode & ~(R_OK | W_OK | X_OK) ||
	    flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) || is_empty(c, path, flags))
		return REPLY_CONTINUE;
	locate_for_stat(c, dirfd, path, follow, &w);
	if (w.kind == WHERE_REAL)
		return real_access(c, w.path, follow, mode);
	r = stat_where(c, &w, follow, &st);
	if (r || !mode)
		return r;
	if (mode & X_OK && !S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode) && !(st.st_mode & 0111))
		return -EACCES;
	return permitted(c, &st, mode);
}

static long copy_text(struct caller *c, u64 buf, size_t size, const char *text)
{
	size_t n = MIN(size, strlen(text));
	int r = caller_write(c, buf, text, n);

	return r ? r : (long)n;
}

long path_readlink(struct caller *c, int dirfd, u64 path, u64 buf, size_t size)
{
	char target[PATH_MAX];
	struct where w;
	bool link;
	ssize_t n;

	if ((ssize_t)size <= 0 || (int)size <= 0)
		return REPLY_CONTINUE;
	locate(c, dirfd, path, false, &w, &link);
	switch (w.kind) {
	case WHERE_FILE:
		return copy_text(c, buf, size, w.tracked->file->link);
	case WHERE_TREE:
		if (link)
			return copy_text(c, buf, size, w.path);
		n = readlink(w.physical, target, sizeof(target) - 1);
		break;
	case WHERE_REAL:
		n = real_readlink(c, w.path, target, sizeof(target) - 1);
		if (n < 0)
			return n;
		break;
	case WHERE_NODE:
		return -EINVAL;
	case WHERE_ERROR:
		return w.error;
	default:
		return REPLY_CONTINUE;
	}
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return copy_text(c, buf, size, target);
}

/* The file system of the view's @path. */
static long statfs_view(struct caller *c, const char *path, u64 buf)
{
	char top[5];
	struct statfs fs;

	snprintf(top, sizeof(top), "%.4s", path);
	if (strcmp(top, "/sys")) {
		if (statfs(top, &fs))
			return -errno;
	} else if (statfs(top, &fs) || fs.f_type != SYSFS_MAGIC) {
		fs = (struct statfs){ .f_type = SYSFS_MAGIC,
				      .f_bsize = PAGE_SIZE_4K,
				      .f_namelen = NAME_MAX,
				      .f_frsize = PAGE_SIZE_4K };
	}
	return caller_write(c, buf, &fs, sizeof(fs));
}

long path_statfs(struct caller *c, u64 path, u64 buf)
{
	struct where w;
	struct stat st = {};
	long r;

	locate_for_stat(c, AT_FDCWD, path, true, &w);
	if (w.kind == WHERE_TREE || w.kind == WHERE_NODE) {
		r = stat_where(c, &w, true, &st);
		return r ? r : statfs_view(c, w.path, buf);
	}
	return w.kind == WHERE_ERROR ? w.error : REPLY_CONTINUE;
}

long file_statfs(struct caller *c, int fd, u64 buf)
{
	char name[32], target[PATH_MAX];
	const char *tree;

	snprintf(name, sizeof(name), "fd/%d", fd);
	if (proc_link(c->tid, name, target, sizeof(target)) < 0)
		return REPLY_CONTINUE;
	tree = tree_strip(c->sv, target);
	return tree ? statfs_view(c, tree, buf) : REPLY_CONTINUE;
}

long path_xattr(struct caller *c, u64 path, bool follow, bool list)
{
	struct where w;
	struct stat st = {};
	long r;

	locate_for_stat(c, AT_FDCWD, path, follow, &w);
	r = stat_where(c, &w, follow, &st);
	if (r)
		return r;
	return list ? 0 : -ENODATA;
}

long path_getcwd(struct caller *c, u64 buf, size_t size)
{
	char target[PATH_MAX];
	const char *tree;
	size_t n;

	if (proc_link(c->tid, "cwd", target, sizeof(target)) < 0)
		return REPLY_CONTINUE;
	tree = tree_strip(c->sv, target);
	if (!tree)
		return REPLY_CONTINUE;
	n = strlen(tree) + 1;
	if (n > size)
		return -ERANGE;
	return caller_write(c, buf, tree, n) ? -EFAULT : (long)n;
}

long path_chdir(struct caller *c, u64 path)
{
	cleanup_fd int fd = -1;
	struct where w;

	locate(c, AT_FDCWD, path, true, &w, NULL);
	switch (w.kind) {
	case WHERE_TREE:
		fd = open(w.physical, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -errno : inject_fchdir(c, fd);
	case WHERE_REAL:
		fd = real_open_fd(c, w.path, O_RDONLY | O_DIRECTORY, 0);
		return fd < 0 ? fd : inject_fchdir(c, fd);
	case WHERE_NODE:
	case WHERE_FILE:
		return -ENOTDIR;
	case WHERE_ERROR:
		return w.error;
	default:
		return REPLY_CONTINUE;
	}
}
