/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls that would change the view itself. Names come and go with devices alone; modes and
 * owners of files and device nodes may be set, as by any program that prepares a machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/locate.h"
#include "supervisor/real.h"

/* What is at a path of ours: 0 with *@st, REPLY_CONTINUE (not ours), or -errno. */
static long look(struct caller *c, int dirfd, u64 path, struct where *w, struct stat *st)
{
	locate(c, dirfd, path, false, w, NULL);
	switch (w->kind) {
	case WHERE_TREE:
	case WHERE_NODE:
		return lstat(w->physical, st) ? -errno : 0;
	case WHERE_REAL:
		return real_stat(c, w->path, false, st);
	case WHERE_FILE:
		return -EPERM;
	case WHERE_ERROR:
		return w->error;
	default:
		return REPLY_CONTINUE;
	}
}

long path_create(struct caller *c, int dirfd, u64 path, bool file)
{
	struct where w;
	struct stat st = {};
	long r = look(c, dirfd, path, &w, &st);

	if (r == -ENOENT && w.kind != WHERE_ERROR)
		return file ? -EACCES : -EPERM;
	return r ? r : -EEXIST;
}

long path_remove(struct caller *c, int dirfd, u64 path, bool dir)
{
	struct where w;
	struct stat st = {};
	long r = look(c, dirfd, path, &w, &st);

	if (r)
		return r;
	if (dir != S_ISDIR(st.st_mode))
		return dir ? -ENOTDIR : -EISDIR;
	return -EPERM;
}

/* A second name for what has one, or another instead of it: never within the view. */
static long rename_or_link(struct caller *c, int from_dir, u64 from, int to_dir, u64 to,
			   bool replaces)
{
	struct where w;
	struct stat st = {};
	long r = look(c, from_dir, from, &w, &st), s;

	if (r && r != REPLY_CONTINUE)
		return r;
	s = look(c, to_dir, to, &w, &st);
	if (s == REPLY_CONTINUE)
		return r ? r : -EXDEV;
	if (s && (s != -ENOENT || w.kind == WHERE_ERROR))
		return s;
	if (r)
		return -EXDEV;
	return s || replaces ? -EPERM : -EEXIST;
}

long path_rename(struct caller *c, int from_dir, u64 from, int to_dir, u64 to, u32 flags)
{
	return rename_or_link(c, from_dir, from, to_dir, to, !(flags & RENAME_NOREPLACE));
}

long path_link(struct caller *c, int from_dir, u64 from, int to_dir, u64 to, int flags)
{
	struct where w;
	char first;

	/* By descriptor, or by its link: of the files of the view, none. */
	if (flags & AT_EMPTY_PATH && !caller_read(c, &first, from, 1) && !first) {
		locate_fd(c, from_dir, &w);
		return w.kind == WHERE_NATIVE ? REPLY_CONTINUE : -EXDEV;
	}
	if (flags & AT_SYMLINK_FOLLOW) {
		locate(c, from_dir, from, true, &w, NULL);
		if (w.kind != WHERE_NATIVE && w.kind != WHERE_ERROR)
			return -EXDEV;
	}
	return rename_or_link(c, from_dir, from, to_dir, to, false);
}

/* Finds the file; the caller must own it or have @cap. 0 with *@st, or a reply. */
static long find(struct caller *c, int dirfd, u64 path, int flags, int cap, struct where *w,
		 struct stat *st)
{
	uid_t uid;

	locate(c, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), w, NULL);
	if (w->kind == WHERE_ERROR)
		return w->error;
	if (w->kind == WHERE_REAL)
		return -EPERM;
	if (w->kind != WHERE_TREE && w->kind != WHERE_NODE)
		return REPLY_CONTINUE;
	if (lstat(w->physical, st))
		return -errno;
	if (caller_ops.capable(&c->task, cap))
		return 0;
	return cap == CAP_FOWNER && !caller_fsuid(c, &uid) && uid == st->st_uid ? 0 : -EPERM;
}

long path_chmod(struct caller *c, int dirfd, u64 path, u32 mode, int flags)
{
	struct where w;
	struct stat st = {};
	long r = find(c, dirfd, path, flags, CAP_FOWNER, &w, &st);

	if (r)
		return r;
	if (S_ISLNK(st.st_mode))
		return -EOPNOTSUPP;
	return chmod(w.physical, mode & 07777) ? -errno : 0;
}

long path_chown(struct caller *c, int dirfd, u64 path, uid_t uid, gid_t gid, int flags)
{
	struct where w;
	struct stat st = {};
	long r = find(c, dirfd, path, flags, CAP_CHOWN, &w, &st);

	if (r)
		return r;
	return lchown(w.physical, uid, gid) ? -errno : 0;
}

long path_truncate(struct caller *c, u64 path, int64_t length)
{
	struct where w;
	struct stat st = {};
	long r;

	if (length < 0)
		return REPLY_CONTINUE;
	locate(c, AT_FDCWD, path, true, &w, NULL);
	switch (w.kind) {
	case WHERE_TREE:
		if (lstat(w.physical, &st))
			return -errno;
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		/* Attributes take it, to no effect. */
		return path_access(c, AT_FDCWD, path, W_OK, AT_EACCESS);
	case WHERE_NODE:
	case WHERE_FILE:
		return -EINVAL;
	case WHERE_REAL:
		r = real_open_fd(c, w.path, O_WRONLY, 0);
		if (r < 0)
			return r;
		length = ftruncate((int)r, length) ? -errno : 0;
		close((int)r);
		return length;
	case WHERE_ERROR:
		return w.error;
	default:
		return REPLY_CONTINUE;
	}
}

long path_utimes(struct caller *c, int dirfd, u64 path, const struct timespec *times, int flags)
{
	struct where w;
	struct stat st = {};
	long r;

	if (flags & ~AT_SYMLINK_NOFOLLOW)
		return REPLY_CONTINUE;
	r = find(c, dirfd, path, flags, CAP_FOWNER, &w, &st);
	if (r)
		return r;
	return utimensat(AT_FDCWD, w.physical, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

/* Attributes that could be set are those of security modules: none that any program here needs. */
long path_set_xattr(struct caller *c, u64 path, bool follow)
{
	struct where w;

	locate(c, AT_FDCWD, path, follow, &w, NULL);
	switch (w.kind) {
	case WHERE_NATIVE:
		return REPLY_CONTINUE;
	case WHERE_ERROR:
		return w.error;
	case WHERE_TREE:
		return access(w.physical, F_OK) ? -errno : -EOPNOTSUPP;
	default:
		return -EPERM;
	}
}
