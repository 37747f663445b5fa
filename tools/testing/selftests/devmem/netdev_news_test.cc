// SPDX-License-Identifier: GPL-2.0
// What the netdev family tells its groups: devices and page pools that come, change and go.
#include <algorithm>
#include <optional>

#include "bound.h"
#include "devmem/memory_kind.h"
#include "kept.h"
#include "leftovers.h"
#include "netdev_family.h"
#include "process.h"
#include "stock.h"
#include "visit.h"

namespace {

// Hears a group, in the namespace where it was made.
class Ear {
  public:
    explicit Ear(const char* group) { socket_.join(NETDEV_FAMILY_NAME, group); }

    // All that has come since it was made or told to forget().
    const std::vector<RawNews>& heard() {
        for (auto& news : socket_.hear()) heard_.push_back(std::move(news));
        return heard_;
    }
    // The numbers that these news are of; there must be one of each.
    Ids of(std::uint8_t command, std::uint16_t type) {
        std::vector<Octets> found;
        for (const RawNews& news : heard())
            if (news.command == command) found.push_back(news.attributes);
        return distinct(found, type);
    }
    // The one of these news that is of this number, once it has come.
    Octets await(std::uint8_t command, std::uint16_t type, std::uint32_t number) {
        std::optional<Octets> found;
        within(60, [&] {
            for (const RawNews& news : heard())
                if (news.command == command && find_u32(news.attributes, type) == number)
                    found = news.attributes;
            return found.has_value();
        });
        if (!found) throw std::runtime_error(fmt::format("no news {} of {}", command, number));
        return *found;
    }
    void forget() {
        heard();
        heard_.clear();
    }

