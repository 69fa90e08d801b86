/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose is a path: a small tree of names, and the stand-ins of merged directories. */

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/tree_internal.h"

static struct host_entry *entry_new(const char *name, size_t len, enum host_entry_kind kind)
{
	struct host_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->name = strndup(name, len);
	if (!entry->name) {
		free(entry);
		return NULL;
	}
	entry->len = len;
	entry->kind = kind;
	return entry;
}

static void entry_free(struct host_entry *entry)
{
	while (entry->children) {
		struct host_entry *child = entry->children;

		entry->children = child->next;
		entry_free(child);
	}
	free(entry->name);
	free(entry);
}

static struct host_entry *entry_child(const struct host_entry *entry, const char *name, size_t len)
{
	struct host_entry *child, *prefix = NULL;

	for (child = entry->children; child; child = child->next) {
		if (child->len == len && !child->prefix && !memcmp(child->name, name, len))
			return child;
		if (child->prefix && len >= child->len && !memcmp(child->name, name, child->len))
			prefix = child;
	}
	return prefix;
}

/* Steps over the next component of *path; its length, 0 at the end. */
static size_t next_component(const char **path, const char **name)
{
	const char *p = *path;

	while (*p == '/')
		p++;
	*name = p;
	*path = strchrnul(p, '/');
	return (size_t)(*path - p);
}

/* Whether names below it may be decided about one by one. */
static bool has_children(const struct host_entry *entry)
{
	return entry->kind == HOST_ENTRY_MERGED || entry->kind == HOST_ENTRY_PASSED;
}

static int entry_add(struct host_tree *tree, const char *path, enum host_entry_kind kind,
		     bool prefix)
{
	struct host_entry *entry = &tree->top, *child;
	const char *name;
	size_t len;

	while ((len = next_component(&path, &name))) {
		bool last = !*path;

		child = entry_child(entry, name, len);
		if (child && last && (child->prefix != prefix || child->len != len))
			child = NULL;
		if (child && last && child->kind != kind)
			child->kind = kind;
		if (!child) {
			child = entry_new(name, len, last ? kind : HOST_ENTRY_MERGED);
			if (!child)
				return -ENOMEM;
			child->prefix = last && prefix;
			child->next = entry->children;
			entry->children = child;
		}
		entry = child;
		if (!has_children(entry))
			break;
	}
	return 0;
}

static int entry_set(struct host_tree *tree, const char *path, enum host_entry_kind kind,
		     bool prefix)
{
	int err = entry_add(tree, path, kind, prefix);

	if (err && !tree->error)
		tree->error = err;
	return err;
}

int host_tree_own(struct host_tree *tree, const char *path)
{
	return entry_set(tree, path, HOST_ENTRY_OWNED, false);
}

int host_tree_merge(struct host_tree *tree, const char *path)
{
	int err = entry_set(tree, path, HOST_ENTRY_MERGED, false);

	return err ? err : host_tree_mkdirs(tree, path);
}

int host_tree_pass(struct host_tree *tree, const char *path)
{
	int err = entry_set(tree, path, HOST_ENTRY_PASSED, false);

	return err ? err : host_tree_mkdirs(tree, path);
}

int host_tree_hide(struct host_tree *tree, const char *path)
{
	return entry_set(tree, path, HOST_ENTRY_HIDDEN, false);
}

int host_tree_own_prefix(struct host_tree *tree, const char *path)
{
	return entry_set(tree, path, HOST_ENTRY_OWNED, true);
}

int host_tree_hide_prefix(struct host_tree *tree, const char *path)
{
	return entry_set(tree, path, HOST_ENTRY_HIDDEN, true);
}

void host_tree_disown(struct host_tree *tree, const char *path)
{
	struct host_entry *entry = &tree->top, **slot;
	const char *name;
	size_t len;

	while ((len = next_component(&path, &name))) {
		struct host_entry *child = entry_child(entry, name, len);

		if (!child || (!*path && (child->prefix || child->len != len)))
			return;
		if (*path) {
			entry = child;
			continue;
		}
		for (slot = &entry->children; *slot != child; slot = &(*slot)->next)
			;
		*slot = child->next;
		entry_free(child);
		return;
	}
}

static bool outside(const char *path)
{
	return (memcmp(path, "/sys", 4) && memcmp(path, "/dev", 4) && memcmp(path, "/run", 4)) ||
	       (path[4] && path[4] != '/');
}

