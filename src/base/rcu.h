/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read-copy-update for device threads.
 *
 * A device thread calls rcu_thread_start() once, rcu_read_begin() before it translates or accesses
 * program memory, and rcu_read_end() when it is done with everything it found. Sections may nest:
 * only the outermost counts. The control thread is the only writer; it is never a registered reader
 * unless it performs DMA itself, which it does through the same two calls. rcu_wait() must not be
 * called inside a section.
 *
 * Both sides are cheap, for a section is on the path of every DMA and rcu_wait() on that of every
 * unmap: a section costs one full memory barrier (liburcu's flavours have two and more, or leave
 * the work to a membarrier(2) of the writer), and rcu_wait() reads one word per thread when no
 * section is open. ThreadSanitizer understands it, since there is nothing but C11 atomics.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

#include <stdatomic.h>

#include "base/util.h"

struct rcu_thread {
	_Atomic u64 epoch; /* that the open section began in; 0: none is open */
	unsigned int depth;
	struct rcu_thread *next; /* rcu.c: the lock of the registry */
} __attribute__((aligned(64)));

extern __thread struct rcu_thread rcu_this_thread;
extern _Atomic u64 rcu_epoch;

/* Registers the calling thread. Every thread that reads does so once before its first section. */
void rcu_thread_start(void);
/* Undoes rcu_thread_start(); before the thread ends. */
void rcu_thread_stop(void);

static inline void rcu_read_begin(void)
{
	if (rcu_this_thread.depth++)
		return;
	/* Whatever the section reads, it reads after the section can be seen: see rcu_wait(). */
	atomic_exchange_explicit(&rcu_this_thread.epoch,
				 atomic_load_explicit(&rcu_epoch, memory_order_acquire),
				 memory_order_seq_cst);
#ifndef __x86_64__
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void rcu_read_end(void)
{
	if (!--rcu_this_thread.depth)
		atomic_store_explicit(&rcu_this_thread.epoch, 0, memory_order_release);
}

/* Returns when every section that was open at the call has ended. */
void rcu_wait(void);

#endif
