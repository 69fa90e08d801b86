/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs programs on an emulated machine with PCI devices behind VFIO: what uvfio(1) does, as a
 * library.
 *
 *	struct uvfio_host *host = uvfio_host_new();
 *	struct uvfio_result *result;
 *	char *error, *argv[] = { "./my_test", NULL };
 *
 *	if (uvfio_host_add_device(host, "edu", &error) ||
 *	    uvfio_run(host, NULL, argv, &result, &error))
 *		errx(1, "%s", error);
 *	printf("%d, %llu failed DMAs\n", result->status, (unsigned long long)result->faults);
 *	uvfio_result_free(result);
 *	uvfio_host_free(host);
 *
 * Errors: functions that return int return 0, or a negative errno and in *error a line of text for
 * the user, without a newline, that names the argument, the reason and the way out. The line is the
 * caller's to free(3); it may be NULL when memory is short. @error itself may be NULL. After an
 * error the object is as before, but for uvfio_host_read_file().
 *
 * Ownership: what a uvfio_..._new() function or uvfio_run() returns is the caller's, and is
 * released with the function of the same name that ends in _free, which accepts NULL. Strings given
 * to the library are copied. Models and properties live as long as the library.
 *
 * Threads: an object may be used by one thread at a time. For uvfio_run() see there.
 *
 * Structures are made by the library alone, and only ever reached through pointers: a later version
 * may add members at their ends.
 */
#ifndef UVFIO_RUN_H
#define UVFIO_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UVFIO_API __attribute__((visibility("default")))

/* The version of the library, such as "0.1.0". */
UVFIO_API const char *uvfio_version(void);

/* The description of an emulated machine; it has no device at first. */
struct uvfio_host;

/* NULL without memory. */
UVFIO_API struct uvfio_host *uvfio_host_new(void);
UVFIO_API void uvfio_host_free(struct uvfio_host *host);

/* The arguments are those of the options --device, --iommu, --host and --vfio-container of
 * uvfio(1); error lines use these names. */
UVFIO_API int uvfio_host_add_device(struct uvfio_host *host, const char *spec, char **error);
UVFIO_API int uvfio_host_set_iommu(struct uvfio_host *host, const char *spec, char **error);
/* After an error some of the file's devices may have been added. */
UVFIO_API int uvfio_host_read_file(struct uvfio_host *host, const char *path, char **error);
UVFIO_API int uvfio_host_set_container(struct uvfio_host *host, const char *kind, char **error);
/* Whether the program sees the real machine's PCI devices too; not at first. */
UVFIO_API void uvfio_host_keep_host_pci(struct uvfio_host *host, bool keep);

/* A kind of device. */
struct uvfio_model;
/* A property of a device, as in "edu,PROPERTY=VALUE". */
struct uvfio_prop;

/* Number @i, from 0 on; NULL past the last. */
UVFIO_API const struct uvfio_model *uvfio_model_get(size_t i);
/* NULL if there is none of that name. */
UVFIO_API const struct uvfio_model *uvfio_model_find(const char *name);
UVFIO_API const char *uvfio_model_name(const struct uvfio_model *model);
/* One line, no full stop. */
UVFIO_API const char *uvfio_model_description(const struct uvfio_model *model);
/* Property @i, from 0 on: the model's own, then those that every device has; NULL past the last. */
UVFIO_API const struct uvfio_prop *uvfio_model_prop(const struct uvfio_model *model, size_t i);
UVFIO_API const char *uvfio_prop_name(const struct uvfio_prop *prop);
/* "bool", "integer", "size", "string", or the values allowed, as in "a|b|c". The caller's to
 * free(3); NULL without memory. */
UVFIO_API char *uvfio_prop_type(const struct uvfio_prop *prop);
/* As it would be written in a specification; NULL if it has none. */
UVFIO_API const char *uvfio_prop_default(const struct uvfio_prop *prop);
UVFIO_API const char *uvfio_prop_help(const struct uvfio_prop *prop);

/* How to run. */
struct uvfio_options;

