// SPDX-License-Identifier: GPL-2.0
// What the netdev family shows of devices, queues, NAPIs and page pools, and that it is so: held
// against what others say of them.
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <tuple>

#include "bound.h"
#include "devmem/ethtool.h"
#include "kept.h"
#include "leftovers.h"
#include "netdev_family.h"
#include "process.h"
#include "stock.h"
#include "visit.h"

namespace {

constexpr std::uint32_t rx = NETDEV_QUEUE_TYPE_RX, tx = NETDEV_QUEUE_TYPE_TX;
const std::uint32_t the_queue = nic_kind()->queue;

struct Stage {
    Topology topology;
    NetdevFamily netdev;
    std::uint32_t ifindex = ::if_nametoindex("dm0");
};

// A NIC whose number nobody has here.
constexpr std::uint32_t elsewhere = 777;

void make_one_elsewhere(const Topology& topology) {
    topology.there(fmt::format("ip link add name far index {} type dmnic", elsewhere));
}

// ---- devices --------------------------------------------------------------

Ids interfaces_here() {
    Ids found;
    auto* all = ::if_nameindex();
    for (const auto* one = all; one->if_index != 0; one++) found.insert(one->if_index);
    ::if_freenameindex(all);
    return found;
}

void device_by_number() {
    Stage stage;
    const Octets device =
        stage.netdev.get(NETDEV_CMD_DEV_GET, {{NETDEV_A_DEV_IFINDEX, stage.ifindex}});
    EXPECT_EQUAL("ifindex", stage.ifindex, value(device, NETDEV_A_DEV_IFINDEX));
    for (const auto type : {NETDEV_A_DEV_XDP_RX_METADATA_FEATURES, NETDEV_A_DEV_XSK_FEATURES})
        EXPECT_EQUAL("a word of 64 bits", 8, find_bytes(device, type).size());
}

void no_such_device() {
    Stage stage;
    make_one_elsewhere(stage.topology);
    for (const std::uint32_t ifindex : {elsewhere, 9999U, 0x7fffffffU})
        EXPECT_EQUAL("errno", ENODEV,
                     stage.netdev.error(NETDEV_CMD_DEV_GET, {{NETDEV_A_DEV_IFINDEX, ifindex}}));
    const RawReply none = stage.netdev.ask(NETDEV_CMD_DEV_GET);
    EXPECT_EQUAL("errno without a number", EINVAL, none.error);
    EXPECT_EQUAL("missing", NETDEV_A_DEV_IFINDEX, none.missing.value_or(0));
}

void all_devices() {
    Stage stage;
    make_one_elsewhere(stage.topology);
    const auto all = stage.netdev.dump(NETDEV_CMD_DEV_GET);
    EXPECT_EQUAL("interfaces", interfaces_here(), distinct(all, NETDEV_A_DEV_IFINDEX));
    for (const Octets& device : all)
        EXPECT("the same by number",
               device ==
                   stage.netdev.get(NETDEV_CMD_DEV_GET,
                                    {{NETDEV_A_DEV_IFINDEX, value(device, NETDEV_A_DEV_IFINDEX)}}),
               value(device, NETDEV_A_DEV_IFINDEX));
}

// ---- queues ---------------------------------------------------------------

// The ifindex, type and number of each; there must be one answer for each.
using Queues = std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>>;

Queues queues_in(const std::vector<Octets>& answers) {
    Queues found;
    for (const Octets& queue : answers) {
        const auto name =
            std::make_tuple(value(queue, NETDEV_A_QUEUE_IFINDEX), value(queue, NETDEV_A_QUEUE_TYPE),
                            value(queue, NETDEV_A_QUEUE_ID));
        EXPECT("one answer for each", found.insert(name).second, name);
    }
    return found;
}

// What ethtool says: the queues in use.
void add_queues(Queues& queues, const char* interface) {
    const std::uint32_t ifindex = ::if_nametoindex(interface);
    const devmem::Channels channels = devmem::channels(ifindex);
    for (std::uint32_t id = 0; id < channels.rx; id++) queues.emplace(ifindex, rx, id);
    for (std::uint32_t id = 0; id < channels.tx; id++) queues.emplace(ifindex, tx, id);
}

Numbers queue_named(std::uint32_t ifindex, std::uint32_t type, std::uint32_t id) {
    return {
        {NETDEV_A_QUEUE_IFINDEX, ifindex}, {NETDEV_A_QUEUE_TYPE, type}, {NETDEV_A_QUEUE_ID, id}};
}

void expect_queues(Stage& stage, std::size_t count) {
    Queues wanted;
    add_queues(wanted, "dm0");
    EXPECT_EQUAL("queues, says ethtool", count, wanted.size());
    const auto all =
        stage.netdev.dump(NETDEV_CMD_QUEUE_GET, {{NETDEV_A_QUEUE_IFINDEX, stage.ifindex}});
    EXPECT_EQUAL("queues", wanted, queues_in(all));
    for (const Octets& queue : all)
        EXPECT(
            "the same by number",
            queue == stage.netdev.get(NETDEV_CMD_QUEUE_GET,
                                      queue_named(stage.ifindex, value(queue, NETDEV_A_QUEUE_TYPE),
                                                  value(queue, NETDEV_A_QUEUE_ID))),
            value(queue, NETDEV_A_QUEUE_ID));
}

void all_queues() {
    Stage stage;
    expect_queues(stage, 8);
    stage.topology.here("ethtool -L dm0 rx 3 tx 2");
    expect_queues(stage, 5);
}

void no_such_queue() {
    Stage stage;
    make_one_elsewhere(stage.topology);
    stage.topology.here("ethtool -L dm0 rx 3 tx 2");
    const auto error = [&](std::uint32_t ifindex, std::uint32_t type, std::uint32_t id) {
        return stage.netdev.error(NETDEV_CMD_QUEUE_GET, queue_named(ifindex, type, id));
    };
    for (const std::uint32_t id : {3U, 4U, 0xffffffffU})
        EXPECT_EQUAL("errno of an RX queue", EINVAL, error(stage.ifindex, rx, id));
    EXPECT_EQUAL("errno of a TX queue", EINVAL, error(stage.ifindex, tx, 2));
    EXPECT_EQUAL("errno of a type", ERANGE, error(stage.ifindex, 2, 0));
    for (const std::uint32_t ifindex : {elsewhere, 9999U}) {
        EXPECT_EQUAL("errno of an interface", ENODEV, error(ifindex, rx, 0));
        EXPECT_EQUAL(
            "errno of a dump", ENODEV,
            stage.netdev.ask_all(NETDEV_CMD_QUEUE_GET, {{NETDEV_A_QUEUE_IFINDEX, ifindex}}).error);
    }
}

void missing_parts_of_a_queue() {
    Stage stage;
    const Numbers whole = queue_named(stage.ifindex, rx, 0);
    for (std::size_t left_out = 0; left_out < whole.size(); left_out++) {
        Numbers part = whole;
        part.erase(part.begin() + static_cast<std::ptrdiff_t>(left_out));
        const RawReply reply = stage.netdev.ask(NETDEV_CMD_QUEUE_GET, part);
        EXPECT_EQUAL("errno", EINVAL, reply.error);
        EXPECT_EQUAL("missing", whole[left_out].first, reply.missing.value_or(0));
    }
}

// ---- NAPIs ----------------------------------------------------------------

// Does a queue name one? The kernel gives no number to a NAPI that only sends, and upstream's calls
// it 0.
bool has_napi(const Octets& queue) {
    const auto id = find_u32(queue, NETDEV_A_QUEUE_NAPI_ID);
    return id && (*id != 0 || !stock_kernel());
}

// Those of RX queues.
Ids napis_of_queues(NetdevFamily& netdev, std::uint32_t ifindex) {
    auto queues = netdev.dump(NETDEV_CMD_QUEUE_GET, {{NETDEV_A_QUEUE_IFINDEX, ifindex}});
    const auto to_send = std::ranges::partition(
        queues, [](const Octets& queue) { return value(queue, NETDEV_A_QUEUE_TYPE) == rx; });
    for (const Octets& queue : to_send)
        EXPECT("no NAPI", !has_napi(queue), value(queue, NETDEV_A_QUEUE_ID));
    queues.erase(to_send.begin(), to_send.end());
    return distinct(queues, NETDEV_A_QUEUE_NAPI_ID);
}

// The NAPI that a connection's packets come from is that of the queue they are steered to.
void napi_of_a_socket() {
    const Bound bound;
    NetdevFamily netdev;
    Sender sender = bound.send({.bytes = 65536});
    Reader reader = bound.accept();
    KTAP_NEED(reader.read());
    std::uint32_t id = 0;
    socklen_t size = sizeof(id);
    const int fd = reader.receiver().fd();
    KTAP_NEED(!::getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &size) && id > 0);
    const Octets queue =
        netdev.get(NETDEV_CMD_QUEUE_GET, queue_named(bound.ifindex, rx, the_queue));
    EXPECT_EQUAL("NAPI of the queue", id, value(queue, NETDEV_A_QUEUE_NAPI_ID));
    const Octets napi = netdev.get(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_ID, id}});
    EXPECT_EQUAL("id", id, value(napi, NETDEV_A_NAPI_ID));
    EXPECT_EQUAL("its interface", bound.ifindex, value(napi, NETDEV_A_NAPI_IFINDEX));
    EXPECT("no thread", !has(napi, NETDEV_A_NAPI_PID), "one");
}

