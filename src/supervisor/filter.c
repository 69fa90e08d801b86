/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/util.h"
#include "supervisor/region.h"

/* libseccomp's API level with SCMP_ACT_NOTIFY; seccomp_api_get(3). */
#define API_USER_NOTIFICATION 5

/* Calls that take a path, describe a descriptor (paths.c), or change what the supervisor keeps of a
 * process. */
static const int path_calls[] = {
#ifdef __NR_open
	__NR_open,	  __NR_creat,	     __NR_stat,	      __NR_lstat,      __NR_access,
	__NR_readlink,	  __NR_mkdir,	     __NR_mknod,      __NR_symlink,    __NR_link,
	__NR_unlink,	  __NR_rmdir,	     __NR_rename,     __NR_chmod,      __NR_chown,
	__NR_lchown,	  __NR_utime,	     __NR_utimes,     __NR_futimesat,
#endif
	__NR_openat,	  __NR_openat2,	     __NR_newfstatat, __NR_statx,      __NR_fstat,
	__NR_faccessat,	  __NR_faccessat2,   __NR_readlinkat, __NR_statfs,     __NR_fstatfs,
	__NR_getxattr,	  __NR_lgetxattr,    __NR_listxattr,  __NR_llistxattr, __NR_getcwd,
	__NR_chdir,	  __NR_execve,	     __NR_execveat,   __NR_mlock,      __NR_mlock2,
	__NR_mlockall,	  __NR_mremap,	     __NR_mkdirat,    __NR_mknodat,    __NR_symlinkat,
	__NR_linkat,	  __NR_unlinkat,
#ifdef __NR_renameat
	__NR_renameat,
#endif
	__NR_renameat2,	  __NR_truncate,     __NR_utimensat,  __NR_setxattr,   __NR_lsetxattr,
	__NR_removexattr, __NR_lremovexattr, __NR_fchmodat,   __NR_fchmodat2,  __NR_fchownat,
};

/* The fourth argument is the file offset. */
static const int offset_calls[] = {
	__NR_pread64, __NR_pwrite64, __NR_preadv, __NR_pwritev, __NR_preadv2, __NR_pwritev2,
};

static int add_rules(scmp_filter_ctx ctx)
{
	const struct scmp_arg_cmp type = SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, ';' << 8);
	const struct scmp_arg_cmp pos = SCMP_A3(SCMP_CMP_GE, REGION_FIRST_OFFSET);
	const struct scmp_arg_cmp map = SCMP_A5(SCMP_CMP_GE, REGION_FIRST_OFFSET);
	const struct scmp_arg_cmp set = SCMP_A0(SCMP_CMP_EQ, RLIMIT_MEMLOCK);
	/*
	 * A page fault that a program handles itself could keep whoever reads its memory waiting
	 * for ever. As with Linux's default for ordinary users, it may handle those of its own
	 * only.
	 */
	const struct scmp_arg_cmp uffd = SCMP_A0(SCMP_CMP_MASKED_EQ, UFFD_USER_MODE_ONLY, 0);
	const struct scmp_arg_cmp prlimit = SCMP_A1(SCMP_CMP_EQ, RLIMIT_MEMLOCK);
	int r;

	r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, __NR_ioctl, 1, &type);
	if (!r)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), __NR_userfaultfd, 1, &uffd);
	if (!r)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, __NR_setrlimit, 1, &set);
	if (!r)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, __NR_prlimit64, 1, &prlimit);
	if (!r)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, __NR_mmap, 1, &map);
	for (size_t i = 0; !r && i < ARRAY_SIZE(offset_calls); i++)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, offset_calls[i], 1, &pos);
	for (size_t i = 0; !r && i < ARRAY_SIZE(path_calls); i++)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_NOTIFY, path_calls[i], 0, NULL);
	return r;
}

int filter_build(struct sock_fprog *prog)
{
	cleanup_fd int fd = memfd_create("uvfio-filter", MFD_CLOEXEC);
	scmp_filter_ctx ctx;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	/* The kernel says itself what it lacks, when the filter is installed: no probing. */
	seccomp_api_set(API_USER_NOTIFICATION);
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	/* A 32-bit program runs as if it were not watched. */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	if (!r)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!r)
		r = add_rules(ctx);
	if (!r)
		r = seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	if (r)
		return r;
	if (fstat(fd, &st))
		return -errno;

	cleanup_free struct sock_filter *code = malloc(st.st_size);

	if (!code)
		return -ENOMEM;
	if (pread(fd, code, st.st_size, 0) != st.st_size)
		return -EIO;
	prog->len = st.st_size / sizeof(*code);
	prog->filter = steal_ptr(&code);
	return 0;
}

void filter_free(struct sock_fprog *prog)
{
	free(prog->filter);
	prog->filter = NULL;
}

int filter_install(const struct sock_fprog *prog)
{
	long fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	fd = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
		     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		     prog);
	return fd < 0 ? -errno : (int)fd;
}
