/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequences of operations of two processes on containers, groups and devices.
 *
 * The input is a program: each operation is one byte that chooses it and some that are its
 * arguments; whatever is missing at the end is zero. Beside the real thing runs a model of type1, a
 * plain list of ranges, which foretells the answer to every MAP_DMA and UNMAP_DMA, where a DMA goes
 * and what is charged.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rcu.h"
#include "iommu/dma.h"
#include "unit/fake_task.h"
#include "vfio/internal.h"

#define PG 0x1000ULL
#define BUF_PAGES 32
#define NR_TASKS 2
#define NR_EVENTS 2
#define MAX_AREAS 64
#define MAX_CONTAINERS 8
#define LAST_IOVA 0x7fffffffffULL

#define CHECK(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort(); \
		} \
	} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* The program. */

struct input {
	const u8 *p;
	size_t left;
};

static u8 in8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* The world: made once, and empty again after each input. */

static struct fake_machine m;
static struct fake_task second;
static struct fake_task *tasks[NR_TASKS] = { &m.task, &second };
static u8 *buf, *ro, *none, *arg, *shm; /* the program's memory; arg ends at a bad page */
static int events[NR_EVENTS], memfd;
static int fds[FAKE_MAX_FILES]; /* of ours, in the order of their making; -1: closed */
static unsigned int nr_fds;

/* The model. */

struct model_area {
	u64 iova, size, va;
	u32 prot;
	unsigned int task, generation; /* whose memory it is */
	bool suspended;
	u64 dma_va; /* where private memory is */
	u64 charged;
};

struct model_container {
	struct vfio_file *file; /* NULL: a free slot */
	bool live;		/* has an IOMMU */
	bool v2, dirty;
	struct model_area areas[MAX_AREAS];
	unsigned int nr;
};

static struct model_container containers[MAX_CONTAINERS];
static struct model_container *owner[FAKE_MAX_DEVICES]; /* of a group */
static unsigned int generation[NR_TASKS];
static u64 charged[NR_TASKS]; /* pages, in the current address space */

static struct model_container *model_of(struct vfio_file *file)
{
	for (unsigned int i = 0; i < MAX_CONTAINERS; i++)
		if (containers[i].file == file)
			return &containers[i];
	return NULL;
}

static void uncharge(const struct model_area *a)
{
	if (a->generation == generation[a->task])
		charged[a->task] -= a->charged;
}

static void model_clear(struct model_container *c)
{
	for (unsigned int i = 0; i < c->nr; i++)
		uncharge(&c->areas[i]);
	c->nr = 0;
	c->live = c->dirty = false;
}

static struct model_area *model_find(struct model_container *c, u64 iova, u64 last)
{
	struct model_area *found = NULL;

	for (unsigned int i = 0; i < c->nr; i++) {
		struct model_area *a = &c->areas[i];

		if (a->iova <= last && a->iova + (a->size - 1) >= iova &&
		    (!found || a->iova < found->iova))
			found = a;
	}
	return found;
}

static void model_remove(struct model_container *c, struct model_area *a)
{
	uncharge(a);
	*a = c->areas[--c->nr];
}

static bool inside(u64 va, u64 size, const u8 *base, u64 len)
{
	return va >= (uintptr_t)base && va - (uintptr_t)base <= len &&
	       size <= len - (va - (uintptr_t)base);
}

static bool model_memory(u64 va, u64 size, u32 prot)
{
	if (inside(va, size, buf, BUF_PAGES * PG) || inside(va, size, shm, 4 * PG))
		return true;
	return inside(va, size, ro, 4 * PG) && !(prot & VFIO_DMA_MAP_FLAG_WRITE);
}

/* 0, or -ENOMEM. */
static int model_charge(unsigned int task, u64 pages)
{
	const struct fake_task *t = tasks[task];

	if (!t->ipc_lock && charged[task] + pages > t->memlock / PG)
		return -ENOMEM;
	charged[task] += pages;
	return 0;
}

static int model_resume(struct model_container *c, unsigned int task, struct model_area *a, u64 va)
{
	bool same = a->task == task && a->generation == generation[task];

	if (!same && model_charge(task, a->charged))
		return -ENOMEM;
	if (!same)
		uncharge(a);
	if (!same && !inside(a->dma_va, a->size, shm, 4 * PG))
		a->dma_va = va;
	a->va = va;
	a->task = task;
	a->generation = generation[task];
	a->suspended = false;
	return 0;
}

