/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's interface, and the loop of its thread. */
#include "supervisor/mmio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "supervisor/mmio_internal.h"

#define POLL_MIN_NS 1000000L
#define POLL_MAX_NS 128000000L

void mmio_report(struct mmio *mmio, const char *format, ...)
{
	char line[400];
	va_list args;

	if (atomic_fetch_add(&mmio->reports, 1) >= MMIO_MAX_REPORTS) {
		atomic_store(&mmio->reports, MMIO_MAX_REPORTS);
		return;
	}
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	mmio->ops->report(mmio->opaque, line);
}

struct device *mmio_find_device(struct mmio *mmio, dev_t dev, ino_t ino)
{
	struct mmio_file *file;

	cds_list_for_each_entry(file, &mmio->files, node) {
		if (file->dev == dev && file->ino == ino)
			return file->device;
	}
	return NULL;
}

int mmio_add_file(struct mmio *mmio, dev_t dev, ino_t ino, struct device *device)
{
	struct mmio_file *file = calloc(1, sizeof(*file));
	bool taken;

	if (!file)
		return -ENOMEM;
	file->dev = dev;
	file->ino = ino;
	file->device = device;
	pthread_mutex_lock(&mmio->files_lock);
	taken = mmio_find_device(mmio, dev, ino);
	if (!taken)
		cds_list_add(&file->node, &mmio->files);
	pthread_mutex_unlock(&mmio->files_lock);
	if (taken)
		free(file);
	return taken ? -EEXIST : 0;
}

void mmio_remove_file(struct mmio *mmio, dev_t dev, ino_t ino)
{
	struct mmio_file *file, *next;

	pthread_mutex_lock(&mmio->files_lock);
	cds_list_for_each_entry_safe(file, next, &mmio->files, node) {
		if (file->dev != dev || file->ino != ino)
			continue;
		cds_list_del(&file->node);
		free(file);
	}
	pthread_mutex_unlock(&mmio->files_lock);
}

/* Returns false when the thread shall end. */
static bool run_command(struct mmio *mmio)
{
	enum mmio_command command;

	pthread_mutex_lock(&mmio->lock);
	command = mmio->command;
	if (command == MMIO_ATTACH)
		mmio->command_result = mmio_trace_attach(mmio, mmio->command_tgid);
	else if (command == MMIO_DETACH_ALL)
		mmio->letting_go = true;
	mmio->command = MMIO_NONE;
	pthread_cond_signal(&mmio->done);
	pthread_mutex_unlock(&mmio->lock);
	return command != MMIO_QUIT;
}

static void wait_for_command(struct mmio *mmio)
{
	pthread_mutex_lock(&mmio->lock);
	while (mmio->command == MMIO_NONE)
		pthread_cond_wait(&mmio->done, &mmio->lock);
	pthread_mutex_unlock(&mmio->lock);
}

/*
 * Waits for one event. Nothing is consumed (WNOWAIT): a stop ends when the tracee is resumed, and
 * the exit of a child of this process must stay for whoever waits for it. While such a child lies
 * there it would be reported again and again: then only stops are looked for, and now and then
 * whether it is still there. The same polling serves threads that cannot be let go yet.
 */
static void wait_for_event(struct mmio *mmio, long *pause_ns)
{
	bool polling = mmio->zombie || (mmio->letting_go && mmio->tracee_count);
	int flags = WSTOPPED | __WALL | __WNOTHREAD | WNOWAIT;
	struct timespec pause = { .tv_nsec = *pause_ns };
	siginfo_t info = { 0 };

	if (!mmio->zombie)
		flags |= WEXITED;
	if (waitid(P_ALL, 0, &info, flags | (polling ? WNOHANG : 0)) < 0) {
		if (errno == ECHILD && !polling)
			wait_for_command(mmio);
		else if (errno == ECHILD && !mmio->zombie)
			mmio_trace_free(mmio);
	}
	if (info.si_pid) {
		*pause_ns = POLL_MIN_NS;
		mmio_trace_event(mmio, &info);
		return;
	}
	if (!polling)
		return;
	if (mmio->zombie && waitid(P_PID, (id_t)mmio->zombie, &info,
				   WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD) < 0)
		mmio->zombie = 0;
	if (mmio->letting_go)
		mmio_trace_let_go(mmio);
	nanosleep(&pause, NULL);
	*pause_ns = MIN(*pause_ns * 2, POLL_MAX_NS);
}

