/* SPDX-License-Identifier: BSD-3-Clause */
/* Read-copy-update for device threads. */
#include <urcu/urcu-qsbr.h>

#include "base/rcu.h"

/*
 * liburcu is not compiled for ThreadSanitizer, which therefore does not see that the end of a
 * section happens before the return of rcu_wait().
 */
#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
#include <sanitizer/tsan_interface.h>

static char section_ends;

static void section_ended(void)
{
	__tsan_release(&section_ends);
}

static void sections_waited_for(void)
{
	__tsan_acquire(&section_ends);
}
#else
static inline void section_ended(void)
{
}

static inline void sections_waited_for(void)
{
}
#endif

static __thread unsigned int depth;

void rcu_thread_start(void)
{
	urcu_qsbr_register_thread();
	urcu_qsbr_thread_offline();
	depth = 0;
}

void rcu_thread_stop(void)
{
	urcu_qsbr_unregister_thread();
}

void rcu_read_begin(void)
{
	if (!depth++)
		urcu_qsbr_thread_online();
}

void rcu_read_end(void)
{
	if (--depth)
		return;
	section_ended();
	urcu_qsbr_thread_offline();
}

void rcu_wait(void)
{
	urcu_qsbr_synchronize_rcu();
	sections_waited_for();
}
