/* SPDX-License-Identifier: BSD-3-Clause */
#include "view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "models/edu/edu.h"

bool view_init(struct supervisor *sv)
{
	static const struct device_model *const models[] = { &edu_model, NULL };
	struct host_config *config = host_config_new(models);
	char *error = NULL;
	bool good;

	memset(sv, 0, sizeof(*sv));
	CDS_INIT_LIST_HEAD(&sv->programs);
	strcpy(sv->dir, "/tmp/uvfio-view.XXXXXX");
	good = config && mkdtemp(sv->dir) && !host_config_add_device(config, "edu", &error) &&
	       !host_config_add_device(config, "edu,driver=foo", &error) &&
	       !host_new(config, sv->dir, NULL, NULL, &sv->host, &error);
	host_config_free(config);
	free(error);
	sv->dir_len = strlen(sv->dir);
	sv->epoll = epoll_create1(EPOLL_CLOEXEC);
	/* The files that programs have open: none. */
	return good && sv->epoll >= 0 && !files_init(sv);
}

void view_fini(struct supervisor *sv)
{
	files_fini(sv);
	programs_fini(sv);
	close(sv->epoll);
	host_free(sv->host);
	rmdir(sv->dir);
}

void view_locate(struct supervisor *sv, int dirfd, const char *path, bool follow, u64 resolve,
		 struct where *w, bool *link)
{
	struct caller c = { .task.ops = &caller_ops, .sv = sv, .tid = getpid() };

	locate_beneath(&c, dirfd, (u64)(uintptr_t)path, follow, resolve, w, link);
}
