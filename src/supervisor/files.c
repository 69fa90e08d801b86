/* SPDX-License-Identifier: BSD-3-Clause */
/* The files that programs have open: who they are, and when they are gone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "supervisor/internal.h"
#include "supervisor/mmio.h"

/*
 * The kernel reports a close just before it drops the locks of the description, and merges equal
 * reports. So after a report the file is looked at again: at each notification and every few
 * milliseconds at first, and then, for a closer that the scheduler has kept waiting, now and then.
 */
#define RESCAN_SOON_NS 10000000ULL
#define RESCAN_SOON_MS 2
#define RESCAN_LATE_NS 30000000000ULL
#define RESCAN_LATE_MS 200

static struct cds_list_head *bucket(struct cds_list_head *table, u64 key)
{
	return &table[key % FILES_BUCKETS];
}

int files_init(struct supervisor *sv)
{
	cleanup_fd int fd = -1;
	struct stat st;

	for (size_t i = 0; i < FILES_BUCKETS; i++) {
		CDS_INIT_LIST_HEAD(&sv->by_ino[i]);
		CDS_INIT_LIST_HEAD(&sv->by_wd[i]);
	}
	CDS_INIT_LIST_HEAD(&sv->rescans);
	CDS_INIT_LIST_HEAD(&sv->configs);
	sv->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (sv->inotify < 0)
		return -errno;
	fd = memfd_create("uvfio", MFD_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	sv->memfd_dev = st.st_dev;
	if (stat(sv->dir, &st))
		return -errno;
	sv->tree_dev = st.st_dev;
	return 0;
}

struct tracked *files_find(struct supervisor *sv, dev_t dev, ino_t ino)
{
	struct tracked *t;

	if (dev != sv->memfd_dev)
		return NULL;
	cds_list_for_each_entry(t, bucket(sv->by_ino, ino), by_ino) {
		if (t->ino == ino)
			return t;
	}
	return NULL;
}

static struct tracked *find_wd(struct supervisor *sv, int wd)
{
	struct tracked *t;

	cds_list_for_each_entry(t, bucket(sv->by_wd, wd), by_wd) {
		if (t->wd == wd)
			return t;
	}
	return NULL;
}

static struct tracked *tracked_new(struct supervisor *sv, struct vfio_file *file)
{
	cleanup_free struct tracked *t = calloc(1, sizeof(*t));
	char path[64];
	struct stat st;

	if (!t || fstat(file->memfd, &st))
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->memfd);
	t->wd = inotify_add_watch(sv->inotify, path, IN_CLOSE);
	if (t->wd < 0)
		return NULL;
	t->ino = st.st_ino;
	t->file = file;
	CDS_INIT_LIST_HEAD(&t->opens);
	cds_list_add(&t->by_ino, bucket(sv->by_ino, t->ino));
	cds_list_add(&t->by_wd, bucket(sv->by_wd, t->wd));
	file->tag = t;
	return steal_ptr(&t);
}

/* A device's first open: accesses to mappings of its trapped BARs are looked for from now on. */
static int mmio_begin(struct supervisor *sv, struct tracked *t)
{
	struct device *dev = vfio_file_device(t->file);
	int r = dev ? mmio_add_file(sv->mmio, sv->memfd_dev, t->ino, dev) : 0;

	if (!r && dev)
		sv->mmio_files++;
	return r;
}

/* The last descriptor and mapping are gone. */
static void mmio_end(struct supervisor *sv, struct tracked *t)
{
	if (!vfio_file_device(t->file))
		return;
	mmio_remove_file(sv->mmio, sv->memfd_dev, t->ino);
	if (!--sv->mmio_files)
		mmio_detach_all(sv->mmio);
}

static void tracked_free(struct supervisor *sv, struct tracked *t)
{
	struct tracked_open *o, *next;

	if (!cds_list_empty(&t->opens))
		mmio_end(sv, t);
	cds_list_for_each_entry_safe(o, next, &t->opens, node) {
		cds_list_del(&o->node);
		free(o);
	}
	if (t->rescan)
		cds_list_del(&t->rescan_node);
	cds_list_del(&t->by_ino);
	cds_list_del(&t->by_wd);
	inotify_rm_watch(sv->inotify, t->wd);
	free(t);
}

void files_forget(struct supervisor *sv, struct vfio_file *file)
{
	if (file->tag)
		tracked_free(sv, file->tag);
	file->tag = NULL;
}

void files_fini(struct supervisor *sv)
{
	struct config_watch *w, *wnext;

	for (size_t i = 0; i < FILES_BUCKETS; i++) {
		/* A release may take other files with it. */
		while (!cds_list_empty(&sv->by_ino[i])) {
			struct tracked *t =
				cds_list_first_entry(&sv->by_ino[i], struct tracked, by_ino);
			struct vfio_file *file = t->file;
			struct tracked_open *o;
			unsigned int opens = 0;

			cds_list_for_each_entry(o, &t->opens, node)
				opens++;
			files_forget(sv, file);
			while (opens--)
				file->ops->release(file);
		}
	}
	cds_list_for_each_entry_safe(w, wnext, &sv->configs, node) {
		cds_list_del(&w->node);
		free(w->path);
		free(w);
	}
	if (sv->inotify >= 0)
		close(sv->inotify);
}

