/* SPDX-License-Identifier: BSD-3-Clause */
/* The public interface: a thin layer over host/ and supervisor/. */
#include "uvfio/run.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/models.h"
#include "base/cleanup.h"
#include "iommu/fault.h"
#include "supervisor/supervisor.h"

struct uvfio_host {
	struct host_config *config;
};

struct uvfio_options {
	struct supervisor_options run;
};

struct result {
	struct uvfio_result base;
	struct uvfio_fault *first;
	struct iommu_fault *internal; /* holds the names of devices */
	size_t nr_first;
};

const char *uvfio_version(void)
{
	return UVFIO_VERSION;
}

/* Hands @line on to whoever wants it. */
static int finish(int r, char *line, char **error)
{
	if (!r || !error) {
		free(line);
		if (error)
			*error = NULL;
		return r;
	}
	*error = line ? line : strdup(strerror(-r));
	return r;
}

__attribute__((format(printf, 2, 3))) static int invalid(char **error, const char *format, ...)
{
	char *line;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&line, format, ap) < 0)
		line = NULL;
	va_end(ap);
	return finish(-EINVAL, line, error);
}

struct uvfio_host *uvfio_host_new(void)
{
	struct uvfio_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->config = host_config_new(api_models);
	if (!host->config) {
		free(host);
		return NULL;
	}
	return host;
}

void uvfio_host_free(struct uvfio_host *host)
{
	if (!host)
		return;
	host_config_free(host->config);
	free(host);
}

int uvfio_host_add_device(struct uvfio_host *host, const char *spec, char **error)
{
	char *line = NULL;
	int r = host_config_add_device(host->config, spec, &line);

	return finish(r, line, error);
}

int uvfio_host_set_iommu(struct uvfio_host *host, const char *spec, char **error)
{
	char *line = NULL;
	int r = host_config_set_iommu(host->config, spec, &line);

	return finish(r, line, error);
}

int uvfio_host_read_file(struct uvfio_host *host, const char *path, char **error)
{
	char *line = NULL;
	int r = host_config_read_file(host->config, path, &line);

	return finish(r, line, error);
}

int uvfio_host_set_container(struct uvfio_host *host, const char *kind, char **error)
{
	static const char *const kinds[] = { "native", NULL };

	if (!strcmp(kind, "native"))
		return finish(0, NULL, error);
	if (!strcmp(kind, "compat"))
		return invalid(error, "--vfio-container: compat needs IOMMUFD, which this version "
				      "does not have; use native");
	return suggest(kind, kinds)
		       ? invalid(error,
				 "--vfio-container: unknown kind '%s'; did you mean 'native'?",
				 kind)
		       : invalid(error,
				 "--vfio-container: unknown kind '%s'; it is native or compat",
				 kind);
}

void uvfio_host_keep_host_pci(struct uvfio_host *host, bool keep)
{
	host_config_keep_host_pci(host->config, keep);
}

static void drop_message(void *opaque, const char *line)
{
}

struct uvfio_options *uvfio_options_new(void)
{
	struct uvfio_options *options = calloc(1, sizeof(*options));

	if (!options)
		return NULL;
	options->run.fault_log = -1;
	options->run.message = drop_message;
	return options;
}

void uvfio_options_free(struct uvfio_options *options)
{
	free(options);
}

int uvfio_options_set_memlock(struct uvfio_options *options, const char *memlock, char **error)
{
	static const struct prop props[] = {
		{ "memlock", PROP_SIZE, offsetof(struct supervisor_options, memlock_size),
		  .help = "" },
		{},
	};
	static const char *const words[] = { "limit", "unlimited", NULL };
	cleanup_free char *line = NULL;
	const char *near;

	if (!strcmp(memlock, "limit")) {
		options->run.memlock = SUPERVISOR_MEMLOCK_LIMIT;
	} else if (!strcmp(memlock, "unlimited")) {
		options->run.memlock = SUPERVISOR_MEMLOCK_UNLIMITED;
	} else if (!prop_set(props, &options->run, "--memlock", "memlock", memlock, &line)) {
		options->run.memlock = SUPERVISOR_MEMLOCK_SIZE;
	} else {
		near = suggest(memlock, words);
		return near ? invalid(error, "--memlock: no value '%s'; did you mean '%s'?",
				      memlock, near)
			    : invalid(error,
				      "--memlock: '%s' is neither limit nor unlimited nor a size "
				      "such as 64M",
				      memlock);
	}
	return finish(0, NULL, error);
}

