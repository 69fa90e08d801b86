/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/locate.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/attr.h"

/* Linux: MAXSYMLINKS. */
#define MAX_SYMLINKS 40

/* A walk: what is resolved, and what is left. */
struct walk {
	struct caller *c;
	struct where *w;
	char *done;	     /* w->path: absolute, without a slash at the end but for the root */
	char rest[PATH_MAX]; /* relative to it */
	unsigned int links;
	bool detour; /* the kernel would not arrive where we do */
};

const char *tree_strip(const struct supervisor *sv, const char *physical)
{
	if (strncmp(physical, sv->dir, sv->dir_len))
		return NULL;
	if (!physical[sv->dir_len])
		return "/";
	return physical[sv->dir_len] == '/' ? physical + sv->dir_len : NULL;
}

ssize_t proc_link(pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	n = readlink(path, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

static bool under(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

/* Whether a name of @path is "." or "..". */
static bool has_dots(const char *path)
{
	while ((path = strstr(path, "/."))) {
		path += path[2] == '.' ? 3 : 2;
		if (!*path || *path == '/')
			return true;
	}
	return false;
}

/* The first question, of every path of every program: could it lead to us? */
static bool interesting(const char *path)
{
	while (path[0] == '/' && path[1] == '/')
		path++;
	return under(path, "/sys") || under(path, "/dev") || under(path, "/proc") ||
	       under(path, "/run/modprobe.d") || !strcmp(path, "/") || has_dots(path);
}

static int fail(struct walk *walk, int error)
{
	walk->w->kind = WHERE_ERROR;
	walk->w->error = error;
	return -1;
}

/* Puts @target in front of what is left. */
static int push(struct walk *walk, const char *target)
{
	char rest[PATH_MAX];
	int n = snprintf(rest, sizeof(rest), "%s%s%s", target, walk->rest[0] ? "/" : "",
			 walk->rest);

	if (n >= PATH_MAX)
		return fail(walk, -ENAMETOOLONG);
	if (++walk->links > MAX_SYMLINKS)
		return fail(walk, -ELOOP);
	memcpy(walk->rest, rest, n + 1);
	if (target[0] == '/')
		strcpy(walk->done, "/");
	return 0;
}

static void pop(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

/* Takes the next name off what is left; false at the end. *@dir: a slash followed it. */
static bool next_name(struct walk *walk, char *name, bool *dir)
{
	char *p = walk->rest;
	size_t n;

	while (*p == '/')
		p++;
	n = strcspn(p, "/");
	if (!n || n > NAME_MAX)
		return false;
	memcpy(name, p, n);
	name[n] = '\0';
	p += n;
	*dir = *p == '/';
	while (*p == '/')
		p++;
	memmove(walk->rest, p, strlen(p) + 1);
	return true;
}

/* "/proc/self/..." and the like, for the names whose links may lead to us; NULL if it is none. @tid
 * is set. */
static const char *proc_name(struct caller *c, const char *path, pid_t *tid)
{
	char *end;

	if (strncmp(path, "/proc/", 6))
		return NULL;
	path += 6;
	*tid = c->tid;
	if (under(path, "self"))
		path += 4;
	else if (under(path, "thread-self"))
		path += 11;
	else if (isdigit(*path)) {
		*tid = strtol(path, &end, 10);
		path = end;
	} else
		return NULL;
	if (!strncmp(path, "/task/", 6)) {
		*tid = strtol(path + 6, &end, 10);
		path = end;
	}
	if (!strcmp(path, "/cwd"))
		return path + 1;
	if (!strncmp(path, "/fd/", 4) && isdigit(path[4]) && !strchr(path + 4, '/'))
		return path + 1;
	return NULL;
}

/* Whether a memfd, @t if it is tracked, is an attribute of sysfs; puts its path into @path. */
static bool memfd_attribute(struct supervisor *sv, const struct tracked *t, const struct stat *st,
			    char *path)
{
	const char *attr = t ? attr_path(t->file) : NULL;

	if (attr)
		strcpy(path, attr);
	return attr || (!t && !host_config_path(sv->host, st->st_ino, path, PATH_MAX));
}

/* A link of /proc leads to walk->done. */
static int proc_found(struct walk *walk, bool is_link, bool *link)
{
	struct where *w = walk->w;

	*link = is_link;
	walk->detour = true;
	switch (host_path(walk->c->sv->host, walk->done, &w->node)) {
	case HOST_PATH_TREE:
		w->kind = WHERE_TREE;
		break;
	case HOST_PATH_NODE:
		w->kind = WHERE_NODE;
		break;
	default:
		w->kind = WHERE_NATIVE;
	}
	return 1;
}

/* A link of /proc: 1 if it was followed (or is the answer), 0 if it is not ours, -1 on error. */
static int proc_step(struct walk *walk, bool last, bool follow, bool *link)
{
	struct supervisor *sv = walk->c->sv;
	char target[PATH_MAX];
	const char *name, *tree;
	struct stat st;
	bool attribute;
	pid_t tid;

	name = proc_name(walk->c, walk->done, &tid);
	if (!name || proc_link(tid, name, target, sizeof(target)) < 0)
		return 0;
	tree = tree_strip(sv, target);
	if (tree) {
		strcpy(walk->done, tree);
		return proc_found(walk, last && !follow, link);
	}
	if (strncmp(target, "/memfd:", 7))
		return 0;
	snprintf(target, sizeof(target), "/proc/%d/%s", tid, name);
	if (stat(target, &st))
		return 0;
	walk->w->tracked = files_find(sv, st.st_dev, st.st_ino);
	attribute = memfd_attribute(sv, walk->w->tracked, &st, walk->done);
	if (!attribute && !walk->w->tracked)
		return 0;
	if (!last)
		return fail(walk, -ENOTDIR);
	if (attribute)
		return proc_found(walk, !follow, link);
	*link = !follow;
	walk->w->kind = WHERE_FILE;
	return 1;
}

/* What readlink says of the thing at walk->done, in the tree or outside; 0 if it is no link. */
static ssize_t link_of(struct walk *walk, bool tree, char *target, size_t size)
{
	struct where *w = walk->w;
	const char *path = walk->done;
	ssize_t n;

	if (tree) {
		if (snprintf(w->physical, sizeof(w->physical), "%s%s", walk->c->sv->dir,
			     walk->done) >= PATH_MAX)
			return 0;
		path = w->physical;
	}
	n = readlink(path, target, size - 1);
	if (n <= 0)
		return 0;
	target[n] = '\0';
	return n;
}

/* One name. 0: go on; 1: the answer stands; -1: error. */
static int step(struct walk *walk, const char *name, bool dir, bool follow, bool *link)
{
	struct where *w = walk->w;
	size_t n = strlen(walk->done);
	bool last = !walk->rest[0];
	char target[PATH_MAX];
	int r;

	follow = follow || dir || !last;
	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		pop(walk->done);
		return 0;
	}
	if (n + 1 + strlen(name) >= PATH_MAX)
		return fail(walk, -ENAMETOOLONG);
	sprintf(walk->done + n, "%s%s", n > 1 ? "/" : "", name);
	r = proc_step(walk, last, follow, link);
	if (r)
		return r < 0 ? -1 : w->kind == WHERE_FILE;
	w->kind = WHERE_NATIVE;
	switch (host_path(walk->c->sv->host, walk->done, &w->node)) {
	case HOST_PATH_ABSENT:
		return fail(walk, -ENOENT);
	case HOST_PATH_NODE:
		if (dir || !last)
			return fail(walk, -ENOTDIR);
		w->kind = WHERE_NODE;
		return 0;
	case HOST_PATH_TREE:
		w->kind = WHERE_TREE;
		if (!follow || !link_of(walk, true, target, sizeof(target)))
			return 0;
		walk->detour = true;
		break;
	default:
		/* Links outside of our parts matter where they may lead into them. */
		if (!follow || !interesting(walk->done) || under(walk->done, "/proc") ||
		    !link_of(walk, false, target, sizeof(target)))
			return 0;
		break;
	}
	pop(walk->done);
	return push(walk, target);
}

/* Where the walk begins. False: not ours, whatever follows. */
static bool begin(struct walk *walk, int dirfd)
{
	struct supervisor *sv = walk->c->sv;
	char base[PATH_MAX], name[32];
	const char *tree;

	if (walk->rest[0] == '/') {
		strcpy(walk->done, "/");
		return interesting(walk->rest);
	}
	if (dirfd == AT_FDCWD)
		strcpy(name, "cwd");
	else
		snprintf(name, sizeof(name), "fd/%d", dirfd);
	if (proc_link(walk->c->tid, name, base, sizeof(base)) < 0 || base[0] != '/')
		return false;
	tree = tree_strip(sv, base);
	walk->detour = tree;
	strcpy(walk->done, tree ? tree : base);
	return tree || interesting(walk->done) || strstr(walk->rest, "..");
}

void locate(struct caller *c, int dirfd, u64 path, bool follow, struct where *w, bool *link)
{
	struct walk walk = { .c = c, .w = w, .done = w->path };
	char name[NAME_MAX + 1];
	bool dir = false, no_link;
	ssize_t n;

	if (!link)
		link = &no_link;
	*link = false;
	w->kind = WHERE_NATIVE;
	w->path[0] = '\0';
	n = caller_read_string(c, walk.rest, sizeof(walk.rest), path);
	if (n <= 0 || !begin(&walk, dirfd))
		return;
	/* The starting directory itself, for "." and the like. */
	w->kind = host_path(c->sv->host, walk.done, &w->node) == HOST_PATH_TREE ? WHERE_TREE
										: WHERE_NATIVE;
	while (next_name(&walk, name, &dir)) {
		int r = step(&walk, name, dir, follow, link);

		if (r < 0)
			return;
		if (r > 0)
			break;
		if (!strcmp(name, ".") || !strcmp(name, ".."))
			w->kind = host_path(c->sv->host, walk.done, &w->node) == HOST_PATH_TREE
					  ? WHERE_TREE
					  : WHERE_NATIVE;
	}
	if (*link && w->kind != WHERE_FILE)
		w->kind = WHERE_TREE;
	if (w->kind == WHERE_NATIVE && walk.detour)
		w->kind = WHERE_REAL;
	if (snprintf(w->physical, sizeof(w->physical), "%s%s", c->sv->dir, w->path) >= PATH_MAX) {
		w->kind = WHERE_ERROR;
		w->error = -ENAMETOOLONG;
	}
}

void locate_fd(struct caller *c, int fd, struct where *w)
{
	struct supervisor *sv = c->sv;
	char name[32], target[PATH_MAX];
	const char *tree;
	struct stat st;

	w->kind = WHERE_NATIVE;
	if (caller_stat(c, fd, &st))
		return;
	if (st.st_dev == sv->memfd_dev) {
		w->tracked = files_find(sv, st.st_dev, st.st_ino);
		if (memfd_attribute(sv, w->tracked, &st, w->path))
			w->kind = WHERE_TREE;
		else if (w->tracked)
			w->kind = WHERE_FILE;
	} else if (st.st_dev == sv->tree_dev) {
		snprintf(name, sizeof(name), "fd/%d", fd);
		if (proc_link(c->tid, name, target, sizeof(target)) < 0)
			return;
		tree = tree_strip(sv, target);
		if (!tree)
			return;
		strcpy(w->path, tree);
		w->kind = host_path(sv->host, tree, &w->node) == HOST_PATH_NODE ? WHERE_NODE
										: WHERE_TREE;
	}
	if (w->kind == WHERE_NATIVE || w->kind == WHERE_FILE)
		return;
	if (snprintf(w->physical, sizeof(w->physical), "%s%s", sv->dir, w->path) >= PATH_MAX)
		w->kind = WHERE_NATIVE;
}
