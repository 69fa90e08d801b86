/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tool.h"
#include "uvfio/run.h"

/* As many failed DMAs are described one by one. */
#define SUMMARY_FAULTS 10

enum {
	OPT_IOMMU = 256,
	OPT_HOST,
	OPT_CONTAINER,
	OPT_MEMLOCK,
	OPT_FAULT_LOG,
	OPT_KEEP_HOST_PCI,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, 'd' },
	{ "iommu", required_argument, NULL, OPT_IOMMU },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "vfio-container", required_argument, NULL, OPT_CONTAINER },
	{ "memlock", required_argument, NULL, OPT_MEMLOCK },
	{ "fault-log", required_argument, NULL, OPT_FAULT_LOG },
	{ "keep-host-pci", no_argument, NULL, OPT_KEEP_HOST_PCI },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

struct run {
	struct uvfio_host *host;
	struct uvfio_options *options;
	int fault_log; /* or -1 */
	char **argv;   /* the program's */
	bool done;     /* --help, --version */
};

static int unknown_option(char **argv)
{
	const char *names[sizeof(long_options) / sizeof(*long_options)] = {};
	const char *near, *wrong = argv[optind - 1];
	char *name;

	if (optopt && optopt < 256)
		return optopt == 'd'
			       ? tool_error("option '-d' needs a model: -d edu")
			       : tool_error("unknown option '-%c'; see 'uvfio --help'", optopt);
	if (optopt == OPT_KEEP_HOST_PCI || optopt == OPT_VERSION)
		return tool_error("option '%s': it takes no value; leave '%s' out", wrong,
				  strchr(wrong, '=') ? strchr(wrong, '=') : "=");
	if (optopt)
		return tool_error("option '%s' needs a value: %s=VALUE; see 'uvfio --help'", wrong,
				  wrong);
	for (size_t i = 0; long_options[i].name; i++)
		names[i] = long_options[i].name;
	name = strndup(wrong + 2, strcspn(wrong + 2, "="));
	near = name ? uvfio_suggest(name, names) : NULL;
	free(name);
	return near ? tool_error("unknown option '%s'; did you mean '--%s'?", wrong, near)
		    : tool_error("unknown option '%s'; see 'uvfio --help'", wrong);
}

static int set_fault_log(struct run *run, const char *path)
{
	if (run->fault_log >= 0)
		close(run->fault_log);
	run->fault_log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (run->fault_log < 0)
		return tool_error("--fault-log: cannot write '%s': %s", path, strerror(errno));
	uvfio_options_set_fault_log(run->options, run->fault_log);
	return 0;
}

/* What the library says is wrong. */
static int problem(int r, char *error)
{
	if (!r)
		return 0;
	r = tool_error("%s", error ? error : strerror(-r));
	free(error);
	return r;
}

static int take_option(struct run *run, int option, char **argv)
{
	char *error = NULL;
	int r;

	switch (option) {
	case 'd':
		r = uvfio_host_add_device(run->host, optarg, &error);
		return problem(r, error);
	case OPT_IOMMU:
		r = uvfio_host_set_iommu(run->host, optarg, &error);
		return problem(r, error);
	case OPT_HOST:
		r = uvfio_host_read_file(run->host, optarg, &error);
		return problem(r, error);
	case OPT_CONTAINER:
		r = uvfio_host_set_container(run->host, optarg, &error);
		return problem(r, error);
	case OPT_MEMLOCK:
		r = uvfio_options_set_memlock(run->options, optarg, &error);
		return problem(r, error);
	case OPT_FAULT_LOG:
		return set_fault_log(run, optarg);
	case OPT_KEEP_HOST_PCI:
		uvfio_host_keep_host_pci(run->host, true);
		return 0;
	case 'h':
		tool_help();
		run->done = true;
		return tool_flush();
	case OPT_VERSION:
		tool_version();
		run->done = true;
		return tool_flush();
	default:
		return unknown_option(argv);
	}
}

static int parse(struct run *run, int argc, char **argv)
{
	int option, r;

	opterr = 0;
	while (!run->done &&
	       (option = getopt_long(argc, argv, "+:d:h", long_options, NULL)) != -1) {
		r = take_option(run, option, argv);
		if (r)
			return r;
	}
	if (run->done)
		return 0;
	if (optind == argc)
		return tool_error("no program given; write it after the options: uvfio run -d edu "
				  "-- PROGRAM");
	run->argv = argv + optind;
	return 0;
}

static void print_fault(const struct uvfio_fault *f)
{
	static const char *const text[] = { "none", "read", "write", "read and write" };

	fprintf(stderr, "uvfio:   %s: %s of %llu bytes at IOVA 0x%llx: %s", f->device,
		f->write ? "write" : "read", (unsigned long long)f->length,
		(unsigned long long)f->iova, uvfio_fault_reason_name(f->reason));
	if (f->has_nearest)
		fprintf(stderr, "; nearest mapping 0x%llx-0x%llx (%s)",
			(unsigned long long)f->nearest_iova, (unsigned long long)f->nearest_last,
			text[f->nearest_readable + 2 * f->nearest_writable]);
	fputc('\n', stderr);
}

static void summarize(const struct uvfio_result *result)
{
	const struct uvfio_fault *fault;
	unsigned int shown = 0;

	if (result->faults) {
		fprintf(stderr, "uvfio: %llu DMA access%s failed:\n",
			(unsigned long long)result->faults, result->faults == 1 ? "" : "es");
		while (shown < SUMMARY_FAULTS && (fault = uvfio_result_fault(result, shown))) {
			print_fault(fault);
			shown++;
		}
		if (result->faults > shown)
			fprintf(stderr, "uvfio:   and %llu more; --fault-log=FILE records all\n",
				(unsigned long long)(result->faults - shown));
	}
	if (result->memlock_exceeded)
		fprintf(stderr, "uvfio: mapping memory for DMA failed for the limit of locked "
				"memory (ulimit -l); raise it, or use "
				"--memlock=unlimited or --memlock=SIZE\n");
}

/* Ends as the program ended. */
static int die_of(int signal)
{
	struct rlimit none = {};
	sigset_t set;

	/* The core is the program's to write. */
	setrlimit(RLIMIT_CORE, &none);
	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	raise(signal);
	return 128 + signal;
}

static void message(void *opaque, const char *line)
{
	fprintf(stderr, "uvfio: %s\n", line);
}

static int execute(struct run *run)
{
	struct uvfio_result *result;
	char *error = NULL;
	int r, signal;

	uvfio_options_set_message(run->options, message, NULL);
	r = uvfio_run(run->host, run->options, run->argv, &result, &error);
	if (r)
		return problem(r, error);
	summarize(result);
	r = result->status;
	signal = result->signal;
	if (result->exec_errno) {
		tool_error("cannot execute '%s': %s", run->argv[0], strerror(result->exec_errno));
		r = result->exec_errno == ENOENT ? 127 : 126;
	}
	uvfio_result_free(result);
	return signal ? die_of(signal) : r;
}

int tool_run(int argc, char **argv)
{
	struct run run = { uvfio_host_new(), uvfio_options_new(), .fault_log = -1 };
	int r;

	r = run.host && run.options ? parse(&run, argc, argv) : tool_error("out of memory");
	if (!r && run.argv)
		r = execute(&run);
	uvfio_host_free(run.host);
	uvfio_options_free(run.options);
	if (run.fault_log >= 0)
		close(run.fault_log);
	return r;
}
