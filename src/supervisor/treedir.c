/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/treedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Each fails only if another start looks for stale directories at just that moment. */
#define MAX_ATTEMPTS 100

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void treedir_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A directory is made before it is locked. */
#define STALE_SECONDS 10

/* The directories of this user that no process has locked. */
static void remove_stale(const char *base, const char *prefix)
{
	cleanup_dir DIR *dir = opendir(base);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		cleanup_fd int fd = -1;
		char path[PATH_MAX];
		struct stat st;

		if (strncmp(e->d_name, prefix, strlen(prefix)) ||
		    snprintf(path, sizeof(path), "%s/%s", base, e->d_name) >= PATH_MAX)
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && !fstat(fd, &st) && st.st_uid == geteuid() &&
		    st.st_ctim.tv_sec + STALE_SECONDS < time(NULL) && !flock(fd, LOCK_EX | LOCK_NB))
			treedir_remove(path);
	}
}

static const char *find_base(void)
{
	const char *candidates[] = { "/dev/shm", getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"),
				     "/tmp" };

	for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
		if (candidates[i] && candidates[i][0] == '/' && !access(candidates[i], W_OK | X_OK))
			return candidates[i];
	}
	return NULL;
}

/*
 * Makes a directory and locks it. -EAGAIN: another start has taken it for a stale one before it was
 * locked. The lock is held to the end.
 */
static int make_locked(const char *base, const char *prefix, char *path, size_t size)
{
	cleanup_fd int fd = -1;
	struct stat st, now;

	if (snprintf(path, size, "%s/%sXXXXXX", base, prefix) >= (int)size)
		return -ENAMETOOLONG;
	if (!mkdtemp(path))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_SH | LOCK_NB))
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &st) || fchmod(fd, 0755))
		return -errno;
	if (stat(path, &now) || now.st_ino != st.st_ino)
		return -EAGAIN;
	steal_fd(&fd);
	return 0;
}

int treedir_make(char *path, size_t size, char **error)
{
	const char *base = find_base();
	char prefix[32];
	int r = -EAGAIN;

	if (!base) {
		if (asprintf(error, "no directory to work in: neither /dev/shm, $XDG_RUNTIME_DIR, "
				    "$TMPDIR nor /tmp can be written") < 0)
			*error = NULL;
		return -EACCES;
	}
	snprintf(prefix, sizeof(prefix), "uvfio-%u-", (unsigned int)geteuid());
	remove_stale(base, prefix);
	for (int i = 0; r == -EAGAIN && i < MAX_ATTEMPTS; i++)
		r = make_locked(base, prefix, path, size);
	if (!r)
		return 0;
	if (asprintf(error, "cannot make a directory in %s: %s", base, strerror(-r)) < 0)
		*error = NULL;
	path[0] = '\0';
	return r;
}
