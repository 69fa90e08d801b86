/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/filter.h"

/* What the child sends: an error of filter_install(), or 0 with the listener. */
static int send_listener(int sock, int result)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	int error = result < 0 ? result : 0;
	struct iovec iov = { &error, sizeof(error) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (result >= 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &result, sizeof(int));
	}
	return sendmsg(sock, &msg, 0) == sizeof(error) ? 0 : -errno;
}

/* The listener, or -errno. */
static int receive_listener(int sock)
{
	char control[CMSG_SPACE(sizeof(int))];
	int result = -EPROTO;
	struct iovec iov = { &result, sizeof(result) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(result))
		return -EPROTO;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (result || !cmsg)
		return result ? result : -EPROTO;
	memcpy(&result, CMSG_DATA(cmsg), sizeof(int));
	return result;
}

static void __attribute__((noreturn)) child(const struct start *start, int sock, int exec_status)
{
	int error, fd;

	if (start->filter.len) {
		fd = filter_install(&start->filter);
		if (send_listener(sock, fd) || fd < 0)
			_exit(125);
		close(fd);
	}
	setrlimit(RLIMIT_NOFILE, &start->files);
	if (start->chld == SIG_IGN)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &start->signals, NULL);
	execvp(start->argv[0], start->argv);
	error = errno;
	if (write(exec_status, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

static const char *what_is_missing(int error)
{
	switch (-error) {
	case ENOSYS:
		return "this kernel has no seccomp filters; Linux 5.19 or newer with "
		       "CONFIG_SECCOMP_FILTER is needed";
	case EINVAL:
		return "this kernel lacks seccomp user notification with WAIT_KILLABLE_RECV; Linux "
		       "5.19 or newer is needed";
	case EBUSY:
		return "something above already listens to seccomp notifications, and the kernel "
		       "allows one listener; "
		       "run uvfio outside of it";
	case EACCES:
	case EPERM:
		return "this sandbox forbids seccomp filters with user notification; allow the "
		       "system call seccomp(2) in its profile";
	default:
		return strerror(-error);
	}
}

int start_program(struct start *start, char **error)
{
	cleanup_fd int sock0 = -1, sock1 = -1, pipe0 = -1, pipe1 = -1;
	int socks[2], pipes[2], r;

	start->listener = start->exec_status = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	sock0 = socks[0];
	sock1 = socks[1];
	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pipe0 = pipes[0];
	pipe1 = pipes[1];
	start->pid = fork();
	if (start->pid < 0)
		return -errno;
	if (!start->pid)
		child(start, sock1, pipe1);
	close(steal_fd(&sock1));
	start->exec_status = steal_fd(&pipe0);
	if (!start->filter.len)
		return 0;
	r = receive_listener(sock0);
	if (r < 0) {
		close(steal_fd(&start->exec_status));
		waitpid(start->pid, NULL, 0);
		if (asprintf(error, "cannot watch a program's system calls: %s",
			     what_is_missing(r)) < 0)
			*error = NULL;
		return r;
	}
	start->listener = r;
	return 0;
}

int start_exec_errno(struct start *start)
{
	int error = 0;

	if (read(start->exec_status, &error, sizeof(error)) != sizeof(error))
		error = 0;
	close(start->exec_status);
	start->exec_status = -1;
	return error;
}
