/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a device does through its IOMMU: translate and access. For device threads; lock free.
 *
 * The caller is a thread that has called rcu_thread_start() (base/rcu.h). A DMA that fails is an
 * IOMMU fault: counted at the endpoint, recorded in the unit's fault log, and reported to the
 * caller as -EFAULT. What preceded the failing byte has been transferred. A backing whose file was
 * cut short is a fault too, never a crash: the accesses are guarded (SIGBUS).
 */
#ifndef IOMMU_DMA_H
#define IOMMU_DMA_H

#include "iommu/iommu.h"

int iommu_dma_read(struct iommu_endpoint *ep, u64 iova, void *buf, size_t len);
int iommu_dma_write(struct iommu_endpoint *ep, u64 iova, const void *buf, size_t len);

/* Installs the process-wide SIGBUS guard that the accesses above rely on: before the first of them,
 * and again when somebody has installed another handler. 0 or -errno. */
int iommu_dma_init(void);

#endif
