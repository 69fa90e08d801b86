/* SPDX-License-Identifier: BSD-3-Clause */
/* The command's parts. Each returns an exit status. */
#ifndef UVFIO_TOOL_H
#define UVFIO_TOOL_H

#include "device/device.h"

/* The status of everything that is the user's mistake, or the machine's lack. */
#define EXIT_UVFIO 125

/* Every model that the command knows; NULL-terminated. */
extern const struct device_model *const uvfio_models[];

int uvfio_run(int argc, char **argv);
int uvfio_list_models(int argc, char **argv);
void uvfio_help(void);

/* One line on standard error, with the command's name in front; returns EXIT_UVFIO. */
int uvfio_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
