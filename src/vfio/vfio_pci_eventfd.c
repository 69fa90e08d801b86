/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of programs, in both directions.
 *
 * Towards the program: an eventfd that is full blocks who writes to it, and its flags are the
 * program's. The kernel's own drivers cannot block, they saturate the counter; an asynchronous read
 * of nothing that names the eventfd for its completion makes the kernel do exactly that. Where
 * asynchronous I/O is not to be had, an eventfd that cannot take a signal just now is left alone.
 *
 * From the program: edge-triggered, since the counter is the program's too. Both the watcher thread
 * and the control thread take events, one at a time, so that the control thread can make sure that
 * what the program signalled before its call takes effect before it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/rcu.h"
#include "base/thread.h"
#include "vfio/vfio_pci.h"

#define SIGNALLER_RING 64L /* completions that may wait to be reaped */
#define SIGNALLER_TRIES 16 /* others fill the ring, too */
#define WATCH_MAX 1024	   /* more than a device can have virqfds */

struct vfio_pci_signaller *vfio_pci_signaller_new(void)
{
	struct vfio_pci_signaller *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->file = -1;
	return s;
}

void vfio_pci_signaller_free(struct vfio_pci_signaller *s)
{
	if (s->aio)
		syscall(SYS_io_destroy, s->aio);
	if (s->file >= 0)
		close(s->file);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Made when the first signal is due: most programs never get one. */
static aio_context_t signaller_aio(struct vfio_pci_signaller *s)
{
	aio_context_t aio = 0;

	if (atomic_load_explicit(&s->tried, memory_order_acquire))
		return atomic_load_explicit(&s->aio, memory_order_relaxed);
	pthread_mutex_lock(&s->lock);
	if (!s->tried) {
		s->file = memfd_create("vfio-signal", MFD_CLOEXEC);
		if (s->file < 0 || syscall(SYS_io_setup, SIGNALLER_RING, &aio))
			aio = 0;
		s->aio = aio;
		atomic_store_explicit(&s->tried, true, memory_order_release);
	}
	pthread_mutex_unlock(&s->lock);
	return s->aio;
}

static bool signal_aio(struct vfio_pci_signaller *s, int fd)
{
	aio_context_t aio = signaller_aio(s);
	struct io_event events[SIGNALLER_RING];
	struct timespec now = { 0 };
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (u32)s->file,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (u32)fd,
	}, *list = &cb;

	for (int tries = 0; aio && tries < SIGNALLER_TRIES; tries++) {
		if (syscall(SYS_io_submit, aio, 1, &list) == 1)
			return true;
		if (errno != EAGAIN)
			return false;
		/* The ring is full: nobody wants to know what is in it. */
		syscall(SYS_io_getevents, aio, 0, SIGNALLER_RING, events, &now);
	}
	return false;
}

void vfio_pci_signal(struct vfio_pci *pci, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	if (fd < 0 || signal_aio(pci->vdev->core->signaller, fd))
		return;
	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT))
		eventfd_write(fd, 1);
}

void vfio_pci_watch_init(struct vfio_pci_watch *watch)
{
	pthread_mutex_init(&watch->run, NULL);
	watch->epfd = -1;
	watch->stop = -1;
	CDS_INIT_LIST_HEAD(&watch->virqfds);
}

/* Takes the counter, as the kernel does for a virqfd; the eventfd may be a blocking one. */
static void virqfd_drain(int fd)
{
	u64 count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t done = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	(void)done; /* nothing there: the program was faster */
}

/*
 * Everybody who waits for the eventfd of @one. The counter is one for all of them, and once it is
 * taken epoll has no event for those that it has not yet told of.
 */
static void watch_act(struct vfio_pci_watch *watch, struct vfio_pci_virqfd *one)
{
	struct vfio_pci_virqfd *virqfd;

	if (one->round == watch->round)
		return;
	virqfd_drain(one->fd);
	cds_list_for_each_entry(virqfd, &watch->virqfds, node) {
		if (virqfd != one && (one->id < 0 || virqfd->id != one->id))
			continue;
		virqfd->round = watch->round;
		virqfd->fn(virqfd->opaque);
	}
}

/* Holds watch.run. @fresh was signalled before it was enabled: its counter stays. */
static void watch_take(struct vfio_pci_watch *watch, struct vfio_pci_virqfd *fresh)
{
	struct epoll_event events[WATCH_MAX];
	int n = epoll_wait(watch->epfd, events, WATCH_MAX, 0);

	watch->round++;
	for (int i = 0; i < n; i++) {
		if (fresh && events[i].data.ptr == fresh)
			fresh->fn(fresh->opaque);
		else
			watch_act(watch, events[i].data.ptr);
	}
}

