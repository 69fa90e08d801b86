/* SPDX-License-Identifier: BSD-3-Clause */
/* The educational device of QEMU (QEMU: docs/specs/edu.rst). */
#ifndef MODELS_EDU_EDU_H
#define MODELS_EDU_EDU_H

#include "device/device.h"

extern const struct device_model edu_model;

#endif
