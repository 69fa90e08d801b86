/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked to the kernel's VFIO tests: the mode that a test uses when it asks for none comes from the
 * environment, so that those which know but one default run in every mode.
 */
#include <stdlib.h>

extern const char *default_iommu_mode;

static __attribute__((constructor)) void mode_from_environment(void)
{
	const char *mode = getenv("KERNEL_SELFTESTS_MODE");

	if (mode)
		default_iommu_mode = mode;
}
