/* SPDX-License-Identifier: BSD-3-Clause */
/* The processes under the supervisor, and their memory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/*
 * The memory of a process. process_vm_readv() is fast, but follows the process through an exec;
 * /proc/PID/mem stays with the memory it was opened for, and reads nothing once that is gone. So
 * the first is used until the process may have called exec.
 */
struct program_mm {
	struct iommu_mm base;
	struct supervisor *sv;
	pid_t tgid;
	int mem_fd;
	int maps_fd;
	atomic_bool exec_pending; /* read by device threads */
};

static struct program_mm *to_mm(struct iommu_mm *mm)
{
	return container_of(mm, struct program_mm, base);
}

/*
 * Through /proc/PID/mem protections are overridden: as with pages that the kernel has pinned, a
 * device goes on after the program has made the memory read-only.
 */
static int mem_read(struct program_mm *mm, void *dst, u64 va, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(mm->mem_fd, (char *)dst + done, len - done, va + done);

		if (n <= 0)
			return -EFAULT;
		done += n;
	}
	return 0;
}

static int mem_write(struct program_mm *mm, u64 va, const void *src, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(mm->mem_fd, (const char *)src + done, len - done, va + done);

		if (n <= 0)
			return -EFAULT;
		done += n;
	}
	return 0;
}

static int mm_read(struct iommu_mm *base, void *dst, u64 va, size_t len)
{
	struct program_mm *mm = to_mm(base);
	struct iovec local = { dst, len }, remote = { (void *)va, len };

	if (!atomic_load_explicit(&mm->exec_pending, memory_order_acquire) &&
	    process_vm_readv(mm->tgid, &local, 1, &remote, 1, 0) == (ssize_t)len)
		return 0;
	return mem_read(mm, dst, va, len);
}

static int mm_write(struct iommu_mm *base, u64 va, const void *src, size_t len)
{
	struct program_mm *mm = to_mm(base);
	struct iovec local = { (void *)src, len }, remote = { (void *)va, len };

	if (!atomic_load_explicit(&mm->exec_pending, memory_order_acquire) &&
	    process_vm_writev(mm->tgid, &local, 1, &remote, 1, 0) == (ssize_t)len)
		return 0;
	return mem_write(mm, va, src, len);
}

static int mm_lookup(struct iommu_mm *base, u64 va, u64 len, u32 prot, struct iommu_extent *out)
{
	struct program_mm *mm = to_mm(base);
	struct vma vma;

	if (vma_query(mm->maps_fd, va, &vma))
		return -EFAULT;
	/* As the kernel pins: for writing, a page must be writable; else readable. */
	if (prot & IOMMU_WRITE ? !vma.write : !vma.read)
		return -EFAULT;
	out->va = va;
	out->len = MIN(len, vma.end - va);
	out->backing = vma.shared ? backing_get(mm->sv, mm->tgid, &vma) : NULL;
	out->offset = vma.offset + (va - vma.start);
	return 0;
}

static void mm_free(struct iommu_mm *base)
{
	struct program_mm *mm = to_mm(base);

	close(mm->mem_fd);
	close(mm->maps_fd);
	free(mm);
}

static const struct iommu_mm_ops mm_ops = {
	.read = mm_read,
	.write = mm_write,
	.lookup = mm_lookup,
	.free = mm_free,
};

/*
 * Whether @mm is still the memory of thread @tid, which may have called exec: the kernel gives each
 * program sixteen random bytes at an address of their own.
 */
static bool mm_is_of(const struct program_mm *mm, pid_t tid)
{
	cleanup_fd int fd = -1;
	u64 aux[2], ours[2], theirs[2];
	struct iovec local = { theirs, sizeof(theirs) }, remote = { NULL, sizeof(theirs) };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/auxv", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (!remote.iov_base && read(fd, aux, sizeof(aux)) == sizeof(aux) && aux[0] != AT_NULL) {
		if (aux[0] == AT_RANDOM)
			remote.iov_base = (void *)aux[1];
	}
	return remote.iov_base &&
	       pread(mm->mem_fd, ours, sizeof(ours), (off_t)remote.iov_base) == sizeof(ours) &&
	       process_vm_readv(tid, &local, 1, &remote, 1, 0) == sizeof(theirs) &&
	       !memcmp(ours, theirs, sizeof(ours));
}

static struct program_mm *mm_new(struct supervisor *sv, pid_t tgid, pid_t tid)
{
	cleanup_fd int mem = -1, maps = -1;
	struct program_mm *mm;
	char path[64];

	/* By thread: the leader may have ended before the others. */
	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	maps = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0 || maps < 0)
		return NULL;
	mm = calloc(1, sizeof(*mm));
	if (!mm)
		return NULL;
	mm->base.ops = &mm_ops;
	mm->base.refs = 1;
	mm->sv = sv;
	mm->tgid = tgid;
	mm->mem_fd = steal_fd(&mem);
	mm->maps_fd = steal_fd(&maps);
	return mm;
}

static void program_drop_mm(struct program *program)
{
	if (!program->mm)
		return;
	/* A process that shares it goes on with it. */
	if (program->mm->tgid == program->tgid)
		atomic_store_explicit(&program->mm->exec_pending, true, memory_order_release);
	iommu_mm_put(&program->mm->base);
	program->mm = NULL;
}

