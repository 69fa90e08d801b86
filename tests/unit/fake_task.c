/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_task.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Memory. */

struct shared_backing {
	struct iommu_backing backing;
};

static void shared_backing_free(struct iommu_backing *backing)
{
	munmap(backing->host, backing->size);
	free(container_of(backing, struct shared_backing, backing));
}

static const struct iommu_backing_ops shared_backing_ops = { .free = shared_backing_free };

static int self_copy(void *local, u64 va, size_t len, bool write)
{
	struct iovec l = { local, len }, r = { (void *)(uintptr_t)va, len };
	ssize_t n;

	if (!len)
		return 0;
	n = write ? process_vm_writev(getpid(), &l, 1, &r, 1, 0)
		  : process_vm_readv(getpid(), &l, 1, &r, 1, 0);
	return n == (ssize_t)len ? 0 : -EFAULT;
}

static int fake_mm_read(struct iommu_mm *mm, void *dst, u64 va, size_t len)
{
	return self_copy(dst, va, len, false);
}

static int fake_mm_write(struct iommu_mm *mm, u64 va, const void *src, size_t len)
{
	return self_copy((void *)src, va, len, true);
}

/* How many of the @pages from @va on are there, for writing too if @write. */
static size_t pages_present(u64 va, size_t pages, bool write)
{
	struct iovec remote[256], local;
	u8 bytes[256];
	ssize_t n;

	pages = MIN(pages, ARRAY_SIZE(remote));
	for (size_t i = 0; i < pages; i++)
		remote[i] = (struct iovec){ (void *)(uintptr_t)(va + i * PAGE_SIZE_4K), 1 };
	local = (struct iovec){ bytes, pages };
	n = process_vm_readv(getpid(), &local, 1, remote, pages, 0);
	if (n > 0 && write) {
		local.iov_len = n;
		n = process_vm_writev(getpid(), &local, 1, remote, n, 0);
	}
	return n > 0 ? n : 0;
}

static int fake_mm_lookup(struct iommu_mm *mm, u64 va, u64 len, u32 prot, struct iommu_extent *out)
{
	struct fake_mm *fm = container_of(mm, struct fake_mm, mm);
	size_t pages;

	fm->lookups++;
	*out = (struct iommu_extent){ .va = va };
	for (unsigned int i = 0; i < fm->nr_shared; i++) {
		struct fake_shared *s = &fm->shared[i];

		if (va < s->va && s->va - va < len)
			len = s->va - va;
		if (va < s->va || va - s->va >= s->len)
			continue;
		len = MIN(len, s->len - (va - s->va));
		out->backing = s->backing;
		out->offset = va - s->va;
	}
	pages = pages_present(va, len / PAGE_SIZE_4K, prot & IOMMU_WRITE);
	if (!pages)
		return -EFAULT;
	out->len = pages * PAGE_SIZE_4K;
	iommu_backing_get(out->backing);
	return 0;
}

static void fake_mm_free(struct iommu_mm *mm)
{
	struct fake_mm *fm = container_of(mm, struct fake_mm, mm);

	assert(!mm->locked_pages);
	for (unsigned int i = 0; i < fm->nr_shared; i++)
		iommu_backing_put(fm->shared[i].backing);
	free(fm);
}

static const struct iommu_mm_ops fake_mm_ops = {
	.read = fake_mm_read,
	.write = fake_mm_write,
	.lookup = fake_mm_lookup,
	.free = fake_mm_free,
};

static struct fake_mm *fake_mm_new(void)
{
	struct fake_mm *fm = calloc(1, sizeof(*fm));

	assert(fm);
	fm->mm.ops = &fake_mm_ops;
	fm->mm.refs = 1;
	return fm;
}

void fake_task_share(struct fake_task *t, void *va, size_t len, int memfd, bool unaccounted)
{
	struct shared_backing *sb = calloc(1, sizeof(*sb));
	struct fake_mm *fm = t->mm;

	assert(sb && fm->nr_shared < FAKE_MAX_SHARED);
	sb->backing.ops = &shared_backing_ops;
	sb->backing.refs = 1;
	sb->backing.size = len;
	sb->backing.unaccounted = unaccounted;
	sb->backing.host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	assert(sb->backing.host != MAP_FAILED);
	fm->shared[fm->nr_shared++] = (struct fake_shared){ (uintptr_t)va, len, &sb->backing };
}

/* Descriptors. */

static struct fake_open **files_slot(struct fake_files *files, int fd)
{
	for (unsigned int i = 0; i < FAKE_MAX_FILES; i++)
		if (files->slots[i].open && files->slots[i].fd == fd)
			return &files->slots[i].open;
	return NULL;
}

static int files_add(struct fake_files *files, int fd, struct fake_open *open)
{
	for (unsigned int i = 0; i < FAKE_MAX_FILES; i++) {
		if (files->slots[i].open)
			continue;
		files->slots[i].fd = fd;
		files->slots[i].open = open;
		open->refs++;
		return fd;
	}
	close(fd);
	return -EMFILE;
}

struct vfio_file *fake_file(struct fake_task *t, int fd)
{
	struct fake_open **slot = files_slot(t->files, fd);