void all_napis() {
    Stage stage;
    const auto all =
        stage.netdev.dump(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_IFINDEX, stage.ifindex}});
    differs("the NAPI of a queue that sends", "none", "0");
    EXPECT_EQUAL("NAPIs, one for each RX queue", 4, all.size());
    EXPECT_EQUAL("NAPIs", napis_of_queues(stage.netdev, stage.ifindex),
                 distinct(all, NETDEV_A_NAPI_ID));
    EXPECT("a dump of all the interfaces is the same, for the others have none",
           all == stage.netdev.dump(NETDEV_CMD_NAPI_GET), all.size());
    for (const Octets& napi : all)
        EXPECT("the same by number",
               napi == stage.netdev.get(NETDEV_CMD_NAPI_GET,
                                        {{NETDEV_A_NAPI_ID, value(napi, NETDEV_A_NAPI_ID)}}),
               value(napi, NETDEV_A_NAPI_ID));
}

void no_such_napi() {
    Stage stage;
    std::uint32_t far = 0;
    inside(stage.topology.there_fd(), [&] {
        NetdevFamily netdev;
        const auto all = netdev.dump(NETDEV_CMD_NAPI_GET);
        EXPECT_EQUAL("NAPIs there", 4, all.size());
        far = value(all.at(0), NETDEV_A_NAPI_ID);
        netdev.get(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_ID, far}});
    });
    for (const std::uint32_t id : {far, 0U, 1U, 0x7fffffffU, 0xffffffffU})
        EXPECT_EQUAL("errno", ENOENT,
                     stage.netdev.error(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_ID, id}}));
    const RawReply none = stage.netdev.ask(NETDEV_CMD_NAPI_GET);
    EXPECT_EQUAL("errno without a number", EINVAL, none.error);
    EXPECT_EQUAL("missing", NETDEV_A_NAPI_ID, none.missing.value_or(0));
    EXPECT_EQUAL("errno of an interface's dump", ENODEV,
                 stage.netdev.ask_all(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_IFINDEX, 9999}}).error);
}

