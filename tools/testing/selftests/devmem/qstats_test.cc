// SPDX-License-Identifier: GPL-2.0
// Statistics of queues in the netdev family: what ethtool counts, and nothing lost when queues go.
#include <linux/netdev.h>
#include <linux/netlink.h>
#include <net/if.h>

#include <array>

#include "bound.h"
#include "expect.h"
#include "leftovers.h"
#include "raw_netlink.h"

namespace {

constexpr std::uint32_t rx = NETDEV_QUEUE_TYPE_RX, tx = NETDEV_QUEUE_TYPE_TX;

class QueueStats {
  public:
    // One answer for each queue in use.
    std::vector<Octets> queues() { return dump(true); }
    // The counter of one queue, of the whole device; throw if it is not told.
    std::uint64_t of(std::uint32_t type, std::uint32_t id, std::uint16_t counter) {
        for (const Octets& queue : queues())
            if (find_u32(queue, NETDEV_A_QSTATS_QUEUE_TYPE) == type &&
                find_u32(queue, NETDEV_A_QSTATS_QUEUE_ID) == id)
                return find_u32(queue, counter).value();
        throw std::runtime_error("no such queue");
    }
    std::uint64_t total(std::uint16_t counter) {
        const auto answers = dump(false);
        EXPECT_EQUAL("answers for one device", 1, answers.size());
        return find_u32(answers.at(0), counter).value();
    }

  private:
    std::vector<Octets> dump(bool queues) {
        RawRequest request(family_, NETDEV_CMD_QSTATS_GET, NLM_F_DUMP);
        request.u32(NETDEV_A_QSTATS_IFINDEX, ::if_nametoindex("dm0"));
        if (queues) request.u32(NETDEV_A_QSTATS_SCOPE, NETDEV_QSTATS_SCOPE_QUEUE);
        const RawReply reply = socket_.ask(request);
        EXPECT_EQUAL("errno", 0, reply.error);
        return reply.answers;
    }

    RawSocket socket_;
    std::uint16_t family_ = socket_.family(NETDEV_FAMILY_NAME);
};

struct Stage {
    Topology topology;
    QueueStats stats;
    std::uint32_t ifindex = ::if_nametoindex("dm0");
};

// ---- which queues ---------------------------------------------------------

std::set<std::pair<std::uint32_t, std::uint32_t>> listed(QueueStats& stats) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> found;
    for (const Octets& queue : stats.queues())
        found.emplace(find_u32(queue, NETDEV_A_QSTATS_QUEUE_TYPE).value(),
                      find_u32(queue, NETDEV_A_QSTATS_QUEUE_ID).value());
    return found;
}

void queues_in_use() {
    Stage stage;
    EXPECT_EQUAL("queues at birth", 8, listed(stage.stats).size());
    stage.topology.here("ethtool -L dm0 rx 2 tx 1");
    const std::set<std::pair<std::uint32_t, std::uint32_t>> wanted{{rx, 0}, {rx, 1}, {tx, 0}};
    EXPECT_EQUAL("queues that are left", wanted, listed(stage.stats));
}

// ---- what they count ------------------------------------------------------

struct Counter {
    std::uint32_t type;
    std::uint16_t attribute;
    const char* name;  // in ethtool's statistics, without the queue
};

constexpr std::array<Counter, 8> counters{{
    {rx, NETDEV_A_QSTATS_RX_PACKETS, "packets"},
    {rx, NETDEV_A_QSTATS_RX_BYTES, "bytes"},
    {rx, NETDEV_A_QSTATS_RX_ALLOC_FAIL, "alloc_failed"},
    {rx, NETDEV_A_QSTATS_RX_HW_DROP_OVERRUNS, "ring_empty"},
    {rx, NETDEV_A_QSTATS_RX_CSUM_BAD, "csum_bad"},
    {tx, NETDEV_A_QSTATS_TX_PACKETS, "packets"},
    {tx, NETDEV_A_QSTATS_TX_BYTES, "bytes"},
    {tx, NETDEV_A_QSTATS_TX_HW_GSO_PACKETS, "tso_packets"},
}};

// The stack may send a frame at any time: a count lies between ethtool's before and after.
template <class Count>
void expect_between(const std::string& name, Count count) {
    const std::uint64_t before = nic_count(name);
    const std::uint64_t seen = count();
    const std::uint64_t after = nic_count(name);
    EXPECT(fmt::format("{}: {} to {}", name, before, after), before <= seen && seen <= after, seen);
}

void expect_like_ethtool(QueueStats& stats) {
    for (const Counter& counter : counters) {
        const char* kind = counter.type == rx ? "rx" : "tx";
        expect_between(fmt::format("{}_{}", kind, counter.name),
                       [&] { return stats.total(counter.attribute); });
        for (std::uint32_t id = 0; id < 4; id++)
            expect_between(fmt::format("{}{}_{}", kind, id, counter.name),
                           [&] { return stats.of(counter.type, id, counter.attribute); });
    }
}

