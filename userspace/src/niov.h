// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "devmem/cmsg.h"

namespace devmem {

/// Bytes of the pieces that the kernel cuts a dmabuf into, unless it is asked for others.
inline std::uint64_t niov_size() noexcept {
    static const auto size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

/// Bytes of a dmabuf that a piece keeps from the NIC: all of each niov that it lies in.
inline std::uint64_t held_by(const Piece& piece) noexcept {
    const std::uint64_t first = piece.offset / niov_size();
    const std::uint64_t last = (piece.offset + std::max(piece.size, 1U) - 1) / niov_size();
    return (last - first + 1) * niov_size();
}

}  // namespace devmem
