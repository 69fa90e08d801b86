/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read-copy-update for device threads: liburcu's membarrier flavour, with what ThreadSanitizer
 * needs to see.
 *
 * A device thread calls rcu_thread_start() when it has work, rcu_read_begin() before it translates
 * or accesses program memory, rcu_read_end() when it is done with everything it found, and
 * rcu_thread_stop() before it blocks for want of work. Sections may nest: only the outermost
 * counts. The control thread is the only writer, and need not register for DMA of its own.
 * rcu_wait() must not be called inside a section.
 *
 * A section costs about a nanosecond. rcu_wait(), which is on the path of every unmap, costs as
 * little while no thread has work, and two membarrier(2) otherwise.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu/urcu-memb.h>

/* liburcu is not compiled for ThreadSanitizer, which does not see that the end of a section happens
 * before the return of rcu_wait(). */
#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN
#endif
#endif

#ifdef RCU_TSAN
#include <sanitizer/tsan_interface.h>
extern char rcu_section_ends;
#endif

/* Registers the calling thread; not again before rcu_thread_stop(). */
void rcu_thread_start(void);
void rcu_thread_stop(void);

static inline void rcu_read_begin(void)
{
	urcu_memb_read_lock();
}

static inline void rcu_read_end(void)
{
#ifdef RCU_TSAN
	__tsan_release(&rcu_section_ends);
#endif
	urcu_memb_read_unlock();
}

/* Returns when every section that was open at the call has ended. */
void rcu_wait(void);

#endif