// sysfs shows the namespace of who mounts it.
void napi_threads() {
    Stage stage;
    stage.topology.here(
        "unshare -m sh -c 'mount -t sysfs none /sys && echo 1 >/sys/class/net/dm0/threaded'");
    Ids pids;
    for (const Octets& napi : stage.netdev.dump(NETDEV_CMD_NAPI_GET)) {
        const auto pid = value(napi, NETDEV_A_NAPI_PID);
        std::ifstream file(fmt::format("/proc/{}/comm", pid));
        std::string name;
        std::getline(file, name);
        EXPECT_EQUAL("the thread's name", fmt::format("napi/dm0-{}", value(napi, NETDEV_A_NAPI_ID)),
                     name);
        pids.insert(pid);
    }
    EXPECT_EQUAL("threads", 4, pids.size());
}

// ---- what is down ---------------------------------------------------------

void nothing_is_up() {
    Stage stage;
    const Ids napis = napis_of_queues(stage.netdev, stage.ifindex);
    stage.topology.here("ip link set dm0 down");
    EXPECT_EQUAL("errno of a queue", ENOENT,
                 stage.netdev.error(NETDEV_CMD_QUEUE_GET, queue_named(stage.ifindex, rx, 0)));
    for (const std::uint32_t id : napis)
        EXPECT_EQUAL("errno of a NAPI", ENOENT,
                     stage.netdev.error(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_ID, id}}));
    EXPECT_EQUAL(
        "queues", 0,
        stage.netdev.dump(NETDEV_CMD_QUEUE_GET, {{NETDEV_A_QUEUE_IFINDEX, stage.ifindex}}).size());
    EXPECT_EQUAL(
        "NAPIs", 0,
        stage.netdev.dump(NETDEV_CMD_NAPI_GET, {{NETDEV_A_NAPI_IFINDEX, stage.ifindex}}).size());
    EXPECT_EQUAL("page pools", 0, pools_of(stage.netdev, stage.ifindex).size());
    EXPECT_EQUAL("interfaces", interfaces_here(),
                 distinct(stage.netdev.dump(NETDEV_CMD_DEV_GET), NETDEV_A_DEV_IFINDEX));
}