void like_ethtool() {
    Stage stage;
    stage.topology.there("inject dm0p n=64 step=sport");
    stage.topology.there("inject dm0p n=3 bad=l4");
    stage.topology.here("inject dm0 n=10 gso=1000 len=5000");
    // The stack sends frames too, so these numbers alone don't tell that ours are there.
    const auto arrived = [&] {
        return stage.stats.total(NETDEV_A_QSTATS_RX_PACKETS) >= 67 &&
               stage.stats.total(NETDEV_A_QSTATS_TX_PACKETS) >= 50 &&
               stage.stats.total(NETDEV_A_QSTATS_RX_CSUM_BAD) >= 3 &&
               stage.stats.total(NETDEV_A_QSTATS_TX_HW_GSO_PACKETS) >= 10;
    };
    EXPECT("all frames are counted", within(60, arrived), "fewer");
    EXPECT_EQUAL("bad checksums", 3, stage.stats.total(NETDEV_A_QSTATS_RX_CSUM_BAD));
    EXPECT_EQUAL("segments cut", 10, stage.stats.total(NETDEV_A_QSTATS_TX_HW_GSO_PACKETS));
    expect_like_ethtool(stage.stats);
}

// Nobody reads, so the few pages of memory are soon used up.
void overruns() {
    const Bound bound({.memory = 64 << 10});
    QueueStats stats;
    // What the stack sent while header split was turned on, and the queues were stopped for it.
    const auto others = stats.of(rx, 2, NETDEV_A_QSTATS_RX_HW_DROPS);
    const Sender sender = bound.send();
    const auto dropped = [&] { return stats.of(rx, 1, NETDEV_A_QSTATS_RX_HW_DROP_OVERRUNS) > 0; };
    EXPECT("frames are dropped for want of memory", within(60, dropped), "none");
    const auto overruns = stats.of(rx, 1, NETDEV_A_QSTATS_RX_HW_DROP_OVERRUNS);
    EXPECT("they are drops", stats.of(rx, 1, NETDEV_A_QSTATS_RX_HW_DROPS) >= overruns, "fewer");
    EXPECT_EQUAL("drops of another queue", others, stats.of(rx, 2, NETDEV_A_QSTATS_RX_HW_DROPS));
    expect_like_ethtool(stats);
}

// A frame that a rule drops comes to no queue.
void drops_before_queues() {
    Stage stage;
    stage.topology.here("ethtool -N dm0 flow-type tcp4 dst-port 2222 action -1 >/dev/null");
    stage.topology.there("inject dm0p n=5 dport=2222");
    const auto dropped = [&] { return stage.stats.total(NETDEV_A_QSTATS_RX_HW_DROPS) == 5; };
    EXPECT("the device's drops are 5", within(60, dropped),
           stage.stats.total(NETDEV_A_QSTATS_RX_HW_DROPS));
    for (std::uint32_t id = 0; id < 4; id++)
        EXPECT_EQUAL("a queue's drops", 0, stage.stats.of(rx, id, NETDEV_A_QSTATS_RX_HW_DROPS));
}

void totals_outlive_queues() {
    Stage stage;
    spread_over(stage.ifindex, {3});
    stage.topology.there("inject dm0p n=100");
    const auto arrived = [&] { return stage.stats.of(rx, 3, NETDEV_A_QSTATS_RX_PACKETS) >= 100; };
    EXPECT("queue 3 has the frames", within(60, arrived), "fewer");
    const auto sent = stage.stats.total(NETDEV_A_QSTATS_TX_PACKETS);
    spread_over(stage.ifindex, {0});
    stage.topology.here("ethtool -L dm0 rx 1 tx 1");
    const auto left = stage.stats.of(rx, 0, NETDEV_A_QSTATS_RX_PACKETS);
    expect_between("rx_packets", [&] { return stage.stats.total(NETDEV_A_QSTATS_RX_PACKETS); });
    EXPECT("the total has those of queue 3",
           stage.stats.total(NETDEV_A_QSTATS_RX_PACKETS) >= left + 100, left);
    EXPECT("and what other queues sent", stage.stats.total(NETDEV_A_QSTATS_TX_PACKETS) >= sent,
           sent);
}

constexpr std::array tests{
    ktap_test{"qstats: the queues in use, no others", clean<queues_in_use>},
    ktap_test{"qstats: counts are those of ethtool", clean<like_ethtool>},
    ktap_test{"qstats: frames dropped for want of memory are overruns", clean<overruns>},
    ktap_test{"qstats: frames that a rule drops are the device's", clean<drops_before_queues>},
    ktap_test{"qstats: totals don't go back when queues go", clean<totals_outlive_queues>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