	return slot ? (*slot)->file : NULL;
}

int fake_close(struct fake_task *t, int fd)
{
	struct fake_open **slot = files_slot(t->files, fd), *open;

	if (!slot)
		return -EBADF;
	open = *slot;
	*slot = NULL;
	close(fd);
	if (!--open->refs) {
		open->file->ops->release(open->file);
		free(open);
	}
	return 0;
}

int fake_dup(struct fake_task *t, int fd)
{
	struct fake_open **slot = files_slot(t->files, fd);
	int copy;

	if (!slot)
		return -EBADF;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : files_add(t->files, copy, *slot);
}

void fake_files_close(struct fake_files *files)
{
	struct fake_task t = { .files = files };

	for (unsigned int i = 0; i < FAKE_MAX_FILES; i++)
		if (files->slots[i].open)
			fake_close(&t, files->slots[i].fd);
}

/* What the core asks of a task. */

static struct fake_task *fake_of(struct vfio_task *task)
{
	return container_of(task, struct fake_task, task);
}

static int fake_copy_in(struct vfio_task *task, void *dst, u64 va, size_t len)
{
	fake_of(task)->copies_in++;
	return self_copy(dst, va, len, false);
}

static int fake_copy_out(struct vfio_task *task, u64 va, const void *src, size_t len)
{
	fake_of(task)->copies_out++;
	return self_copy((void *)src, va, len, true);
}

static int fake_get_file(struct vfio_task *task, int fd, struct vfio_file **file)
{
	struct fake_open **slot = files_slot(fake_of(task)->files, fd);

	if (slot) {
		*file = (*slot)->file;
		return 0;
	}
	return fcntl(fd, F_GETFD) < 0 ? -EBADF : -ENOENT;
}

static int fake_get_eventfd(struct vfio_task *task, int fd)
{
	char path[32], link[64] = "";
	int copy;

	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link) - 1) < 0 || strcmp(link, "anon_inode:[eventfd]"))
		return -EINVAL;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

