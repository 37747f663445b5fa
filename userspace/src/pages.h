// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <cstdint>

namespace devmem {

/// Bytes.
inline std::uint64_t page_size() noexcept {
    return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

inline std::uint64_t round_up(std::uint64_t size, std::uint64_t unit) noexcept {
    return (size + unit - 1) / unit * unit;
}

}  // namespace devmem
