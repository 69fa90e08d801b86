/* SPDX-License-Identifier: BSD-3-Clause */
/* One fault: which device it is for, and the instruction that caused it. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/device.h"
#include "supervisor/insn.h"
#include "supervisor/mmio_internal.h"
#include "supervisor/vma.h"

struct mapping {
	u64 start, end; /* end is exclusive; equal: unknown */
	u64 offset;	/* in the file, of start */
	dev_t dev;
	ino_t ino;
	bool writable;
	bool ours; /* of a device's file */
};

struct fault {
	struct mmio *mmio;
	struct tracee *tracee;
	struct mapping mapping; /* of the address that faulted */
	struct mapping other;	/* the last one looked up besides */
	bool have_xstate;
	size_t xstate_size;
};

void mmio_forget_maps(struct mmio *mmio, pid_t tgid)
{
	for (size_t i = 0; tgid && i < MMIO_MAPS_CACHE; i++) {
		if (mmio->maps[i].tgid != tgid)
			continue;
		close(mmio->maps[i].fd);
		mmio->maps[i].tgid = 0;
	}
}

/* Through a thread that lives: a leader that has ended shows no memory. */
static int open_maps(pid_t tid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/maps", tid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Borrowed, or -1. */
static int maps_fd(struct mmio *mmio, const struct tracee *tracee)
{
	pid_t tgid = tracee->tgid;
	struct mmio_maps *slot = &mmio->maps[0];

	for (size_t i = 0; i < MMIO_MAPS_CACHE; i++) {
		struct mmio_maps *m = &mmio->maps[i];

		if (m->tgid == tgid) {
			m->used = mmio->traps;
			return m->fd;
		}
		if (slot->tgid && (!m->tgid || m->used < slot->used))
			slot = m;
	}
	if (slot->tgid)
		mmio_forget_maps(mmio, slot->tgid);
	slot->fd = open_maps(tracee->tid);
	if (slot->fd < 0)
		return -1;
	slot->tgid = tgid;
	slot->used = mmio->traps;
	return slot->fd;
}

static int ask_kernel(struct mmio *mmio, const struct tracee *tracee, u64 va, struct mapping *map)
{
	int err = -ESRCH;
	struct vma vma;

	/* A second try: the file may belong to an address space that the process has left. */
	for (int i = 0; i < 2 && err; i++) {
		int fd = maps_fd(mmio, tracee);

		if (fd < 0)
			return -errno;
		err = vma_query(fd, va, &vma);
		if (err)
			mmio_forget_maps(mmio, tracee->tgid);
	}
	if (!err)
		*map = (struct mapping){
			.start = vma.start,
			.end = vma.end,
			.offset = vma.offset,
			.dev = vma.dev,
			.ino = vma.ino,
			.writable = vma.write,
		};
	return err;
}

static int lookup(struct mmio *mmio, struct tracee *tracee, u64 va, struct mapping *map)
{
	struct mmio_status status;
	int err;

	if (!tracee->tgid) {
		err = mmio_read_status(tracee->tid, &status);
		if (err)
			return err;
		tracee->tgid = status.tgid;
	}
	err = ask_kernel(mmio, tracee, va, map);
	if (err) {
		*map = (struct mapping){ .start = va, .end = va + 1 };
		return err;
	}
	pthread_mutex_lock(&mmio->files_lock);
	map->ours = map->ino && mmio_find_device(mmio, map->dev, map->ino);
	pthread_mutex_unlock(&mmio->files_lock);
	return 0;
}

static bool inside(const struct mapping *map, u64 va)
{
	return va >= map->start && va < map->end;
}

static const struct mapping *mapping_of(struct fault *fault, u64 va)
{
	if (inside(&fault->mapping, va))
		return &fault->mapping;
	if (!inside(&fault->other, va))
		lookup(fault->mmio, fault->tracee, va, &fault->other);
	return &fault->other;
}

static bool fault_is_mmio(void *opaque, u64 va)
{
	return mapping_of(opaque, va)->ours;
}

static int access_bar(struct fault *fault, u64 va, unsigned int width, u64 *value, bool write)
{
	const struct mapping *map = mapping_of(fault, va);
	struct mmio *mmio = fault->mmio;
	struct device *device;
	unsigned int bar;
	u64 offset;
	int err = -EIO;

	if (write && !map->writable)
		return -EFAULT;
	pthread_mutex_lock(&mmio->files_lock);
	device = mmio_find_device(mmio, map->dev, map->ino);
	if (device && !device_file_offset(device, map->offset + (va - map->start), &bar, &offset))
		err = write ? device_bar_write(device, bar, offset, width, *value)
			    : device_bar_read(device, bar, offset, width, value);
	pthread_mutex_unlock(&mmio->files_lock);
	return err ? -EIO : 0;
}

static int fault_mmio_read(void *opaque, u64 va, unsigned int width, u64 *value)
{
	return access_bar(opaque, va, width, value, false);
}

static int fault_mmio_write(void *opaque, u64 va, unsigned int width, u64 value)
{
	return access_bar(opaque, va, width, &value, true);
}

static int fault_mem_read(void *opaque, u64 va, void *buf, size_t len)
{
	struct fault *fault = opaque;
	struct iovec local = { buf, len }, remote = { (void *)(uintptr_t)va, len };

	if (process_vm_readv(fault->tracee->tid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return -EFAULT;
	return 0;
}

static int fault_mem_write(void *opaque, u64 va, const void *buf, size_t len)
{
	struct fault *fault = opaque;
	struct iovec local = { (void *)(uintptr_t)buf, len };
	struct iovec remote = { (void *)(uintptr_t)va, len };

	if (process_vm_writev(fault->tracee->tid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return -EFAULT;
	return 0;
}

static void *fault_xstate(void *opaque, size_t *size)
{
	struct fault *fault = opaque;
	struct iovec iov = { fault->mmio->xstate, sizeof(fault->mmio->xstate) };

	if (!fault->have_xstate) {
		if (ptrace(PTRACE_GETREGSET, fault->tracee->tid, NT_X86_XSTATE, &iov) < 0)
			return NULL;
		fault->have_xstate = true;
		fault->xstate_size = iov.iov_len;
	}
	*size = fault->xstate_size;
	return fault->mmio->xstate;
}

static const struct insn_ops fault_ops = {
	.is_mmio = fault_is_mmio,
	.mmio_read = fault_mmio_read,
	.mmio_write = fault_mmio_write,
	.mem_read = fault_mem_read,
	.mem_write = fault_mem_write,
	.xstate = fault_xstate,
};

/* The number of bytes read at @rip, which may end with its page. */
static size_t read_code(struct fault *fault, u64 rip, u8 code[INSN_MAX_LENGTH])
{
	size_t first = MIN(PAGE_SIZE_4K - rip % PAGE_SIZE_4K, (size_t)INSN_MAX_LENGTH);
	pid_t tid = fault->tracee->tid;
	struct iovec local = { code, INSN_MAX_LENGTH };
	struct iovec remote[2] = { { (void *)(uintptr_t)rip, first },
				   { (void *)(uintptr_t)(rip + first), INSN_MAX_LENGTH - first } };
	ssize_t n = process_vm_readv(tid, &local, 1, remote, first < INSN_MAX_LENGTH ? 2 : 1, 0);
	size_t len = 0;

	if (n > 0)
		return (size_t)n;
	/* Code that may be executed but not read. */
	for (; len < INSN_MAX_LENGTH; len++) {
		u64 at = rip + len;
		long word;

		errno = 0;
		word = ptrace(PTRACE_PEEKTEXT, tid, (void *)(uintptr_t)ALIGN_DOWN(at, 8), NULL);
		if (errno)
			break;
		code[len] = (u8)((unsigned long)word >> (at % 8 * 8));
	}
	return len;
}

static int deliver(struct fault *fault, int sig, int code, u64 address)
{
	siginfo_t info = { .si_signo = sig, .si_code = code };
	pid_t tid = fault->tracee->tid;
	u64 mask;

	info.si_addr = (void *)(uintptr_t)address;
	if (ptrace(PTRACE_SETSIGINFO, tid, NULL, &info) < 0)
		return SIGBUS;
	/* As a fault of the CPU it cannot be blocked. */
	if (!ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), &mask) && (mask & BIT_ULL(sig - 1))) {
		mask &= ~BIT_ULL(sig - 1);
		ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask);
	}
	return sig;
}

static void report_insn(struct fault *fault, const struct user_regs_struct *regs, const u8 *code,
			size_t len, const struct insn_outcome *out)
{
	char text[3 * INSN_MAX_LENGTH + 1] = "";

	for (size_t i = 0; i < len; i++)
		snprintf(text + 3 * i, 4, " %02x", code[i]);
	mmio_report(fault->mmio,
		    "process %d accesses a device's registers with an instruction that cannot be "
		    "emulated, and gets SIGBUS: %s at 0x%llx (%s;%s)",
		    fault->tracee->tgid, out->mnemonic ? out->mnemonic : "unknown",
		    (unsigned long long)regs->rip, out->reason, text);
}

static int emulate(struct fault *fault, struct user_regs_struct *regs)
{
	struct mmio *mmio = fault->mmio;
	pid_t tid = fault->tracee->tid;
	struct insn_outcome out;
	u8 code[INSN_MAX_LENGTH];
	size_t len = read_code(fault, regs->rip, code);
	struct iovec iov;
	int err = len ? insn_emulate(&fault_ops, fault, code, len, regs, &out) : -EIO;

	switch (err) {
	case 0:
		break;
	case -EFAULT:
		return deliver(fault, SIGSEGV,
			       mapping_of(fault, out.fault)->ino ? SEGV_ACCERR : SEGV_MAPERR,
			       out.fault);
	case -EDOM:
		return deliver(fault, SIGFPE, FPE_INTDIV, regs->rip);
	case -EINVAL:
	case -ENOTSUP:
		report_insn(fault, regs, code, len, &out);
		return SIGBUS;
	default:
		return SIGBUS;
	}
	if (out.xstate_changed) {
		iov = (struct iovec){ mmio->xstate, fault->xstate_size };
		if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
			return SIGBUS;
	}
	if (ptrace(PTRACE_SETREGS, tid, NULL, regs) < 0)
		return SIGBUS;
	mmio->traps++;
	return 0;
}

int mmio_fault(struct mmio *mmio, struct tracee *tracee)
{
	struct fault fault = { .mmio = mmio, .tracee = tracee };
	struct user_regs_struct regs;
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, tracee->tid, NULL, &info) < 0 || info.si_signo != SIGBUS ||
	    info.si_code != BUS_ADRERR)
		return SIGBUS;
	if (lookup(mmio, tracee, (u64)(uintptr_t)info.si_addr, &fault.mapping) < 0 ||
	    !fault.mapping.ours)
		return SIGBUS;
	/* Somebody may have sent the signal: a fault of the CPU is no system call. */
	if (ptrace(PTRACE_GETREGS, tracee->tid, NULL, &regs) < 0 || (long long)regs.orig_rax != -1)
		return SIGBUS;
	return emulate(&fault, &regs);
}
