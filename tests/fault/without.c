/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command on a kernel that seems to lack something, so that the fallback is used:
 *
 *   without FEATURE COMMAND [ARG...]
 *
 * procmap-query: PROCMAP_QUERY (before Linux 6.11). pidfd-getfd: forbidden, as in some sandboxes.
 * sync-wake-up: before Linux 6.6. wait-killable: before Linux 5.19. seccomp: forbidden. aio:
 * io_setup(2), as in some sandboxes.
 */
#include <errno.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int nr;
	int error;
	unsigned int arg; /* which argument has ->value in the bits of ->mask; no condition if mask
			     is 0 */
	unsigned long mask, value;
} features[] = {
	{ "procmap-query", SCMP_SYS(ioctl), ENOTTY, 1, 0xffffffff, PROCMAP_QUERY },
	{ "pidfd-getfd", SCMP_SYS(pidfd_getfd), EPERM, 0, 0, 0 },
	{ "sync-wake-up", SCMP_SYS(ioctl), EINVAL, 1, 0xffffffff, SECCOMP_IOCTL_NOTIF_SET_FLAGS },
	{ "wait-killable", SCMP_SYS(seccomp), EINVAL, 1, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
	  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
	{ "seccomp", SCMP_SYS(seccomp), EPERM, 0, 0, 0 },
	{ "aio", SCMP_SYS(io_setup), EPERM, 0, 0, 0 },
};

static int take_away(const char *name)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	for (size_t i = 0; ctx && i < sizeof(features) / sizeof(features[0]); i++) {
		struct scmp_arg_cmp cmp = { features[i].arg, SCMP_CMP_MASKED_EQ, features[i].mask,
					    features[i].value };

		if (strcmp(name, features[i].name))
			continue;
		if (seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(features[i].error), features[i].nr,
					   features[i].mask ? 1 : 0, &cmp))
			return -1;
		return seccomp_load(ctx);
	}
	return -1;
}

int main(int argc, char **argv)
{
	if (argc < 3 || take_away(argv[1])) {
		fprintf(stderr, "without: cannot take away %s\n", argc > 1 ? argv[1] : "nothing");
		return 1;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
