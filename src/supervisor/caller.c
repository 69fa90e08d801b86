/* SPDX-License-Identifier: BSD-3-Clause */
/* The thread of a program in the middle of a system call: its memory, its descriptors, its rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"

static struct caller *to_caller(struct vfio_task *task)
{
	return container_of(task, struct caller, task);
}

int caller_read(struct caller *c, void *dst, u64 va, size_t len)
{
	struct iovec local = { dst, len }, remote = { (void *)va, len };

	if (!len)
		return 0;
	return process_vm_readv(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int caller_write(struct caller *c, u64 va, const void *src, size_t len)
{
	struct iovec local = { (void *)src, len }, remote = { (void *)va, len };

	if (!len)
		return 0;
	return process_vm_writev(c->tid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

ssize_t caller_read_string(struct caller *c, char *dst, size_t size, u64 va)
{
	for (size_t done = 0; done < size;) {
		/* Up to the end of a page, and of most strings, at a time. */
		size_t chunk = MIN(PAGE_SIZE_4K - ((va + done) & (PAGE_SIZE_4K - 1)),
				   MIN(size - done, 256));
		const char *end;

		if (caller_read(c, dst + done, va + done, chunk))
			return -EFAULT;
		end = memchr(dst + done, '\0', chunk);
		if (end)
			return end - dst;
		done += chunk;
	}
	return -ENAMETOOLONG;
}

static struct program *caller_program(struct caller *c)
{
	if (!c->program)
		c->program = program_find(c->sv, c->tid);
	return c->program;
}

int caller_get_fd(struct caller *c, int fd)
{
	struct program *program = caller_program(c);
	int r;

	if (!program)
		return -ESRCH;
	r = pidfd_getfd(program_pidfd(c->sv, program, c->tid), fd, 0);
	return r < 0 ? -errno : r;
}

/* Where pidfd_getfd() is forbidden: more slowly, and of what can be told by its inode alone. */
static int stat_fd(struct caller *c, int fd, struct stat *st)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", c->tid, fd);
	return stat(path, st) ? -EBADF : 0;
}

int caller_stat(struct caller *c, int fd, struct stat *st)
{
	int own = caller_get_fd(c, fd), r;

	if (own < 0)
		return own == -EBADF ? own : stat_fd(c, fd, st);
	/* Not the C library's, which asks by an empty path. */
	r = syscall(__NR_fstat, own, st) ? -EBADF : 0;
	close(own);
	return r;
}

int caller_get_tracked(struct caller *c, int fd, struct tracked **out)
{
	struct stat st;
	int r = caller_stat(c, fd, &st);

	if (r)
		return r;
	*out = files_find(c->sv, st.st_dev, st.st_ino);
	if (!*out)
		return -ENOENT;
	/* Nothing is open, as far as the locks tell: a program that has dropped them has closed the
	 * file. */
	return cds_list_empty(&(*out)->opens) ? -EBADF : 0;
}

