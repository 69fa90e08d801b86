/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The directory tree behind the view, and the answer to "whose is this path?".
 *
 * Paths are those of the program ("/sys/bus/pci"): absolute, normalized. A directory is *owned*
 * (with all that is and is not below it) or *merged* (its other entries are the real machine's).
 */
#ifndef HOST_TREE_H
#define HOST_TREE_H

#include <sys/stat.h>

#include "base/util.h"
#include "host/host.h"

struct host_tree;

/* @dir is an empty directory of the caller's. NULL with errno. */
struct host_tree *host_tree_new(const char *dir);
/* Removes all that is in the directory. */
void host_tree_free(struct host_tree *tree);

/* What the path and everything below it means from now on. The parents must have been merged. */
int host_tree_own(struct host_tree *tree, const char *path);
int host_tree_merge(struct host_tree *tree, const char *path);
/* The real machine's, and listed as there: only what has been owned below it is not. */
int host_tree_pass(struct host_tree *tree, const char *path);
int host_tree_hide(struct host_tree *tree, const char *path);
/* The same for every name in a merged directory that begins with the last component. */
int host_tree_own_prefix(struct host_tree *tree, const char *path);
int host_tree_hide_prefix(struct host_tree *tree, const char *path);
void host_tree_disown(struct host_tree *tree, const char *path);

/* HOST_PATH_REAL, _TREE or _ABSENT. Fills in the stand-ins of a merged directory. */
enum host_path_kind host_tree_classify(struct host_tree *tree, const char *path);

/*
 * Contents. Each returns 0 or -errno; the first error of a tree is kept too (host_tree_error()),
 * so that a builder may write on and ask once. Directories are made mode 0755, parents first.
 */
int host_tree_mkdir(struct host_tree *tree, const char *path);
int host_tree_mkdirs(struct host_tree *tree, const char *path);
/* Creates or replaces; open files of the old contents keep them. */
int host_tree_write(struct host_tree *tree, const char *path, unsigned int mode, const char *format,
		    ...) __attribute__((format(printf, 4, 5)));
/* A file of @size zero bytes; *fd, if given, is open for reading and writing and the caller's. */
int host_tree_file(struct host_tree *tree, const char *path, unsigned int mode, u64 size, int *fd);
/* Opens a file that exists; -errno. */
int host_tree_open(struct host_tree *tree, const char *path, int flags);
/* @target is a path like @path; the link is made relative. */
int host_tree_link(struct host_tree *tree, const char *path, const char *target);
/* A character device for listings (never opened: host_path() says NODE). */
int host_tree_node(struct host_tree *tree, const char *path, unsigned int mode);
/* With all below it; absent is no error. */
void host_tree_remove(struct host_tree *tree, const char *path);
bool host_tree_exists(struct host_tree *tree, const char *path);
int host_tree_error(const struct host_tree *tree);

#endif
