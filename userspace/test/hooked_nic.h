// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "nic.h"

namespace devmem::test {

/// A Nic that calls a hook before and after each change. What the hook throws, the change does.
class HookedNic final : public Nic {
  public:
    /// change: "set_rings" and the like.
    using Hook = std::function<void(const char* change)>;

    HookedNic(std::unique_ptr<Nic> nic, Hook hook) : nic_(std::move(nic)), hook_(std::move(hook)) {}

    std::optional<NicIdentity> identity() override { return nic_->identity(); }
    Rings rings() override { return nic_->rings(); }
    Channels channels() override { return nic_->channels(); }
    bool steers() override { return nic_->steers(); }
    std::vector<std::uint32_t> rss_table() override { return nic_->rss_table(); }
    std::vector<RssContext> rss_contexts() override { return nic_->rss_contexts(); }
    std::vector<std::uint32_t> rules() override { return nic_->rules(); }
    std::vector<std::uint32_t> bound_queues() override { return nic_->bound_queues(); }
    bool has_rule(std::uint32_t location, const Flow& flow, const RuleTarget& to) override {
        return nic_->has_rule(location, flow, to);
    }

    void set_rings(const RingsChange& change) override {
        hooked("set_rings", [&] { nic_->set_rings(change); });
    }
    void set_channels(const ChannelsChange& change) override {
        hooked("set_channels", [&] { nic_->set_channels(change); });
    }
    void set_steers(bool on) override {
        hooked("set_steers", [&] { nic_->set_steers(on); });
    }
    void set_rss_table(std::span<const std::uint32_t> table) override {
        hooked("set_rss_table", [&] { nic_->set_rss_table(table); });
    }
    std::uint32_t add_rule(const Flow& flow, const RuleTarget& to) override {
        std::uint32_t location = 0;
        hooked("add_rule", [&] { location = nic_->add_rule(flow, to); });
        return location;
    }
    std::uint32_t add_rss_context(std::span<const std::uint32_t> queues) override {
        std::uint32_t id = 0;
        hooked("add_rss_context", [&] { id = nic_->add_rss_context(queues); });
        return id;
    }
    void remove_rss_context(std::uint32_t id) override {
        hooked("remove_rss_context", [&] { nic_->remove_rss_context(id); });
    }
    void remove_rule(std::uint32_t location) override {
        hooked("remove_rule", [&] { nic_->remove_rule(location); });
    }

  private:
    template <class Change>
    void hooked(const char* name, Change change) {
        hook_(name);
        change();
        hook_(name);
    }

    std::unique_ptr<Nic> nic_;
    Hook hook_;
};

}  // namespace devmem::test
