// SPDX-License-Identifier: MIT
#pragma once

#include <linux/ethtool.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devmem/flow_rule.h"

namespace devmem {

// The kernel's form of a flow; the location is left 0. Throws Error (EINVAL) if the addresses
// are of two IP versions.
ethtool_rx_flow_spec flow_spec(const Flow& flow, std::uint64_t queue_or_drop);

// The highest location of size that no rule has: it loses against every rule a person made.
std::optional<std::uint32_t> free_location(std::span<const std::uint32_t> taken,
                                           std::uint32_t size);

// Where the packets of a rule go.
struct RuleTarget {
    std::uint64_t queue_or_drop = 0;
    std::uint32_t rss_context = 0;  // if not 0, it chooses the queue

    bool operator==(const RuleTarget&) const = default;
};

// A rule for the kernel, its command and location still to be filled in. Throws Error as
// flow_spec().
ethtool_rxnfc rule_request(const Flow& flow, const RuleTarget& target);

// The locations of an interface that have a rule. Throws Error, as all of these.
std::vector<std::uint32_t> flow_rules(std::uint32_t ifindex);
// Whether the rule there is just this one, its location aside.
bool is_flow_rule(std::uint32_t ifindex, std::uint32_t location, const ethtool_rxnfc& rule);
// Returns the location: that of location, else a free one.
std::uint32_t add_flow_rule(std::uint32_t ifindex, ethtool_rxnfc rule,
                            std::optional<std::uint32_t> location = {});
void remove_flow_rule(std::uint32_t ifindex, std::uint32_t location);

}  // namespace devmem
