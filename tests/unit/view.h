/* SPDX-License-Identifier: BSD-3-Clause */
/* What locate() needs of a supervisor, with this process in the place of the program. */
#ifndef TESTS_VIEW_H
#define TESTS_VIEW_H

#include "supervisor/locate.h"

/* The host has an edu, bound to vfio-pci and in group 2, and one without a driver. False: it cannot
 * be made. */
bool view_init(struct supervisor *sv);
void view_fini(struct supervisor *sv);
/* What @path means to this process, whose directory is @dirfd. */
void view_locate(struct supervisor *sv, int dirfd, const char *path, bool follow, u64 resolve,
		 struct where *w, bool *link);

#endif
