/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "iommu/fault.h"
#include "supervisor/supervisor.h"
#include "uvfio.h"

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
	struct supervisor_options options;
	struct host_config *config;
	bool done; /* --help, --version */
};

static int unknown_option(char **argv)
{
	const char *names[ARRAY_SIZE(long_options)] = {}, *near, *wrong = argv[optind - 1];
	cleanup_free char *name = NULL;

	if (optopt && optopt < 256)
		return optopt == 'd'
			       ? uvfio_error("option '-d' needs a model: -d edu")
			       : uvfio_error("unknown option '-%c'; see 'uvfio --help'", optopt);
	if (optopt)
		return uvfio_error("option '%s' needs a value, or takes none; see 'uvfio --help'",
				   wrong);
	for (size_t i = 0; long_options[i].name; i++)
		names[i] = long_options[i].name;
	name = strndup(wrong + 2, strcspn(wrong + 2, "="));
	near = name ? suggest(name, names) : NULL;
	return near ? uvfio_error("unknown option '%s'; did you mean '--%s'?", wrong, near)
		    : uvfio_error("unknown option '%s'; see 'uvfio --help'", wrong);
}

static int set_memlock(struct supervisor_options *options, const char *value)
{
	static const struct prop props[] = {
		{ "memlock", PROP_SIZE, offsetof(struct supervisor_options, memlock_size),
		  .help = "" },
		{},
	};
	cleanup_free char *error = NULL;

	if (!strcmp(value, "limit")) {
		options->memlock = SUPERVISOR_MEMLOCK_LIMIT;
	} else if (!strcmp(value, "unlimited")) {
		options->memlock = SUPERVISOR_MEMLOCK_UNLIMITED;
	} else {
		options->memlock = SUPERVISOR_MEMLOCK_SIZE;
		if (prop_set(props, options, "--memlock", "memlock", value, &error))
			return uvfio_error("--memlock: '%s' is neither limit nor unlimited nor a "
					   "size such as 64M",
					   value);
	}
	return 0;
}

static int set_container(const char *value)
{
	static const char *const kinds[] = { "native", NULL };

	if (!strcmp(value, "native"))
		return 0;
	if (!strcmp(value, "compat"))
		return uvfio_error("--vfio-container: compat needs IOMMUFD, which this version "
				   "does not have; use native");
	return suggest(value, kinds)
		       ? uvfio_error("--vfio-container: unknown kind '%s'; did you mean 'native'?",
				     value)
		       : uvfio_error("--vfio-container: unknown kind '%s'; it is native or compat",
				     value);
}

static int set_fault_log(struct supervisor_options *options, const char *path)
{
	if (options->fault_log >= 0)
		close(options->fault_log);
	options->fault_log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return options->fault_log < 0
		       ? uvfio_error("--fault-log: cannot write '%s': %s", path, strerror(errno))
		       : 0;
}

/* What the host says is wrong. */
static int host_problem(int r, char **error)
{
	cleanup_free char *line = *error;

	return r ? uvfio_error("%s", line ? line : strerror(-r)) : 0;
}

static int take_option(struct run *run, int option, char **argv)
{
	char *error = NULL;
	int r;

	switch (option) {
	case 'd':
		r = host_config_add_device(run->config, optarg, &error);
		return host_problem(r, &error);
	case OPT_IOMMU:
		r = host_config_set_iommu(run->config, optarg, &error);
		return host_problem(r, &error);
	case OPT_HOST:
		r = host_config_read_file(run->config, optarg, &error);
		return host_problem(r, &error);
	case OPT_CONTAINER:
		return set_container(optarg);
	case OPT_MEMLOCK:
		return set_memlock(&run->options, optarg);
	case OPT_FAULT_LOG:
		return set_fault_log(&run->options, optarg);
	case OPT_KEEP_HOST_PCI:
		host_config_keep_host_pci(run->config, true);
		return 0;
	case 'h':
		uvfio_help();
		run->done = true;
		return 0;
	case OPT_VERSION:
		puts("uvfio " UVFIO_VERSION);
		run->done = true;
		return 0;
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
		return uvfio_error("no program given; write it after the options: uvfio run -d edu "
				   "-- PROGRAM");
	run->options.argv = argv + optind;
	return 0;
}

static const char *prot_text(u32 prot)
{
	static const char *const text[] = { "none", "read", "write", "read and write" };

	return text[prot & (IOMMU_READ | IOMMU_WRITE)];
}

static void print_fault(const struct iommu_fault *f)
{
	fprintf(stderr, "uvfio:   %s: %s of %llu bytes at IOVA 0x%llx: %s", f->device,
		f->prot & IOMMU_WRITE ? "write" : "read", (unsigned long long)f->length,
		(unsigned long long)f->iova, iommu_fault_reason_name(f->reason));
	if (f->near)
		fprintf(stderr, "; nearest mapping 0x%llx-0x%llx (%s)",
			(unsigned long long)f->near_iova, (unsigned long long)f->near_last,
			prot_text(f->near_prot));
	fputc('\n', stderr);
}

static void summarize(const struct supervisor_result *result)
{
	unsigned int shown = MIN(result->nr_first, SUMMARY_FAULTS);

	if (result->faults) {
		fprintf(stderr, "uvfio: %llu DMA access%s failed:\n",
			(unsigned long long)result->faults, result->faults == 1 ? "" : "es");
		for (unsigned int i = 0; i < shown; i++)
			print_fault(&result->first[i]);
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
	struct supervisor_result result;
	cleanup_free char *error = NULL;
	int r;

	run->options.config = run->config;
	run->options.message = message;
	r = supervisor_run(&run->options, &result, &error);
	if (r) {
		free(result.first);
		return uvfio_error("%s", error ? error : strerror(-r));
	}
	summarize(&result);
	free(result.first);
	if (result.exec_errno) {
		uvfio_error("cannot execute '%s': %s", run->options.argv[0],
			    strerror(result.exec_errno));
		return result.exec_errno == ENOENT ? 127 : 126;
	}
	return result.signal ? die_of(result.signal) : result.status;
}

int uvfio_run(int argc, char **argv)
{
	struct run run = { .options.fault_log = -1 };
	int r;

	run.config = host_config_new(uvfio_models);
	if (!run.config)
		return uvfio_error("out of memory");
	r = parse(&run, argc, argv);
	if (!r && !run.done)
		r = execute(&run);
	host_config_free(run.config);
	if (run.options.fault_log >= 0)
		close(run.options.fault_log);
	return r;
}