// ---- page pools -----------------------------------------------------------

Octets pool_by_number(NetdevFamily& netdev, std::uint32_t id) {
    return netdev.get(NETDEV_CMD_PAGE_POOL_GET, {{NETDEV_A_PAGE_POOL_ID, id}});
}

// dmnic has one for each queue, and another one where headers are split off.
void all_pools() {
    Stage stage;
    EXPECT_EQUAL("pools", 4, pools_of(stage.netdev, stage.ifindex).size());
    const devmem::HeaderSplit split(stage.ifindex);
    const auto all = pools_of(stage.netdev, stage.ifindex);
    EXPECT_EQUAL("pools with header split", 8, all.size());
    for (const std::uint32_t id : distinct(all, NETDEV_A_PAGE_POOL_ID)) {
        const Octets pool = pool_by_number(stage.netdev, id);
        EXPECT_EQUAL("id", id, value(pool, NETDEV_A_PAGE_POOL_ID));
        EXPECT_EQUAL("its interface", stage.ifindex, value(pool, NETDEV_A_PAGE_POOL_IFINDEX));
        EXPECT("no binding", !has(pool, NETDEV_A_PAGE_POOL_DMABUF), id);
        EXPECT("in use", !has(pool, NETDEV_A_PAGE_POOL_DETACH_TIME), id);
        EXPECT("it has filled a ring", value(pool, NETDEV_A_PAGE_POOL_INFLIGHT) >= 64, id);
        EXPECT_EQUAL("bytes", 4096 * value(pool, NETDEV_A_PAGE_POOL_INFLIGHT),
                     value(pool, NETDEV_A_PAGE_POOL_INFLIGHT_MEM));
    }
}

void no_such_pool() {
    Stage stage;
    std::uint32_t far = 0;
    inside(stage.topology.there_fd(), [&] {
        NetdevFamily netdev;
        far = value(netdev.dump(NETDEV_CMD_PAGE_POOL_GET).at(0), NETDEV_A_PAGE_POOL_ID);
        pool_by_number(netdev, far);
    });
    const auto error = [&](std::uint32_t id) {
        return stage.netdev.error(NETDEV_CMD_PAGE_POOL_GET, {{NETDEV_A_PAGE_POOL_ID, id}});
    };
    for (const std::uint32_t id : {far, 0x7fffffffU, 0xffffffffU})
        EXPECT_EQUAL("errno", ENOENT, error(id));
    EXPECT_EQUAL("errno of number 0", ERANGE, error(0));
    const RawReply none = stage.netdev.ask(NETDEV_CMD_PAGE_POOL_GET);
    EXPECT_EQUAL("errno without a number", EINVAL, none.error);
    EXPECT_EQUAL("missing", NETDEV_A_PAGE_POOL_ID, none.missing.value_or(0));
}