static int model_map(struct model_container *c, unsigned int task,
		     const struct vfio_iommu_type1_dma_map *map)
{
	u64 last = map->iova + map->size - 1, va_last = map->vaddr + map->size - 1;
	bool set = map->flags & VFIO_DMA_MAP_FLAG_VADDR;
	struct model_area *a;

	if (map->argsz < sizeof(*map) || map->flags & ~7U || !map->size)
		return -EINVAL;
	if (last < map->iova || va_last < map->vaddr)
		return -EOVERFLOW;
	if (!(map->flags & 3) != set || (map->iova | map->size | map->vaddr) % PG)
		return -EINVAL;
	a = model_find(c, map->iova, last);
	if (set && !a)
		return -ENOENT;
	if (set && (!a->suspended || a->iova != map->iova || a->size != map->size))
		return -EINVAL;
	if (set)
		return model_resume(c, task, a, map->vaddr);
	if (a)
		return -EEXIST;
	if (last > LAST_IOVA || (last >= 0xfee00000 && map->iova <= 0xfeefffff))
		return -EINVAL;
	if (!model_memory(map->vaddr, map->size, map->flags)) {
		u64 before = 0; /* pages that are charged before the bad one is seen */

		while (model_memory(map->vaddr + before * PG, PG, map->flags))
			before++;
		if (before && model_charge(task, before))
			return -ENOMEM;
		charged[task] -= before;
		return -EFAULT;
	}
	if (model_charge(task, map->size / PG))
		return -ENOMEM;
	CHECK(c->nr < MAX_AREAS);
	c->areas[c->nr++] =
		(struct model_area){ map->iova,	       map->size, map->vaddr, map->flags,    task,
				     generation[task], false,	  map->vaddr, map->size / PG };
	return 0;
}

static int model_suspend(struct model_container *c, u64 iova, u64 last, u64 *done)
{
	struct model_area *a;

	for (int pass = 0; pass < 2; pass++) {
		u64 at = iova;

		while ((a = model_find(c, at, last))) {
			if (!c->v2 && a->iova < iova)
				break;
			if (!pass && a->suspended)
				return -EINVAL;
			if (pass) {
				a->suspended = true;
				*done += a->size;
			}
			if (a->iova + (a->size - 1) >= last)
				break;
			at = a->iova + a->size;
		}
	}
	return 0;
}

static bool model_bisects(const struct model_container *c, u64 iova, u64 last)
{
	for (unsigned int i = 0; i < c->nr; i++) {
		u64 start = c->areas[i].iova, end = start + (c->areas[i].size - 1);

		if ((iova > start && iova <= end) || (last >= start && last < end))
			return true;
	}
	return false;
}

static int model_unmap(struct model_container *c, const struct vfio_iommu_type1_dma_unmap *unmap,
		       u64 *done)
{
	bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;
	u64 last = all ? ~0ULL : unmap->iova + unmap->size - 1;
	struct model_area *a;

	*done = 0;
	if (unmap->argsz < sizeof(*unmap) || unmap->flags & ~6U || unmap->iova % PG)
		return -EINVAL;
	if (all ? unmap->iova || unmap->size : !unmap->size || unmap->size % PG)
		return -EINVAL;
	if (last < unmap->iova)
		return -EOVERFLOW;
	if (c->v2 && !all && model_bisects(c, unmap->iova, last))
		return -EINVAL;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		return model_suspend(c, unmap->iova, last, done);
	while ((a = model_find(c, unmap->iova, last)) && (c->v2 || a->iova >= unmap->iova)) {
		*done += a->size;
		model_remove(c, a);
	}
	return 0;
}

/* Operations. */

static int pick_fd(struct input *in)
{
	u8 i = in8(in);

	if (i >= 0xf0)
		return (int)i - 0xf8;
	return nr_fds ? fds[i % nr_fds] : -1;
}

static void add_fd(long fd)
{
	if (fd >= 0 && nr_fds < FAKE_MAX_FILES)
		fds[nr_fds++] = (int)fd;
}

static u64 pick_iova(struct input *in)
{
	static const u64 bases[] = {
		0,	    0x100000,  0xfedfe000, 0xfeef0000, LAST_IOVA - 4 * PG + 1,
		0 - 4 * PG, 0x7fff000, 0x2000000
	};
	u8 b = in8(in);
	u64 iova = bases[b >> 5] + (b & 31) * PG;

	return b == 31 ? iova + 0x800 : iova;
}

