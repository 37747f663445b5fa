// SPDX-License-Identifier: GPL-2.0
// What most tests of receiving stand on: a pair, memory, and a queue bound to it that gets all the
// traffic.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/header_split.h"
#include "devmem/netdev.h"
#include "reader.h"
#include "sender.h"
#include "topology.h"

struct BoundOptions {
    PairOptions pair = {};
    std::uint64_t memory = 8 << 20;
    std::string kind = device_memory();  ///< of memory, as devmem::MemoryKind has it
    std::vector<std::uint32_t> queues = {nic_kind()->queue};
    int rcvbuf = 0;
};

/// Each part may be let go on its own.
class Bound {
  public:
    explicit Bound(const BoundOptions& options = {})
        : Bound(std::make_shared<Topology>(options.pair), options) {}
    /// On a pair that is there already.
    explicit Bound(std::shared_ptr<Topology> pair, const BoundOptions& options = {});

    [[nodiscard]] Memories memories() const { return {{id, &*memory}}; }
    /// The next connection, read into this memory.
    [[nodiscard]] Reader accept(const devmem::Receiver::Options& options = {}) const {
        return Reader(listener.accept(), memories(), options);
    }
    [[nodiscard]] Sender send(const SendPlan& plan = {}) const {
        return Sender(topology.there_fd(), plan);
    }

    std::shared_ptr<Topology> pair;
    Topology& topology;
    std::uint32_t ifindex;
    std::optional<devmem::HeaderSplit> split;
    std::optional<devmem::DmaBuf> memory;
    std::optional<devmem::RxBinding> binding;
    std::uint32_t id;  ///< the binding's, also after it is gone
    Listener listener;
};

/// Spreads all traffic without a rule evenly over these queues; a NIC with a single one does.
void spread_over(std::uint32_t ifindex, const std::vector<std::uint32_t>& queues);
