// SPDX-License-Identifier: MIT
#include "shortage.h"

#include <fmt/core.h>

#include <algorithm>

#include "devmem/netdev.h"

namespace {

using Count = std::optional<std::uint64_t>;

void add(Count& sum, const Count& value) {
    if (value) sum = sum.value_or(0) + *value;
}

Count since(const Count& before, const Count& now) {
    if (!now) return {};
    return *now - std::min(*now, before.value_or(0));
}

nlohmann::ordered_json or_null(const Count& count) {
    return count ? nlohmann::ordered_json(*count) : nlohmann::ordered_json();
}

}  // namespace

std::string Shortage::text() const {
    if (!no_memory && !dropped) return "the driver does not count shortages";
    return fmt::format("{} times no memory, {} packets dropped", no_memory.value_or(0),
                       dropped.value_or(0));
}

void Shortage::add_to(nlohmann::ordered_json& json) const {
    json["no_memory"] = or_null(no_memory);
    json["dropped"] = or_null(dropped);
}

ShortageCounter::ShortageCounter(std::uint32_t ifindex, std::span<const std::uint32_t> queues)
    : ifindex_(ifindex), queues_(queues.begin(), queues.end()), before_(total()) {}

Shortage ShortageCounter::now() const {
    const Shortage now = total();
    return {since(before_.no_memory, now.no_memory), since(before_.dropped, now.dropped)};
}

Shortage ShortageCounter::total() const {
    Shortage sum;
    for (const devmem::QueueStats& stats : devmem::queue_stats(ifindex_)) {
        if (stats.type != devmem::Queue::Type::rx) continue;
        if (std::ranges::find(queues_, stats.id) == queues_.end()) continue;
        add(sum.no_memory, stats.alloc_fail);
        add(sum.dropped, stats.hw_drops);
    }
    return sum;
}