static u64 pick_size(struct input *in)
{
	static const u64 odd[] = { 0, 1, 0x800, PG + 1, ~0ULL, ~0xfffULL, 1ULL << 39, 1ULL << 63 };
	u8 b = in8(in);

	return b >= 0xe0 ? odd[b & 7] : (u64)(b & 31) * PG + (b >= 0xc0 ? 0x10000000 : PG);
}

static u64 pick_va(struct input *in)
{
	u8 b = in8(in);
	u64 page = (b & 31) * PG;

	switch (b >> 5) {
	case 4:
		return (uintptr_t)ro + page;
	case 5:
		return (uintptr_t)shm + page;
	case 6:
		return (uintptr_t)none + page;
	case 7:
		return b & 1 ? 0 - page - PG : page + (b & 2 ? 1 : 0);
	default:
		return (uintptr_t)buf + page;
	}
}

/* Where the argument lies: whole, cut off by a bad page after @len bytes, or nowhere. */
static void *put_arg(const void *data, size_t len)
{
	return memcpy(arg - len, data, len);
}

static void op_map(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u8 flags = in8(in);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = flags >= 0xf0 ? flags & 7 : sizeof(map) + (flags & 8),
		.flags = flags & 7,
		.iova = pick_iova(in),
		.size = pick_size(in),
		.vaddr = pick_va(in),
	};
	struct vfio_file *file = fake_file(tasks[task], fd);
	struct model_container *c = file ? model_of(file) : NULL;
	int ret, want;

	if (flags & 0x40)
		map.flags |= 1U << (flags & 31);
	if (c && c->nr == MAX_AREAS)
		return;
	ret = (int)fake_ioctl(tasks[task], fd, VFIO_IOMMU_MAP_DMA, put_arg(&map, sizeof(map)));
	if (!c)
		return;
	want = c->live ? model_map(c, task, &map) : -EINVAL;
	CHECK(ret == want);
}

static void op_unmap(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u8 flags = in8(in);
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = flags >= 0xf0 ? flags & 7 : sizeof(unmap) + (flags & 8),
		.flags = flags & 6,
		.iova = pick_iova(in),
		.size = pick_size(in),
	};
	struct vfio_file *file = fake_file(tasks[task], fd);
	struct model_container *c = file ? model_of(file) : NULL;
	struct vfio_iommu_type1_dma_unmap answer;
	u64 done = 0;
	int ret, want;

	if (flags & 0x40)
		unmap.flags |= 1U << (flags & 31);
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		return;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL && !(flags & 0x80))
		unmap.iova = unmap.size = 0;
	ret = (int)fake_ioctl(tasks[task], fd, VFIO_IOMMU_UNMAP_DMA,
			      put_arg(&unmap, sizeof(unmap)));
	if (!c)
		return;
	memcpy(&answer, arg - sizeof(answer), sizeof(answer));
	want = c->live ? model_unmap(c, &unmap, &done) : -EINVAL;
	CHECK(ret == want);
	CHECK(answer.size == (ret ? unmap.size : done));
}

/* Asks for the dirty pages of a range, or unmaps it with them; every mapped page is dirty. */
static void op_dirty(struct input *in, unsigned int task)
{
	struct {
		u32 argsz, flags;
		u64 iova, size;
		struct vfio_bitmap bitmap;
	} a = { .argsz = sizeof(a) };
	int fd = pick_fd(in);
	struct vfio_file *file = fake_file(tasks[task], fd);
	struct model_container *c = file ? model_of(file) : NULL;
	static u64 words[64], want[64];
	u8 what = in8(in);
	bool unmap = what & 4;
	struct model_area *area;
	u64 last, done = 0;
	int ret;

	a.flags = unmap ? VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP : 1U << (what & 3);
	a.iova = pick_iova(in);
	a.size = pick_size(in);
	a.bitmap = (struct vfio_bitmap){ PG, sizeof(words), (void *)words };
	last = a.iova + a.size - 1;
	memset(words, 0, sizeof(words));
	memset(want, 0, sizeof(want));
	ret = (int)fake_ioctl(tasks[task], fd,
			      unmap ? VFIO_IOMMU_UNMAP_DMA : VFIO_IOMMU_DIRTY_PAGES,
			      put_arg(&a, sizeof(a)));
	if (!c || !c->live) {
		CHECK(!c || ret == -EINVAL);
		return;
	}
	if (!unmap && !c->v2) {
		CHECK(ret == -EACCES);
		return;
	}
	if (!unmap && (what & 3) < 2) {
		CHECK(!ret);
		c->dirty = !(what & 3);
		return;
	}
	if (!unmap && (what & 3) == 3) {
		CHECK(ret == -EINVAL);
		return;
	}
	if (!c->dirty || (a.iova | a.size) % PG || !a.size || last < a.iova ||
	    a.size / PG > sizeof(words) * 8 || model_bisects(c, a.iova, last)) {
		CHECK(ret == -EINVAL || (ret == -EOVERFLOW && a.size && last < a.iova));
		return;
	}
	CHECK(!ret);
	for (unsigned int i = 0; i < c->nr; i++) {
		u64 bit = (c->areas[i].iova - a.iova) / PG;

		if (c->areas[i].iova < a.iova || c->areas[i].iova > last)
			continue;
		for (u64 n = c->areas[i].size / PG; n; n--, bit++)
			want[bit / 64] |= 1ULL << (bit % 64);
	}
	CHECK(!memcmp(words, want, sizeof(words)));
	while (unmap && (area = model_find(c, a.iova, last))) {
		done += area->size;
		model_remove(c, area);
	}
	memcpy(&a, arg - sizeof(a), sizeof(a));
	CHECK(!unmap || a.size == done);
}

