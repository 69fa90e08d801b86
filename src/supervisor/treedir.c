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

int treedir_make(char *path, size_t size, char **error)
{
	const char *base = find_base();
	char prefix[32];
	int fd;

	if (!base) {
		if (asprintf(error, "no directory to work in: neither /dev/shm, $XDG_RUNTIME_DIR, "
				    "$TMPDIR nor /tmp can be written") < 0)
			*error = NULL;
		return -EACCES;
	}
	snprintf(prefix, sizeof(prefix), "uvfio-%u-", (unsigned int)geteuid());
	remove_stale(base, prefix);
	if (snprintf(path, size, "%s/%sXXXXXX", base, prefix) >= (int)size || !mkdtemp(path)) {
		if (asprintf(error, "cannot make a directory in %s: %s", base, strerror(errno)) < 0)
			*error = NULL;
		path[0] = '\0';
		return -errno;
	}
	/* Kept open to the end. */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) || fchmod(fd, 0755))
		return -errno;
	return 0;
}
