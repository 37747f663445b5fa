// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace devmem {

/// Pure: the highest count queues that are not taken, in ascending order, such that at least one
/// more is free. Of total queues if that will do, else of as many more as needed, but not over
/// most. Empty if there is no way.
std::vector<std::uint32_t> choose_queues(std::uint32_t count, std::span<const std::uint32_t> taken,
                                         std::uint32_t total, std::uint32_t most);

}  // namespace devmem