static void op_open(struct input *in, unsigned int task)
{
	struct model_container *c = model_of(NULL);
	u8 what = in8(in);
	int fd;

	if (what & 0x80) {
		fd = fake_open_group(tasks[task], what & 3);
	} else {
		if (!c)
			return;
		fd = fake_open_container(tasks[task]);
		if (fd >= 0)
			c->file = fake_file(tasks[task], fd);
	}
	add_fd(fd);
}

static void op_set_container(struct input *in, unsigned int task)
{
	int fd = pick_fd(in), cfd = pick_fd(in);
	struct vfio_file *file = fake_file(tasks[task], fd);
	struct vfio_group *group = file ? vfio_group_of_file(file) : NULL;
	long ret;

	ret = fake_ioctl(tasks[task], fd, VFIO_GROUP_SET_CONTAINER, put_arg(&cfd, sizeof(cfd)));
	if (group && !ret)
		owner[group->id] = model_of(fake_file(tasks[task], cfd));
}

static void op_set_iommu(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u64 type = in8(in) % 12;
	struct vfio_file *file = fake_file(tasks[task], fd);
	struct model_container *c = file ? model_of(file) : NULL;

	if (!fake_ioctl(tasks[task], fd, VFIO_SET_IOMMU, (void *)(uintptr_t)type) && c) {
		CHECK(!c->live && (type == VFIO_TYPE1_IOMMU || type == VFIO_TYPE1v2_IOMMU));
		c->live = true;
		c->v2 = type == VFIO_TYPE1v2_IOMMU;
	}
}

static void op_get_device(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u8 which = in8(in);
	char name[32];

	snprintf(name, sizeof(name), "0000:%02x:00.0%s", (which & 3) + 1,
		 which & 0x10	? " "
		 : which & 0x20 ? " x"
				: "");
	add_fd(fake_ioctl(tasks[task], fd, VFIO_GROUP_GET_DEVICE_FD,
			  put_arg(name, strlen(name) + 1)));
}

/* Any ioctl but those that the model must know of, with any argument. */
static void op_ioctl(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u8 nr = in8(in) % 24, len = in8(in);
	struct vfio_file *file = fake_file(tasks[task], fd);
	u8 *at = len & 0x80 ? arg - (len & 0x7f) : arg - 4096;

	if (file && model_of(file) && (nr == 2 || nr == 13 || nr == 14 || nr == 17))
		return;
	if (file && vfio_group_of_file(file) && nr == 4)
		return;
	memset(at, 0, arg - at);
	for (unsigned int i = 0; i < (len & 0x7f); i++)
		at[i] = in8(in);
	fake_ioctl(tasks[task], fd, _IO(VFIO_TYPE, VFIO_BASE + nr), at);
}

static void op_set_irqs(struct input *in, unsigned int task)
{
	struct vfio_irq_set *set = (void *)(arg - 4096);
	int fd = pick_fd(in), event[4];
	u8 flags = in8(in), range = in8(in), ev = in8(in);

	*set = (struct vfio_irq_set){
		.argsz = sizeof(*set) + sizeof(event),
		.flags = flags & 0x3f,
		.index = flags >> 6 | (range & 0x80 ? 4 : 0),
		.start = range & 3,
		.count = range >> 2 & 7,
	};
	for (unsigned int i = 0; i < ARRAY_SIZE(event); i++) {
		unsigned int e = ev >> (2 * i) & 3;

		event[i] = e < NR_EVENTS ? events[e] : (int)e - 3;
	}
	memcpy(set->data, event, sizeof(event));
	fake_ioctl(tasks[task], fd, VFIO_DEVICE_SET_IRQS, set);
}

