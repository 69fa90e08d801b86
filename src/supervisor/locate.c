/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/locate.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
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
	char base[PATH_MAX]; /* where it began; under RESOLVE_IN_ROOT, the root */
	unsigned int links;
	u64 resolve; /* RESOLVE_* */
	bool follow; /* a link at the end */
	bool detour; /* the kernel would not arrive where we do */
	bool exact;  /* every link counts, for ".." depends on it */
	bool mounts; /* the walk has left the file system that it began in */
	bool link;   /* the answer is what a link of /proc leads to, which is not followed */
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

/* Whether a name of @path is "..". */
static bool has_dots(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2) {
		if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
			return true;
	}
	return false;
}

/* The first question, of every path of every program: could it lead to us? */
static bool interesting(const char *path)
{
	while (path[0] == '/' && (path[1] == '/' || (path[1] == '.' && path[2] == '/')))
		path += path[1] == '/' ? 1 : 2;
	return under(path, "/sys") || under(path, "/dev") || under(path, "/proc") ||
	       (under(path, "/run") && strstr(path, "modprobe.d")) || !strcmp(path, "/") ||
	       has_dots(path);
}

/* The walk ends. */
static int fail(struct walk *walk, int error)
{
	walk->w->kind = WHERE_ERROR;
	walk->w->error = error;
	return -1;
}

/* The same, but where the kernel finds the error too, it says so. */
static int fail_real(struct walk *walk, int error)
{
	if (walk->detour)
		return fail(walk, error);
	walk->w->kind = WHERE_NATIVE;
	walk->w->path[0] = '\0';
	return -1;
}

static bool scoped(const struct walk *walk)
{
	return walk->resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT);
}

/* Puts @target in front of what is left. */
static int push(struct walk *walk, const char *target)
{
	char rest[PATH_MAX];
	int n = snprintf(rest, sizeof(rest), "%s%s%s", target, walk->rest[0] ? "/" : "",
			 walk->rest);

	if (n >= PATH_MAX)
		return fail(walk, -ENAMETOOLONG);
	if (walk->resolve & RESOLVE_NO_SYMLINKS || ++walk->links > MAX_SYMLINKS)
		return fail(walk, -ELOOP);
	if (target[0] == '/' && walk->resolve & RESOLVE_BENEATH)
		return fail(walk, -EXDEV);
	memcpy(walk->rest, rest, n + 1);
	if (target[0] == '/')
		strcpy(walk->done, walk->resolve & RESOLVE_IN_ROOT ? walk->base : "/");
	return 0;
}

static void pop(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path] = '\0';
}

/* The mount that @path lies in, as far as this matters to us. */
static int mount_of(const char *path)
{
	return under(path, "/sys") ? 1 : under(path, "/dev") ? 2 : under(path, "/proc") ? 3 : 0;
}

/* Whose walk->done is. */
static enum host_path_kind classify(struct walk *walk)
{
	struct where *w = walk->w;
	enum host_path_kind kind = host_path(walk->c->sv->host, walk->done, &w->node);

	if (mount_of(walk->done) != mount_of(walk->base))
		walk->mounts = true;
	w->kind = kind == HOST_PATH_TREE   ? WHERE_TREE
		  : kind == HOST_PATH_NODE ? WHERE_NODE
					   : WHERE_NATIVE;
	return kind;
}

/* Takes the next name off what is left: its length, 0 at the end. *@dir: a slash followed it. */
static size_t next_name(struct walk *walk, char *name, bool *dir)
{
	char *p = walk->rest;
	size_t n;

	p += strspn(p, "/");
	n = strcspn(p, "/");
	if (!n)
		return 0;
	if (n <= NAME_MAX) {
		memcpy(name, p, n);
		name[n] = '\0';
	}
	p += n;
	*dir = *p == '/';
	p += strspn(p, "/");
	memmove(walk->rest, p, strlen(p) + 1);
	return n;
}

static bool physical_of(struct walk *walk, char *path)
{
	return snprintf(path, PATH_MAX, "%s%s", walk->c->sv->dir, walk->done) < PATH_MAX;
}

/* Whether what the walk has arrived at is a directory: 0, or -1 at its end. */
static int check_dir(struct walk *walk)
{
	const char *path = walk->done;
	int error = 0;
	struct stat st;

	if (walk->w->kind == WHERE_TREE) {
		if (!physical_of(walk, walk->w->physical))
			return fail(walk, -ENAMETOOLONG);
		path = walk->w->physical;
	}
	if (lstat(path, &st))
		error = -errno;
	else if (!S_ISDIR(st.st_mode))
		error = -ENOTDIR;
	if (!error)
		return 0;
	return walk->w->kind == WHERE_TREE ? fail(walk, error) : fail_real(walk, error);
}

