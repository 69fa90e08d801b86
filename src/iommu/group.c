/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups, and what their endpoints are attached to. */
#include <errno.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "iommu/iommu.h"

static void endpoint_attach(struct iommu_endpoint *ep, struct iommu_domain *domain)
{
	struct iommu_domain *old = atomic_load_explicit(&ep->domain, memory_order_relaxed);

	if (old)
		old->attached--;
	if (domain)
		domain->attached++;
	atomic_store_explicit(&ep->domain, domain, memory_order_release);
}

struct iommu_group *iommu_group_new(unsigned int id)
{
	struct iommu_group *group = calloc(1, sizeof(*group));

	if (!group)
		return NULL;
	group->id = id;
	CDS_INIT_LIST_HEAD(&group->endpoints);
	return group;
}

void iommu_group_free(struct iommu_group *group)
{
	free(group);
}

void iommu_group_add(struct iommu_group *group, struct iommu_endpoint *ep)
{
	ep->group = group;
	cds_list_add_tail(&ep->group_node, &group->endpoints);
	if (group->domain && group->domain->unit == ep->unit)
		endpoint_attach(ep, group->domain);
}

void iommu_group_remove(struct iommu_endpoint *ep)
{
	if (!ep->group)
		return;
	cds_list_del(&ep->group_node);
	ep->group = NULL;
	endpoint_attach(ep, NULL);
	rcu_wait();
}

int iommu_group_attach(struct iommu_group *group, struct iommu_domain *domain)
{
	struct iommu_endpoint *ep;

	cds_list_for_each_entry(ep, &group->endpoints, group_node) {
		if (domain && ep->unit != domain->unit)
			return -EINVAL;
	}
	cds_list_for_each_entry(ep, &group->endpoints, group_node)
		endpoint_attach(ep, domain);
	group->domain = domain;
	rcu_wait();
	return 0;
}
