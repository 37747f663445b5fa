// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devmem/export.h"

namespace devmem {

// Interfaces are named by their index in the calling thread's network namespace. Everything here
// throws Error and may be called from any thread.

/// The index of an interface.
DEVMEM_API std::uint32_t interface_index(const std::string& name);
/// The name of an interface, as it is now.
DEVMEM_API std::string interface_name(std::uint32_t ifindex);

/// Every interface but the loopback device, by index.
DEVMEM_API std::vector<std::uint32_t> interfaces();

/// What an interface has counted, as `ip -s link` shows it.
struct Counts {
    std::uint64_t rx_packets = 0, rx_bytes = 0;
    std::uint64_t rx_dropped = 0;  ///< by the kernel, or by the driver for want of memory
    std::uint64_t rx_missed = 0;   ///< by the NIC, which had no buffer to put it in
    std::uint64_t rx_errors = 0;
    std::uint64_t tx_packets = 0, tx_bytes = 0, tx_dropped = 0;
};
DEVMEM_API Counts counts(std::uint32_t ifindex);

/// One queue of an interface, as the kernel describes it.
struct Queue {
    enum class Type { rx, tx };

    std::uint32_t ifindex = 0;
    Type type = Type::rx;
    std::uint32_t id = 0;         ///< from 0
    std::uint32_t napi_id = 0;    ///< 0: the driver does not say
    std::uint32_t dmabuf_id = 0;  ///< binding it receives into; 0: none
    bool io_uring = false;        ///< it receives into memory of an io_uring
    bool xsk = false;             ///< an AF_XDP socket has it

    /// Whether it can be bound: nobody else has it.
    [[nodiscard]] bool is_free() const noexcept { return dmabuf_id == 0 && !io_uring && !xsk; }
};

/// The queues in use of an interface that is up.
DEVMEM_API std::vector<Queue> queues(std::uint32_t ifindex);

/// What the driver has counted for one queue since it started; absent: it does not count that.
struct QueueStats {
    Queue::Type type = Queue::Type::rx;
    std::uint32_t id = 0;
    std::optional<std::uint64_t> packets = {}, bytes = {};
    std::optional<std::uint64_t> alloc_fail = {};  ///< no memory to receive into
    std::optional<std::uint64_t> hw_drops = {};    ///< packets that the NIC had no room for
};

/// One of each queue; empty if the driver does not tell.
DEVMEM_API std::vector<QueueStats> queue_stats(std::uint32_t ifindex);

/// A page pool: where the buffers of a queue come from.
struct PagePool {
    std::uint64_t id = 0;
    std::uint32_t ifindex = 0;         ///< 0: of an interface that is gone
    std::uint64_t napi_id = 0;         ///< 0: not tied to one
    std::uint64_t inflight = 0;        ///< buffers the pool has or has given out
    std::uint64_t inflight_bytes = 0;  ///< and their size
    /// Set once the driver has given it up and it waits for its last buffers: seconds of
    /// CLOCK_BOOTTIME. Tokens nobody returned keep a pool in this state.
    std::optional<std::uint64_t> detach_time;
    std::uint32_t dmabuf_id = 0;  ///< binding it draws on; 0: host memory
};

/// The page pools of an interface, or of all with 0.
DEVMEM_API std::vector<PagePool> page_pools(std::uint32_t ifindex = 0);

}  // namespace devmem
