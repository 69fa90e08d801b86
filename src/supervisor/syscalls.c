/* SPDX-License-Identifier: BSD-3-Clause */
/* One notification: from the number of the system call to its handler. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utime.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"
#include "supervisor/mmio.h"
#include "supervisor/region.h"

/* Linux: MAX_RW_COUNT. */
#define MAX_RW_COUNT (0x7fffffffUL & ~(PAGE_SIZE_4K - 1))

typedef long (*handler)(struct caller *c, const __u64 *a);

static long handle_ioctl(struct caller *c, const __u64 *a)
{
	struct tracked *t;

	if (caller_get_tracked(c, (int)a[0], &t))
		return REPLY_CONTINUE;
	return t->file->ops->ioctl(t->file, &c->task, (unsigned int)a[1], a[2]);
}

static ssize_t transfer(struct caller *c, struct vfio_file *file, u64 buf, size_t len, u64 pos,
			bool write)
{
	if (write ? !file->ops->write : !file->ops->read)
		return -EINVAL;
	len = MIN(len, MAX_RW_COUNT);
	return write ? file->ops->write(file, &c->task, buf, len, pos)
		     : file->ops->read(file, &c->task, buf, len, pos);
}

static long handle_one(struct caller *c, const __u64 *a, bool write)
{
	struct tracked *t;

	if ((int64_t)a[3] < 0 || caller_get_tracked(c, (int)a[0], &t))
		return REPLY_CONTINUE;
	return transfer(c, t->file, a[1], a[2], a[3], write);
}

static long handle_pread(struct caller *c, const __u64 *a)
{
	return handle_one(c, a, false);
}

static long handle_pwrite(struct caller *c, const __u64 *a)
{
	return handle_one(c, a, true);
}

