/* SPDX-License-Identifier: BSD-3-Clause */
/* IOMMU units. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "iommu/vtd.h"

/* The interrupt address range: writes to it are interrupts, never translated. */
#define VTD_MSI_START 0xfee00000ULL
#define VTD_MSI_LAST 0xfeefffffULL

struct iommu_unit *iommu_vtd_new(unsigned int index, unsigned int width,
				 struct iommu_fault_log *faults)
{
	struct iommu_unit *unit;

	if (width != 39 && width != 48 && width != 57) {
		errno = EINVAL;
		return NULL;
	}
	unit = calloc(1, sizeof(*unit));
	if (!unit)
		return NULL;
	snprintf(unit->name, sizeof(unit->name), "dmar%u", index);
	unit->model = "vtd";
	unit->width = width;
	unit->aperture_last = BIT_ULL(width) - 1;
	unit->pgsize_bitmap = BIT_ULL(12) | BIT_ULL(21) | BIT_ULL(30);
	unit->enforce_coherency = false; /* no snoop control, as in QEMU's */
	unit->resv[0] = (struct iommu_resv_region){
		.start = VTD_MSI_START,
		.last = VTD_MSI_LAST,
		.type = IOMMU_RESV_MSI,
	};
	unit->nr_resv = 1;
	unit->faults = faults;
	return unit;
}

void iommu_unit_free(struct iommu_unit *unit)
{
	free(unit);
}
