/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "uvfio/run.h"

static const char help[] =
	"Usage: uvfio run [OPTION...] -- PROGRAM [ARG...]\n"
	"       uvfio models [MODEL]\n"
	"       uvfio --help | --version\n"
	"\n"
	"run     executes PROGRAM with emulated PCI devices behind /dev/vfio and in /sys\n"
	"models  lists the device models, or the properties of one\n"
	"\n"
	"Options of run:\n"
	"  -d, --device MODEL[,PROP=VALUE...]  add a device (0000:01:00.0, 0000:02:00.0, ...)\n"
	"      --iommu vtd[,aw-bits=39|48|57]  the IOMMU; \"none\" for a machine without one\n"
	"      --host FILE                     read the machine from FILE (JSON, uvfio-host(5))\n"
	"      --vfio-container=native|compat  what serves /dev/vfio/vfio\n"
	"      --memlock=limit|unlimited|SIZE  memory that may be mapped for DMA\n"
	"      --fault-log=FILE                write each failed DMA to FILE as a line of JSON\n"
	"      --keep-host-pci                 show the real machine's PCI devices too\n"
	"  -h, --help                          this text\n"
	"      --version                       the version\n"
	"\n"
	"The exit status is PROGRAM's; a signal that ends it ends uvfio too. 125: uvfio itself\n"
	"failed; 126: PROGRAM cannot be executed; 127: PROGRAM was not found.\n";

void tool_help(void)
{
	fputs(help, stdout);
}

void tool_version(void)
{
	printf("uvfio %s\n", uvfio_version());
}

int tool_flush(void)
{
	return fflush(stdout) || ferror(stdout)
		       ? tool_error("cannot write to standard output: %s", strerror(errno))
		       : 0;
}

int tool_error(const char *format, ...)
{
	char *line = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&line, format, ap) < 0)
		line = NULL;
	va_end(ap);
	/* One line it is, whatever an argument contains. */
	for (char *p = line; p && *p; p++) {
		if ((unsigned char)*p < ' ')
			*p = '?';
	}
	fprintf(stderr, "uvfio: %s\n", line ? line : "out of memory");
	free(line);
	return EXIT_TOOL;
}

int main(int argc, char **argv)
{
	static const char *const commands[] = { "run", "models", "--help", "--version", NULL };
	const char *near;

	if (argc < 2)
		return tool_error(
			"no command given; try 'uvfio run -d edu -- PROGRAM' or 'uvfio --help'");
	if (!strcmp(argv[1], "run"))
		return tool_run(argc - 1, argv + 1);
	if (!strcmp(argv[1], "models"))
		return tool_models(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		tool_help();
		return tool_flush();
	}
	if (!strcmp(argv[1], "--version")) {
		tool_version();
		return tool_flush();
	}
	near = uvfio_suggest(argv[1], commands);
	return near ? tool_error("unknown command '%s'; did you mean '%s'?", argv[1], near)
		    : tool_error("unknown command '%s'; the commands are run and models, see "
				 "'uvfio --help'",
				 argv[1]);
}
