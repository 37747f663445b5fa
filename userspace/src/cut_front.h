// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

namespace devmem {

/// How many extents are done with once the first so many of their bytes have been sent; the first
/// one left is cut where it must be. Extent: the C++ one or C's.
template <class Extent>
std::size_t cut_front(std::span<Extent> extents, std::size_t bytes) noexcept {
    std::size_t whole = 0;
    while (whole < extents.size() && extents[whole].length <= bytes)
        bytes -= extents[whole++].length;
    if (whole < extents.size()) {
        extents[whole].offset += bytes;
        extents[whole].length -= bytes;
    }
    return whole;
}

}  // namespace devmem
