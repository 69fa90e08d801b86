/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the regions of device files begin: BAR 1 of Linux's layout. Below it a program's offsets
 * are its own. */
#ifndef SUPERVISOR_REGION_H
#define SUPERVISOR_REGION_H

#define REGION_FIRST_OFFSET (1ULL << 40)

#endif
