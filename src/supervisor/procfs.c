/* SPDX-License-Identifier: BSD-3-Clause */
/* Locked memory as /proc/PID/status shows it: the kernel's own, and what DMA mappings charge. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"

/* The kernel prints the value right-aligned in eight columns. */
#define VMLCK_FORMAT "VmLck:\t%8llu kB\n"

static FILE *open_status(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return fopen(path, "re");
}

u64 proc_locked_bytes(pid_t pid)
{
	cleanup_file FILE *f = open_status(pid);
	unsigned long long kb;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmLck: %llu kB", &kb) == 1)
			return kb << 10;
	}
	return 0;
}

rlim_t proc_locked_limit(pid_t pid)
{
	cleanup_file FILE *f = NULL;
	unsigned long long bytes;
	char line[256];

	snprintf(line, sizeof(line), "/proc/%d/limits", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Max locked memory", 17))
			continue;
		return sscanf(line + 17, "%llu", &bytes) == 1 ? bytes : RLIM_INFINITY;
	}
	return 0;
}

/* The text of the file, with @more added to VmLck, in a memfd. */
static int make_status(pid_t pid, u64 more)
{
	cleanup_fd int fd = memfd_create("uvfio-status", MFD_CLOEXEC);
	cleanup_file FILE *f = open_status(pid);
	unsigned long long kb;
	char line[1024];

	if (fd < 0 || !f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmLck: %llu kB", &kb) == 1)
			snprintf(line, sizeof(line), VMLCK_FORMAT, kb + (more >> 10));
		if (write(fd, line, strlen(line)) < 0)
			return -errno;
	}
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return steal_fd(&fd);
}

long proc_open_status(struct caller *c, const char *path, u64 flags)
{
	cleanup_fd int fd = -1;
	struct program *program;
	pid_t pid = c->tid;

	if (strncmp(path, "/proc/", 6) || (flags & O_ACCMODE) != O_RDONLY)
		return REPLY_CONTINUE;
	path += 6;
	if (strcmp(path, "self/status") && strcmp(path, "thread-self/status") &&
	    sscanf(path, "%d/status", &pid) != 1)
		return REPLY_CONTINUE;
	if (!strstr(path, "/status"))
		return REPLY_CONTINUE;
	program = program_peek(c->sv, pid);
	if (!program || !program_locked_pages(program))
		return REPLY_CONTINUE;
	fd = make_status(pid, program_locked_pages(program) << PAGE_SHIFT_4K);
	return fd < 0 ? REPLY_CONTINUE : caller_add_fd(c, fd, flags & O_CLOEXEC);
}
