/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * api EDU_DMA: the library as installed, in C and in C++: runs one after another, their results,
 * and a process left as it was.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uvfio/run.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			printf("line %d: %s is not so\n", __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

static struct uvfio_host *host;

static struct uvfio_result *run(const char *program, const char *arg1, const char *arg2)
{
	char *argv[] = { (char *)program, (char *)arg1, (char *)arg2, NULL }, *error;
	struct uvfio_result *result;
	int r = uvfio_run(host, NULL, argv, &result, &error);

	if (r)
		printf("%s\n", error);
	CHECK(!r && !error);
	return result;
}

static void check_end(const char *program, const char *arg1, const char *arg2, int exec_errno,
		      int status, int signal)
{
	struct uvfio_result *result = run(program, arg1, arg2);

	if (!exec_errno)
		CHECK(result->status == status);
	CHECK(result->exec_errno == exec_errno && result->signal == signal);
	CHECK(!result->faults && !result->memlock_exceeded && !uvfio_result_fault(result, 0));
	uvfio_result_free(result);
}

static void check_ends(void)
{
	check_end("true", NULL, NULL, 0, 0, 0);
	check_end("false", NULL, NULL, 0, 1, 0);
	check_end("sh", "-c", "kill -TERM $$", 0, 0, SIGTERM);
	check_end("/nonexistent/program", NULL, NULL, ENOENT, 0, 0);
	check_end("/", NULL, NULL, EACCES, 0, 0);
}

static void check_fault(const char *edu_dma)
{
	struct uvfio_result *result = run(edu_dma, "--wrong-iova", NULL);
	const struct uvfio_fault *fault = uvfio_result_fault(result, 0);

	CHECK(result->faults == 1 && fault && !uvfio_result_fault(result, 1));
	CHECK(!strcmp(fault->device, "0000:01:00.0"));
	CHECK(fault->iova == 0x5000000 && fault->length == 1024 && !fault->write);
	CHECK(fault->reason == UVFIO_FAULT_UNMAPPED);
	CHECK(!strcmp(uvfio_fault_reason_name(fault->reason), "unmapped"));
	CHECK(fault->has_nearest && fault->nearest_iova == 0x100000);
	CHECK(fault->nearest_last == 0x101fff);
	CHECK(fault->nearest_readable && fault->nearest_writable);
	uvfio_result_free(result);
}

static void check_errors(void)
{
	struct uvfio_options *options = uvfio_options_new();
	char *error;

	CHECK(uvfio_host_add_device(host, "edo", &error) == -EINVAL && strstr(error, "edu?"));
	free(error);
	CHECK(uvfio_host_set_iommu(host, "vdt", &error) == -EINVAL && strstr(error, "vtd?"));
	free(error);
	CHECK(uvfio_options_set_memlock(options, "1X", &error) == -EINVAL && error);
	free(error);
	CHECK(uvfio_options_set_memlock(options, "1X", NULL) == -EINVAL);
	uvfio_options_free(options);
}

static void check_models(void)
{
	const struct uvfio_model *edu = uvfio_model_find("edu");
	char *type;

	CHECK(edu && edu == uvfio_model_get(0) && !uvfio_model_find("none"));
	CHECK(!strcmp(uvfio_model_name(edu), "edu") && *uvfio_model_description(edu));
	type = uvfio_prop_type(uvfio_model_prop(edu, 0));
	CHECK(type && *type && !uvfio_model_prop(edu, 1000));
	free(type);
}

int main(int argc, char **argv)
{
	struct rlimit before, after;
	sigset_t mask;
	int subreaper, subreaper_before;

	CHECK(argc == 3 && !strcmp(uvfio_version(), argv[2]));
	getrlimit(RLIMIT_NOFILE, &before);
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper_before);
	host = uvfio_host_new();
	CHECK(host);
	check_models();
	check_errors();
	/* Without a device, and with one; then with a caller that ignores its children. */
	check_ends();
	CHECK(!uvfio_host_add_device(host, "edu", NULL));
	check_ends();
	check_fault(argv[1]);
	signal(SIGCHLD, SIG_IGN);
	check_ends();
	CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &after);
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	CHECK(before.rlim_cur == after.rlim_cur && subreaper == subreaper_before);
	CHECK(!sigismember(&mask, SIGCHLD) && !sigismember(&mask, SIGTERM));
	uvfio_host_free(host);
	return 0;
}
