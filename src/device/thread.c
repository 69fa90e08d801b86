/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device threads: timers of models.
 *
 * Lock order: a device's lock, then the thread's. Timers are armed and disarmed under both, so a
 * callback that runs with the device's lock is final about its timers.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/rcu.h"
#include "base/thread.h"
#include "device/device.h"
#include "device/internal.h"

struct device_thread {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;	     /* the first timer has changed, or stop */
	pthread_cond_t idle;	     /* current has become NULL */
	struct cds_list_head timers; /* lock: armed, by deadline */
	struct device *current;	     /* lock: being served; it must not go away */
	bool stop;		     /* lock */
};

u64 device_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

static struct device_timer *first_timer(struct device_thread *thread)
{
	if (cds_list_empty(&thread->timers))
		return NULL;
	return cds_list_first_entry(&thread->timers, struct device_timer, node);
}

static void disarm(struct device_timer *timer)
{
	if (!timer->deadline_ns)
		return;
	cds_list_del(&timer->node);
	timer->deadline_ns = 0;
}

void device_timer_arm(struct device *dev, struct device_timer *timer, u64 deadline_ns)
{
	struct device_thread *thread = dev->thread;
	struct cds_list_head *at;

	pthread_mutex_lock(&thread->lock);
	disarm(timer);
	timer->dev = dev;
	timer->deadline_ns = MAX(deadline_ns, (u64)1);
	/* Most are later than those before them: the place is found from the end. */
	for (at = thread->timers.prev; at != &thread->timers; at = at->prev) {
		if (cds_list_entry(at, struct device_timer, node)->deadline_ns <=
		    timer->deadline_ns)
			break;
	}
	cds_list_add(&timer->node, at);
	if (first_timer(thread) == timer)
		pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&thread->lock);
}

void device_timer_cancel(struct device_timer *timer)
{
	struct device_thread *thread;

	/* Never armed: it belongs to no thread yet. */
	if (!timer->dev)
		return;
	thread = timer->dev->thread;
	pthread_mutex_lock(&thread->lock);
	disarm(timer);
	pthread_mutex_unlock(&thread->lock);
}

/* Serves @dev; the thread's lock is held on entry and on return, but not in between. */
static void serve(struct device_thread *thread, struct device *dev)
{
	struct device_timer *timer;

	thread->current = dev;
	pthread_mutex_unlock(&thread->lock);
	pthread_mutex_lock(&dev->lock);
	pthread_mutex_lock(&thread->lock);
	/* What was due may have been disarmed, or another device's may have come before it. */
	timer = first_timer(thread);
	if (timer && (timer->dev != dev || timer->deadline_ns > device_now_ns()))
		timer = NULL;
	if (timer)
		disarm(timer);
	pthread_mutex_unlock(&thread->lock);
	if (timer) {
		rcu_thread_start();
		timer->expired(timer);
		rcu_thread_stop();
	}
	pthread_mutex_unlock(&dev->lock);
	pthread_mutex_lock(&thread->lock);
	thread->current = NULL;
	pthread_cond_broadcast(&thread->idle);
}

static void wait_until(struct device_thread *thread, u64 deadline_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};

	pthread_cond_timedwait(&thread->wake, &thread->lock, &ts);
}

static void *run(void *arg)
{
	struct device_thread *thread = arg;
	struct device_timer *timer;

	pthread_mutex_lock(&thread->lock);
	while (!thread->stop) {
		timer = first_timer(thread);
		if (!timer)
			pthread_cond_wait(&thread->wake, &thread->lock);
		else if (timer->deadline_ns > device_now_ns())
			wait_until(thread, timer->deadline_ns);
		else
			serve(thread, timer->dev);
	}
	pthread_mutex_unlock(&thread->lock);
	return NULL;
}

static int cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc)
		return rc;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return rc;
}

struct device_thread *device_thread_new(void)
{
	struct device_thread *thread = calloc(1, sizeof(*thread));
	int rc;

	if (!thread)
		return NULL;
	CDS_INIT_LIST_HEAD(&thread->timers);
	pthread_mutex_init(&thread->lock, NULL);
	rc = cond_init(&thread->wake);
	if (!rc)
		rc = cond_init(&thread->idle);
	if (!rc)
		rc = -thread_spawn(&thread->thread, run, thread);
	if (!rc)
		return thread;
	free(thread);
	errno = rc;
	return NULL;
}

void device_thread_free(struct device_thread *thread)
{
	if (!thread)
		return;
	pthread_mutex_lock(&thread->lock);
	thread->stop = true;
	pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&thread->lock);
	pthread_join(thread->thread, NULL);
	pthread_cond_destroy(&thread->wake);
	pthread_cond_destroy(&thread->idle);
	pthread_mutex_destroy(&thread->lock);
	free(thread);
}

void device_thread_forget(struct device_thread *thread, struct device *dev)
{
	struct device_timer *timer, *next;

	pthread_mutex_lock(&thread->lock);
	cds_list_for_each_entry_safe(timer, next, &thread->timers, node) {
		if (timer->dev == dev)
			disarm(timer);
	}
	while (thread->current == dev)
		pthread_cond_wait(&thread->idle, &thread->lock);
	pthread_mutex_unlock(&thread->lock);
}
