// SPDX-License-Identifier: MIT
// A model of a NIC and of what the kernel refuses to do to it.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "devmem/error.h"
#include "devmem/rss_table.h"
#include "nic.h"

namespace devmem::test {

struct FakeRule {
    Flow flow;
    RuleTarget to;

    bool operator==(const FakeRule&) const = default;
};

/// All that can be seen of the NIC.
struct FakeNicState {
    DataSplit split = DataSplit::off;
    std::uint32_t hds_thresh = 200;
    std::uint32_t queues = 4, most_queues = 8;
    bool combined = true;
    bool steers = false;
    std::array<std::uint32_t, 16> table = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    bool table_was_set = false;  // a set one pins the number of queues
    std::array<std::optional<FakeRule>, 4> rules = {};
    std::uint32_t most_contexts = 0;
    std::array<std::array<std::uint32_t, 16>, 3> contexts = {};  // all zero: none
    std::array<bool, 8> bound = {};
    std::uint32_t ifindex = 5;
    std::uint8_t address = 1;  // 0: gone

    bool operator==(const FakeNicState&) const = default;
};

/// In memory that forked children share, as they share a kernel.
class SharedNic {
  public:
    explicit SharedNic(const FakeNicState& state = {})
        : state_(new (::mmap(nullptr, sizeof(FakeNicState), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0)) FakeNicState(state)) {
        static_assert(std::is_trivially_copyable_v<FakeNicState>);
    }
    ~SharedNic() { ::munmap(state_, sizeof(*state_)); }
    SharedNic(const SharedNic&) = delete;
    SharedNic& operator=(const SharedNic&) = delete;

    FakeNicState& operator*() const { return *state_; }
    FakeNicState* operator->() const { return state_; }

  private:
    FakeNicState* state_;
};

class FakeNic final : public Nic {
  public:
    explicit FakeNic(FakeNicState& state) : nic_(state) {}

    std::optional<NicIdentity> identity() override {
        if (nic_.address == 0) return std::nullopt;
        return NicIdentity{boot_id(), netns_inode(), nic_.ifindex, "fake0",
                           "02:00:00:00:00:0" + std::to_string(nic_.address)};
    }

    Rings rings() override {
        Rings rings;
        rings.data_split = nic_.split;
        rings.hds_thresh = nic_.hds_thresh;
        return rings;
    }
    void set_rings(const RingsChange& change) override {
        const auto split = change.data_split.value_or(nic_.split);
        for (const bool bound : nic_.bound)
            if (bound && split != DataSplit::on)
                throw Error(EBUSY, "set rings of fake0", "a queue is bound to a dmabuf");
        nic_.split = split;
        nic_.hds_thresh = change.hds_thresh.value_or(nic_.hds_thresh);
    }

    Channels channels() override {
        Channels channels;
        (nic_.combined ? channels.combined : channels.rx) = nic_.queues;
        (nic_.combined ? channels.combined_max : channels.rx_max) = nic_.most_queues;
        return channels;
    }
    void set_channels(const ChannelsChange& change) override {
        const auto& wanted = nic_.combined ? change.combined : change.rx;
        const std::uint32_t queues = wanted.value_or(nic_.queues);
        if (queues == 0 || queues > nic_.most_queues) throw Error(EINVAL, "set channels of fake0");
        for (const std::uint32_t queue : nic_.table)
            if (nic_.table_was_set && queue >= queues)
                throw Error(EINVAL, "set channels of fake0", "indirection table");
        for (const auto& rule : nic_.rules)
            if (rule && rule->to.queue_or_drop >= queues)
                throw Error(EINVAL, "set channels of fake0", "rule");
        nic_.queues = queues;
        if (!nic_.table_was_set) spread();
    }

    bool steers() override { return nic_.steers; }
    void set_steers(bool on) override { nic_.steers = on; }

    std::vector<std::uint32_t> rss_table() override {
        return {nic_.table.begin(), nic_.table.end()};
    }
    void set_rss_table(std::span<const std::uint32_t> table) override {
        nic_.table_was_set = !table.empty();
        if (table.empty()) return spread();
        for (std::size_t i = 0; i < nic_.table.size(); ++i) {
            if (table[i] >= nic_.queues) throw Error(EINVAL, "set RSS table of fake0");
            nic_.table[i] = table[i];
        }
    }

    std::vector<RssContext> rss_contexts() override {
        std::vector<RssContext> contexts;
        for (std::uint32_t i = 0; i < nic_.contexts.size(); ++i)
            if (nic_.contexts[i] != no_context)
                contexts.push_back({i + 1, {nic_.contexts[i].begin(), nic_.contexts[i].end()}});
        return contexts;
    }
    std::uint32_t add_rss_context(std::span<const std::uint32_t> queues) override {
        for (std::uint32_t id = 1; id <= nic_.most_contexts; ++id) {
            auto& table = nic_.contexts[id - 1];
            if (table != no_context) continue;
            for (std::size_t i = 0; i < table.size(); ++i) table[i] = queues[i % queues.size()];
            return id;
        }
        throw Error(EOPNOTSUPP, "add RSS context of fake0");
    }
    void remove_rss_context(std::uint32_t id) override {
        for (const auto& rule : nic_.rules)
            if (rule && rule->to.rss_context == id)
                throw Error(EBUSY, "remove RSS context of fake0", "a rule uses it");
        nic_.contexts.at(id - 1) = no_context;
    }

    std::vector<std::uint32_t> rules() override {
        std::vector<std::uint32_t> taken;
        for (std::uint32_t i = 0; i < nic_.rules.size(); ++i)
            if (nic_.rules[i]) taken.push_back(i);
        return taken;
    }
    bool has_rule(std::uint32_t location, const Flow& flow, const RuleTarget& to) override {
        return nic_.rules.at(location) == FakeRule{flow, to};
    }
    std::uint32_t add_rule(const Flow& flow, const RuleTarget& to) override {
        if (!nic_.steers) throw Error(EOPNOTSUPP, "add flow rule of fake0");
        if (to.queue_or_drop >= nic_.queues) throw Error(EINVAL, "add flow rule of fake0");
        for (std::uint32_t i = 0; i < nic_.rules.size(); ++i) {
            if (nic_.rules[i]) continue;
            nic_.rules[i] = FakeRule{flow, to};
            return i;
        }
        throw Error(ENOSPC, "add flow rule of fake0");
    }
    void remove_rule(std::uint32_t location) override {
        if (!nic_.rules.at(location)) throw Error(ENOENT, "remove flow rule of fake0");
        nic_.rules[location].reset();
    }

    std::vector<std::uint32_t> bound_queues() override {
        std::vector<std::uint32_t> bound;
        for (std::uint32_t i = 0; i < nic_.bound.size(); ++i)
            if (nic_.bound[i]) bound.push_back(i);
        return bound;
    }

  private:
    static constexpr std::array<std::uint32_t, 16> no_context = {};

    void spread() {
        for (std::uint32_t i = 0; i < nic_.table.size(); ++i) nic_.table[i] = i % nic_.queues;
    }

    FakeNicState& nic_;
};

}  // namespace devmem::test
