/* SPDX-License-Identifier: BSD-3-Clause */
/* What tree.c and tree_files.c share. */
#ifndef HOST_TREE_INTERNAL_H
#define HOST_TREE_INTERNAL_H

#include "host/tree.h"

enum host_entry_kind {
	HOST_ENTRY_OWNED,
	HOST_ENTRY_MERGED,
	HOST_ENTRY_HIDDEN,
	HOST_ENTRY_PASSED,
};

/* A name that is ours, in a merged directory. */
struct host_entry {
	struct host_entry *next, *children;
	char *name;
	size_t len;
	enum host_entry_kind kind;
	bool prefix; /* every name that begins so */
	/* HOST_ENTRY_MERGED: the real directory as it was when it was last listed. */
	bool filled;
	nlink_t nlink;
	struct timespec mtime;
};

struct host_tree {
	int root;
	int error;   /* the first */
	mode_t mask; /* this process's umask, which new files feel */
	struct host_entry top;
};

/* unlinkat() with all below. */
void host_tree_unlink_all(int dirfd, const char *name);

#endif