/* Whether the description that locked @byte is still open somewhere. */
static bool open_alive(const struct tracked *t, u64 byte)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	return fcntl(t->file->memfd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

static void rescan_add(struct supervisor *sv, struct tracked *t)
{
	sv->closed_ns = device_now_ns();
	if (t->rescan)
		return;
	t->rescan = true;
	cds_list_add_tail(&t->rescan_node, &sv->rescans);
}

/* Releases what is gone, and keeps the file in @keep if more of it may go. The file may be freed by
 * it, and others too. */
static void tracked_scan(struct supervisor *sv, struct tracked *t, struct cds_list_head *keep)
{
	struct vfio_file *file = t->file;
	struct tracked_open *o, *next;
	unsigned int gone = 0;

	cds_list_for_each_entry_safe(o, next, &t->opens, node) {
		if (open_alive(t, o->byte))
			continue;
		cds_list_del(&o->node);
		free(o);
		gone++;
	}
	cds_list_del(&t->rescan_node);
	t->rescan = keep && !cds_list_empty(&t->opens);
	if (t->rescan)
		cds_list_add_tail(&t->rescan_node, keep);
	if (gone && cds_list_empty(&t->opens))
		mmio_end(sv, t);
	while (gone--)
		file->ops->release(file);
}

static void rescan_all(struct supervisor *sv)
{
	struct tracked *t, *next;

	for (size_t i = 0; i < FILES_BUCKETS; i++) {
		cds_list_for_each_entry_safe(t, next, &sv->by_ino[i], by_ino)
			rescan_add(sv, t);
	}
}

static void config_event(struct supervisor *sv, int wd)
{
	struct config_watch *w;

	cds_list_for_each_entry(w, &sv->configs, node) {
		if (w->wd == wd)
			host_config_written(sv->host, w->path);
	}
}

static void handle_event(struct supervisor *sv, const struct inotify_event *ev)
{
	struct tracked *t;

	if (ev->mask & IN_Q_OVERFLOW) {
		struct config_watch *w;

		rescan_all(sv);
		cds_list_for_each_entry(w, &sv->configs, node)
			host_config_written(sv->host, w->path);
		return;
	}
	if (ev->mask & IN_MODIFY)
		config_event(sv, ev->wd);
	if (!(ev->mask & IN_CLOSE))
		return;
	t = find_wd(sv, ev->wd);
	if (t)
		rescan_add(sv, t);
}

static void rescan(struct supervisor *sv)
{
	bool last = device_now_ns() > sv->closed_ns + RESCAN_LATE_NS;
	struct cds_list_head keep;

	CDS_INIT_LIST_HEAD(&keep);
	while (!cds_list_empty(&sv->rescans))
		tracked_scan(sv, cds_list_first_entry(&sv->rescans, struct tracked, rescan_node),
			     last ? NULL : &keep);
	cds_list_splice(&keep, &sv->rescans);
}

bool files_unsettled(struct supervisor *sv)
{
	return !cds_list_empty(&sv->rescans) && device_now_ns() < sv->closed_ns + RESCAN_SOON_NS;
}

int files_timeout(struct supervisor *sv)
{
	if (cds_list_empty(&sv->rescans))
		return -1;
	return files_unsettled(sv) ? RESCAN_SOON_MS : RESCAN_LATE_MS;
}

void files_poll(struct supervisor *sv)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(sv->inotify, buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (char *p = buf; p < buf + n; p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)p;
			handle_event(sv, ev);
		}
	}
	if (!cds_list_empty(&sv->rescans))
		rescan(sv);
}

void files_watch_config(struct supervisor *sv, const char *tree_path, const char *path)
{
	cleanup_free struct config_watch *w = NULL;
	struct config_watch *old;
	int wd = inotify_add_watch(sv->inotify, tree_path, IN_MODIFY);

	if (wd < 0)
		return;
	cds_list_for_each_entry(old, &sv->configs, node) {
		if (old->wd == wd)
			return;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return;
	w->wd = wd;
	w->path = strdup(path);
	if (!w->path)
		return;
	cds_list_add(&w->node, &sv->configs);
	steal_ptr(&w);
}

/* Opens @file anew and locks a byte of the description. The descriptor of ours, or -errno. */
static int open_tracked(struct supervisor *sv, struct tracked *t, int open_flags, u64 *byte)
{
	struct flock lock = { .l_whence = SEEK_SET, .l_len = 1 };
	cleanup_fd int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", t->file->memfd);
	fd = open(path, (open_flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*byte = sv->next_byte++;
	lock.l_start = *byte;
	lock.l_type = (open_flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK;
	/* A program may lock the file itself; what it gets then is its own doing. */
	if (fcntl(fd, F_OFD_SETLK, &lock))
		return errno == EAGAIN ? -EBUSY : -errno;
	return steal_fd(&fd);
}

int caller_install(struct vfio_task *task, struct vfio_file *file, int open_flags)
{
	struct caller *c = container_of(task, struct caller, task);
	struct supervisor *sv = c->sv;
	struct tracked *t = file->tag ? file->tag : tracked_new(sv, file);
	cleanup_free struct tracked_open *o = calloc(1, sizeof(*o));
	cleanup_fd int fd = -1;
	int r;

	if (!t || !o)
		return -ENOMEM;
	fd = open_tracked(sv, t, open_flags, &o->byte);
	if (fd < 0)
		return fd;
	/* If this fails, closing fd makes a report about which the scan finds nothing to do. */
	r = cds_list_empty(&t->opens) ? mmio_begin(sv, t) : 0;
	if (r)
		return r;
	r = caller_add_fd(c, fd, open_flags & O_CLOEXEC);
	if (r < 0) {
		if (cds_list_empty(&t->opens))
			mmio_end(sv, t);
		return r;
	}
	cds_list_add(&o->node, &t->opens);
	steal_ptr(&o);
	return r;
}