  private:
    RawSocket socket_;
    std::vector<RawNews> heard_;
};

// ---- devices --------------------------------------------------------------

Ids indexes(std::initializer_list<const char*> names) {
    Ids found;
    for (const char* name : names) found.insert(::if_nametoindex(name));
    return found;
}

void expect_devices(Ear& ear, const std::string& when, const Ids& come, const Ids& gone) {
    EXPECT_EQUAL(when + ": come", come, ear.of(NETDEV_CMD_DEV_ADD_NTF, NETDEV_A_DEV_IFINDEX));
    EXPECT_EQUAL(when + ": gone", gone, ear.of(NETDEV_CMD_DEV_DEL_NTF, NETDEV_A_DEV_IFINDEX));
    EXPECT_EQUAL(when + ": news", come.size() + gone.size(), ear.heard().size());
    ear.forget();
}

// What news have of a device is what a question is answered.
void devices_come_and_go() {
    const Topology topology;
    NetdevFamily netdev;
    Ear ear(NETDEV_MCGRP_MGMT);
    topology.here("ip link add name new type dmnic");
    const Ids both = indexes({"new", "newp"});
    for (const std::uint32_t ifindex : both)
        EXPECT("the same as it is shown",
               netdev.get(NETDEV_CMD_DEV_GET, {{NETDEV_A_DEV_IFINDEX, ifindex}}) ==
                   ear.await(NETDEV_CMD_DEV_ADD_NTF, NETDEV_A_DEV_IFINDEX, ifindex),
               ifindex);
    expect_devices(ear, "made", both, {});
    topology.here("ip link set new name old && ip link set old up && ip link set newp up");
    expect_devices(ear, "up and renamed", {}, {});
    topology.here("ip link del old");
    expect_devices(ear, "deleted", {}, both);
}

void device_moves() {
    const Topology topology;
    topology.here("ip link add name new index 500 type dmnic");
    Ear here(NETDEV_MCGRP_MGMT);
    std::optional<Ear> there;
    inside(topology.there_fd(), [&] { there.emplace(NETDEV_MCGRP_MGMT); });
    topology.here(
        fmt::format("ip link set new netns /proc/{}/fd/{}", ::getpid(), topology.there_fd()));
    expect_devices(here, "moved, here", {}, {500});
    Ids arrived;
    inside(topology.there_fd(), [&] { arrived = indexes({"new"}); });
    expect_devices(*there, "moved, there", arrived, {});
    const Ids other = indexes({"newp"});
    topology.there("ip link del new");
    expect_devices(here, "deleted, here", {}, other);
    expect_devices(*there, "deleted, there", {}, arrived);
}

// ---- page pools -----------------------------------------------------------

Ids pools(NetdevFamily& netdev) {
    return distinct(netdev.dump(NETDEV_CMD_PAGE_POOL_GET), NETDEV_A_PAGE_POOL_ID);
}

Ids without(const Ids& all, const Ids& some) {
    Ids rest;
    std::ranges::set_difference(all, some, std::inserter(rest, rest.end()));
    return rest;
}

// Pools are told of when they come and go, each once: those that a dump shows more, or less. A pool
// goes when its last buffer has come back, which may take a while.
Ids expect_pools(Ear& ear, NetdevFamily& netdev, const std::string& when, const Ids& before,
                 std::size_t come, std::size_t gone) {
    Ids after;
    within(60, [&] {
        after = pools(netdev);
        return without(before, after).size() == gone;
    });
    EXPECT_EQUAL(when + ": pools that a dump shows more", come, without(after, before).size());
    EXPECT_EQUAL(when + ": pools that it shows less", gone, without(before, after).size());
    EXPECT_EQUAL(when + ": come", without(after, before),
                 ear.of(NETDEV_CMD_PAGE_POOL_ADD_NTF, NETDEV_A_PAGE_POOL_ID));
    EXPECT_EQUAL(when + ": gone", without(before, after),
                 ear.of(NETDEV_CMD_PAGE_POOL_DEL_NTF, NETDEV_A_PAGE_POOL_ID));
    return after;
}

// The pools whose news say that they draw on a binding.
Ids drawing(Ear& ear, std::uint8_t command, std::uint32_t binding) {
    Ids found;
    for (const RawNews& news : ear.heard())
        if (news.command == command &&
            find_u32(news.attributes, NETDEV_A_PAGE_POOL_DMABUF) == binding)
            found.insert(value(news.attributes, NETDEV_A_PAGE_POOL_ID));
    return found;
}

// dmnic has two pools for each queue, one of them for payload.
void pools_of_a_binding() {
    const auto pair = std::make_shared<Topology>();
    const auto ifindex = ::if_nametoindex("dm0");
    const devmem::HeaderSplit split(ifindex);
    const devmem::DmaBuf memory = devmem::MemoryKind(device_memory()).allocate(8 << 20);
    NetdevFamily netdev;
    const Ids before = pools(netdev);
    Ear ear(NETDEV_MCGRP_PAGE_POOL);
    std::optional<devmem::RxBinding> binding(std::in_place, ifindex, std::vector{nic_kind()->queue},
                                             memory);
    const auto id = binding->id();
    const Ids bound = expect_pools(ear, netdev, "bound", before, 2, 2);
    EXPECT_EQUAL("bound: pools that draw on it", 1,
                 drawing(ear, NETDEV_CMD_PAGE_POOL_ADD_NTF, id).size());
    for (const RawNews& news : ear.heard())
        EXPECT_EQUAL("their interface", ifindex,
                     value(news.attributes, NETDEV_A_PAGE_POOL_IFINDEX));
    ear.forget();
    binding.reset();
    expect_pools(ear, netdev, "unbound", bound, 2, 2);
    EXPECT_EQUAL("unbound: pools that draw on it", 0,
                 drawing(ear, NETDEV_CMD_PAGE_POOL_ADD_NTF, id).size());
    EXPECT_EQUAL("unbound: pools that did", 1,
                 drawing(ear, NETDEV_CMD_PAGE_POOL_DEL_NTF, id).size());
}

void pools_of_a_nic() {
    const Topology topology;
    NetdevFamily netdev;
    const Ids before = pools(netdev);
    Ear ear(NETDEV_MCGRP_PAGE_POOL);
    topology.here("ip link set dm0 down");
    EXPECT_EQUAL("down: pools", Ids(), expect_pools(ear, netdev, "down", before, 0, 4));
    ear.forget();
    topology.here("ip link set dm0 up");
    const Ids up = expect_pools(ear, netdev, "up", {}, 4, 0);
    ear.forget();
    topology.here("ip link del dm0");
    expect_pools(ear, netdev, "deleted", up, 0, 4);
}

// ---- a pool that waits for what is kept -----------------------------------

// A stream that is kept, all of it; its binding is gone then.
struct Waiting {
    Waiting() {
        Sender sender = bound.send();
        kept.emplace(bound.listener.accept());
        kept->read();
        EXPECT("niovs are kept", kept->niovs() > 0, 0);
        ear.forget();
        bound.binding.reset();
        detached = await(NETDEV_CMD_PAGE_POOL_CHANGE_NTF);
    }
    Octets await(std::uint8_t command) { return ear.await(command, NETDEV_A_PAGE_POOL_ID, id); }
    Octets shown() { return netdev.get(NETDEV_CMD_PAGE_POOL_GET, {{NETDEV_A_PAGE_POOL_ID, id}}); }

