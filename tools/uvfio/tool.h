/* SPDX-License-Identifier: BSD-3-Clause */
/* The command's parts. Each returns an exit status. */
#ifndef UVFIO_TOOL_H
#define UVFIO_TOOL_H

/* The status of everything that is the user's mistake, or the machine's lack. */
#define EXIT_TOOL 125

int tool_run(int argc, char **argv);
int tool_models(int argc, char **argv);
void tool_help(void);
void tool_version(void);
/* 0, or an error if standard output did not take everything. */
int tool_flush(void);

/* One line on standard error, with the command's name in front; returns EXIT_TOOL. */
int tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
