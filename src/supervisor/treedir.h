/* SPDX-License-Identifier: BSD-3-Clause */
/* The directory that holds the tree: in memory, locked while its supervisor lives, so that what a
 * killed one left can be removed by the next. */
#ifndef SUPERVISOR_TREEDIR_H
#define SUPERVISOR_TREEDIR_H

#include <stddef.h>

/* Makes one, and removes those that nobody holds any more. 0, or -errno with *error. The lock lives
 * as long as this process. */
int treedir_make(char *path, size_t size, char **error);
void treedir_remove(const char *path);

#endif