static int fake_install(struct vfio_task *task, struct vfio_file *file, int open_flags)
{
	struct fake_task *t = fake_of(task);
	struct fake_open *open_file;
	int ret = t->install_error, fd;
	char path[32];

	if (ret) {
		t->install_error = 0;
		return ret;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->memfd);
	fd = open(path, open_flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	open_file = calloc(1, sizeof(*open_file));
	if (!open_file) {
		close(fd);
		return -ENOMEM;
	}
	open_file->file = file;
	ret = files_add(t->files, fd, open_file);
	if (ret < 0)
		free(open_file);
	return ret;
}

static int fake_install_fd(struct vfio_task *task, int fd, int open_flags)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static struct iommu_mm *fake_mm_of(struct vfio_task *task)
{
	struct fake_task *t = fake_of(task);

	return t->mm ? &t->mm->mm : NULL;
}

static bool fake_capable(struct vfio_task *task, int cap)
{
	return cap == CAP_IPC_LOCK && fake_of(task)->ipc_lock;
}

static u64 fake_memlock_limit(struct vfio_task *task)
{
	return fake_of(task)->memlock;
}

static void fake_memlock_exceeded(struct vfio_task *task)
{
	fake_of(task)->memlock_exceeded++;
}

static const struct vfio_task_ops fake_task_ops = {
	.copy_in = fake_copy_in,
	.copy_out = fake_copy_out,
	.get_file = fake_get_file,
	.get_eventfd = fake_get_eventfd,
	.install = fake_install,
	.install_fd = fake_install_fd,
	.mm = fake_mm_of,
	.capable = fake_capable,
	.memlock_limit = fake_memlock_limit,
	.memlock_exceeded = fake_memlock_exceeded,
};

void fake_task_init(struct fake_task *t, struct fake_files *files)
{
	*t = (struct fake_task){
		.task.ops = &fake_task_ops,
		.files = files,
		.mm = fake_mm_new(),
		.ipc_lock = true,
		.memlock = ~0ULL,
	};
}

void fake_task_fini(struct fake_task *t)
{
	if (t->mm)
		iommu_mm_put(&t->mm->mm);
	t->mm = NULL;
}

void fake_task_exec(struct fake_task *t)
{
	fake_task_fini(t);
	t->mm = fake_mm_new();
}

static int install_opened(struct fake_task *t, struct vfio_file *file)
{
	int fd = fake_install(&t->task, file, O_RDWR);

	if (fd < 0)
		file->ops->release(file);
	return fd;
}

int fake_open_container(struct fake_task *t)
{
	struct vfio_file *file;
	int ret = vfio_container_open(t->files->core, &file);

	return ret ? ret : install_opened(t, file);
}

int fake_open_group(struct fake_task *t, unsigned int group)
{
	struct vfio_file *file;
	int ret = vfio_group_open(t->files->core, group, &file);

	return ret ? ret : install_opened(t, file);
}

long fake_ioctl(struct fake_task *t, int fd, unsigned int cmd, const void *arg)
{
	struct vfio_file *file = fake_file(t, fd);

	return file ? file->ops->ioctl(file, &t->task, cmd, (uintptr_t)arg) : -EBADF;
}

ssize_t fake_pread(struct fake_task *t, int fd, void *buf, size_t count, u64 pos)
{
	struct vfio_file *file = fake_file(t, fd);

	return file ? file->ops->read(file, &t->task, (uintptr_t)buf, count, pos) : -EBADF;
}

ssize_t fake_pwrite(struct fake_task *t, int fd, const void *buf, size_t count, u64 pos)
{
	struct vfio_file *file = fake_file(t, fd);

	return file ? file->ops->write(file, &t->task, (uintptr_t)buf, count, pos) : -EBADF;
}

/* The machine. */

static int null_init(struct device *dev, const void *props, char **error)
{
	struct pci_bar bar = { .type = PCI_BAR_MEM32, .size = 1 << 20 };

	dev->ident = (struct pci_ident){
		.vendor = 0x1234,
		.device = 0x11e8,
		.class_code = 0x00ff00,
		.revision = 0x10,
		.interrupt_pin = 1,
	};
	pci_function_init(&dev->pci, &dev->ident, false, NULL);
	if (pci_add_msi(&dev->pci, 0x40, 1, true, false) < 0)
		return -EINVAL;
	return device_add_bar(dev, 0, &bar, DEVICE_BAR_PORT);
}

static void null_fini(struct device *dev)
{
}

static void null_reset(struct device *dev, enum device_reset kind)
{
}

static u64 null_bar_read(struct device *dev, unsigned int bar, u64 offset, unsigned int width)
{
	return offset;
}

static void null_bar_write(struct device *dev, unsigned int bar, u64 offset, unsigned int width,
			   u64 value)
{
}

static const struct device_model null_model = {
	.name = "null",
	.description = "a device that does nothing",
	.init = null_init,
	.fini = null_fini,
	.reset = null_reset,
	.bar_read = null_bar_read,
	.bar_write = null_bar_write,
};

static void machine_file_gone(void *opaque, struct vfio_file *file)
{
	struct fake_machine *m = opaque;

	for (unsigned int i = 0; i < FAKE_MAX_FILES; i++)
		assert(!m->files.slots[i].open || m->files.slots[i].open->file != file);
	m->files_gone++;
	if (m->file_gone)
		m->file_gone(file);
}

static const struct vfio_core_ops machine_core_ops = { .file_gone = machine_file_gone };

void fake_machine_init(struct fake_machine *m, unsigned int width)
{
	memset(m, 0, sizeof(*m));
	m->faults = iommu_fault_log_new();
	m->thread = device_thread_new();
	m->core = vfio_core_new(&machine_core_ops, m);
	assert(m->faults && m->thread && m->core);
	m->files.core = m->core;
	fake_machine_add_unit(m, width);
	fake_task_init(&m->task, &m->files);
}

unsigned int fake_machine_add_unit(struct fake_machine *m, unsigned int width)
{
	assert(m->nr_units < ARRAY_SIZE(m->units));
	m->units[m->nr_units] = iommu_vtd_new(m->nr_units, width, m->faults);
	assert(m->units[m->nr_units]);
	return m->nr_units++;
}

void fake_machine_bind(struct fake_machine *m, unsigned int index)
{
	int ret = vfio_device_bind(m->core, m->devices[index], index, &m->bound[index]);

	assert(!ret);
}

unsigned int fake_machine_add(struct fake_machine *m, unsigned int unit, unsigned int group)
{
	unsigned int index = m->nr_devices++;
	struct device *dev;
	char name[16], *error;
	int ret;

	assert(index < FAKE_MAX_DEVICES && group < FAKE_MAX_DEVICES);
	snprintf(name, sizeof(name), "0000:%02x:00.0", index + 1);
	ret = device_new(&null_model, name, NULL, m->thread, &dev, &error);
	assert(!ret);
	if (!m->groups[group])
		m->groups[group] = iommu_group_new(group);
	assert(m->groups[group]);
	dev->ep.unit = m->units[unit];
	iommu_group_add(m->groups[group], &dev->ep);
	m->devices[index] = dev;
	fake_machine_bind(m, index);
	return index;
}

void fake_machine_fini(struct fake_machine *m)
{
	fake_files_close(&m->files);
	for (unsigned int i = 0; i < m->nr_devices; i++) {
		int ret = m->bound[i] ? vfio_device_unbind(m->bound[i], NULL, NULL) : 0;

		assert(!ret);
	}
	fake_task_fini(&m->task);
	vfio_core_free(m->core);
	for (unsigned int i = 0; i < m->nr_devices; i++) {
		assert(!m->devices[i]->ep.group->domain);
		iommu_group_remove(&m->devices[i]->ep);
		device_free(m->devices[i]);
	}
	for (unsigned int i = 0; i < FAKE_MAX_DEVICES; i++)
		if (m->groups[i])
			iommu_group_free(m->groups[i]);
	for (unsigned int i = 0; i < m->nr_units; i++) {
		assert(!m->units[i]->domains);
		iommu_unit_free(m->units[i]);
	}
	device_thread_free(m->thread);
	iommu_fault_log_free(m->faults);
}
