/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this folder share.
 *
 * Threads: everything here belongs to the control thread, which runs supervisor_run(), but where
 * said otherwise.
 */
#ifndef SUPERVISOR_INTERNAL_H
#define SUPERVISOR_INTERNAL_H

#include <limits.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <urcu/list.h>

#include "supervisor/supervisor.h"
#include "supervisor/vma.h"

struct caller;
struct mmio;
struct supervisor;

/* Something that epoll reports. */
struct watch {
	void (*ready)(struct supervisor *sv, struct watch *watch, u32 events);
};

/* ---- files.c: the files that programs have open ---- */

#define FILES_BUCKETS 1024

/*
 * A memfd of ours that programs hold. Each open file description given out carries an OFD lock on
 * one byte of its own, ->opens, which the kernel drops with the last descriptor and mapping of it:
 * inotify says when to look, the locks say what is gone.
 */
struct tracked {
	struct vfio_file *file;
	ino_t ino;
	int wd;
	bool rescan; /* in sv->rescans */
	struct cds_list_head by_ino, by_wd, rescan_node;
	struct cds_list_head opens; /* struct tracked_open */
};

struct tracked_open {
	struct cds_list_head node;
	u64 byte; /* that its description has locked */
};

/* A sysfs "config" file that a program has open for writing. */
struct config_watch {
	struct cds_list_head node;
	int wd;
	char *path; /* as a program names it */
};

int files_init(struct supervisor *sv);
void files_fini(struct supervisor *sv);
/* Handles what inotify has to say, and looks again at files of which more may be closed. Before
 * each notification is answered. */
void files_poll(struct supervisor *sv);
/* Whether a close may have been reported that is not complete: files_poll() before the next
 * notification. */
bool files_unsettled(struct supervisor *sv);
/* After how many milliseconds to call files_poll() in any case; -1: never. */
int files_timeout(struct supervisor *sv);
struct tracked *files_find(struct supervisor *sv, dev_t dev, ino_t ino);
/* For vfio_core_ops. */
void files_forget(struct supervisor *sv, struct vfio_file *file);
/* Watches a sysfs config file for writes. */
void files_watch_config(struct supervisor *sv, const char *tree_path, const char *path);

/* ---- programs.c: processes and their memory ---- */

struct program_mm;

struct program {
	struct watch exit; /* of pidfd */
	struct cds_list_head node;
	pid_t tgid;
	int pidfd;
	struct program_mm *mm; /* a reference, or NULL before it is needed */
	bool uses_mlock;       /* has called mlock() or its like */
	bool sets_limit;       /* RLIMIT_MEMLOCK has been changed: it is asked for each time */
	bool limit_known;
	rlim_t limit;	/* RLIMIT_MEMLOCK */
	pid_t exec_tid; /* a thread that has called execve, or 0 */
};

#define PROGRAM_SLOTS 256

/* The process of thread @tid, made known if it is not yet; NULL if the thread is gone. */
struct program *program_find(struct supervisor *sv, pid_t tid);
/* The process of a thread, or of itself, if it is known already. */
struct program *program_peek(struct supervisor *sv, pid_t tid);
/* The memory of @program; borrowed; NULL if it cannot be had. */
struct iommu_mm *program_memory(struct supervisor *sv, struct program *program, pid_t tid);
/* Thread @tid is about to execve: its memory may be replaced. */
void program_will_exec(struct supervisor *sv, pid_t tid);
/* The mapping at @addr of @program; -errno. */
int program_vma(struct supervisor *sv, struct program *program, pid_t tid, u64 addr,
		struct vma *vma);
/* A pidfd of the process by which descriptors of thread @tid are had: threads may have tables of
 * their own. Borrowed. */
int program_pidfd(struct supervisor *sv, struct program *program, pid_t tid);
/* Pages that its DMA mappings lock. */
u64 program_locked_pages(const struct program *program);
void programs_fini(struct supervisor *sv);

/* ---- procfs.c ---- */

/* Bytes that a process has locked by itself. */
u64 proc_locked_bytes(pid_t pid);
/* Its RLIMIT_MEMLOCK, where prlimit() may not say. */
rlim_t proc_locked_limit(pid_t pid);
/*
 * "/proc/self/fd/3" is "fd/3" of thread @self, and so on for all ways to name a process or thread.
 * NULL if @path names none, or nothing in it.
 */
const char *proc_split(const char *path, pid_t self, pid_t *tid);
/* Whether thread @tid may do just what we may: same user, groups, capabilities and file system. */
bool proc_same_rights(pid_t tid);
/* The file mode creation mask of a thread. */
mode_t proc_umask(pid_t tid);
/* open() of a process's status file, if it must show more than the kernel knows. */
long proc_open_status(struct caller *c, const char *path, u64 flags);

/* ---- backing.c: shared memory of programs, mapped once a file ---- */

/* A reference to the backing of @vma of process @tgid, and the offset of @vma->start in it; NULL:
 * reach it through the process. */
struct iommu_backing *backing_get(struct supervisor *sv, pid_t tgid, const struct vma *vma);

/* ---- caller.c: one system call ---- */

/* Arguments of ioctls are no larger, as a rule. */
#define CALLER_ARGUMENT 64

struct caller {
	struct vfio_task task;
	struct supervisor *sv;
	const struct seccomp_notif *req;
	pid_t tid;
	struct program *program; /* once needed */
	u64 received_ns;	 /* when the notification came, if it is tried again; else 0 */
	/* What was last copied in, to tell whether an answer changes anything. */
	u64 in_va;
	size_t in_len;
	u8 in[CALLER_ARGUMENT];
};