// Beside what is kept a pool has a ring, and a cache that fills in batches.
void inflight_of_the_bound() {
    const Bound bound;
    NetdevFamily netdev;
    const Octets pool = pool_of_binding(netdev, bound.id);
    const auto id = value(pool, NETDEV_A_PAGE_POOL_ID);
    EXPECT_EQUAL("its interface", bound.ifindex, value(pool, NETDEV_A_PAGE_POOL_IFINDEX));
    EXPECT("the same by number", pool == pool_by_number(netdev, id), id);
    const auto inflight = [&] {
        return value(pool_by_number(netdev, id), NETDEV_A_PAGE_POOL_INFLIGHT);
    };
    const auto before = inflight();
    Sender sender = bound.send();
    Kept kept(bound.listener.accept());
    kept.read();
    constexpr std::size_t batches = 128;
    const auto more = inflight() - before;
    EXPECT("many niovs", kept.niovs() > 4 * batches, kept.niovs());
    EXPECT(fmt::format("{} niovs more, or some more or less", kept.niovs()),
           more + batches > kept.niovs() && more < kept.niovs() + batches, more);
}

std::uint32_t boot_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint32_t>(now.tv_sec);
}

// When its driver has let go of it, a pool has in flight just what is kept.
void inflight_of_the_unbound() {
    Bound bound;
    NetdevFamily netdev;
    const auto id = value(pool_of_binding(netdev, bound.id), NETDEV_A_PAGE_POOL_ID);
    Sender sender = bound.send();
    Kept kept(bound.listener.accept());
    kept.read();
    const auto before = boot_seconds();
    bound.binding.reset();
    const auto expect_inflight = [&](std::size_t niovs) {
        Octets pool;
        const bool so = within(60, [&] {
            pool = pool_by_number(netdev, id);
            return value(pool, NETDEV_A_PAGE_POOL_INFLIGHT) == niovs;
        });
        EXPECT(fmt::format("{} in flight", niovs), so, value(pool, NETDEV_A_PAGE_POOL_INFLIGHT));
        EXPECT_EQUAL("bytes", 4096 * niovs, value(pool, NETDEV_A_PAGE_POOL_INFLIGHT_MEM));
        EXPECT_EQUAL("its binding", bound.id, value(pool, NETDEV_A_PAGE_POOL_DMABUF));
        const auto detached = value(pool, NETDEV_A_PAGE_POOL_DETACH_TIME);
        EXPECT("since then", detached >= before && detached <= boot_seconds(), detached);
    };
    EXPECT("many niovs", kept.niovs() > 300, kept.niovs());
    expect_inflight(kept.niovs());
    kept.let_go(kept.frags() / 3);
    expect_inflight(kept.niovs());
    kept.let_go();
    const auto gone = [&] {
        return netdev.error(NETDEV_CMD_PAGE_POOL_GET, {{NETDEV_A_PAGE_POOL_ID, id}}) == ENOENT;
    };
    EXPECT("it is gone when nothing is kept", within(60, gone), "it");
}

// ---- statistics of page pools ---------------------------------------------

RawReply ask_stats(NetdevFamily& netdev, const Numbers& info) {
    RawRequest request(netdev.family(), NETDEV_CMD_PAGE_POOL_STATS_GET);
    request.nest(NETDEV_A_PAGE_POOL_STATS_INFO);
    for (const auto& [type, number] : info) request.u32(type, number);
    return netdev.socket().ask(request.end());
}

Octets info_of(const Octets& stats) {
    const auto info = find_bytes(stats, NETDEV_A_PAGE_POOL_STATS_INFO);
    return {info.begin(), info.end()};
}

// Debian's 6.12 is built without.
void need_stats(NetdevFamily& netdev) {
    if (stock_kernel() && netdev.ask_all(NETDEV_CMD_PAGE_POOL_STATS_GET).error == EOPNOTSUPP)
        ktap_skip("no statistics of page pools (CONFIG_PAGE_POOL_STATS)");
}

