// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devmem/export.h"

namespace devmem {

/// The RSS table of a NIC: which queue gets the flows of which hash value, one entry per value.
/// Throws Error.
DEVMEM_API std::vector<std::uint32_t> rss_table(std::uint32_t ifindex);
/// Sets it; an empty one means the driver's default.
DEVMEM_API void set_rss_table(std::uint32_t ifindex, std::span<const std::uint32_t> table);

/// An RSS context: a table of its own for the flows that a steering rule sends to it.
struct RssContext {
    std::uint32_t id = 0;  ///< from 1
    std::vector<std::uint32_t> table = {};
};
/// Those of a NIC; none where the NIC can't have any. Throws Error.
DEVMEM_API std::vector<RssContext> rss_contexts(std::uint32_t ifindex);
/// Makes one that spreads flows evenly over these queues; returns its id. Throws Error; EOPNOTSUPP
/// if the NIC can't have any.
DEVMEM_API std::uint32_t add_rss_context(std::uint32_t ifindex,
                                         std::span<const std::uint32_t> queues);
/// The kernel refuses while a rule sends flows there. Throws Error.
DEVMEM_API void remove_rss_context(std::uint32_t ifindex, std::uint32_t id);

/// Pure: whether a table is what a driver starts with when so many queues receive.
DEVMEM_API bool rss_is_default(std::span<const std::uint32_t> table, std::uint32_t queues);

/// Pure: table with no entry for any of queues, over total queues. Empty if none is left.
DEVMEM_API std::vector<std::uint32_t> rss_without(std::span<const std::uint32_t> table,
                                                  std::span<const std::uint32_t> queues,
                                                  std::uint32_t total);

}  // namespace devmem
