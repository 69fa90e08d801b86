/* SPDX-License-Identifier: BSD-3-Clause */
/* A unit like Intel's VT-d with second-stage tables: 4 KiB, 2 MiB and 1 GiB pages, the MSI window
 * 0xfee00000-0xfeefffff reserved. */
#ifndef IOMMU_VTD_H
#define IOMMU_VTD_H

#include "iommu/iommu.h"

/* @width is 39, 48 or 57 (-EINVAL otherwise). @index numbers the unit: "dmar0". NULL with errno. */
struct iommu_unit *iommu_vtd_new(unsigned int index, unsigned int width,
				 struct iommu_fault_log *faults);
void iommu_unit_free(struct iommu_unit *unit);

#endif