static u64 pick_pos(struct input *in)
{
	u8 region = in8(in) % 12;
	u64 offset = in8(in) | (u64)in8(in) << 8;

	if (!region)
		return m.devices[0]->bars[0].offset + offset;
	return ((u64)region << 40) + offset;
}

static void op_access(struct input *in, unsigned int task)
{
	int fd = pick_fd(in);
	u8 count = in8(in);
	u64 pos = pick_pos(in);
	u8 *at = count & 0x80 ? arg - (count & 0x3f) / 2 : arg - 4096;

	if (count & 0x40) {
		for (unsigned int i = 0; i < (count & 0x3f) && at + i < arg; i++)
			at[i] = in8(in);
		fake_pwrite(tasks[task], fd, at, count & 0x3f, pos);
	} else {
		fake_pread(tasks[task], fd, at, count & 0x3f, pos);
	}
}

static void op_mmap(struct input *in, unsigned int task)
{
	struct vfio_file *file = fake_file(tasks[task], pick_fd(in));
	u64 pos = pick_pos(in), len = pick_size(in);

	if (file)
		file->ops->mmap(file, &tasks[task]->task, len, in8(in) & 7, MAP_SHARED, pos);
}

static bool unbinding[FAKE_MAX_DEVICES];

static void unbound(void *opaque)
{
	*(bool *)opaque = false;
}

static void op_unbind(struct input *in)
{
	unsigned int i = in8(in) % m.nr_devices;

	if (m.bound[i]) {
		unbinding[i] = true;
		if (!vfio_device_unbind(m.bound[i], unbound, &unbinding[i]))
			unbinding[i] = false;
		m.bound[i] = NULL;
	} else if (!unbinding[i]) {
		fake_machine_bind(&m, i);
	}
}

static void share(unsigned int task)
{
	fake_task_share(tasks[task], shm, 4 * PG, memfd, false);
}

static void op_task(struct input *in, unsigned int task)
{
	u8 what = in8(in);

	switch (what >> 6) {
	case 0:
		tasks[task]->ipc_lock = what & 1;
		tasks[task]->memlock = (what & 0x3e) * PG;
		break;
	case 1:
		fake_task_exec(tasks[task]);
		share(task);
		generation[task]++;
		charged[task] = 0;
		break;
	case 2:
		m.groups[what & 3 ? 1 : 0]->kernel_drivers = what >> 2 & 1;
		break;
	default:
		tasks[task]->install_error = -EMFILE;
	}
}

/* One DMA by one device, to where the model says. */
static void op_dma(struct input *in)
{
	struct iommu_endpoint *ep = &m.devices[in8(in) % m.nr_devices]->ep;
	struct model_container *c = owner[ep->group->id];
	u64 iova = ALIGN_DOWN(pick_iova(in), PG), got = 0, va;
	int ret = iommu_dma_read(ep, iova, &got, sizeof(got));
	struct model_area *a = NULL;

	CHECK(!ep->group->domain || (c && c->live));
	if (ep->group->domain)
		a = model_find(c, iova, iova);
	if (!a || !(a->prot & VFIO_DMA_MAP_FLAG_READ)) {
		CHECK(ret == -EFAULT);
		return;
	}
	va = a->dma_va + (iova - a->iova);
	if (!model_memory(va, PG, 0)) {
		CHECK(ret == -EFAULT);
		return;
	}
	CHECK(!ret && !memcmp(&got, (void *)(uintptr_t)va, sizeof(got)));
}

/* After each operation: containers that lost their last group, and the charges. */
static void settle(void)
{
	struct vfio_iommu_type1_info *info = (void *)(arg - sizeof(*info));

	for (unsigned int i = 0; i < MAX_CONTAINERS; i++) {
		struct vfio_file *file = containers[i].file;
		long ret;

		if (!file)
			continue;
		info->argsz = sizeof(*info);
		ret = file->ops->ioctl(file, &m.task.task, VFIO_IOMMU_GET_INFO, (uintptr_t)info);
		CHECK(ret == 0 || ret == -EINVAL);
		CHECK(ret || containers[i].live);
		if (ret)
			model_clear(&containers[i]);
	}
	for (unsigned int i = 0; i < NR_TASKS; i++)
		CHECK(tasks[i]->mm->mm.locked_pages == charged[i]);
}

