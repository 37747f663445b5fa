// SPDX-License-Identifier: MIT
#include "devmem/version.h"

uint32_t devmem_version() {
    return DEVMEM_VERSION;
}