/* The name in a directory of /proc of a link that may lead to us; NULL if it is none. */
static const char *proc_name(struct caller *c, const char *path, pid_t *tid)
{
	const char *name = proc_split(path, c->tid, tid);

	if (!name || !strcmp(name, "cwd") || !strcmp(name, "root"))
		return name;
	if (!strncmp(name, "fd/", 3) && isdigit(name[3]) && !strchr(name + 3, '/'))
		return name;
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

/* A link of /proc leads to walk->done; @is_link: but is not followed. */
static int proc_found(struct walk *walk, bool is_link)
{
	walk->link = is_link;
	walk->detour = true;
	classify(walk);
	return 1;
}

/* Whether following a link of /proc is forbidden. */
static int proc_forbidden(struct walk *walk)
{
	if (walk->resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS))
		return fail(walk, -ELOOP);
	return scoped(walk) ? fail(walk, -EXDEV) : 0;
}

/* Whether a link of /proc leads to the file that its text names. */
static bool proc_text_is_right(const char *path, const char *target)
{
	struct stat a, b;

	return target[0] == '/' && !stat(path, &a) && !stat(target, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* A link of /proc: 1 if it was followed (or is the answer), 0 if it is not ours, -1 on error. */
static int proc_step(struct walk *walk, bool last, bool dir, bool follow)
{
	struct supervisor *sv = walk->c->sv;
	char target[PATH_MAX], path[64];
	const char *name, *tree;
	struct stat st;
	bool attribute;
	pid_t tid;

	name = proc_name(walk->c, walk->done, &tid);
	if (!name || proc_link(tid, name, target, sizeof(target)) < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	tree = tree_strip(sv, target);
	if (tree) {
		if (follow && proc_forbidden(walk))
			return -1;
		strcpy(walk->done, tree);
		return proc_found(walk, !follow);
	}
	if (strncmp(target, "/memfd:", 7)) {
		if (last || !interesting(target) || !proc_text_is_right(path, target))
			return 0;
		if (proc_forbidden(walk))
			return -1;
		strcpy(walk->done, target);
		classify(walk);
		return 1;
	}
	if (stat(path, &st))
		return 0;
	walk->w->tracked = files_find(sv, st.st_dev, st.st_ino);
	attribute = memfd_attribute(sv, walk->w->tracked, &st, walk->done);
	if (!attribute && !walk->w->tracked)
		return 0;
	if (!last || dir)
		return fail(walk, -ENOTDIR);
	if (follow && proc_forbidden(walk))
		return -1;
	if (attribute)
		return proc_found(walk, !follow);
	walk->link = !follow;
	walk->w->kind = WHERE_FILE;
	return 1;
}

/* What readlink says of @path to us; 0 if it is no link. */
static ssize_t link_at(const char *path, char *target, size_t size)
{
	ssize_t n = readlink(path, target, size - 1);

	if (n <= 0)
		return 0;
	target[n] = '\0';
	return n;
}

/* The same for a path outside of the tree, to the caller. */
static ssize_t real_link(struct walk *walk, char *target, size_t size)
{
	const char *path = walk->done;
	struct program *program;

	if (!under(path, "/proc"))
		return link_at(path, target, size);
	if (!walk->exact && !walk->detour)
		return 0;
	if (!strcmp(path, "/proc/self") || !strcmp(path, "/proc/thread-self")) {
		program = program_find(walk->c->sv, walk->c->tid);
		if (!program)
			return 0;
		return path[6] == 's'
			       ? snprintf(target, size, "%d", program->tgid)
			       : snprintf(target, size, "%d/task/%d", program->tgid, walk->c->tid);
	}
	/* Links of processes look like others, but do not lead where their text does. */
	if (link_at(path, target, size) <= 0 ||
	    (strrchr(path, '/') > path + 5 && !proc_text_is_right(path, target)))
		return 0;
	return (ssize_t)strlen(target);
}

/* "." and "..". */
static int step_dots(struct walk *walk, bool up)
{
	if (walk->w->kind == WHERE_TREE || up) {
		if (check_dir(walk))
			return -1;
	}
	if (!up)
		return 0;
	if (scoped(walk) && !strcmp(walk->done, walk->base))
		return walk->resolve & RESOLVE_IN_ROOT ? 0 : fail(walk, -EXDEV);
	pop(walk->done);
	classify(walk);
	return 0;
}

/* A name that is too long for a file, but not for sysfs to look for. */
static int step_too_long(struct walk *walk)
{
	if (check_dir(walk))
		return -1;
	return walk->w->kind != WHERE_TREE
		       ? fail_real(walk, -ENAMETOOLONG)
		       : fail(walk, under(walk->done, "/sys") ? -ENOENT : -ENAMETOOLONG);
}

/* One name. 0: go on; 1: the answer stands; -1: error. */
static int step(struct walk *walk, const char *name, bool dir)
{
	struct where *w = walk->w;
	size_t n = strlen(walk->done);
	bool last = !walk->rest[0];
	bool follow = walk->follow || dir || !last;
	char target[PATH_MAX];
	int r;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return step_dots(walk, name[1]);
	if (n + 1 + strlen(name) >= PATH_MAX)
		return fail(walk, -ENAMETOOLONG);
	sprintf(walk->done + n, "%s%s", n > 1 ? "/" : "", name);
	r = proc_step(walk, last, dir, follow);
	if (r)
		return r < 0 ? -1 : walk->link || w->kind == WHERE_FILE;
	switch (classify(walk)) {
	case HOST_PATH_ABSENT:
		return fail(walk, -ENOENT);
	case HOST_PATH_NODE:
		return dir || !last ? fail(walk, -ENOTDIR) : 0;
	case HOST_PATH_TREE:
		if (!physical_of(walk, w->physical))
			return fail(walk, -ENAMETOOLONG);
		if (!follow || !link_at(w->physical, target, sizeof(target)))
			return 0;
		walk->detour = true;
		break;
	default:
		/* Links outside of our parts matter where they may lead into them. */
		if (!follow || !(walk->exact || walk->detour || interesting(walk->done)) ||
		    !real_link(walk, target, sizeof(target)))
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

	walk->exact = has_dots(walk->rest);
	strcpy(walk->base, "/");
	strcpy(walk->done, "/");
	if (walk->rest[0] == '/' && !(walk->resolve & RESOLVE_IN_ROOT)) {
		/* RESOLVE_BENEATH: the kernel refuses it. */
		return interesting(walk->rest) && !(walk->resolve & RESOLVE_BENEATH);
	}
	if (dirfd == AT_FDCWD)
		strcpy(name, "cwd");
	else
		snprintf(name, sizeof(name), "fd/%d", dirfd);
	if (proc_link(walk->c->tid, name, base, sizeof(base)) < 0 || base[0] != '/')
		return false;
	tree = tree_strip(sv, base);
	walk->detour = tree;
	strcpy(walk->base, tree ? tree : base);
	strcpy(walk->done, walk->base);
	return tree || interesting(walk->done) || walk->exact;
}

/* What remains of the path is the kernel's. */
static bool lost(const struct walk *walk)
{
	return walk->w->kind == WHERE_NATIVE && !walk->detour && !interesting(walk->done) &&
	       strcmp(walk->done, "/run") && !has_dots(walk->rest);
}

/* A path that ends with a slash: 0, or -1 at an error. What does not exist may be about to be made.
 */
static int end_with_slash(struct walk *walk)
{
	struct where *w = walk->w;
	struct stat st;

	if (w->kind == WHERE_NATIVE && !walk->detour) {
		w->path[0] = '\0';
		return 0;
	}
	if (w->kind == WHERE_TREE && !physical_of(walk, w->physical))
		return fail(walk, -ENAMETOOLONG);
	if (lstat(w->kind == WHERE_TREE ? w->physical : w->path, &st) || S_ISDIR(st.st_mode) ||
	    S_ISLNK(st.st_mode))
		return 0;
	return fail(walk, -ENOTDIR);
}

/* False at an error, or where the kernel resolves the rest. */
static bool walk_all(struct walk *walk)
{
	char name[NAME_MAX + 1];
	bool dir = false;
	size_t n;
	int r = 0;

	while (!r && (n = next_name(walk, name, &dir))) {
		r = n > NAME_MAX ? step_too_long(walk) : step(walk, name, dir);
		if (r < 0 || lost(walk))
			return false;
	}
	return !dir || !end_with_slash(walk);
}

void locate_beneath(struct caller *c, int dirfd, u64 path, bool follow, u64 resolve,
		    struct where *w, bool *link)
{
	struct walk walk = {
		.c = c, .w = w, .done = w->path, .follow = follow, .resolve = resolve
	};
	ssize_t n;

	if (link)
		*link = false;
	w->kind = WHERE_NATIVE;
	w->path[0] = '\0';
	n = caller_read_string(c, walk.rest, sizeof(walk.rest), path);
	if (n <= 0 || !begin(&walk, dirfd))
		return;
	classify(&walk);
	if (!walk_all(&walk))
		return;
	if (link)
		*link = walk.link;
	if (walk.link && w->kind != WHERE_FILE)
		w->kind = WHERE_TREE;
	if (w->kind == WHERE_NATIVE && walk.detour)
		w->kind = WHERE_REAL;
	if (resolve & RESOLVE_NO_XDEV && walk.mounts && w->kind != WHERE_NATIVE)
		fail(&walk, -EXDEV);
	else if (!physical_of(&walk, w->physical))
		fail(&walk, -ENAMETOOLONG);
}

void locate(struct caller *c, int dirfd, u64 path, bool follow, struct where *w, bool *link)
{
	locate_beneath(c, dirfd, path, follow, 0, w, link);
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
