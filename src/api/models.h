/* SPDX-License-Identifier: BSD-3-Clause */
/* Every model that the library has. */
#ifndef API_MODELS_H
#define API_MODELS_H

#include "device/device.h"

/* NULL-terminated. */
extern const struct device_model *const api_models[];

#endif