static void *watch_thread(void *arg)
{
	struct vfio_pci_watch *watch = arg;
	struct pollfd fds[2] = { { watch->epfd, POLLIN, 0 }, { watch->stop, POLLIN, 0 } };

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			break;
		rcu_thread_start();
		pthread_mutex_lock(&watch->run);
		watch_take(watch, NULL);
		pthread_mutex_unlock(&watch->run);
		rcu_thread_stop();
	}
	return NULL;
}

static int watch_start(struct vfio_pci_watch *watch)
{
	cleanup_fd int epfd = -1;
	cleanup_fd int stop = -1;
	int ret;

	if (watch->epfd >= 0)
		return 0;
	epfd = epoll_create1(EPOLL_CLOEXEC);
	stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epfd < 0 || stop < 0)
		return -ENOMEM;
	watch->epfd = epfd;
	watch->stop = stop;
	ret = thread_spawn(&watch->thread, watch_thread, watch);
	if (ret) {
		watch->epfd = -1;
		watch->stop = -1;
		return -ENOMEM;
	}
	steal_fd(&epfd);
	steal_fd(&stop);
	return 0;
}

void vfio_pci_watch_fini(struct vfio_pci_watch *watch)
{
	if (watch->epfd >= 0) {
		eventfd_write(watch->stop, 1);
		pthread_join(watch->thread, NULL);
		close(watch->epfd);
		close(watch->stop);
		watch->epfd = -1;
	}
	pthread_mutex_destroy(&watch->run);
}

/* What tells eventfds apart; -1 where the kernel does not say. */
static long eventfd_id(int fd)
{
	cleanup_file FILE *f = NULL;
	char line[128], path[48];
	long id = -1;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "eventfd-id: %ld", &id) == 1)
			break;
	return id;
}

/*
 * The kernel drops a virqfd when the program closes its eventfd. Here the eventfd stays open, so it
 * is looked for where the program had it.
 */
static bool virqfd_closed(const struct vfio_pci_virqfd *virqfd, struct vfio_task *task)
{
	cleanup_fd int now = task->ops->get_eventfd(task, virqfd->user_fd);

	return now < 0 || eventfd_id(now) != virqfd->id;
}

int vfio_pci_virqfd_enable(struct vfio_pci *pci, struct vfio_task *task,
			   struct vfio_pci_virqfd **slot, int fd, void (*fn)(void *opaque),
			   void *opaque)
{
	cleanup_free struct vfio_pci_virqfd *virqfd = calloc(1, sizeof(*virqfd));
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	cleanup_fd int efd = -1;
	int ret;

	if (!virqfd)
		return -ENOMEM;
	ret = task->ops->get_eventfd(task, fd);
	if (ret < 0)
		return ret;
	efd = ret;
	if (*slot && virqfd_closed(*slot, task))
		vfio_pci_virqfd_disable(pci, slot);
	if (*slot)
		return -EBUSY;
	ret = watch_start(&pci->watch);
	if (ret)
		return ret;

	virqfd->fd = efd;
	virqfd->user_fd = fd;
	virqfd->id = eventfd_id(efd);
	virqfd->fn = fn;
	virqfd->opaque = opaque;
	event.data.ptr = virqfd;
	pthread_mutex_lock(&pci->watch.run);
	if (epoll_ctl(pci->watch.epfd, EPOLL_CTL_ADD, efd, &event)) {
		ret = -ENOMEM;
	} else {
		*slot = virqfd;
		cds_list_add_tail(&virqfd->node, &pci->watch.virqfds);
		watch_take(&pci->watch, virqfd);
		steal_fd(&efd);
		steal_ptr(&virqfd);
	}
	pthread_mutex_unlock(&pci->watch.run);
	return ret;
}

void vfio_pci_virqfd_disable(struct vfio_pci *pci, struct vfio_pci_virqfd **slot)
{
	struct vfio_pci_virqfd *virqfd = *slot;

	if (!virqfd)
		return;
	pthread_mutex_lock(&pci->watch.run);
	epoll_ctl(pci->watch.epfd, EPOLL_CTL_DEL, virqfd->fd, NULL);
	cds_list_del(&virqfd->node);
	*slot = NULL;
	pthread_mutex_unlock(&pci->watch.run);
	virqfd_drain(virqfd->fd);
	close(virqfd->fd);
	free(virqfd);
}

void vfio_pci_virqfd_run(struct vfio_pci *pci)
{
	if (pci->watch.epfd < 0)
		return;
	pthread_mutex_lock(&pci->watch.run);
	watch_take(&pci->watch, NULL);
	pthread_mutex_unlock(&pci->watch.run);
}
