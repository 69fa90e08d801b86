/* SPDX-License-Identifier: BSD-3-Clause */
/* Read-copy-update for device threads. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/rcu.h"

/* A section of a few microseconds is waited for without sleep; a long one (a DMA of megabytes) is
 * looked at again after so long. */
#define SPINS 200
#define YIELDS 20
#define SLEEP_NS 20000

__thread struct rcu_thread rcu_this_thread;
_Atomic u64 rcu_epoch = 1;

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rcu_thread *registry;

void rcu_thread_start(void)
{
	atomic_store_explicit(&rcu_this_thread.epoch, 0, memory_order_relaxed);
	rcu_this_thread.depth = 0;
	pthread_mutex_lock(&registry_lock);
	rcu_this_thread.next = registry;
	registry = &rcu_this_thread;
	pthread_mutex_unlock(&registry_lock);
}

void rcu_thread_stop(void)
{
	struct rcu_thread **link = &registry;

	pthread_mutex_lock(&registry_lock);
	while (*link && *link != &rcu_this_thread)
		link = &(*link)->next;
	if (*link)
		*link = rcu_this_thread.next;
	pthread_mutex_unlock(&registry_lock);
}

static void relax(unsigned int round)
{
	const struct timespec pause = { .tv_nsec = SLEEP_NS };

	if (round >= SPINS + YIELDS)
		nanosleep(&pause, NULL);
	else if (round >= SPINS)
		sched_yield();
#ifdef __x86_64__
	else
		__builtin_ia32_pause();
#endif
}

/*
 * Either the thread's section is seen here, or it began after the barrier of the addition, and then
 * sees all that was written before it.
 */
static void wait_for_thread(struct rcu_thread *t, u64 epoch)
{
	for (unsigned int round = 0;; round++) {
		u64 seen = atomic_load_explicit(&t->epoch, memory_order_acquire);

		if (!seen || seen >= epoch)
			return;
		relax(round);
	}
}

void rcu_wait(void)
{
	u64 epoch;

	pthread_mutex_lock(&registry_lock);
	epoch = atomic_fetch_add_explicit(&rcu_epoch, 1, memory_order_seq_cst) + 1;
#ifndef __x86_64__
	atomic_thread_fence(memory_order_seq_cst);
#endif
	for (struct rcu_thread *t = registry; t; t = t->next)
		wait_for_thread(t, epoch);
	pthread_mutex_unlock(&registry_lock);
}
