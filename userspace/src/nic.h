// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devmem/ethtool.h"
#include "devmem/flow_rule.h"
#include "devmem/rss_table.h"
#include "flow_spec.h"
#include "nic_identity.h"

namespace devmem {

/// What a session wants of a NIC. An interface, so that tests can have one that they see through;
/// kernel_nic() is the real one. Everything throws Error.
class Nic {
  public:
    virtual ~Nic() = default;

    /// Nothing if it is gone.
    virtual std::optional<NicIdentity> identity() = 0;
    virtual Rings rings() = 0;
    virtual void set_rings(const RingsChange& change) = 0;
    virtual Channels channels() = 0;
    virtual void set_channels(const ChannelsChange& change) = 0;
    /// n-tuple steering.
    virtual bool steers() = 0;
    virtual void set_steers(bool on) = 0;
    virtual std::vector<std::uint32_t> rss_table() = 0;
    /// An empty one means the driver's default.
    virtual void set_rss_table(std::span<const std::uint32_t> table) = 0;
    virtual std::vector<RssContext> rss_contexts() = 0;
    virtual std::uint32_t add_rss_context(std::span<const std::uint32_t> queues) = 0;
    virtual void remove_rss_context(std::uint32_t id) = 0;
    /// The locations that have a rule.
    virtual std::vector<std::uint32_t> rules() = 0;
    /// Whether it is just this rule that is there.
    virtual bool has_rule(std::uint32_t location, const Flow& flow, const RuleTarget& to) = 0;
    virtual std::uint32_t add_rule(const Flow& flow, const RuleTarget& to) = 0;
    virtual void remove_rule(std::uint32_t location) = 0;
    /// Queues that a dmabuf is bound to, by anybody.
    virtual std::vector<std::uint32_t> bound_queues() = 0;
};

/// ifindex is one of the network namespace of the thread that calls, whenever it calls.
std::unique_ptr<Nic> kernel_nic(std::uint32_t ifindex);

}  // namespace devmem
