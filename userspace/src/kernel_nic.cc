// SPDX-License-Identifier: MIT
#include "devmem/netdev.h"
#include "nic.h"

namespace devmem {
namespace {

constexpr std::string_view steering = "rx-ntuple-filter";

class KernelNic final : public Nic {
  public:
    explicit KernelNic(std::uint32_t ifindex) : ifindex_(ifindex) {}

    std::optional<NicIdentity> identity() override { return nic_identity(ifindex_); }
    Rings rings() override { return devmem::rings(ifindex_); }
    void set_rings(const RingsChange& change) override { devmem::set_rings(ifindex_, change); }
    Channels channels() override { return devmem::channels(ifindex_); }
    void set_channels(const ChannelsChange& change) override {
        devmem::set_channels(ifindex_, change);
    }
    bool steers() override { return feature(ifindex_, steering); }
    void set_steers(bool on) override { set_feature(ifindex_, steering, on); }
    std::vector<std::uint32_t> rss_table() override { return devmem::rss_table(ifindex_); }
    void set_rss_table(std::span<const std::uint32_t> table) override {
        devmem::set_rss_table(ifindex_, table);
    }
    std::vector<RssContext> rss_contexts() override { return devmem::rss_contexts(ifindex_); }
    std::uint32_t add_rss_context(std::span<const std::uint32_t> queues) override {
        return devmem::add_rss_context(ifindex_, queues);
    }
    void remove_rss_context(std::uint32_t id) override { devmem::remove_rss_context(ifindex_, id); }
    std::vector<std::uint32_t> rules() override { return flow_rules(ifindex_); }
    bool has_rule(std::uint32_t location, const Flow& flow, const RuleTarget& to) override {
        return is_flow_rule(ifindex_, location, rule_request(flow, to));
    }
    std::uint32_t add_rule(const Flow& flow, const RuleTarget& to) override {
        return add_flow_rule(ifindex_, rule_request(flow, to));
    }
    void remove_rule(std::uint32_t location) override { remove_flow_rule(ifindex_, location); }
    std::vector<std::uint32_t> bound_queues() override {
        std::vector<std::uint32_t> bound;
        for (const Queue& queue : queues(ifindex_))
            if (queue.type == Queue::Type::rx && queue.dmabuf_id != 0) bound.push_back(queue.id);
        return bound;
    }

  private:
    std::uint32_t ifindex_;
};

}  // namespace

std::unique_ptr<Nic> kernel_nic(std::uint32_t ifindex) {
    return std::make_unique<KernelNic>(ifindex);
}

}  // namespace devmem
