/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device file: a sparse memfd, of which programs hold descriptors and mappings.
 *
 * Each BAR has a slot of 1 TiB. Shared BARs are real memory in their slots while memory decoding is
 * on; while it is off, the file is empty, which makes every mapping of it raise SIGBUS, and their
 * contents lie at the same offsets of a second file that programs never see. This process's view
 * of a shared BAR is of whichever file holds it.
 *
 * Programs can write(), ftruncate() and fallocate() on their descriptors. Without shared BARs, the
 * size is sealed at 0, so that all of these fail. With them, the size has to change: a program can
 * then fill the holes of the file (memory that it could as well take for itself; the next
 * device_set_decoding(false) frees it) and cut it short, which harms its own mappings; this
 * process's views are guarded (guard.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/device.h"
#include "device/internal.h"

#define SLOT_SHIFT 40
#define SLOT_BAR0 0x10ULL    /* offset 0 cannot be told from other files' offsets */
#define SLOT_TRAPPED 0x20ULL /* past the end of the file whatever else there is */

u64 device_bar_slot(unsigned int index, enum device_bar_kind kind)
{
	if (kind == DEVICE_BAR_TRAPPED)
		return (SLOT_TRAPPED + index) << SLOT_SHIFT;
	return (index ? index : SLOT_BAR0) << SLOT_SHIFT;
}

int device_file_offset(const struct device *dev, u64 offset, unsigned int *bar, u64 *bar_offset)
{
	unsigned int i;

	for (i = 0; i <= PCI_ROM_BAR; i++) {
		const struct pci_bar *b = &dev->pci.bars[i];
		u64 start = dev->bars[i].offset;

		if (b->type == PCI_BAR_NONE || offset < start || offset - start >= b->size)
			continue;
		*bar = i;
		*bar_offset = offset - start;
		return 0;
	}
	return -EINVAL;
}

static bool is_shared(const struct device *dev, unsigned int index)
{
	return dev->bars[index].kind == DEVICE_BAR_SHARED && dev->bars[index].host;
}

/* A system may insist that nobody makes files of memory that could be executed. */
static int make_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	/* Linux before 6.3 does not know of that. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

int device_file_init(struct device *dev)
{
	unsigned int i;

	for (i = 0; i <= PCI_ROM_BAR; i++)
		dev->bars[i].offset = device_bar_slot(i, DEVICE_BAR_PORT);
	dev->memfd = make_file("vfio-device");
	return dev->memfd < 0 ? -errno : 0;
}

int device_file_add_shared(struct device *dev, unsigned int index)
{
	u64 size = dev->pci.bars[index].size, end = dev->bars[index].offset + size;
	void *host;

	if (dev->aside < 0)
		dev->aside = make_file("vfio-bars");
	if (dev->aside < 0)
		return -errno;
	dev->file_size = MAX(dev->file_size, end);
	if (ftruncate(dev->aside, (off_t)dev->file_size))
		return -errno;
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, dev->aside,
		    (off_t)dev->bars[index].offset);
	if (host == MAP_FAILED)
		return -errno;
	if (device_guard_add(host, size)) {
		munmap(host, size);
		return -ENOMEM;
	}
	dev->bars[index].host = host;
	return 0;
}

int device_file_seal(struct device *dev)
{
	int seals = F_SEAL_SEAL;

	if (!dev->file_size)
		seals |= F_SEAL_GROW | F_SEAL_SHRINK;
	return fcntl(dev->memfd, F_ADD_SEALS, seals) ? -errno : 0;
}

void device_file_fini(struct device *dev)
{
	unsigned int i;

	for (i = 0; i <= PCI_ROM_BAR; i++) {
		if (!is_shared(dev, i))
			continue;
		device_guard_remove(dev->bars[i].host);
		munmap(dev->bars[i].host, dev->pci.bars[i].size);
	}
	if (dev->aside >= 0)
		close(dev->aside);
	if (dev->memfd >= 0)
		close(dev->memfd);
}

static int copy_range(int to, int from, off_t at, off_t end)
{
	char buf[16384];

	while (at < end) {
		ssize_t n = pread(from, buf, MIN(sizeof(buf), (size_t)(end - at)), at);

		/* A program may cut its file short at any moment. */
		if (n <= 0)
			return n ? -errno : 0;
		if (pwrite(to, buf, (size_t)n, at) != n)
			return errno ? -errno : -EIO;
		at += n;
	}
	return 0;
}

/* Copies what is not a hole in [at, end). */
static int copy_data(int to, int from, off_t at, off_t end)
{
	int rc = 0;

	while (!rc && at < end) {
		off_t data = lseek(from, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return errno == ENXIO ? 0 : -errno;
		if (data < end)
			rc = copy_range(to, from, data, MIN(hole, end));
		at = hole;
	}
	return rc;
}

/* In the order of their offsets: BAR 0 is the last. */
static unsigned int nth_bar(unsigned int n)
{
	return n < PCI_ROM_BAR ? n + 1 : 0;
}

static int move_bars(struct device *dev, int to, int from)
{
	unsigned int n;
	int rc = 0;

	/* Upwards, so that each page has its contents before the end of the file has passed it. */
	for (n = 0; n <= PCI_ROM_BAR && !rc; n++) {
		unsigned int i = nth_bar(n);
		off_t at = (off_t)dev->bars[i].offset;

		if (is_shared(dev, i))
			rc = copy_data(to, from, at, at + (off_t)dev->pci.bars[i].size);
	}
	if (!rc && ftruncate(to, (off_t)dev->file_size))
		rc = -errno;
	return rc;
}

static int map_views(struct device *dev, int fd)
{
	unsigned int i;

	for (i = 0; i <= PCI_ROM_BAR; i++) {
		if (!is_shared(dev, i))
			continue;
		if (mmap(dev->bars[i].host, dev->pci.bars[i].size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
			 (off_t)dev->bars[i].offset) == MAP_FAILED)
			return -errno;
	}
	return 0;
}

void device_set_decoding(struct device *dev, bool on)
{
	int to = on ? dev->memfd : dev->aside, from = on ? dev->aside : dev->memfd;

	if (on == dev->decoding)
		return;
	if (!dev->file_size) {
		dev->decoding = on;
		return;
	}
	pthread_mutex_lock(&dev->lock);
	if (move_bars(dev, to, from) || map_views(dev, to)) {
		/* No memory for both at a time: BARs stay, or become, absent. */
		to = dev->aside;
		from = dev->memfd;
		if (!ftruncate(to, (off_t)dev->file_size))
			map_views(dev, to);
	}
	dev->decoding = to == dev->memfd;
	if (ftruncate(from, 0) && from == dev->memfd)
		dev->decoding = true;
	pthread_mutex_unlock(&dev->lock);
}
