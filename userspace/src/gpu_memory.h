// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "devmem/copy_engine.h"
#include "devmem/fd.h"

namespace devmem {

/// What a GPU's driver makes of memory for a DmaBuf.
struct GpuMemory {
    std::uint64_t size;  // bytes
    void* address;
    std::unique_ptr<CopyEngine> engine;  // frees the memory if it is owned
    Fd fd;                               // to be closed before that
};

/// A GPU as its driver tells of it.
struct GpuFacts {
    std::string name;  // and where it is: "NVIDIA H100 at 0000:3b:00.0"
    bool exports;      // memory as dmabufs
};

/// GPU drivers place allocations of this size and its multiples apart; smaller ones share a piece,
/// which could not be exported alone.
inline constexpr std::uint64_t gpu_granule = 2 << 20;

/// Throws Error unless memory that somebody else allocated is whole pages. kind: "cuda".
void require_pages(const std::string& kind, const void* address, std::uint64_t size);

}  // namespace devmem
