/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads besides the control thread. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/*
 * Starts a thread that gets no signals, which are for the control thread, but those that a fault of
 * its own raises: the guards of shared memory handle them. 0 or -errno.
 */
int thread_spawn(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
