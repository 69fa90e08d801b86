/* SPDX-License-Identifier: BSD-3-Clause */
#include <sys/wait.h>

#include "harness.h"

#define TEST_SECONDS 60

extern const struct test *const __start_conform_tests[], *const __stop_conform_tests[];

/* The exit status of the test, or 128 and the signal that ended it. */
static int run(const struct test *test)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = OK(fork());
	if (!pid) {
		alarm(TEST_SECONDS);
		test->run();
		fflush(stdout);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* In the order of the source, which is not that of the section. */
static const struct test *next(const struct test *last)
{
	const struct test *found = NULL;

	for (const struct test *const *test = __start_conform_tests; test < __stop_conform_tests;
	     test++) {
		if (last && (*test)->line <= last->line)
			continue;
		if (!found || (*test)->line < found->line)
			found = *test;
	}
	return found;
}

int main(int argc, char **argv)
{
	const struct test *test = NULL;
	int nr = 0, failed = 0, status;

	if (argc < 2 || (strcmp(argv[1], "type1") && strcmp(argv[1], "type1v2"))) {
		fprintf(stderr, "usage: %s type1|type1v2 [address]\n", argv[0]);
		return 125;
	}
	test_iommu_type = strcmp(argv[1], "type1") ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU;
	if (argc > 2)
		test_bdf = argv[2];

	printf("1..%td\n", __stop_conform_tests - __start_conform_tests);
	while ((test = next(test))) {
		status = run(test);
		failed += status && status != TEST_EXIT_SKIP;
		if (status > 128)
			printf("# ended by signal %d\n", status - 128);
		printf("%s %d - %s%s\n", status && status != TEST_EXIT_SKIP ? "not ok" : "ok", ++nr,
		       test->name, status == TEST_EXIT_SKIP ? " # SKIP" : "");
	}
	return failed != 0;
}