/* NULL without memory. */
UVFIO_API struct uvfio_options *uvfio_options_new(void);
UVFIO_API void uvfio_options_free(struct uvfio_options *options);
/* How much memory may be mapped for DMA: "limit" (the program's RLIMIT_MEMLOCK, the default),
 * "unlimited", or bytes, with a suffix K, M, G or T. */
UVFIO_API int uvfio_options_set_memlock(struct uvfio_options *options, const char *memlock,
					char **error);
/* Each failed DMA is written to @fd as a line of JSON; -1: none is. The descriptor stays the
 * caller's. */
UVFIO_API void uvfio_options_set_fault_log(struct uvfio_options *options, int fd);
/* @message is called in the thread of uvfio_run() or one of the library's with a line that the user
 * should read while the program runs. NULL: such lines are dropped. */
UVFIO_API void uvfio_options_set_message(struct uvfio_options *options,
					 void (*message)(void *opaque, const char *line),
					 void *opaque);

enum uvfio_fault_reason {
	UVFIO_FAULT_BLOCKED,	/* the device was attached to no address space */
	UVFIO_FAULT_UNMAPPED,	/* nothing was mapped at the address */
	UVFIO_FAULT_PERMISSION, /* the mapping did not allow the direction */
	UVFIO_FAULT_GONE,	/* the memory behind the mapping was gone from the program */
	UVFIO_FAULT_BUS_MASTER, /* bus mastering was disabled */
};

/* A DMA that failed. */
struct uvfio_fault {
	const char *device; /* its PCI address, such as "0000:01:00.0" */
	uint64_t iova;	    /* of the first byte that failed */
	uint64_t length;    /* bytes that were not transferred */
	bool write;	    /* the device wrote to memory; otherwise it read */
	enum uvfio_fault_reason reason;
	bool has_nearest;      /* the members below describe the mapping nearest to iova */
	uint64_t nearest_iova; /* its first address */
	uint64_t nearest_last; /* its last address (inclusive) */
	bool nearest_readable; /* devices may read it */
	bool nearest_writable; /* devices may write it */
	uint64_t time_ns;      /* CLOCK_MONOTONIC */
};

/* How it went. */
struct uvfio_result {
	int exec_errno;	       /* why the program could not be executed; 0 if it was */
	int status;	       /* its exit status, if no signal ended it */
	int signal;	       /* the signal that ended it, or 0 */
	bool memlock_exceeded; /* a map failed for the limit of locked memory */
	uint64_t faults;       /* DMAs that failed */
};

/*
 * Runs argv[0], which is looked up in PATH, with the arguments @argv (NULL-terminated), in a child
 * process. Returns when it and all its descendants have ended. @options may be NULL.
 *
 * -EBUSY: a run is in progress in this process. Runs may follow each other. While one lasts, the
 * calling process must have no other children, because it becomes the parent of the program's
 * orphans and reaps them; SIGCHLD and the signals that uvfio(1) forwards are blocked in the calling
 * thread, and should be in all others; the soft limit of RLIMIT_NOFILE is raised. All that is
 * restored at the end.
 */
UVFIO_API int uvfio_run(const struct uvfio_host *host, const struct uvfio_options *options,
			char *const argv[], struct uvfio_result **result, char **error);
UVFIO_API void uvfio_result_free(struct uvfio_result *result);
/* Failed DMA number @i, in the order of time. The first few hundred are kept; NULL past the last.
 * Lives as long as the result. */
UVFIO_API const struct uvfio_fault *uvfio_result_fault(const struct uvfio_result *result, size_t i);
/* "unmapped" and the like, as in the log of faults. */
UVFIO_API const char *uvfio_fault_reason_name(enum uvfio_fault_reason reason);

/* The word of @words (NULL-terminated) that @wrong may have been meant to be, or NULL. For error
 * messages like those of the library. */
UVFIO_API const char *uvfio_suggest(const char *wrong, const char *const *words);

#ifdef __cplusplus
}
#endif

#endif