int caller_add_fd(struct caller *c, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = { .id = c->req->id,
					   .srcfd = fd,
					   .newfd_flags = cloexec ? O_CLOEXEC : 0 };
	int r = ioctl(c->sv->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	return r < 0 ? -errno : r;
}

static int task_copy_in(struct vfio_task *task, void *dst, u64 va, size_t len)
{
	struct caller *c = to_caller(task);
	int r = caller_read(c, dst, va, len);

	c->in_len = 0;
	if (!r && len <= sizeof(c->in)) {
		c->in_va = va;
		c->in_len = len;
		memcpy(c->in, dst, len);
	}
	return r;
}

/*
 * An answer that is what the argument was, as of most unmaps, need not be written where it could
 * be: the mapping is asked, which costs a third.
 */
static bool answered_already(struct caller *c, u64 va, const void *src, size_t len)
{
	struct vma vma;

	return va == c->in_va && len && len <= c->in_len && !memcmp(c->in, src, len) &&
	       c->program && !program_vma(c->sv, c->program, c->tid, va, &vma) && vma.write &&
	       va + len <= vma.end;
}

static int task_copy_out(struct vfio_task *task, u64 va, const void *src, size_t len)
{
	struct caller *c = to_caller(task);

	return answered_already(c, va, src, len) ? 0 : caller_write(c, va, src, len);
}

static int task_get_file(struct vfio_task *task, int fd, struct vfio_file **file)
{
	struct tracked *t;
	int r = caller_get_tracked(to_caller(task), fd, &t);

	if (!r)
		*file = t->file;
	return r;
}

static int task_get_eventfd(struct vfio_task *task, int fd)
{
	cleanup_fd int own = caller_get_fd(to_caller(task), fd);
	char path[64], link[64];
	ssize_t n;

	if (own < 0)
		return own == -EBADF ? own : -EINVAL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", own);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -EINVAL;
	link[n] = '\0';
	return strcmp(link, "anon_inode:[eventfd]") ? -EINVAL : steal_fd(&own);
}

static int task_install_fd(struct vfio_task *task, int fd, int open_flags)
{
	return caller_add_fd(to_caller(task), fd, open_flags & O_CLOEXEC);
}

static struct iommu_mm *task_mm(struct vfio_task *task)
{
	struct caller *c = to_caller(task);
	struct program *program = caller_program(c);

	return program ? program_memory(c->sv, program, c->tid) : NULL;
}

/* Capabilities count in the user namespace that the supervisor is in, and not in one that the
 * program has made. */
static bool in_our_user_ns(struct caller *c)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", c->tid);
	/* Without user namespaces there is one. */
	return stat(path, &st) ||
	       (st.st_dev == c->sv->user_ns_dev && st.st_ino == c->sv->user_ns_ino);
}

static bool task_capable(struct vfio_task *task, int cap)
{
	struct caller *c = to_caller(task);
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, c->tid };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (!in_our_user_ns(c) || syscall(__NR_capget, &header, data))
		return false;
	return data[cap / 32].effective & BIT(cap % 32);
}

static rlim_t read_limit(pid_t tid)
{
	struct rlimit limit;

	/* Forbidden where the program has changed its user and we lack CAP_SYS_RESOURCE. */
	return prlimit(tid, RLIMIT_MEMLOCK, NULL, &limit) ? proc_locked_limit(tid) : limit.rlim_cur;
}

static u64 task_memlock_limit(struct vfio_task *task)
{
	struct caller *c = to_caller(task);
	struct program *program = caller_program(c);
	u64 own;

	if (c->sv->options->memlock == SUPERVISOR_MEMLOCK_UNLIMITED)
		return ~0ULL;
	if (c->sv->options->memlock == SUPERVISOR_MEMLOCK_SIZE)
		return c->sv->options->memlock_size;
	if (!program)
		return 0;
	if (!program->limit_known || program->sets_limit)
		program->limit = read_limit(c->tid);
	program->limit_known = true;
	if (program->limit == RLIM_INFINITY)
		return ~0ULL;
	own = program->uses_mlock ? proc_locked_bytes(c->tid) : 0;
	return program->limit - MIN(own, program->limit);
}

static void task_memlock_exceeded(struct vfio_task *task)
{
	to_caller(task)->sv->memlock_exceeded = true;
}

const struct vfio_task_ops caller_ops = {
	.copy_in = task_copy_in,
	.copy_out = task_copy_out,
	.get_file = task_get_file,
	.get_eventfd = task_get_eventfd,
	.install = caller_install,
	.install_fd = task_install_fd,
	.mm = task_mm,
	.capable = task_capable,
	.memlock_limit = task_memlock_limit,
	.memlock_exceeded = task_memlock_exceeded,
};

int caller_fsuid(struct caller *c, uid_t *uid)
{
	cleanup_file FILE *f = NULL;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", c->tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Uid: %*u %*u %*u %u", uid) == 1)
			return 0;
	}
	return -ESRCH;
}

bool caller_in_group(struct caller *c, gid_t gid)
{
	cleanup_file FILE *f = NULL;
	cleanup_free char *line = NULL;
	size_t size = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", c->tid);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0) {
		char *number = line, *end;
		gid_t one;

		if (sscanf(line, "Gid: %*u %*u %*u %u", &one) == 1 && one == gid)
			return true;
		if (strncmp(line, "Groups:", 7))
			continue;
		for (number += 7; one = strtoul(number, &end, 10), end != number; number = end) {
			if (one == gid)
				return true;
		}
	}
	return false;
}
