// SPDX-License-Identifier: MIT
// What device memory TCP is doing at one moment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devmem/netdev.h"

struct QueueStatus {
    devmem::Queue queue;
    devmem::QueueStats stats;
};

struct InterfaceStatus {
    std::string name;
    devmem::Counts counts;
    std::vector<QueueStatus> queues;
};

struct PoolStatus {
    devmem::PagePool pool;
    std::string interface;                    ///< empty: it is gone
    std::optional<std::uint32_t> queue = {};  ///< the RX queue that takes from it
    std::optional<std::uint64_t> detached_seconds = {};
};

/// A dmabuf that queues receive into. Those to send from are their programs' own: the kernel does
/// not list them.
struct BindingStatus {
    std::uint32_t dmabuf_id = 0;
    std::string interface;
    std::vector<std::uint32_t> queues;  ///< none: unbound, and waiting for its last tokens
    std::uint64_t inflight = 0, inflight_bytes = 0;
};

struct Snapshot {
    std::vector<InterfaceStatus> interfaces;
    std::vector<BindingStatus> bindings;
    std::vector<PoolStatus> pools;
};

/// interface: only what is its own; empty: everything. Throws devmem::Error.
Snapshot take_snapshot(const std::string& interface);

/// Pure: the bindings that queues and pools tell of.
std::vector<BindingStatus> bindings_of(const std::vector<InterfaceStatus>& interfaces,
                                       const std::vector<PoolStatus>& pools);
