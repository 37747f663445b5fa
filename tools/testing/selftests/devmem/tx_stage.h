// SPDX-License-Identifier: GPL-2.0
// What most tests of sending stand on: a pair, and memory bound to its NIC to send from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "guard.h"
#include "topology.h"
#include "tx_stream.h"

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

constexpr std::uint64_t mebibyte = 1 << 20;

struct TxStage {
    explicit TxStage(const PairOptions& options = {}, TxMemory from = TxMemory(4 * mebibyte));

    /// Binds the memory; throws if the kernel refuses.
    void bind();
    [[nodiscard]] TxStream stream(const TxRoute& route = {}) const {
        return TxStream(topology, memory, binding->id(), route);
    }
    /// What becomes of packets on their way out.
    void netem(std::string_view what) const;
    void no_netem() const { topology.here("tc qdisc del dev dm0 root"); }

    Topology topology;
    std::uint32_t ifindex;
    TxMemory memory;
    std::optional<RawTxBinding> binding;
};

/// All that was sent arrives, exact, and nothing of it was copied.
inline void expect_whole(TxStream& stream, double seconds = 120) {
    EXPECT_EQUAL("wrong", std::string(), stream.finish(seconds));
    EXPECT("no send was a copy", !stream.completions().copied, "a copy");
}

/// Bytes of the memory, in calls of `call` bytes, until so many have been sent.
void send_all(TxStream& stream, const TxMemory& memory, std::uint64_t bytes, std::size_t call);

/// Segments that were sent more than once, in this namespace.
std::uint64_t retransmitted();
