/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read-copy-update for device threads: liburcu's QSBR flavour, with what ThreadSanitizer needs to
 * see.
 *
 * A device thread calls rcu_thread_start() once, rcu_read_begin() before it translates or accesses
 * program memory, and rcu_read_end() when it is done with everything it found. Sections may
 * nest: only the outermost counts. Between sections a thread is offline, so that rcu_wait() never
 * waits for an idle one. The control thread is the only writer; it is never a registered reader
 * unless it performs DMA itself, which it does through the same two calls. rcu_wait() must not be
 * called inside a section.
 */
#ifndef BASE_RCU_H
#define BASE_RCU_H

/* Registers the calling thread, offline. Every thread that reads does so once before its first
 * section. */
void rcu_thread_start(void);
/* Undoes rcu_thread_start(); before the thread ends. */
void rcu_thread_stop(void);

void rcu_read_begin(void);
void rcu_read_end(void);

/* Returns when every section that was open at the call has ended. */
void rcu_wait(void);

#endif
