/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts that meet: each looks for the directories of runs that were killed, and may take another's
 * that is not locked yet for one. Starts the command again and again while a thief does nothing
 * else. In a /dev/shm of its own. Arguments: how many times, the command.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP 77

static void steal(const char *name)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY);

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		rmdir(name);
	if (fd >= 0)
		close(fd);
}

static void thief(void)
{
	const struct dirent *e;
	DIR *dir;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir("/dev/shm") || !(dir = opendir(".")))
		_exit(1);
	for (;;) {
		rewinddir(dir);
		while ((e = readdir(dir))) {
			if (!strncmp(e->d_name, "uvfio-", 6))
				steal(e->d_name);
		}
	}
}

static int run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execv(argv[0], argv);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

int main(int argc, char **argv)
{
	int failed = 0, times = argc > 2 ? atoi(argv[1]) : 0;
	pid_t pid;

	if (!times)
		return 1;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("uvfio-test", "/dev/shm", "tmpfs", 0, NULL)) {
		perror("a /dev/shm of its own");
		return SKIP;
	}
	pid = fork();
	if (!pid)
		thief();
	for (int i = 0; i < times; i++)
		failed += run(argv + 2) != 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	printf("%d of %d starts failed\n", failed, times);
	return failed != 0;
}
