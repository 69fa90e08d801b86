/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * This process's views of shared BARs, kept accessible whatever a program does to the file.
 *
 * Where a program has cut the file short, an access raises SIGBUS. The handler puts a page of
 * private memory there, and the access is done again: the device goes on with memory that nobody
 * shares, until device_set_decoding() maps its BARs anew.
 *
 * The table of views is never shrunk, so that the handler can read it at any time in any thread.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "device/internal.h"

#define CHUNK_VIEWS 32

struct view {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic size_t size;
};

struct chunk {
	struct view views[CHUNK_VIEWS];
	struct chunk *_Atomic next;
};

static struct chunk first_chunk;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER; /* of those who change the table */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sigaction previous;

static bool is_view(uintptr_t address)
{
	struct chunk *c;
	unsigned int i;

	for (c = &first_chunk; c; c = atomic_load(&c->next)) {
		for (i = 0; i < CHUNK_VIEWS; i++) {
			uintptr_t start = atomic_load(&c->views[i].start);

			if (start && address >= start &&
			    address - start < atomic_load(&c->views[i].size))
				return true;
		}
	}
	return false;
}

/* A fault happens again on return, and is final then; a signal that was sent must be repeated. */
static void default_action(int sig, const siginfo_t *info)
{
	signal(sig, SIG_DFL);
	if (info->si_code <= 0)
		raise(sig);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	/* Handlers that were each installed over the other would pass it on for ever. */
	static __thread bool passing;

	if (passing) {
		default_action(sig, info);
		return;
	}
	passing = true;
	if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(sig, info, context);
	else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
		previous.sa_handler(sig);
	else if (previous.sa_handler == SIG_DFL || info->si_code > 0)
		default_action(sig, info);
	passing = false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t page = ALIGN_DOWN((uintptr_t)info->si_addr, PAGE_SIZE_4K);

	if (info->si_code != BUS_ADRERR || !is_view(page) ||
	    mmap((void *)page, PAGE_SIZE_4K, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		pass_on(sig, info, context);
	errno = saved;
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER };

	sigaction(SIGBUS, &action, &previous);
}

static struct view *free_view(void)
{
	struct chunk *c = &first_chunk, *next;
	unsigned int i;

	for (;;) {
		for (i = 0; i < CHUNK_VIEWS; i++) {
			if (!atomic_load(&c->views[i].start))
				return &c->views[i];
		}
		next = atomic_load(&c->next);
		if (!next) {
			next = calloc(1, sizeof(*next));
			if (!next)
				return NULL;
			atomic_store(&c->next, next);
		}
		c = next;
	}
}

int device_guard_add(void *start, size_t size)
{
	struct view *view;

	pthread_once(&once, install);
	pthread_mutex_lock(&table_lock);
	view = free_view();
	if (view) {
		atomic_store(&view->size, size);
		atomic_store(&view->start, (uintptr_t)start);
	}
	pthread_mutex_unlock(&table_lock);
	return view ? 0 : -ENOMEM;
}

void device_guard_remove(void *start)
{
	struct chunk *c;
	unsigned int i;

	pthread_mutex_lock(&table_lock);
	for (c = &first_chunk; c; c = atomic_load(&c->next)) {
		for (i = 0; i < CHUNK_VIEWS; i++) {
			if (atomic_load(&c->views[i].start) == (uintptr_t)start)
				atomic_store(&c->views[i].start, 0);
		}
	}
	pthread_mutex_unlock(&table_lock);
}
