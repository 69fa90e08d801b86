/* SPDX-License-Identifier: BSD-3-Clause */
/* Copies to and from mapped files that may be cut short at any time. */
#ifndef IOMMU_GUARD_H
#define IOMMU_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the SIGBUS handler, unless it is in place; SIGBUS of other origin goes on to the handler
 * that was there. 0 or -errno. */
int guard_init(void);

/*
 * memcpy(), where the @len bytes at @guarded, which is @dst or @src, may not exist. false: some did
 * not; how much has been copied is unknown. Any thread.
 */
bool guard_copy(void *dst, const void *src, size_t len, const void *guarded);

#endif