/* The entry that decides about @path; NULL: the real machine does. *rest is what lies below it. */
static struct host_entry *lookup(const struct host_tree *tree, const char *path, const char **rest)
{
	struct host_entry *entry = NULL;
	const struct host_entry *at = &tree->top;
	const char *name;
	size_t len;

	while ((len = next_component(&path, &name))) {
		entry = entry_child(at, name, len);
		if (!entry || !has_children(entry))
			break;
		at = entry;
	}
	*rest = path;
	return entry;
}

/* Makes an empty file of the same type as the real machine's. */
static void stand_in(int real, int ours, const char *name, unsigned char type)
{
	char target[512];
	struct stat st;
	ssize_t n;
	int fd;

	if (type == DT_UNKNOWN && !fstatat(real, name, &st, AT_SYMLINK_NOFOLLOW))
		type = IFTODT(st.st_mode);
	switch (type) {
	case DT_DIR:
		mkdirat(ours, name, 0755);
		return;
	case DT_LNK:
		n = readlinkat(real, name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			if (!symlinkat(target, ours, name))
				return;
		}
		break;
	case DT_CHR:
	case DT_BLK:
		/* The one device number that needs no privilege. */
		if (!mknodat(ours, name, S_IFCHR | 0600, 0))
			return;
		break;
	}
	fd = openat(ours, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

/* Whether @name in the merged directory @entry is the real machine's. */
static bool is_real(const struct host_entry *entry, const char *name)
{
	return !entry_child(entry, name, strlen(name));
}

static void drop_stale(struct host_entry *entry, int real, int ours)
{
	int fd = openat(ours, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	while (dir && (de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") &&
		    is_real(entry, de->d_name) &&
		    faccessat(real, de->d_name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
			host_tree_unlink_all(ours, de->d_name);
}

/*
 * Makes a merged directory list what the real one lists. Its modification time and link count tell
 * whether that has changed since the last time: one stat() then.
 */
static void fill(struct host_tree *tree, struct host_entry *entry, const char *path)
{
	cleanup_fd int ours = openat(tree->root, path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = NULL;
	struct dirent *de;
	struct stat st;

	if (ours < 0 || stat(path, &st) ||
	    (entry->filled && st.st_nlink == entry->nlink &&
	     st.st_mtim.tv_sec == entry->mtime.tv_sec &&
	     st.st_mtim.tv_nsec == entry->mtime.tv_nsec))
		return;
	dir = opendir(path);
	if (!dir)
		return;
	if (entry->filled)
		drop_stale(entry, dirfd(dir), ours);
	while ((de = readdir(dir)))
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") &&
		    is_real(entry, de->d_name))
			stand_in(dirfd(dir), ours, de->d_name, de->d_type);
	entry->filled = true;
	entry->nlink = st.st_nlink;
	entry->mtime = st.st_mtim;
}

enum host_path_kind host_tree_classify(struct host_tree *tree, const char *path)
{
	struct host_entry *entry;
	const char *rest;

	if (strnlen(path, 4) < 4 || outside(path))
		return HOST_PATH_REAL;
	entry = lookup(tree, path, &rest);
	if (!entry)
		return HOST_PATH_REAL;
	switch (entry->kind) {
	case HOST_ENTRY_OWNED:
		return HOST_PATH_TREE;
	case HOST_ENTRY_HIDDEN:
		return HOST_PATH_ABSENT;
	case HOST_ENTRY_MERGED:
		fill(tree, entry, path);
		return HOST_PATH_TREE;
	case HOST_ENTRY_PASSED:
		return HOST_PATH_REAL;
	}
	return HOST_PATH_REAL;
}

struct host_tree *host_tree_new(const char *dir)
{
	struct host_tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	tree->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->root < 0) {
		free(tree);
		return NULL;
	}
	tree->mask = umask(0);
	umask(tree->mask);
	tree->top.kind = HOST_ENTRY_MERGED;
	return tree;
}

void host_tree_free(struct host_tree *tree)
{
	if (!tree)
		return;
	host_tree_unlink_all(tree->root, "sys");
	host_tree_unlink_all(tree->root, "dev");
	host_tree_unlink_all(tree->root, "run");
	while (tree->top.children) {
		struct host_entry *child = tree->top.children;

		tree->top.children = child->next;
		entry_free(child);
	}
	close(tree->root);
	free(tree);
}
