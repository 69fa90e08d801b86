/* SPDX-License-Identifier: BSD-3-Clause */
/* Locked memory as /proc/PID/status shows it: the kernel's own, and what DMA mappings charge. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* A number as the names of /proc are; steps over it and the slash after it. */
static bool parse_pid(const char **path, pid_t *pid)
{
	char *end;
	long n;

	if (**path < '1' || **path > '9')
		return false;
	errno = 0;
	n = strtol(*path, &end, 10);
	if (errno || n > INT_MAX || *end != '/')
		return false;
	*path = end + 1;
	*pid = (pid_t)n;
	return true;
}

const char *proc_split(const char *path, pid_t self, pid_t *tid)
{
	if (strncmp(path, "/proc/", 6))
		return NULL;
	path += 6;
	*tid = self;
	if (!strncmp(path, "self/", 5))
		path += 5;
	else if (!strncmp(path, "thread-self/", 12))
		return path + 12;
	else if (!parse_pid(&path, tid))
		return NULL;
	if (strncmp(path, "task/", 5))
		return path;
	path += 5;
	return parse_pid(&path, tid) ? path : NULL;
}

/* A line of a status file, as it is there; NULL if there is none. The caller frees it. */
static char *status_line(const char *pid, const char *name)
{
	cleanup_file FILE *f = NULL;
	cleanup_free char *line = NULL;
	char path[64];
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0) {
		if (!strncmp(line, name, strlen(name)))
			return steal_ptr(&line);
	}
	return NULL;
}

static bool same_file(const char *pid, const char *name)
{
	char path[64];
	struct stat a, b;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	if (stat(path, &a))
		return false;
	snprintf(path, sizeof(path), "/proc/thread-self/%s", name);
	return !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool proc_same_rights(pid_t tid)
{
	static const char *const lines[] = { "Uid:", "Gid:", "Groups:", "CapEff:" };
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", tid);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		cleanup_free char *theirs = status_line(pid, lines[i]);
		cleanup_free char *ours = status_line("thread-self", lines[i]);

		if (!theirs || !ours || strcmp(theirs, ours))
			return false;
	}
	return same_file(pid, "root/.") && same_file(pid, "ns/mnt") && same_file(pid, "ns/user");
}

mode_t proc_umask(pid_t tid)
{
	cleanup_free char *line = NULL;
	char pid[16];
	unsigned int mask;

	snprintf(pid, sizeof(pid), "%d", tid);
	line = status_line(pid, "Umask:");
	return line && sscanf(line, "Umask: %o", &mask) == 1 ? mask & 0777 : 077;
}

long proc_open_status(struct caller *c, const char *path, u64 flags)
{
	const char *name;
	cleanup_fd int fd = -1;
	struct program *program;
	pid_t pid;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_PATH | O_DIRECTORY | O_CREAT))
		return REPLY_CONTINUE;
	name = proc_split(path, c->tid, &pid);
	if (!name || strcmp(name, "status"))
		return REPLY_CONTINUE;
	program = program_peek(c->sv, pid);
	if (!program || !program_locked_pages(program))
		return REPLY_CONTINUE;
	if (!strncmp(path, "/proc/self/status", 17))
		pid = program->tgid;
	fd = make_status(pid, program_locked_pages(program) << PAGE_SHIFT_4K);
	return fd < 0 ? REPLY_CONTINUE : caller_add_fd(c, fd, flags & O_CLOEXEC);
}
