// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devmem/export.h"
#include "devmem/ip_address.h"

namespace devmem {

/// Which packets: those of one protocol over one IP version that agree in every field that is set.
struct Flow {
    enum class Protocol { tcp, udp };

    Protocol protocol = Protocol::tcp;
    bool v6 = false;  ///< only asked where neither address is set
    std::optional<IpAddress> source = {}, destination = {};
    std::optional<std::uint16_t> source_port = {}, destination_port = {};

    bool operator==(const Flow&) const = default;
};

/// All that TCP sends to a port, over IPv4 and over IPv6: what a listening socket there gets.
DEVMEM_API std::vector<Flow> flows_to_port(std::uint16_t port);
/// What a connected TCP socket receives. Throws Error.
DEVMEM_API Flow flow_of(int socket);

/// A steering rule in a NIC (an n-tuple rule), there for as long as this lives. n-tuple steering
/// must be on: set_feature() of "rx-ntuple-filter", or NicSession.
class DEVMEM_API FlowRule {
  public:
    /// What becomes of the packets; a number is a queue.
    static constexpr std::uint64_t drop = ~std::uint64_t{0};

    /// location: the rule's place in the table, lower ones win on most NICs; by default a free one
    /// is found. Throws Error; EINVAL if the addresses are of two IP versions.
    FlowRule(std::uint32_t ifindex, const Flow& flow, std::uint64_t queue_or_drop,
             std::optional<std::uint32_t> location = {});
    /// Removes the rule; an error is lost.
    ~FlowRule();
    FlowRule(FlowRule&& other) noexcept;
    FlowRule& operator=(FlowRule&&) = delete;

    [[nodiscard]] std::uint32_t location() const noexcept { return *location_; }
    /// Removes the rule now. Throws Error.
    void remove();

  private:
    std::uint32_t ifindex_;
    std::optional<std::uint32_t> location_;  // empty: removed or moved from
};

}  // namespace devmem