static long handle_vector(struct caller *c, const __u64 *a, bool write)
{
	cleanup_free struct iovec *iov = NULL;
	struct tracked *t;
	ssize_t done = 0;

	if ((int64_t)a[3] < 0 || caller_get_tracked(c, (int)a[0], &t))
		return REPLY_CONTINUE;
	if (a[2] > IOV_MAX)
		return -EINVAL;
	iov = calloc(a[2] ? a[2] : 1, sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	if (caller_read(c, iov, a[1], a[2] * sizeof(*iov)))
		return -EFAULT;
	for (size_t i = 0; i < a[2]; i++) {
		ssize_t n;

		if ((ssize_t)iov[i].iov_len < 0)
			return -EINVAL;
		n = transfer(c, t->file, (u64)iov[i].iov_base, iov[i].iov_len, a[3] + done, write);
		if (n < 0)
			return done ? done : n;
		done += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return done;
}

static long handle_preadv(struct caller *c, const __u64 *a)
{
	return handle_vector(c, a, false);
}

static long handle_pwritev(struct caller *c, const __u64 *a)
{
	return handle_vector(c, a, true);
}

static long handle_mmap(struct caller *c, const __u64 *a)
{
	struct tracked *t;
	struct device *dev;
	unsigned int bar;
	u64 offset;
	int r;

	if (a[3] & MAP_ANONYMOUS || caller_get_tracked(c, (int)a[4], &t))
		return REPLY_CONTINUE;
	if (!IS_ALIGNED(a[5], PAGE_SIZE_4K) || !a[1])
		return -EINVAL;
	if (!t->file->ops->mmap)
		return -ENODEV;
	r = t->file->ops->mmap(t->file, &c->task, a[1], (int)a[2], (int)a[3], a[5]);
	if (r)
		return r;
	dev = vfio_file_device(t->file);
	if (dev && !device_file_offset(dev, a[5], &bar, &offset) &&
	    dev->bars[bar].kind == DEVICE_BAR_TRAPPED) {
		if (!c->program)
			c->program = program_find(c->sv, c->tid);
		r = c->program ? mmio_attach(c->sv->mmio, c->program->tgid) : -ESRCH;
		if (r)
			return -ENODEV;
	}
	return REPLY_CONTINUE;
}

/* Mappings of a device do not grow (Linux: VM_DONTEXPAND). */
static long handle_mremap(struct caller *c, const __u64 *a)
{
	struct vma vma;

	if (!c->sv->mmio_files || a[2] <= a[1])
		return REPLY_CONTINUE;
	c->program = program_find(c->sv, c->tid);
	if (!c->program || program_vma(c->sv, c->program, c->tid, a[0], &vma) ||
	    !files_find(c->sv, vma.dev, vma.ino))
		return REPLY_CONTINUE;
	return -EFAULT;
}

static long handle_openat(struct caller *c, const __u64 *a)
{
	return path_open(c, (int)a[0], a[1], (u32)a[2], (mode_t)a[3], 0);
}

static long handle_openat2(struct caller *c, const __u64 *a)
{
	struct open_how how = {};
	u8 all[PAGE_SIZE_4K];

	/* The kernel says what it would refuse before it looks at the path, and says so itself. */
	if (a[3] < sizeof(how) || a[3] > sizeof(all) || caller_read(c, all, a[2], a[3]) ||
	    syscall(__NR_openat2, -1, "none", all, a[3]) >= 0 || errno != EBADF)
		return REPLY_CONTINUE;
	memcpy(&how, all, sizeof(how));
	return path_open(c, (int)a[0], a[1], how.flags, (mode_t)how.mode, how.resolve);
}

static long handle_newfstatat(struct caller *c, const __u64 *a)
{
	return path_stat(c, (int)a[0], a[1], a[2], (int)a[3]);
}

static long handle_statx(struct caller *c, const __u64 *a)
{
	return path_statx(c, (int)a[0], a[1], (int)a[2], (u32)a[3], a[4]);
}

static long handle_fstat(struct caller *c, const __u64 *a)
{
	return file_stat(c, (int)a[0], a[1]);
}

static long handle_fstatfs(struct caller *c, const __u64 *a)
{
	return file_statfs(c, (int)a[0], a[1]);
}

static long handle_statfs(struct caller *c, const __u64 *a)
{
	return path_statfs(c, a[0], a[1]);
}

static long handle_faccessat(struct caller *c, const __u64 *a)
{
	return path_access(c, (int)a[0], a[1], (int)a[2], 0);
}

static long handle_faccessat2(struct caller *c, const __u64 *a)
{
	return path_access(c, (int)a[0], a[1], (int)a[2], (int)a[3]);
}

static long handle_readlinkat(struct caller *c, const __u64 *a)
{
	return path_readlink(c, (int)a[0], a[1], a[2], (int)a[3]);
}

static long handle_mkdirat(struct caller *c, const __u64 *a)
{
	return path_create(c, (int)a[0], a[1], false);
}

static long handle_mknodat(struct caller *c, const __u64 *a)
{
	return path_create(c, (int)a[0], a[1], !(a[2] & S_IFMT) || S_ISREG(a[2]));
}

static long handle_symlinkat(struct caller *c, const __u64 *a)
{
	return path_create(c, (int)a[1], a[2], false);
}

static long handle_linkat(struct caller *c, const __u64 *a)
{
	return path_link(c, (int)a[0], a[1], (int)a[2], a[3], (int)a[4]);
}

static long handle_unlinkat(struct caller *c, const __u64 *a)
{
	return path_remove(c, (int)a[0], a[1], a[2] & AT_REMOVEDIR);
}

static long handle_renameat(struct caller *c, const __u64 *a)
{
	return path_rename(c, (int)a[0], a[1], (int)a[2], a[3], 0);
}

static long handle_renameat2(struct caller *c, const __u64 *a)
{
	return path_rename(c, (int)a[0], a[1], (int)a[2], a[3], (u32)a[4]);
}

static long handle_truncate(struct caller *c, const __u64 *a)
{
	return path_truncate(c, a[0], (int64_t)a[1]);
}

static long handle_utimensat(struct caller *c, const __u64 *a)
{
	struct timespec times[2];

	if (!a[1])
		return REPLY_CONTINUE;
	if (a[2] && caller_read(c, times, a[2], sizeof(times)))
		return -EFAULT;
	return path_utimes(c, (int)a[0], a[1], a[2] ? times : NULL, (int)a[3]);
}

static long handle_setxattr(struct caller *c, const __u64 *a)
{
	return path_set_xattr(c, a[0], true);
}

static long handle_lsetxattr(struct caller *c, const __u64 *a)
{
	return path_set_xattr(c, a[0], false);
}

static long handle_fchmodat(struct caller *c, const __u64 *a)
{
	return path_chmod(c, (int)a[0], a[1], (u32)a[2], 0);
}

static long handle_fchmodat2(struct caller *c, const __u64 *a)
{
	return path_chmod(c, (int)a[0], a[1], (u32)a[2], (int)a[3]);
}

static long handle_fchownat(struct caller *c, const __u64 *a)
{
	return path_chown(c, (int)a[0], a[1], (uid_t)a[2], (gid_t)a[3], (int)a[4]);
}

static long handle_getxattr(struct caller *c, const __u64 *a)
{
	return path_xattr(c, a[0], true, false);
}

static long handle_lgetxattr(struct caller *c, const __u64 *a)
{
	return path_xattr(c, a[0], false, false);
}

static long handle_listxattr(struct caller *c, const __u64 *a)
{
	return path_xattr(c, a[0], true, true);
}

static long handle_llistxattr(struct caller *c, const __u64 *a)
{
	return path_xattr(c, a[0], false, true);
}

static long handle_getcwd(struct caller *c, const __u64 *a)
{
	return path_getcwd(c, a[0], a[1]);
}

static long handle_chdir(struct caller *c, const __u64 *a)
{
	return path_chdir(c, a[0]);
}

static long handle_exec(struct caller *c, const __u64 *a)
{
	program_will_exec(c->sv, c->tid);
	return REPLY_CONTINUE;
}

/* What a process locks by itself counts against the limit too, and is looked up once it does. */
static long handle_mlock(struct caller *c, const __u64 *a)
{
	struct program *program = program_find(c->sv, c->tid);

	if (program)
		program->uses_mlock = true;
	return REPLY_CONTINUE;
}

/* The limit is remembered for processes that leave it alone. */
static void limit_set(struct caller *c, pid_t pid)
{
	struct program *program = program_find(c->sv, pid ? pid : c->tid);

	if (program)
		program->sets_limit = true;
}

static long handle_setrlimit(struct caller *c, const __u64 *a)
{
	limit_set(c, 0);
	return REPLY_CONTINUE;
}

static long handle_prlimit(struct caller *c, const __u64 *a)
{
	if (a[2])
		limit_set(c, (pid_t)a[0]);
	return REPLY_CONTINUE;
}

#ifdef __NR_open
static long handle_open(struct caller *c, const __u64 *a)
{
	return path_open(c, AT_FDCWD, a[0], (u32)a[1], (mode_t)a[2], 0);
}

static long handle_creat(struct caller *c, const __u64 *a)
{
	return path_open(c, AT_FDCWD, a[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)a[1], 0);
}

static long handle_stat(struct caller *c, const __u64 *a)
{
	return path_stat(c, AT_FDCWD, a[0], a[1], 0);
}

static long handle_lstat(struct caller *c, const __u64 *a)
{
	return path_stat(c, AT_FDCWD, a[0], a[1], AT_SYMLINK_NOFOLLOW);
}

static long handle_access(struct caller *c, const __u64 *a)
{
	return path_access(c, AT_FDCWD, a[0], (int)a[1], 0);
}

static long handle_mkdir(struct caller *c, const __u64 *a)
{
	return path_create(c, AT_FDCWD, a[0], false);
}

static long handle_mknod(struct caller *c, const __u64 *a)
{
	return path_create(c, AT_FDCWD, a[0], !(a[1] & S_IFMT) || S_ISREG(a[1]));
}

static long handle_symlink(struct caller *c, const __u64 *a)
{
	return path_create(c, AT_FDCWD, a[1], false);
}

static long handle_link(struct caller *c, const __u64 *a)
{
	return path_link(c, AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

static long handle_unlink(struct caller *c, const __u64 *a)
{
	return path_remove(c, AT_FDCWD, a[0], false);
}

static long handle_rmdir(struct caller *c, const __u64 *a)
{
	return path_remove(c, AT_FDCWD, a[0], true);
}

static long handle_rename(struct caller *c, const __u64 *a)
{
	return path_rename(c, AT_FDCWD, a[0], AT_FDCWD, a[1], 0);
}

static long handle_utime(struct caller *c, const __u64 *a)
{
	struct utimbuf times;

	if (!a[1])
		return path_utimes(c, AT_FDCWD, a[0], NULL, 0);
	if (caller_read(c, &times, a[1], sizeof(times)))
		return -EFAULT;
	return path_utimes(
		c, AT_FDCWD, a[0],
		(struct timespec[]){ { .tv_sec = times.actime }, { .tv_sec = times.modtime } }, 0);
}

static long handle_futimesat(struct caller *c, const __u64 *a)
{
	struct timespec times[2];
	struct timeval tv[2];

	if (!a[1])
		return REPLY_CONTINUE;
	if (!a[2])
		return path_utimes(c, (int)a[0], a[1], NULL, 0);
	if (caller_read(c, tv, a[2], sizeof(tv)))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		times[i] = (struct timespec){ tv[i].tv_sec, tv[i].tv_usec * 1000 };
	}
	return path_utimes(c, (int)a[0], a[1], times, 0);
}

static long handle_utimes(struct caller *c, const __u64 *a)
{
	return handle_futimesat(c, (const __u64[]){ (__u64)AT_FDCWD, a[0], a[1] });
}

static long handle_chmod(struct caller *c, const __u64 *a)
{
	return path_chmod(c, AT_FDCWD, a[0], (u32)a[1], 0);
}

static long handle_chown(struct caller *c, const __u64 *a)
{
	return path_chown(c, AT_FDCWD, a[0], (uid_t)a[1], (gid_t)a[2], 0);
}

static long handle_lchown(struct caller *c, const __u64 *a)
{
	return path_chown(c, AT_FDCWD, a[0], (uid_t)a[1], (gid_t)a[2], AT_SYMLINK_NOFOLLOW);
}

static long handle_readlink(struct caller *c, const __u64 *a)
{
	return path_readlink(c, AT_FDCWD, a[0], a[1], (int)a[2]);
}
#endif

static const handler handlers[] = {
#ifdef __NR_open
	[__NR_open] = handle_open,
	[__NR_creat] = handle_creat,
	[__NR_stat] = handle_stat,
	[__NR_lstat] = handle_lstat,
	[__NR_access] = handle_access,
	[__NR_readlink] = handle_readlink,
	[__NR_mkdir] = handle_mkdir,
	[__NR_mknod] = handle_mknod,
	[__NR_symlink] = handle_symlink,
	[__NR_link] = handle_link,
	[__NR_unlink] = handle_unlink,
	[__NR_rmdir] = handle_rmdir,
	[__NR_utime] = handle_utime,
	[__NR_utimes] = handle_utimes,
	[__NR_futimesat] = handle_futimesat,
	[__NR_rename] = handle_rename,
	[__NR_chmod] = handle_chmod,
	[__NR_chown] = handle_chown,
	[__NR_lchown] = handle_lchown,
#endif
	[__NR_ioctl] = handle_ioctl,
	[__NR_pread64] = handle_pread,
	[__NR_pwrite64] = handle_pwrite,
	[__NR_preadv] = handle_preadv,
	[__NR_preadv2] = handle_preadv,
	[__NR_pwritev] = handle_pwritev,
	[__NR_pwritev2] = handle_pwritev,
	[__NR_mmap] = handle_mmap,
	[__NR_mremap] = handle_mremap,
	[__NR_openat] = handle_openat,
	[__NR_openat2] = handle_openat2,
	[__NR_newfstatat] = handle_newfstatat,
	[__NR_statx] = handle_statx,
	[__NR_fstat] = handle_fstat,
	[__NR_fstatfs] = handle_fstatfs,
	[__NR_statfs] = handle_statfs,
	[__NR_faccessat] = handle_faccessat,
	[__NR_faccessat2] = handle_faccessat2,
	[__NR_readlinkat] = handle_readlinkat,
	[__NR_mkdirat] = handle_mkdirat,
	[__NR_mknodat] = handle_mknodat,
	[__NR_symlinkat] = handle_symlinkat,
	[__NR_linkat] = handle_linkat,
	[__NR_unlinkat] = handle_unlinkat,
#ifdef __NR_renameat
	[__NR_renameat] = handle_renameat,
#endif
	[__NR_renameat2] = handle_renameat2,
	[__NR_truncate] = handle_truncate,
	[__NR_utimensat] = handle_utimensat,
	[__NR_setxattr] = handle_setxattr,
	[__NR_lsetxattr] = handle_lsetxattr,
	[__NR_removexattr] = handle_setxattr,
	[__NR_lremovexattr] = handle_lsetxattr,
	[__NR_fchmodat] = handle_fchmodat,
	[__NR_fchmodat2] = handle_fchmodat2,
	[__NR_fchownat] = handle_fchownat,
	[__NR_getxattr] = handle_getxattr,
	[__NR_lgetxattr] = handle_lgetxattr,
	[__NR_listxattr] = handle_listxattr,
	[__NR_llistxattr] = handle_llistxattr,
	[__NR_getcwd] = handle_getcwd,
	[__NR_chdir] = handle_chdir,
	[__NR_setrlimit] = handle_setrlimit,
	[__NR_prlimit64] = handle_prlimit,
	[__NR_mlock] = handle_mlock,
	[__NR_mlock2] = handle_mlock,
	[__NR_mlockall] = handle_mlock,
	[__NR_execve] = handle_exec,
	[__NR_execveat] = handle_exec,
};

long syscall_handle(struct caller *c)
{
	int nr = c->req->data.nr;

	if (nr < 0 || (size_t)nr >= ARRAY_SIZE(handlers) || !handlers[nr])
		return REPLY_CONTINUE;
	return handlers[nr](c, c->req->data.args);
}
