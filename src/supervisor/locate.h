/* SPDX-License-Identifier: BSD-3-Clause */
/* What a path of a program's means: the kernel's, the tree's, a device node, or the link of a
 * descriptor. */
#ifndef SUPERVISOR_LOCATE_H
#define SUPERVISOR_LOCATE_H

#include "supervisor/internal.h"

enum where_kind {
	WHERE_NATIVE, /* the kernel resolves it to the same thing: continue */
	WHERE_REAL,  /* ->path on the real file system; reached through the tree, so that the kernel
			would not find it */
	WHERE_TREE,  /* ->path in the tree */
	WHERE_NODE,  /* a device node, ->node */
	WHERE_FILE,  /* /proc/.../fd/N of a file of ours, ->tracked */
	WHERE_ERROR, /* ->error */
};

struct where {
	enum where_kind kind;
	int error; /* negative */
	struct host_node node;
	struct tracked *tracked;
	char path[PATH_MAX];	 /* as programs name it, normalized */
	char physical[PATH_MAX]; /* WHERE_TREE, WHERE_NODE: in our file system */
};

/*
 * Resolves @path (an address in the program) against @dirfd. @follow: a symbolic link at the end is
 * followed. Where /proc/.../fd/N stands at the end and is not followed, WHERE_FILE and WHERE_TREE
 * say what it links to, with *@link set.
 */
void locate(struct caller *c, int dirfd, u64 path, bool follow, struct where *w, bool *link);

/* The same with @resolve of openat2(), which is valid. */
void locate_beneath(struct caller *c, int dirfd, u64 path, bool follow, u64 resolve,
		    struct where *w, bool *link);

/* The same for what a descriptor of the program's is open at: WHERE_NATIVE, WHERE_FILE, WHERE_TREE
 * or WHERE_NODE. */
void locate_fd(struct caller *c, int fd, struct where *w);

/* @physical without the tree's directory in front: "/sys/..."; NULL if it does not lie in the tree.
 */
const char *tree_strip(const struct supervisor *sv, const char *physical);
/* Where a link of /proc/TID leads ("cwd", "fd/3"): the length, or -errno. */
ssize_t proc_link(pid_t tid, const char *name, char *buf, size_t size);

#endif
