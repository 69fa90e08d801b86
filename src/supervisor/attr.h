/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control attributes of sysfs (driver/unbind, driver_override, ...) open for writing. The program
 * gets a file of one page; what it wrote takes effect when the file is closed, before its next call
 * that the supervisor sees.
 */
#ifndef SUPERVISOR_ATTR_H
#define SUPERVISOR_ATTR_H

#include "supervisor/internal.h"

/* The program's descriptor, or -errno. */
int attr_open(struct caller *c, const char *path, int flags);
/* Its path, if @file is such a file; else NULL. */
const char *attr_path(const struct vfio_file *file);

#endif