/* What happens to a notification. Values >= 0 and > -4096 are what the system call returns; this
 * lets the kernel perform it. */
#define REPLY_CONTINUE (-100000L)
/* The handler has answered. */
#define REPLY_LATER (-100001L)
/* To be tried again soon, while ->retry_until_ns is not over; see supervisor.c. */
#define REPLY_RETRY (-100002L)

extern const struct vfio_task_ops caller_ops;
/* The file of ours at @fd: -EBADF, -ENOENT as vfio_task_ops.get_file. */
int caller_get_tracked(struct caller *c, int fd, struct tracked **out);
/* What the kernel says of its descriptor @fd. 0 or -EBADF. */
int caller_stat(struct caller *c, int fd, struct stat *st);
/* A duplicate of the program's descriptor; -errno. */
int caller_get_fd(struct caller *c, int fd);
int caller_read(struct caller *c, void *dst, u64 va, size_t len);
int caller_write(struct caller *c, u64 va, const void *src, size_t len);
/* A NUL-terminated string: its length, -EFAULT, -ENAMETOOLONG. */
ssize_t caller_read_string(struct caller *c, char *dst, size_t size, u64 va);
/* Puts a descriptor into the program; returns its number there. @fd stays ours. */
int caller_add_fd(struct caller *c, int fd, bool cloexec);
/* For checks of file modes: the thread's file-system user, and whether it may override. */
int caller_fsuid(struct caller *c, uid_t *uid);
bool caller_in_group(struct caller *c, gid_t gid);
/* vfio_task_ops.install, in files.c. */
int caller_install(struct vfio_task *task, struct vfio_file *file, int open_flags);

/* ---- paths.c and syscalls.c: handlers; each returns a reply ---- */

long path_open(struct caller *c, int dirfd, u64 path, u64 flags, mode_t mode, u64 resolve);
long path_stat(struct caller *c, int dirfd, u64 path, u64 buf, int flags);
long path_statx(struct caller *c, int dirfd, u64 path, int flags, unsigned int mask, u64 buf);
long path_access(struct caller *c, int dirfd, u64 path, int mode, int flags);
long path_readlink(struct caller *c, int dirfd, u64 path, u64 buf, size_t size);
long path_statfs(struct caller *c, u64 path, u64 buf);
long path_xattr(struct caller *c, u64 path, bool follow, bool list);
long path_chdir(struct caller *c, u64 path);
long path_getcwd(struct caller *c, u64 buf, size_t size);
long file_stat(struct caller *c, int fd, u64 buf);
long file_statfs(struct caller *c, int fd, u64 buf);

/* ---- change.c: the same ---- */

/* Makes a name, of a @file or of anything else; takes one away, of a directory or not. */
long path_create(struct caller *c, int dirfd, u64 path, bool file);
long path_remove(struct caller *c, int dirfd, u64 path, bool dir);
long path_rename(struct caller *c, int from_dir, u64 from, int to_dir, u64 to, u32 flags);
long path_link(struct caller *c, int from_dir, u64 from, int to_dir, u64 to, int flags);
long path_truncate(struct caller *c, u64 path, int64_t length);
/* @times is NULL for now. */
long path_utimes(struct caller *c, int dirfd, u64 path, const struct timespec *times, int flags);
long path_set_xattr(struct caller *c, u64 path, bool follow);
long path_chmod(struct caller *c, int dirfd, u64 path, u32 mode, int flags);
long path_chown(struct caller *c, int dirfd, u64 path, uid_t uid, gid_t gid, int flags);

/* Dispatches one notification. */
long syscall_handle(struct caller *c);

/* ---- supervisor.c ---- */

struct supervisor {
	const struct supervisor_options *options;
	struct host *host;
	int listener;
	u64 last_id; /* of the notification received last */
	int epoll;
	int inotify;
	int signals; /* signalfd */
	pid_t child;
	bool child_ended;
	int child_status; /* exit status, if child_signal is 0 */
	int child_signal;
	bool memlock_exceeded;
	dev_t user_ns_dev; /* the user namespace in which capabilities count */
	ino_t user_ns_ino;
	struct cds_list_head retries; /* struct retry of supervisor.c */
	unsigned int unbinding;	      /* unbinds that wait for the program to close the device */
	u64 asked_ns;		      /* when it was last asked to */
	char dir[PATH_MAX];	      /* of the tree */
	size_t dir_len;
	struct mmio *mmio;
	unsigned int mmio_files; /* device files that it knows */

	dev_t memfd_dev; /* of all memfds */
	dev_t tree_dev;
	u64 next_byte;
	struct cds_list_head by_ino[FILES_BUCKETS]; /* struct tracked */
	struct cds_list_head by_wd[FILES_BUCKETS];
	struct cds_list_head rescans;
	u64 closed_ns;		      /* when inotify last reported a close */
	struct cds_list_head configs; /* struct config_watch */

	struct cds_list_head programs;
	u64 ended_ns; /* when one of them ended last */
	struct {
		pid_t tid;
		struct program *program;
		int pidfd; /* of the thread, or 0 */
	} slots[PROGRAM_SLOTS];

	struct cds_list_head backings; /* struct shared_backing */
};

/* Adds to the supervisor's epoll. 0 or -errno. */
int supervisor_watch(struct supervisor *sv, int fd, struct watch *watch);
/* Answers a notification for which a handler returned REPLY_LATER. */
void supervisor_reply(struct supervisor *sv, u64 id, long result);
void supervisor_message(struct supervisor *sv, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
