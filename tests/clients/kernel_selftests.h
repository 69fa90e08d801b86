/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before each source of the kernel's VFIO tests, which stay unmodified: what the tree of
 * Linux 7.2 itself forgets to define.
 */
#ifndef CLIENTS_KERNEL_SELFTESTS_H
#define CLIENTS_KERNEL_SELFTESTS_H

#include <stdlib.h>

#ifndef calloc_assert
#define calloc_assert(count, size) \
	({ \
		void *memory_ = calloc(count, size); \
		if (!memory_) \
			abort(); \
		memory_; \
	})
#endif

#endif
