/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file "config" of a function: a memfd whose mapping is the mirror that the function's
 * registers keep up to date. What differs from the registers has been written by a program. The
 * file of that name in the tree is for its mode and size.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "host/internal.h"

static void lock(struct host_function *fn)
{
	if (fn->dev)
		pthread_mutex_lock(&fn->dev->lock);
}

static void unlock(struct host_function *fn)
{
	if (fn->dev)
		pthread_mutex_unlock(&fn->dev->lock);
}

/* Sealed in size, so that no program can take the mirror away under a device thread. */
static int sealed_file(unsigned int size)
{
	cleanup_fd int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fchmod(fd, 0644) || ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	return steal_fd(&fd);
}

int host_config_map(struct host_function *fn)
{
	cleanup_fd int fd = sealed_file(fn->pci->size);
	char path[512];
	void *map;
	int err;

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "%s/config", fn->dir);
	err = host_tree_file(fn->host->tree, path, 0644, fn->pci->size, NULL);
	if (err)
		return err;
	map = mmap(NULL, fn->pci->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	lock(fn);
	memcpy(map, fn->pci->data, fn->pci->size);
	fn->mirror = map;
	fn->pci->mirror = map;
	unlock(fn);
	fn->config_fd = steal_fd(&fd);
	return 0;
}

void host_config_unmap(struct host_function *fn)
{
	lock(fn);
	fn->pci->mirror = NULL;
	unlock(fn);
	munmap(fn->mirror, fn->pci->size);
	close(fn->config_fd);
	fn->mirror = NULL;
}

static void write_registers(struct host_function *fn, unsigned int offset, unsigned int width,
			    u32 value)
{
	if (fn->dev)
		device_config_write(fn->dev, offset, width, value);
	else
		pci_config_write(fn->pci, offset, width, value);
}

/* One dword of which some bytes differ: the fewest aligned accesses that cover just those. */
static void write_dword(struct host_function *fn, const u8 *now, const u8 *before, unsigned int at)
{
	unsigned int differs = 0;

	for (unsigned int i = 0; i < 4; i++)
		differs |= (unsigned int)(now[at + i] != before[at + i]) << i;
	if (differs == 0xf) {
		write_registers(fn, at, 4,
				now[at] | (u32)now[at + 1] << 8 | (u32)now[at + 2] << 16 |
					(u32)now[at + 3] << 24);
		return;
	}
	for (unsigned int i = 0; i < 4; i += 2) {
		if ((differs >> i & 3) == 3)
			write_registers(fn, at + i, 2, now[at + i] | (u32)now[at + i + 1] << 8);
		else if (differs >> i & 1)
			write_registers(fn, at + i, 1, now[at + i]);
		else if (differs >> i & 2)
			write_registers(fn, at + i + 1, 1, now[at + i + 1]);
	}
}

static struct host_function *find_config(struct host *host, const char *path)
{
	struct host_function *fn;
	size_t len;

	cds_list_for_each_entry(fn, &host->functions, node) {
		len = strlen(fn->dir);
		if (!strncmp(fn->dir, path, len) && !strcmp(path + len, "/config"))
			return fn;
	}
	return NULL;
}

int host_config_path(struct host *host, ino_t ino, char *path, size_t size)
{
	struct host_function *fn;
	struct stat st;

	cds_list_for_each_entry(fn, &host->functions, node) {
		if (!fn->mirror || fstat(fn->config_fd, &st) || st.st_ino != ino)
			continue;
		return (size_t)snprintf(path, size, "%s/config", fn->dir) < size ? 0 : -ENOENT;
	}
	return -ENOENT;
}

int host_config_fd(struct host *host, const char *path)
{
	const struct host_function *fn = find_config(host, path);

	return fn && fn->mirror ? fn->config_fd : -1;
}

void host_config_written(struct host *host, const char *path)
{
	u8 now[PCI_EXPRESS_CONFIG_SIZE], before[PCI_EXPRESS_CONFIG_SIZE];
	struct host_function *fn = find_config(host, path);

	if (!fn || !fn->mirror)
		return;
	lock(fn);
	memcpy(now, fn->mirror, fn->pci->size);
	memcpy(before, fn->pci->data, fn->pci->size);
	unlock(fn);
	for (unsigned int at = 0; at < fn->pci->size; at += 4)
		if (memcmp(now + at, before + at, 4))
			write_dword(fn, now, before, at);
	lock(fn);
	memcpy(fn->mirror, fn->pci->data, fn->pci->size);
	unlock(fn);
}
