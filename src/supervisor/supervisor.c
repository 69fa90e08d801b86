/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a run: set-up, the program's start, the loop, the end. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rcu.h"
#include "iommu/dma.h"
#include "iommu/fault.h"
#include "supervisor/filter.h"
#include "supervisor/internal.h"
#include "supervisor/mmio.h"
#include "supervisor/start.h"
#include "supervisor/treedir.h"

#define MAX_EVENTS 16
#define RETRY_MS 1
#define REQUEST_MS 1000

/* What a run changes of this process, as it was; there is one run at a time. */
static struct {
	struct sigaction chld;
	sigset_t signals;
	struct rlimit files; /* all zero: not changed */
	bool orphans;	     /* they did not come to this process */
} before;

void supervisor_message(struct supervisor *sv, const char *format, ...)
{
	cleanup_free char *line = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&line, format, ap) < 0)
		line = NULL;
	va_end(ap);
	if (line)
		sv->options->message(sv->options->opaque, line);
}

int supervisor_watch(struct supervisor *sv, int fd, struct watch *watch)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = watch };

	return epoll_ctl(sv->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static void send_reply(struct supervisor *sv, u64 id, long result)
{
	struct seccomp_notif_resp resp = { .id = id };

	if (result == REPLY_CONTINUE)
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0 && result > -4096)
		resp.error = (int)result;
	else
		resp.val = result;
	/* ENOENT: the thread was killed meanwhile. */
	ioctl(sv->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

void supervisor_reply(struct supervisor *sv, u64 id, long result)
{
	send_reply(sv, id, result);
}

/* A call that is tried again until it has an answer. */
struct retry {
	struct cds_list_head node;
	struct seccomp_notif req;
	u64 received_ns;
};

static long handle_call(struct supervisor *sv, const struct seccomp_notif *req, u64 received_ns)
{
	struct caller c = { .task.ops = &caller_ops,
			    .sv = sv,
			    .req = req,
			    .tid = req->pid,
			    .received_ns = received_ns };

	return syscall_handle(&c);
}

static long retry_later(struct supervisor *sv, const struct seccomp_notif *req)
{
	struct retry *retry = malloc(sizeof(*retry));

	if (!retry)
		return -EBUSY;
	*retry = (struct retry){ .req = *req, .received_ns = device_now_ns() };
	cds_list_add_tail(&retry->node, &sv->retries);
	return REPLY_LATER;
}

static void handle_retries(struct supervisor *sv)
{
	struct retry *retry, *next;

	cds_list_for_each_entry_safe(retry, next, &sv->retries, node) {
		long reply = handle_call(sv, &retry->req, retry->received_ns);

		if (reply == REPLY_RETRY)
			continue;
		if (reply != REPLY_LATER)
			send_reply(sv, retry->req.id, reply);
		cds_list_del(&retry->node);
		free(retry);
	}
}

static void handle_notification(struct supervisor *sv)
{
	struct seccomp_notif req = {};
	long reply;

	if (ioctl(sv->listener, SECCOMP_IOCTL_NOTIF_RECV, &req))
		return;
	/*
	 * What a thread closed before its call was reported together with the call that ended the
	 * wait. Unless that was another's, who was killed meanwhile: then the kernel's numbers,
	 * which are consecutive, have a gap.
	 */
	if (req.id != sv->last_id + 1)
		files_poll(sv);
	sv->last_id = req.id;
	reply = handle_call(sv, &req, 0);
	if (reply == REPLY_RETRY)
		reply = retry_later(sv, &req);
	if (reply != REPLY_LATER)
		send_reply(sv, req.id, reply);
}

static void forward_signal(struct supervisor *sv, const struct signalfd_siginfo *si)
{
	/* The terminal has sent it to the whole foreground group, the program included. */
	if (si->ssi_code != SI_KERNEL && !sv->child_ended)
		kill(sv->child, si->ssi_signo);
	/* A shell that waits for us must see us stopped too. */
	if (si->ssi_signo == SIGTSTP || si->ssi_signo == SIGTTIN || si->ssi_signo == SIGTTOU)
		raise(SIGSTOP);
}

static void child_ended(struct supervisor *sv, const siginfo_t *info)
{
	sv->child_ended = true;
	sv->child_signal = info->si_code == CLD_EXITED ? 0 : info->si_status;
	sv->child_status = info->si_code == CLD_EXITED ? info->si_status : 0;
}

/*
 * Reaps what has ended: the program, and orphans of it that were given to us. Linux shows stops of
 * traced children too, which are the tracing thread's and must not be taken (mmio.h): an orphan
 * that lies behind one is found at a later SIGCHLD.
 */
static void reap(struct supervisor *sv)
{
	siginfo_t info, peek = {};

	if (!sv->child_ended && mmio_wait_child(sv->child, &info) > 0)
		child_ended(sv, &info);
	while (!waitid(P_ALL, 0, &peek, WEXITED | WNOHANG | WNOWAIT) && peek.si_pid) {
		if (mmio_wait_child(peek.si_pid, &info) <= 0)
			return;
		if (info.si_pid == sv->child)
			child_ended(sv, &info);
		peek.si_pid = 0;
	}
}

static void handle_signals(struct supervisor *sv)
{
	struct signalfd_siginfo si;

	while (read(sv->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(sv);
		else
			forward_signal(sv, &si);
	}
}

/* How long the loop may sleep. */
static int loop_timeout(struct supervisor *sv)
{
	int timeout = files_timeout(sv);

	if (!cds_list_empty(&sv->retries))
		return RETRY_MS;
	return timeout < 0 && sv->unbinding ? REQUEST_MS : timeout;
}

/* A program that holds a device that shall go is asked for it each second, as Linux does. */
static void repeat_requests(struct supervisor *sv)
{
	u64 now = device_now_ns();

	if (!sv->unbinding || now - sv->asked_ns < REQUEST_MS * 1000000ULL)
		return;
	sv->asked_ns = now;
	host_repeat_requests(sv->host);
}

/* Runs until no thread with the filter is left, which epoll tells as a hang-up of the listener. */
static int loop(struct supervisor *sv, struct watch *listener, struct watch *signals,
		struct watch *closes)
{
	struct epoll_event events[MAX_EVENTS];

	for (;;) {
		int n = epoll_wait(sv->epoll, events, MAX_EVENTS, loop_timeout(sv));
		bool notified = false;

		if (n < 0 && errno != EINTR)
			return -errno;
		/* A full batch may have left inotify out. */
		if (!n || n == MAX_EVENTS)
			files_poll(sv);
		repeat_requests(sv);
		for (int i = 0; i < n; i++) {
			struct watch *w = events[i].data.ptr;

			if (w == listener) {
				if (events[i].events & EPOLLIN)
					notified = true;
				else if (events[i].events & (EPOLLHUP | EPOLLERR))
					return 0;
			} else if (w == signals) {
				handle_signals(sv);
			} else if (w == closes) {
				files_poll(sv);
			} else {
				w->ready(sv, w, events[i].events);
			}
		}
		if (!cds_list_empty(&sv->retries))
			handle_retries(sv);
		if (!notified)
			continue;
		if (files_unsettled(sv))
			files_poll(sv);
		handle_notification(sv);
	}
}

static void fault_to_log(void *opaque, const struct iommu_fault *f)
{
	struct supervisor *sv = opaque;

	dprintf(sv->options->fault_log,
		"{\"time_ns\": %llu, \"device\": \"%s\", \"iova\": \"0x%llx\", \"length\": %llu, "
		"\"direction\": \"%s\", "
		"\"reason\": \"%s\"",
		(unsigned long long)f->time_ns, f->device, (unsigned long long)f->iova,
		(unsigned long long)f->length, f->prot & IOMMU_WRITE ? "write" : "read",
		iommu_fault_reason_name(f->reason));
	if (f->near)
		dprintf(sv->options->fault_log,
			", \"nearest\": {\"iova\": \"0x%llx\", \"last\": \"0x%llx\", \"read\": %s, "
			"\"write\": %s}",
			(unsigned long long)f->near_iova, (unsigned long long)f->near_last,
			f->near_prot & IOMMU_READ ? "true" : "false",
			f->near_prot & IOMMU_WRITE ? "true" : "false");
	dprintf(sv->options->fault_log, "}\n");
}

static void collect(struct supervisor *sv, struct supervisor_result *result)
{
	struct iommu_fault_log *log = host_faults(sv->host);

	result->signal = sv->child_signal;
	result->status = sv->child_status;
	result->memlock_exceeded = sv->memlock_exceeded;
	result->faults = iommu_fault_count(log);
	result->first = calloc(IOMMU_FAULT_KEEP, sizeof(*result->first));
	while (result->first &&
	       iommu_fault_get(log, result->nr_first, &result->first[result->nr_first]))
		result->nr_first++;
}

static const int forwarded[] = {
	SIGHUP,	  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
	SIGWINCH, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE,
};

static int take_signals(struct supervisor *sv, sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	/* A child whose parent ignores SIGCHLD leaves no status. */
	if (sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = SIG_DFL }, &before.chld) ||
	    sigprocmask(SIG_BLOCK, &set, old))
		return -errno;
	before.signals = *old;
	sv->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return sv->signals < 0 ? -errno : 0;
}

static int make_loop(struct supervisor *sv, struct watch *listener, struct watch *signals,
		     struct watch *closes)
{
	int r;

	/* Without it (before Linux 6.6) all works, but each call costs a wake-up across processors.
	 */
	ioctl(sv->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	r = supervisor_watch(sv, sv->listener, listener);
	if (!r)
		r = supervisor_watch(sv, sv->signals, signals);
	if (!r)
		r = supervisor_watch(sv, sv->inotify, closes);
	return r;
}

static void core_file_gone(void *opaque, struct vfio_file *file)
{
	files_forget(opaque, file);
}

static const struct vfio_core_ops core_ops = { .file_gone = core_file_gone };

static void mmio_report(void *opaque, const char *line)
{
	supervisor_message(opaque, "%s", line);
}

static int set_up(struct supervisor *sv, struct start *start, char **error)
{
	static const struct mmio_ops mmio_ops = { .report = mmio_report };
	struct rlimit files;
	struct stat ns;
	int r;

	/* Each container, group and device that programs have open takes a descriptor of ours. */
	if (!getrlimit(RLIMIT_NOFILE, &start->files)) {
		files = before.files = start->files;
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (!stat("/proc/self/ns/user", &ns)) {
		sv->user_ns_dev = ns.st_dev;
		sv->user_ns_ino = ns.st_ino;
	}
	r = iommu_dma_init();
	if (!r)
		r = treedir_make(sv->dir, sizeof(sv->dir), error);
	if (r)
		return r;
	sv->dir_len = strlen(sv->dir);
	r = host_new(sv->options->config, sv->dir, &core_ops, sv, &sv->host, error);
	if (r)
		return r;
	if (sv->options->fault_log >= 0)
		iommu_fault_log_set_sink(host_faults(sv->host), fault_to_log, sv);
	r = files_init(sv);
	if (r)
		return r;
	sv->mmio = mmio_new(&mmio_ops, sv);
	if (!sv->mmio)
		return -errno;
	sv->epoll = epoll_create1(EPOLL_CLOEXEC);
	return sv->epoll < 0 ? -errno : 0;
}

/* The process as it was before the run. */
static void give_back(struct supervisor *sv)
{
	if (sv->signals >= 0) {
		/* What has come for the program meanwhile is not for the caller. */
		handle_signals(sv);
		close(sv->signals);
		sigaction(SIGCHLD, &before.chld, NULL);
		sigprocmask(SIG_SETMASK, &before.signals, NULL);
	}
	if (before.files.rlim_max)
		setrlimit(RLIMIT_NOFILE, &before.files);
	if (before.orphans)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	memset(&before, 0, sizeof(before));
}

static void tear_down(struct supervisor *sv)
{
	struct retry *retry, *next;

	programs_fini(sv);
	cds_list_for_each_entry_safe(retry, next, &sv->retries, node)
		free(retry);
	if (sv->inotify >= 0)
		files_fini(sv);
	if (sv->mmio)
		mmio_free(sv->mmio);
	if (sv->host)
		host_free(sv->host);
	if (sv->dir_len)
		treedir_remove(sv->dir);
	give_back(sv);
	if (sv->epoll >= 0)
		close(sv->epoll);
	if (sv->listener >= 0)
		close(sv->listener);
}

/* Without devices there is nothing to watch for: start, signals and status are all. */
static int run_plain(struct supervisor *sv, struct supervisor_result *result, char **error)
{
	struct start start = { .argv = sv->options->argv };
	struct pollfd signals;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &start.files))
		return -errno;
	r = take_signals(sv, &start.signals);
	start.chld = before.chld.sa_handler;
	if (!r)
		r = start_program(&start, error);
	if (r)
		return r;
	sv->child = start.pid;
	signals = (struct pollfd){ .fd = sv->signals, .events = POLLIN };
	while (!sv->child_ended) {
		poll(&signals, 1, -1);
		handle_signals(sv);
	}
	result->exec_errno = start_exec_errno(&start);
	result->signal = sv->child_signal;
	result->status = sv->child_status;
	return 0;
}

static int run(struct supervisor *sv, struct supervisor_result *result, char **error)
{
	struct watch listener = {}, signals = {}, closes = {};
	struct start start = { .argv = sv->options->argv };
	int r, subreaper;

	r = set_up(sv, &start, error);
	if (r)
		return r;
	r = filter_build(&start.filter);
	if (r)
		return r;
	before.orphans = !prctl(PR_GET_CHILD_SUBREAPER, &subreaper) && !subreaper;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	r = take_signals(sv, &start.signals);
	start.chld = before.chld.sa_handler;
	if (!r)
		r = start_program(&start, error);
	filter_free(&start.filter);
	if (r)
		return r;
	sv->child = start.pid;
	sv->listener = start.listener;
	r = make_loop(sv, &listener, &signals, &closes);
	if (!r)
		r = loop(sv, &listener, &signals, &closes);
	/* The last thread with the filter is gone; its status follows. */
	while (!sv->child_ended) {
		siginfo_t peek;

		if (waitid(P_PID, sv->child, &peek, WEXITED | WNOWAIT) && errno != EINTR)
			break;
		reap(sv);
	}
	result->exec_errno = start_exec_errno(&start);
	files_poll(sv);
	collect(sv, result);
	return r;
}

int supervisor_run(const struct supervisor_options *options, struct supervisor_result *result,
		   char **error)
{
	struct supervisor *sv = calloc(1, sizeof(*sv));
	int r;

	*result = (struct supervisor_result){};
	*error = NULL;
	if (!sv)
		return -ENOMEM;
	sv->options = options;
	sv->listener = sv->epoll = sv->inotify = sv->signals = -1;
	CDS_INIT_LIST_HEAD(&sv->programs);
	CDS_INIT_LIST_HEAD(&sv->backings);
	CDS_INIT_LIST_HEAD(&sv->retries);
	r = host_config_is_empty(options->config) ? run_plain(sv, result, error)
						  : run(sv, result, error);
	if (r && !*error &&
	    asprintf(error, "cannot set up the emulated host: %s", strerror(-r)) < 0)
		*error = NULL;
	tear_down(sv);
	free(sv);
	return r;
}
