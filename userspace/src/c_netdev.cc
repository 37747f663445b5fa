// SPDX-License-Identifier: MIT
#include "devmem/netdev.h"

#include "c_error.h"

int devmem_interface_index(const char* name, uint32_t* ifindex, devmem_error** error) {
    return devmem::guarded(error, [&] { *ifindex = devmem::interface_index(name); });
}