// Each buffer that was given out was counted, as taken from the cache or from where that is filled.
void stats_of_the_bound() {
    const Bound bound;
    NetdevFamily netdev;
    need_stats(netdev);
    const auto id = value(pool_of_binding(netdev, bound.id), NETDEV_A_PAGE_POOL_ID);
    const auto given_out = [&] {
        const RawReply reply = ask_stats(netdev, {{NETDEV_A_PAGE_POOL_ID, id}});
        EXPECT_EQUAL("errno", 0, reply.error);
        const Octets& stats = reply.answers.at(0);
        EXPECT_EQUAL("id", id, value(info_of(stats), NETDEV_A_PAGE_POOL_ID));
        EXPECT_EQUAL("interface", bound.ifindex, value(info_of(stats), NETDEV_A_PAGE_POOL_IFINDEX));
        std::uint64_t sum = 0;
        for (const auto type :
             {NETDEV_A_PAGE_POOL_STATS_ALLOC_FAST, NETDEV_A_PAGE_POOL_STATS_ALLOC_SLOW,
              NETDEV_A_PAGE_POOL_STATS_ALLOC_REFILL})
            sum += value(stats, type);
        return sum;
    };
    const auto before = given_out();
    EXPECT("a ring was filled", before >= 64, before);
    Sender sender = bound.send();
    Kept kept(bound.listener.accept());
    kept.read();
    const auto frames = queue_count(nic_kind()->split);
    const auto more = given_out() - before;
    EXPECT(fmt::format("about {} more", frames), more + 128 > frames && more < frames + 128, more);
}

void all_stats() {
    Stage stage;
    need_stats(stage.netdev);
    Ids found;
    for (const Octets& stats : stage.netdev.dump(NETDEV_CMD_PAGE_POOL_STATS_GET)) {
        const Octets info = info_of(stats);
        const auto id = value(info, NETDEV_A_PAGE_POOL_ID);
        EXPECT("one answer for each", found.insert(id).second, id);
        EXPECT_EQUAL("interface", stage.ifindex, value(info, NETDEV_A_PAGE_POOL_IFINDEX));
        EXPECT("host memory is allocated slowly",
               value(stats, NETDEV_A_PAGE_POOL_STATS_ALLOC_SLOW) > 0, id);
    }
    EXPECT_EQUAL("pools", distinct(pools_of(stage.netdev, stage.ifindex), NETDEV_A_PAGE_POOL_ID),
                 found);
}

void no_such_stats() {
    Stage stage;
    need_stats(stage.netdev);
    const auto pools = pools_of(stage.netdev, stage.ifindex);
    const auto id = value(pools.at(0), NETDEV_A_PAGE_POOL_ID);
    const auto error = [&](const Numbers& info) { return ask_stats(stage.netdev, info).error; };
    EXPECT_EQUAL("errno of what is there", 0, error({{NETDEV_A_PAGE_POOL_ID, id}}));
    EXPECT_EQUAL("errno", ENOENT, error({{NETDEV_A_PAGE_POOL_ID, 0x7fffffff}}));
    EXPECT_EQUAL("errno of number 0", ERANGE, error({{NETDEV_A_PAGE_POOL_ID, 0}}));
    EXPECT_EQUAL("errno of an interface", EINVAL,
                 error({{NETDEV_A_PAGE_POOL_ID, id}, {NETDEV_A_PAGE_POOL_IFINDEX, stage.ifindex}}));
    EXPECT_EQUAL("errno of nothing", EINVAL, error({}));
    EXPECT_EQUAL("errno of no nest", EINVAL, stage.netdev.error(NETDEV_CMD_PAGE_POOL_STATS_GET));
}

// ---- dumps in many parts --------------------------------------------------

constexpr std::size_t page = 4096;

// Reads with so little room that a dump has several parts.
std::vector<Octets> dump_in_parts(NetdevFamily& netdev, std::uint8_t command) {
    const RawReply reply = netdev.ask_all(command);
    EXPECT_EQUAL("errno of a dump", 0, reply.error);
    EXPECT("several parts", reply.parts > 1, reply.parts);
    return reply.answers;
}