static void *tracing_thread(void *arg)
{
	struct mmio *mmio = arg;
	long pause_ns = POLL_MIN_NS;
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, MMIO_WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	pthread_mutex_lock(&mmio->lock);
	mmio->tid = gettid();
	pthread_cond_signal(&mmio->done);
	pthread_mutex_unlock(&mmio->lock);
	for (;;) {
		if (atomic_load(&mmio->command) != MMIO_NONE) {
			pause_ns = POLL_MIN_NS;
			if (!run_command(mmio))
				break;
		}
		wait_for_event(mmio, &pause_ns);
	}
	mmio_trace_free(mmio);
	return NULL;
}

/*
 * The signal interrupts the wait of the tracing thread; one that comes just before the wait is
 * lost, therefore it is repeated until the command has been taken.
 */
static int send_command(struct mmio *mmio, enum mmio_command command, pid_t tgid)
{
	struct timespec until;
	int result;

	pthread_mutex_lock(&mmio->lock);
	mmio->command_tgid = tgid;
	mmio->command_result = 0;
	mmio->command = command;
	pthread_cond_signal(&mmio->done);
	while (mmio->command != MMIO_NONE) {
		syscall(SYS_tgkill, getpid(), mmio->tid, MMIO_WAKE_SIGNAL);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&mmio->done, &mmio->lock, &until);
	}
	result = mmio->command_result;
	pthread_mutex_unlock(&mmio->lock);
	return result;
}

int mmio_attach(struct mmio *mmio, pid_t tgid)
{
	return send_command(mmio, MMIO_ATTACH, tgid);
}

void mmio_detach_all(struct mmio *mmio)
{
	send_command(mmio, MMIO_DETACH_ALL, 0);
}

int mmio_wait_child(pid_t pid, siginfo_t *info)
{
	*info = (siginfo_t){ 0 };
	if (waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -errno;
	if (!info->si_pid || info->si_code == CLD_TRAPPED || info->si_code == CLD_STOPPED)
		return 0;
	/* It has ended, and can stop no more. */
	return waitid(P_PID, (id_t)pid, info, WEXITED | WNOHANG) < 0 ? -errno : 1;
}

u64 mmio_traps(const struct mmio *mmio)
{
	return atomic_load_explicit(&mmio->traps, memory_order_relaxed);
}

static void do_wake(int sig)
{
}

/* Each stop of a tracee would else send SIGCHLD to this process. */
static int set_signals(void)
{
	struct sigaction action = { .sa_handler = do_wake };

	sigemptyset(&action.sa_mask);
	if (sigaction(MMIO_WAKE_SIGNAL, &action, NULL) < 0 || sigaction(SIGCHLD, NULL, &action) < 0)
		return -1;
	action.sa_flags |= SA_NOCLDSTOP;
	return sigaction(SIGCHLD, &action, NULL);
}

static int start_thread(struct mmio *mmio)
{
	int err = thread_spawn(&mmio->thread, tracing_thread, mmio);

	if (err)
		return -err;
	pthread_mutex_lock(&mmio->lock);
	while (!mmio->tid)
		pthread_cond_wait(&mmio->done, &mmio->lock);
	pthread_mutex_unlock(&mmio->lock);
	return 0;
}

static void free_engine(struct mmio *mmio)
{
	pthread_cond_destroy(&mmio->done);
	pthread_mutex_destroy(&mmio->lock);
	pthread_mutex_destroy(&mmio->files_lock);
	free(mmio);
}

struct mmio *mmio_new(const struct mmio_ops *ops, void *opaque)
{
	struct mmio *mmio = calloc(1, sizeof(*mmio));
	pthread_condattr_t attr;
	int err;

	if (!mmio)
		return NULL;
	mmio->ops = ops;
	mmio->opaque = opaque;
	mmio->cpu = -1;
	CDS_INIT_LIST_HEAD(&mmio->files);
	for (size_t i = 0; i < MMIO_TRACEE_BUCKETS; i++)
		CDS_INIT_LIST_HEAD(&mmio->tracees[i]);
	pthread_mutex_init(&mmio->lock, NULL);
	pthread_mutex_init(&mmio->files_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&mmio->done, &attr);
	pthread_condattr_destroy(&attr);
	err = set_signals() < 0 ? errno : start_thread(mmio);
	if (!err)
		return mmio;
	free_engine(mmio);
	errno = err;
	return NULL;
}

void mmio_free(struct mmio *mmio)
{
	struct mmio_file *file, *next;

	if (!mmio)
		return;
	/* The kernel detaches what a thread still traces when it ends. */
	send_command(mmio, MMIO_QUIT, 0);
	pthread_join(mmio->thread, NULL);
	cds_list_for_each_entry_safe(file, next, &mmio->files, node)
		free(file);
	free_engine(mmio);
}
