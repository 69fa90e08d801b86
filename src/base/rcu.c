/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/rcu.h"

#ifdef RCU_TSAN
char rcu_section_ends;
#endif

void rcu_thread_start(void)
{
	urcu_memb_register_thread();
}

void rcu_thread_stop(void)
{
	urcu_memb_unregister_thread();
}

void rcu_wait(void)
{
	urcu_memb_synchronize_rcu();
#ifdef RCU_TSAN
	__tsan_acquire(&rcu_section_ends);
#endif
}
