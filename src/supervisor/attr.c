/* SPDX-License-Identifier: BSD-3-Clause */
#include "supervisor/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

struct attr_file {
	struct vfio_file file;
	struct supervisor *sv;
	char *path;
};

static long attr_ioctl(struct vfio_file *file, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	return -ENOTTY;
}

/* An unbind that had to wait has ended. */
static void attr_done(void *opaque, int result)
{
	struct supervisor *sv = opaque;

	sv->unbinding--;
}

static void attr_free(struct attr_file *attr)
{
	files_forget(attr->sv, &attr->file);
	close(attr->file.memfd);
	free(attr->path);
	free(attr);
}

static void attr_release(struct vfio_file *file)
{
	struct attr_file *attr = container_of(file, struct attr_file, file);
	char data[PAGE_SIZE_4K + 1] = {};

	if (pread(file->memfd, data, PAGE_SIZE_4K, 0) > 0 && data[0] &&
	    host_attr_write(attr->sv->host, attr->path, data, strlen(data), attr_done, attr->sv) ==
		    -EINPROGRESS) {
		attr->sv->unbinding++;
		attr->sv->asked_ns = device_now_ns();
	}
	attr_free(attr);
}

static const struct vfio_file_ops attr_ops = { .ioctl = attr_ioctl, .release = attr_release };

const char *attr_path(const struct vfio_file *file)
{
	return file->ops == &attr_ops ? container_of(file, struct attr_file, file)->path : NULL;
}

int attr_open(struct caller *c, const char *path, int flags)
{
	cleanup_fd int fd = memfd_create("uvfio-attribute", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct attr_file *attr;
	int r;

	/* Fixed in size: a program cannot make it grow. */
	if (fd < 0 || ftruncate(fd, PAGE_SIZE_4K) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK))
		return -errno;
	attr = calloc(1, sizeof(*attr));
	if (!attr)
		return -ENOMEM;
	attr->path = strdup(path);
	if (!attr->path) {
		free(attr);
		return -ENOMEM;
	}
	attr->sv = c->sv;
	attr->file.ops = &attr_ops;
	attr->file.memfd = steal_fd(&fd);
	attr->file.mode = S_IFREG | 0200;
	strncpy(attr->file.link, "/sys", sizeof(attr->file.link));
	r = caller_ops.install(&c->task, &attr->file, flags);
	if (r < 0)
		attr_free(attr);
	return r;
}