void many_devices() {
    const Topology topology;
    const auto before = interfaces_here().size();
    topology.here(
        "for i in $(seq 100); do echo link add name many$i numrxqueues 1 numtxqueues 1 type dmnic; "
        "done | ip -batch -");
    NetdevFamily netdev(page);
    const Ids wanted = interfaces_here();
    EXPECT_EQUAL("both ends of 100 more", before + 200, wanted.size());
    EXPECT_EQUAL("interfaces", wanted,
                 distinct(dump_in_parts(netdev, NETDEV_CMD_DEV_GET), NETDEV_A_DEV_IFINDEX));
}

// Two large interfaces, beside dm0.
void many_queues() {
    const Topology topology;
    topology.here(
        "ip link add name w numrxqueues 64 numtxqueues 64 type dmnic && "
        "for i in w wp; do ethtool -G $i rx 64 && ip link set $i up; done");
    NetdevFamily netdev(page);
    Queues wanted;
    for (const char* interface : {"dm0", "w", "wp"}) add_queues(wanted, interface);
    EXPECT_EQUAL("queues, says ethtool", 8 + 4 * 64, wanted.size());
    const auto queues = dump_in_parts(netdev, NETDEV_CMD_QUEUE_GET);
    // lo's, which the NIC's driver does not tell ethtool of
    for (const std::uint32_t type : {rx, tx}) wanted.emplace(1, type, 0);
    EXPECT_EQUAL("queues", wanted, queues_in(queues));
    Ids napis;
    for (const Octets& queue : queues)
        if (has_napi(queue)) napis.insert(value(queue, NETDEV_A_QUEUE_NAPI_ID));
    EXPECT_EQUAL("NAPIs", napis,
                 distinct(dump_in_parts(netdev, NETDEV_CMD_NAPI_GET), NETDEV_A_NAPI_ID));
    EXPECT_EQUAL("NAPIs, one for each RX queue", 4 + 2 * 64, napis.size());
    std::map<std::uint32_t, int> pools;
    const auto all = dump_in_parts(netdev, NETDEV_CMD_PAGE_POOL_GET);
    EXPECT_EQUAL("pools", 4 + 2 * 64, distinct(all, NETDEV_A_PAGE_POOL_ID).size());
    for (const Octets& pool : all) pools[value(pool, NETDEV_A_PAGE_POOL_IFINDEX)]++;
    for (const auto& [interface, count] : {std::pair{"dm0", 4}, {"w", 64}, {"wp", 64}})
        EXPECT_EQUAL("pools of one", count, pools[::if_nametoindex(interface)]);
}

const ktap_test tests[] = {
    {"dev-get: a device by its number", clean<device_by_number>},
    {"dev-get: no such number here: ENODEV", clean<no_such_device>},
    {"dev-get: a dump has each interface of this namespace", clean<all_devices>},
    {"queue-get: a dump has the queues that ethtool counts", clean<all_queues>},
    {"queue-get: no such queue: EINVAL, no such interface: ENODEV", clean<no_such_queue>},
    {"queue-get: a missing attribute: EINVAL, and extack names it",
     clean<missing_parts_of_a_queue>},
    {"napi-get: where a socket's packets come from", clean<napi_of_a_socket>},
    {"napi-get: a dump has the NAPIs of the queues", clean<all_napis>},
    {"napi-get: no such NAPI here: ENOENT", clean<no_such_napi>},
    {"napi-get: a NAPI's thread", clean<napi_threads>},
    {"an interface that is down has no queues, NAPIs and pools", clean<nothing_is_up>},
    {"page-pool-get: a dump has each queue's pools", clean<all_pools>},
    {"page-pool-get: no such pool here: ENOENT", clean<no_such_pool>},
    {"page-pool-get: what is kept is in flight", clean<inflight_of_the_bound>},
    {"page-pool-get: of a pool that is let go, just that", clean<inflight_of_the_unbound>},
    {"page-pool-stats-get: each buffer is counted", clean<stats_of_the_bound>},
    {"page-pool-stats-get: a dump has each pool", clean<all_stats>},
    {"page-pool-stats-get: no such pool: ENOENT", clean<no_such_stats>},
    {"a dump of hundreds of devices is complete", clean<many_devices>},
    {"dumps of hundreds of queues, NAPIs and pools are complete", clean<many_queues>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
