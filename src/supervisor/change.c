/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls that would change the view itself. Names come and go with devices alone; modes and
 * owners of files and device nodes may be set, as by any program that prepares a machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/locate.h"

long path_create(struct caller *c, int dirfd, u64 path)
{
	struct where w;
	struct stat st;

	locate(c, dirfd, path, false, &w, NULL);
	switch (w.kind) {
	case WHERE_TREE:
	case WHERE_NODE:
		return lstat(w.physical, &st) ? -EPERM : -EEXIST;
	case WHERE_REAL:
		return lstat(w.path, &st) ? -EPERM : -EEXIST;
	case WHERE_ERROR:
		return w.error;
	default:
		return REPLY_CONTINUE;
	}
}

long path_remove(struct caller *c, int dirfd, u64 path)
{
	struct where w;
	struct stat st;

	locate(c, dirfd, path, false, &w, NULL);
	switch (w.kind) {
	case WHERE_TREE:
	case WHERE_NODE:
		return lstat(w.physical, &st) ? -errno : -EPERM;
	case WHERE_REAL:
		return lstat(w.path, &st) ? -errno : -EPERM;
	case WHERE_ERROR:
		return w.error;
	default:
		return REPLY_CONTINUE;
	}
}

long path_rename(struct caller *c, int from_dir, u64 from, int to_dir, u64 to)
{
	long r = path_remove(c, from_dir, from);

	if (r != REPLY_CONTINUE)
		return r;
	r = path_create(c, to_dir, to);
	return r == -EEXIST ? -EXDEV : r;
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
	struct stat st;
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
	struct stat st;
	long r = find(c, dirfd, path, flags, CAP_CHOWN, &w, &st);

	if (r)
		return r;
	return lchown(w.physical, uid, gid) ? -errno : 0;
}
