/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/vfio.h>
#include <string.h>

#include "base/cleanup.h"
#include "vfio/type1.h"

static int type1_open(u64 type, void **data)
{
	cleanup_free struct type1 *type1 = NULL;

	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	type1 = calloc(1, sizeof(*type1));
	if (!type1)
		return -ENOMEM;
	type1->v2 = type == VFIO_TYPE1v2_IOMMU;
	type1->dma_avail = TYPE1_MAX_MAPPINGS;
	CDS_INIT_LIST_HEAD(&type1->domains);
	type1->ioas = ioas_new();
	if (!type1->ioas)
		return -ENOMEM;
	*data = steal_ptr(&type1);
	return 0;
}

static void type1_release(void *data)
{
	struct type1 *type1 = data;

	type1_remove_all(type1);
	ioas_free(type1->ioas);
	free(type1);
}

static struct iommu_unit *group_unit(struct iommu_group *group)
{
	struct iommu_endpoint *ep;

	cds_list_for_each_entry(ep, &group->endpoints, group_node)
		return ep->unit;
	return NULL;
}

static int type1_domain_new(struct type1 *type1, struct iommu_unit *unit, struct type1_domain **out)
{
	cleanup_free struct type1_domain *td = calloc(1, sizeof(*td));
	int ret;

	if (!td)
		return -ENOMEM;
	td->domain = iommu_domain_new(unit);
	if (!td->domain)
		return -ENOMEM;
	ret = ioas_add_domain(type1->ioas, td->domain);
	if (ret) {
		iommu_domain_free(td->domain);
		/* Linux: mappings outside of what the new unit allows. */
		return ret == -EADDRINUSE ? -EINVAL : ret;
	}
	cds_list_add(&td->node, &type1->domains);
	*out = steal_ptr(&td);
	return 0;
}

static void type1_domain_put(struct type1 *type1, struct type1_domain *td)
{
	if (td->groups)
		return;
	cds_list_del(&td->node);
	/* The privilege to map comes with a group: the last one takes the mappings with it. */
	if (cds_list_empty(&type1->domains))
		type1_remove_all(type1);
	ioas_remove_domain(type1->ioas, td->domain);
	iommu_domain_free(td->domain);
	free(td);
}

static int type1_attach_group(void *data, struct iommu_group *group)
{
	struct iommu_unit *unit = group_unit(group);
	struct type1_domain *td, *found = NULL;
	struct type1 *type1 = data;
	int ret;

	/* An attach may have to pin. */
	if (type1->vaddr_invalid)
		return -EBUSY;
	if (!unit)
		return -ENODEV;
	cds_list_for_each_entry(td, &type1->domains, node)
		if (td->domain->unit == unit)
			found = td;
	if (!found) {
		ret = type1_domain_new(type1, unit, &found);
		if (ret)
			return ret;
	}
	ret = iommu_group_attach(group, found->domain);
	if (ret) {
		type1_domain_put(type1, found);
		return ret;
	}
	found->groups++;
	return 0;
}

static void type1_detach_group(void *data, struct iommu_group *group)
{
	struct type1 *type1 = data;
	struct type1_domain *td;

	cds_list_for_each_entry(td, &type1->domains, node) {
		if (td->domain != group->domain)
			continue;
		iommu_group_attach(group, NULL);
		td->groups--;
		type1_domain_put(type1, td);
		return;
	}
}

static long type1_check_extension(const struct type1 *type1, u64 arg)
{
	struct type1_domain *td;

	switch (arg) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_UPDATE_VADDR:
		return type1 ? 1 : 0;
	case VFIO_DMA_CC_IOMMU:
		if (!type1)
			return 0;
		cds_list_for_each_entry(td, &type1->domains, node)
			if (!td->domain->unit->enforce_coherency)
				return 0;
		return 1;
	default:
		return 0;
	}
}

/* The capability chain of GET_INFO as it lies behind the info structure; malloc'ed. */
struct info_caps {
	struct vfio_iommu_type1_info_cap_migration migration;
	struct vfio_iommu_type1_info_dma_avail dma_avail;
	u32 pad; /* capabilities are aligned to 8 bytes */
	struct vfio_iommu_type1_info_cap_iova_range ranges;
};

static struct info_caps *type1_info_caps(const struct type1 *type1, size_t *size)
{
	size_t base = sizeof(struct vfio_iommu_type1_info);
	cleanup_free struct ioas_range *ranges = NULL;
	struct info_caps *caps;
	size_t nr;

	nr = ioas_allowed_ranges(type1->ioas, NULL, 0);
	*size = sizeof(*caps) + nr * sizeof(struct vfio_iova_range);
	caps = calloc(1, *size);
	ranges = calloc(nr + 1, sizeof(*ranges));
	if (!caps || !ranges) {
		free(caps);
		return NULL;
	}
	ioas_allowed_ranges(type1->ioas, ranges, nr);
	caps->migration.header = (struct vfio_info_cap_header){
		.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
		.version = 1,
		.next = base + offsetof(struct info_caps, dma_avail),
	};
	caps->migration.pgsize_bitmap = type1_pgsize(type1);
	caps->migration.max_dirty_bitmap_size = TYPE1_DIRTY_SIZE_MAX;
	caps->dma_avail.header = (struct vfio_info_cap_header){
		.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
		.version = 1,
		.next = base + offsetof(struct info_caps, ranges),
	};
	caps->dma_avail.avail = type1->dma_avail;
	caps->ranges.header = (struct vfio_info_cap_header){
		.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
		.version = 1,
	};
	caps->ranges.nr_iovas = nr;
	for (size_t i = 0; i < nr; i++) {
		caps->ranges.iova_ranges[i].start = ranges[i].start;
		caps->ranges.iova_ranges[i].end = ranges[i].last;
	}
	return caps;
}

static long type1_get_info(const struct type1 *type1, struct vfio_task *task, u64 arg)
{
	size_t minsz = offsetofend(struct vfio_iommu_type1_info, iova_pgsizes), size;
	cleanup_free struct info_caps *caps = NULL;
	struct vfio_iommu_type1_info info = { 0 };

	if (task->ops->copy_in(task, &info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	minsz = MIN(info.argsz, sizeof(info));
	caps = type1_info_caps(type1, &size);
	if (!caps)
		return -ENOMEM;
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = ioas_pgsize_bitmap(type1->ioas);
	if (info.argsz < sizeof(info) + size) {
		info.argsz = sizeof(info) + size;
	} else {
		if (task->ops->copy_out(task, arg + sizeof(info), caps, size))
			return -EFAULT;
		info.cap_offset = sizeof(info);
	}
	return task->ops->copy_out(task, arg, &info, minsz) ? -EFAULT : 0;
}

static long type1_ioctl(void *data, struct vfio_task *task, unsigned int cmd, u64 arg)
{
	struct type1 *type1 = data;

	switch (cmd) {
	case VFIO_CHECK_EXTENSION:
		return type1_check_extension(type1, arg);
	case VFIO_IOMMU_MAP_DMA:
		return type1_map_dma(type1, task, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		return type1_unmap_dma(type1, task, arg);
	case VFIO_IOMMU_GET_INFO:
		return type1_get_info(type1, task, arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		return type1_dirty_pages(type1, task, arg);
	default:
		return -ENOTTY;
	}
}

const struct vfio_iommu_backend vfio_type1_backend = {
	.name = "type1",
	.open = type1_open,
	.release = type1_release,
	.ioctl = type1_ioctl,
	.attach_group = type1_attach_group,
	.detach_group = type1_detach_group,
};
