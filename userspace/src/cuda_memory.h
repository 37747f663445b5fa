// SPDX-License-Identifier: MIT
#pragma once

#include "cuda_driver.h"
#include "gpu_memory.h"

namespace devmem {

/// Allocates and exports memory of a device, size bytes rounded up to whole granules. driver must
/// outlive it. Throws Error.
GpuMemory cuda_memory(const CudaDriver& driver, std::uint64_t size, const Gpu& gpu);

/// Exports memory that somebody else allocated, in whatever context, and owns. Throws Error.
GpuMemory import_cuda_memory(const CudaDriver& driver, void* address, std::uint64_t size);

}  // namespace devmem