static void step(struct input *in)
{
	u8 op = in8(in);
	unsigned int task = op >> 7;

	switch (op & 0x1f) {
	case 0:
	case 1:
		op_open(in, task);
		break;
	case 2:
		fake_close(tasks[task], pick_fd(in));
		break;
	case 3:
		add_fd(fake_dup(tasks[task], pick_fd(in)));
		break;
	case 4:
		op_set_container(in, task);
		break;
	case 5:
		fake_ioctl(tasks[task], pick_fd(in), VFIO_GROUP_UNSET_CONTAINER, NULL);
		break;
	case 6:
		op_set_iommu(in, task);
		break;
	case 7:
	case 8:
	case 9:
	case 10:
		op_map(in, task);
		break;
	case 11:
	case 12:
	case 13:
		op_unmap(in, task);
		break;
	case 14:
		op_dirty(in, task);
		break;
	case 15:
	case 16:
		op_get_device(in, task);
		break;
	case 17:
	case 18:
	case 19:
		op_ioctl(in, task);
		break;
	case 20:
	case 21:
		op_set_irqs(in, task);
		break;
	case 22:
	case 23:
	case 24:
		op_access(in, task);
		break;
	case 25:
		op_mmap(in, task);
		break;
	case 26:
		op_unbind(in);
		break;
	case 27:
		op_task(in, task);
		break;
	default:
		op_dma(in);
	}
	settle();
}

static void file_gone(struct vfio_file *file)
{
	struct model_container *c = model_of(file);

	if (!c)
		return;
	model_clear(c);
	for (unsigned int i = 0; i < FAKE_MAX_DEVICES; i++)
		if (owner[i] == c)
			owner[i] = NULL;
	c->file = NULL;
}

static void *part(u8 *base, unsigned int page, unsigned int pages, int prot)
{
	CHECK(!mprotect(base + page * PG, pages * PG, prot));
	return base + page * PG;
}

static void set_up(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	u8 *base = mmap(NULL, 256 * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(base != MAP_FAILED);
	none = base;
	buf = part(base, 64, BUF_PAGES, rw);
	ro = part(base, 128, 4, rw);
	shm = base + 160 * PG;
	memfd = memfd_create("fuzz", MFD_CLOEXEC);
	CHECK(!ftruncate(memfd, 4 * PG));
	CHECK(mmap(shm, 4 * PG, rw, MAP_SHARED | MAP_FIXED, memfd, 0) == shm);
	for (u64 i = 0; i < BUF_PAGES; i++)
		memset(buf + i * PG, (int)i + 1, PG);
	for (u64 i = 0; i < 4; i++) {
		memset(ro + i * PG, (int)i + 0x81, PG);
		memset(shm + i * PG, (int)i + 0xc1, PG);
	}
	part(base, 128, 4, PROT_READ);
	arg = (u8 *)part(base, 200, 4, rw) + 4 * PG;
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		events[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(!iommu_dma_init());
	rcu_thread_start();
	fake_machine_init(&m, 39);
	m.file_gone = file_gone;
	fake_task_init(&second, &m.files);
	fake_machine_add(&m, 0, 0);
	fake_machine_add(&m, 0, 1);
	fake_machine_add(&m, 0, 1);
	share(0);
	share(1);
}

/* Everything is closed, and nothing may be left. */
static void clean_up(void)
{
	fake_files_close(&m.files);
	settle();
	nr_fds = 0;
	for (unsigned int i = 0; i < MAX_CONTAINERS; i++)
		CHECK(!containers[i].file);
	for (unsigned int i = 0; i < NR_TASKS; i++) {
		CHECK(!charged[i]);
		tasks[i]->ipc_lock = true;
		tasks[i]->memlock = ~0ULL;
		tasks[i]->install_error = 0;
	}
	for (unsigned int i = 0; i < 2; i++) {
		CHECK(!m.groups[i]->domain);
		m.groups[i]->kernel_drivers = 0;
	}
	CHECK(!m.units[0]->domains);
	for (unsigned int i = 0; i < m.nr_devices; i++) {
		CHECK(!unbinding[i]);
		if (!m.bound[i])
			fake_machine_bind(&m, i);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, MIN(size, (size_t)4096) };

	if (!buf)
		set_up();
	while (in.left)
		step(&in);
	clean_up();
	return 0;
}