/* The thread has called exec since: its memory may be another. */
static void program_check_exec(struct program *program, pid_t tid)
{
	if (program->mm && !mm_is_of(program->mm, tid))
		program_drop_mm(program);
	if (program->exec_tid != tid)
		return;
	program->exec_tid = 0;
	/* It failed. */
	if (program->mm)
		atomic_store_explicit(&program->mm->exec_pending, false, memory_order_release);
}

/* The memory of a process that shares it with thread @tid (CLONE_VM without CLONE_THREAD, vfork),
 * known already. */
static struct program_mm *mm_shared(struct supervisor *sv, const struct program *program, pid_t tid)
{
	struct program *p;

	cds_list_for_each_entry(p, &sv->programs, node) {
		if (p == program || !p->mm || p->exec_tid ||
		    syscall(__NR_kcmp, p->tgid, tid, KCMP_VM, 0, 0))
			continue;
		iommu_mm_get(&p->mm->base);
		return p->mm;
	}
	return NULL;
}

struct iommu_mm *program_memory(struct supervisor *sv, struct program *program, pid_t tid)
{
	if (program->exec_tid)
		program_check_exec(program, tid);
	if (!program->mm)
		program->mm = mm_shared(sv, program, tid);
	if (!program->mm)
		program->mm = mm_new(sv, program->tgid, tid);
	return program->mm ? &program->mm->base : NULL;
}

int program_vma(struct supervisor *sv, struct program *program, pid_t tid, u64 addr,
		struct vma *vma)
{
	return program_memory(sv, program, tid) ? vma_query(program->mm->maps_fd, addr, vma)
						: -ESRCH;
}

u64 program_locked_pages(const struct program *program)
{
	return program->mm ? program->mm->base.locked_pages : 0;
}

void program_will_exec(struct supervisor *sv, pid_t tid)
{
	struct program *program;

	/* Any thread may call it, also one that has made no call that we know of. */
	program = cds_list_empty(&sv->programs) ? NULL : program_find(sv, tid);
	if (!program)
		return;
	program->exec_tid = tid;
	if (program->mm && program->mm->tgid == program->tgid)
		atomic_store_explicit(&program->mm->exec_pending, true, memory_order_release);
}

static void slot_clear(struct supervisor *sv, size_t i)
{
	if (sv->slots[i].pidfd > 0)
		close(sv->slots[i].pidfd);
	sv->slots[i].pidfd = 0;
	sv->slots[i].program = NULL;
}

int program_pidfd(struct supervisor *sv, struct program *program, pid_t tid)
{
	size_t i = tid % PROGRAM_SLOTS;

	if (tid == program->tgid || sv->slots[i].program != program || sv->slots[i].tid != tid)
		return program->pidfd;
	/* From Linux 6.9 on; before, threads are taken to share a table with their leader. */
	if (!sv->slots[i].pidfd)
		sv->slots[i].pidfd = pidfd_open(tid, PIDFD_THREAD);
	return sv->slots[i].pidfd > 0 ? sv->slots[i].pidfd : program->pidfd;
}

static void program_free(struct supervisor *sv, struct program *program)
{
	for (size_t i = 0; i < PROGRAM_SLOTS; i++) {
		if (sv->slots[i].program == program)
			slot_clear(sv, i);
	}
	program_drop_mm(program);
	cds_list_del(&program->node);
	close(program->pidfd);
	free(program);
}

static void program_ended(struct supervisor *sv, struct watch *watch, u32 events)
{
	sv->ended_ns = device_now_ns();
	program_free(sv, container_of(watch, struct program, exit));
}

static pid_t thread_group(pid_t tid)
{
	cleanup_file FILE *f = NULL;
	char path[64], line[256];
	pid_t tgid = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	}
	return tgid;
}

static struct program *program_new(struct supervisor *sv, pid_t tgid)
{
	cleanup_free struct program *program = calloc(1, sizeof(*program));

	if (!program)
		return NULL;
	program->tgid = tgid;
	program->pidfd = pidfd_open(tgid, 0);
	if (program->pidfd < 0)
		return NULL;
	program->exit.ready = program_ended;
	if (supervisor_watch(sv, program->pidfd, &program->exit)) {
		close(program->pidfd);
		return NULL;
	}
	cds_list_add(&program->node, &sv->programs);
	return steal_ptr(&program);
}

struct program *program_peek(struct supervisor *sv, pid_t tid)
{
	struct program *program = sv->slots[tid % PROGRAM_SLOTS].program;

	if (!program || sv->slots[tid % PROGRAM_SLOTS].tid != tid)
		return NULL;
	/* Numbers of threads are used again; that of a leader only after its pidfd has said so. */
	if (tid != program->tgid && tgkill(program->tgid, tid, 0))
		return NULL;
	return program;
}

struct program *program_find(struct supervisor *sv, pid_t tid)
{
	struct program *program = program_peek(sv, tid), *p;
	pid_t tgid;

	if (program)
		return program;
	tgid = thread_group(tid);
	if (tgid < 0)
		return NULL;
	cds_list_for_each_entry(p, &sv->programs, node) {
		if (p->tgid == tgid)
			program = p;
	}
	if (!program)
		program = program_new(sv, tgid);
	if (!program)
		return NULL;
	slot_clear(sv, tid % PROGRAM_SLOTS);
	sv->slots[tid % PROGRAM_SLOTS].tid = tid;
	sv->slots[tid % PROGRAM_SLOTS].program = program;
	return program;
}

void programs_fini(struct supervisor *sv)
{
	struct program *p, *next;

	cds_list_for_each_entry_safe(p, next, &sv->programs, node)
		program_free(sv, p);
}
