// SPDX-License-Identifier: MIT
#pragma once

#include "gpu_memory.h"
#include "rocm_driver.h"

namespace devmem {

/// Allocates and exports memory of a device, size bytes rounded up to whole granules. driver must
/// outlive it. Throws Error.
GpuMemory rocm_memory(const RocmDriver& driver, std::uint64_t size, const Gpu& gpu);

/// Exports memory that somebody else allocated and owns. Throws Error.
GpuMemory import_rocm_memory(const RocmDriver& driver, void* address, std::uint64_t size);

}  // namespace devmem
