// SPDX-License-Identifier: MIT
// What must be put back in a NIC, as a file that outlives whoever is to do it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devmem/ethtool.h"
#include "devmem/flow_rule.h"
#include "nic_identity.h"

namespace devmem {

/// A steering rule of a session. Noted before it is made, when the driver has yet to choose its
/// place: until then there are the places that were in use, of which it can be none.
struct JournalRule {
    Flow flow;
    std::optional<std::uint32_t> queue = {};  // absent: the session's RSS context
    std::optional<std::uint32_t> location = {};
    std::vector<std::uint32_t> others = {};

    bool operator==(const JournalRule&) const = default;
};

/// Noted before it is made, as a rule is.
struct JournalContext {
    std::optional<std::uint32_t> id = {};
    std::vector<std::uint32_t> others = {};

    bool operator==(const JournalContext&) const = default;
};

struct JournalSession {
    std::uint64_t id = 0;
    std::vector<std::uint32_t> queues = {};
    std::optional<JournalContext> context = {};
    std::vector<JournalRule> rules = {};

    bool operator==(const JournalSession&) const = default;
};

/// Of one NIC. The settings that all sessions share are as they were before the first session
/// changed them; what is absent was not changed.
struct Journal {
    NicIdentity nic;
    RingsChange rings = {};  // data_split and hds_thresh
    bool steering_was_off = false;
    ChannelsChange channels = {};  // rx and combined
    std::vector<std::uint32_t> rss_table = {};
    std::vector<JournalSession> sessions = {};

    bool operator==(const Journal&) const = default;
    /// Whether shared settings are to be put back.
    [[nodiscard]] bool changed() const;
};

/// The file's text. A line says one thing, the first word what; the last line is "end".
std::string format_journal(const Journal& journal);

/// Pure. Throws Error (EBADMSG) that names the line for all that format_journal() does not write;
/// file is what to call the text.
Journal parse_journal(std::string_view text, const std::string& file);

}  // namespace devmem
