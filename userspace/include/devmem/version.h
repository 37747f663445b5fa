/* SPDX-License-Identifier: MIT */
#ifndef DEVMEM_VERSION_H
#define DEVMEM_VERSION_H

#include <stdint.h>

#include "devmem/export.h"

/*
 * Of this header; CMake reads them here. A new minor number means that the C++ interface has
 * changed: recompile. The C interface (devmem.h) only grows, while the major number stays.
 */
#define DEVMEM_VERSION_MAJOR 1
#define DEVMEM_VERSION_MINOR 0
#define DEVMEM_VERSION_PATCH 0

/* As a number to compare: 1.0.0 is 10000, 1.2.3 is 10203. */
#define DEVMEM_VERSION \
    (DEVMEM_VERSION_MAJOR * 10000 + DEVMEM_VERSION_MINOR * 100 + DEVMEM_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* DEVMEM_VERSION of the library that the program runs with. Any thread. */
DEVMEM_API uint32_t devmem_version(void);

#ifdef __cplusplus
}
#endif

#endif