void uvfio_options_set_fault_log(struct uvfio_options *options, int fd)
{
	options->run.fault_log = fd;
}

void uvfio_options_set_message(struct uvfio_options *options,
			       void (*message)(void *opaque, const char *line), void *opaque)
{
	options->run.message = message ? message : drop_message;
	options->run.opaque = opaque;
}

static void fault_to_public(struct uvfio_fault *out, const struct iommu_fault *in)
{
	static const enum uvfio_fault_reason reasons[] = {
		[IOMMU_FAULT_BLOCKED] = UVFIO_FAULT_BLOCKED,
		[IOMMU_FAULT_UNMAPPED] = UVFIO_FAULT_UNMAPPED,
		[IOMMU_FAULT_PERMISSION] = UVFIO_FAULT_PERMISSION,
		[IOMMU_FAULT_GONE] = UVFIO_FAULT_GONE,
		[IOMMU_FAULT_BUS_MASTER] = UVFIO_FAULT_BUS_MASTER,
	};

	*out = (struct uvfio_fault){
		.device = in->device,
		.iova = in->iova,
		.length = in->length,
		.write = in->prot & IOMMU_WRITE,
		.reason = reasons[in->reason],
		.has_nearest = in->near,
		.nearest_iova = in->near_iova,
		.nearest_last = in->near_last,
		.nearest_readable = in->near && (in->near_prot & IOMMU_READ),
		.nearest_writable = in->near && (in->near_prot & IOMMU_WRITE),
		.time_ns = in->time_ns,
	};
}

/* Takes over what @from has allocated. */
static int result_new(struct supervisor_result *from, struct uvfio_result **out)
{
	struct result *result = calloc(1, sizeof(*result));
	struct uvfio_fault *first = calloc(MAX(from->nr_first, 1), sizeof(*first));

	if (!result || !first) {
		free(from->first);
		free(result);
		free(first);
		return -ENOMEM;
	}
	result->base = (struct uvfio_result){
		.exec_errno = from->exec_errno,
		.status = from->status,
		.signal = from->signal,
		.memlock_exceeded = from->memlock_exceeded,
		.faults = from->faults,
	};
	for (size_t i = 0; i < from->nr_first; i++)
		fault_to_public(&first[i], &from->first[i]);
	result->first = first;
	result->internal = from->first;
	result->nr_first = from->nr_first;
	*out = &result->base;
	return 0;
}

int uvfio_run(const struct uvfio_host *host, const struct uvfio_options *options,
	      char *const argv[], struct uvfio_result **result, char **error)
{
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	struct supervisor_options run = { .fault_log = -1, .message = drop_message };
	struct supervisor_result out;
	char *line = NULL;
	int r;

	*result = NULL;
	if (atomic_flag_test_and_set(&busy))
		return finish(-EBUSY, strdup("a program is running already; wait for its end"),
			      error);
	if (options)
		run = options->run;
	run.config = host->config;
	run.argv = argv;
	r = supervisor_run(&run, &out, &line);
	if (r)
		free(out.first);
	else
		r = result_new(&out, result);
	atomic_flag_clear(&busy);
	return finish(r, line, error);
}

void uvfio_result_free(struct uvfio_result *base)
{
	struct result *result = (struct result *)base;

	if (!result)
		return;
	free(result->first);
	free(result->internal);
	free(result);
}

const struct uvfio_fault *uvfio_result_fault(const struct uvfio_result *base, size_t i)
{
	const struct result *result = (const struct result *)base;

	return i < result->nr_first ? &result->first[i] : NULL;
}

const char *uvfio_fault_reason_name(enum uvfio_fault_reason reason)
{
	static const enum iommu_fault_reason reasons[] = {
		[UVFIO_FAULT_BLOCKED] = IOMMU_FAULT_BLOCKED,
		[UVFIO_FAULT_UNMAPPED] = IOMMU_FAULT_UNMAPPED,
		[UVFIO_FAULT_PERMISSION] = IOMMU_FAULT_PERMISSION,
		[UVFIO_FAULT_GONE] = IOMMU_FAULT_GONE,
		[UVFIO_FAULT_BUS_MASTER] = IOMMU_FAULT_BUS_MASTER,
	};

	return (size_t)reason < ARRAY_SIZE(reasons) ? iommu_fault_reason_name(reasons[reason])
						    : "unknown";
}