    Bound bound;
    NetdevFamily netdev;
    Ear ear{NETDEV_MCGRP_PAGE_POOL};
    std::optional<Kept> kept;
    std::uint32_t id = value(pool_of_binding(netdev, bound.id), NETDEV_A_PAGE_POOL_ID);
    Octets detached;  // the news of it
};

void pool_waits() {
    Waiting waiting;
    const Octets& news = waiting.detached;
    EXPECT_EQUAL("its interface", waiting.bound.ifindex, value(news, NETDEV_A_PAGE_POOL_IFINDEX));
    EXPECT_EQUAL("its binding", waiting.bound.id, value(news, NETDEV_A_PAGE_POOL_DMABUF));
    EXPECT("in flight is what is kept",
           value(news, NETDEV_A_PAGE_POOL_INFLIGHT) >= waiting.kept->niovs(),
           value(news, NETDEV_A_PAGE_POOL_INFLIGHT));
    EXPECT_EQUAL("since when", value(waiting.shown(), NETDEV_A_PAGE_POOL_DETACH_TIME),
                 value(news, NETDEV_A_PAGE_POOL_DETACH_TIME));
    const auto gone = [&] {
        return waiting.ear.of(NETDEV_CMD_PAGE_POOL_DEL_NTF, NETDEV_A_PAGE_POOL_ID)
            .contains(waiting.id);
    };
    EXPECT("it is there as long as it is needed", !gone(), "that it is gone");
    waiting.kept->let_go();
    EXPECT_EQUAL("in flight at the end", 0,
                 value(waiting.await(NETDEV_CMD_PAGE_POOL_DEL_NTF), NETDEV_A_PAGE_POOL_INFLIGHT));
}

void pool_outlives_its_nic() {
    Waiting waiting;
    waiting.ear.forget();
    waiting.bound.topology.here("ip link del dm0");
    const Octets news = waiting.await(NETDEV_CMD_PAGE_POOL_CHANGE_NTF);
    EXPECT("no interface", !has(news, NETDEV_A_PAGE_POOL_IFINDEX), "one");
    EXPECT("shown: the same", !has(waiting.shown(), NETDEV_A_PAGE_POOL_IFINDEX), "one");
    EXPECT_EQUAL("its binding", waiting.bound.id, value(news, NETDEV_A_PAGE_POOL_DMABUF));
    waiting.kept->let_go();
    EXPECT("gone: no interface",
           !has(waiting.await(NETDEV_CMD_PAGE_POOL_DEL_NTF), NETDEV_A_PAGE_POOL_IFINDEX), "one");
}

void pool_moves() {
    skip_on_stock("the pool stays, as one of an interface that is gone");
    Waiting waiting;
    const Topology& topology = waiting.bound.topology;
    std::optional<Ear> there;
    inside(topology.there_fd(), [&] { there.emplace(NETDEV_MCGRP_PAGE_POOL); });
    topology.here(
        fmt::format("ip link set dm0 netns /proc/{}/fd/{}", ::getpid(), topology.there_fd()));
    waiting.await(NETDEV_CMD_PAGE_POOL_DEL_NTF);
    EXPECT_EQUAL(
        "errno of what was here", ENOENT,
        waiting.netdev.error(NETDEV_CMD_PAGE_POOL_GET, {{NETDEV_A_PAGE_POOL_ID, waiting.id}}));
    const Octets news =
        there->await(NETDEV_CMD_PAGE_POOL_ADD_NTF, NETDEV_A_PAGE_POOL_ID, waiting.id);
    Ids arrived;
    inside(topology.there_fd(), [&] { arrived = indexes({"dm0"}); });
    EXPECT_EQUAL("its interface", arrived, Ids{value(news, NETDEV_A_PAGE_POOL_IFINDEX)});
    EXPECT_EQUAL("since when", value(waiting.detached, NETDEV_A_PAGE_POOL_DETACH_TIME),
                 value(news, NETDEV_A_PAGE_POOL_DETACH_TIME));
    waiting.kept->let_go();
    there->await(NETDEV_CMD_PAGE_POOL_DEL_NTF, NETDEV_A_PAGE_POOL_ID, waiting.id);
}

const ktap_test tests[] = {
    {"mgmt: a pair is made and deleted", clean<devices_come_and_go>},
    {"mgmt: a device moves to another namespace", clean<device_moves>},
    {"page-pool: a queue is bound and unbound", clean<pools_of_a_binding>},
    {"page-pool: a NIC goes down, up, and away", clean<pools_of_a_nic>},
    {"page-pool: one waits for what is kept, then goes", clean<pool_waits>},
    {"page-pool: one that waits when its NIC is deleted", clean<pool_outlives_its_nic>},
    {"page-pool: one that waits when its NIC moves", clean<pool_moves>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
