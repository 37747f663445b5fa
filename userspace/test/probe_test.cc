// SPDX-License-Identifier: MIT
// The probe's verdicts, from what kernels and NICs of all sorts say.
#include "devmem/probe.h"

#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "attr.h"
#include "devmem/error.h"
#include "netlink.h"
#include "probe_host.h"
#include "probe_kernel.h"
#include "probe_nic.h"
#include "uapi.h"

namespace devmem {
namespace {

namespace fs = std::filesystem;
using View = std::span<const std::byte>;
using State = Finding::State;
using Use = Finding::Use;

Bytes attrs_of(const NetlinkRequest& request) {
    const View attrs = request.bytes().subspan(NLMSG_HDRLEN + GENL_HDRLEN);
    return {attrs.begin(), attrs.end()};
}

// A reply to CTRL_CMD_GETFAMILY.
Bytes family(const std::vector<GenlCommand>& commands) {
    NetlinkRequest reply(0, 0, 0);
    reply.u32(CTRL_ATTR_FAMILY_ID, 30).nest(CTRL_ATTR_OPS);
    std::uint16_t number = 0;
    for (const auto& [id, flags] : commands)
        reply.nest(++number).u32(CTRL_ATTR_OP_ID, id).u32(CTRL_ATTR_OP_FLAGS, flags).end();
    reply.end();
    return attrs_of(reply);
}

KernelFacts kernel_with(const std::vector<GenlCommand>& commands) {
    KernelFacts facts{.token_option = true, .rx_page_size = true};
    note_commands(facts, decode_commands(family(commands)));
    return facts;
}

KernelFacts whole_kernel() {
    return kernel_with({{NETDEV_CMD_PAGE_POOL_GET, 0},
                        {NETDEV_CMD_QUEUE_GET, 0},
                        {NETDEV_CMD_BIND_RX, GENL_ADMIN_PERM},
                        {NETDEV_CMD_BIND_TX, 0}});
}

NicFacts whole_nic() {
    return {.name = "eth0",
            .link = {.up = true},
            .rings = Rings{.data_split = DataSplit::on, .hds_thresh = 0},
            .channels = Channels{.rx_max = 4, .combined = 2},
            .ntuple = true,
            .ntuple_available = true,
            .rss_table = true,
            .rss_contexts = true,
            .queues = std::vector<Queue>{{.id = 0}, {.id = 1}, {.type = Queue::Type::tx, .id = 0}},
            .restarts_queues = Answer::yes,
            .sends = Answer::yes,
            .pci = {"pci0000:3a", "0000:3a:00.0", "0000:3b:00.0"},
            .accelerators = {{"pci0000:3a", "0000:3a:00.0", "0000:3c:00.0"}},
            .iommu_group = "12"};
}

Finding find(const Findings& findings, const std::string& name) {
    const auto found = std::ranges::find(findings, name, &Finding::name);
    EXPECT_NE(found, findings.end()) << name;
    return found == findings.end() ? Finding{} : *found;
}

// What is not ok, by name.
std::vector<std::string> not_ok(const Findings& findings) {
    std::vector<std::string> names;
    for (const Finding& finding : findings) {
        EXPECT_EQ(finding.remedy.empty(), finding.state == State::ok) << finding.name;
        EXPECT_FALSE(finding.seen.empty()) << finding.name;
        if (finding.state != State::ok) names.push_back(finding.name);
    }
    return names;
}

using Names = std::vector<std::string>;

TEST(GenlFamilyTest, Commands) {
    const auto commands = decode_commands(family({{13, 1}, {15, 0}}));
    ASSERT_EQ(commands.size(), 2U);
    EXPECT_EQ(commands[0].id, 13U);
    EXPECT_EQ(commands[0].flags, 1U);
    EXPECT_EQ(commands[1].id, 15U);
    EXPECT_TRUE(decode_commands({}).empty());
}

TEST(GenlFamilyTest, PolicyOfTheCommandAndNotOfItsNests) {
    NetlinkRequest which(0, 0, 0);
    which.nest(CTRL_ATTR_OP_POLICY).nest(NETDEV_CMD_BIND_RX).u32(CTRL_ATTR_POLICY_DO, 3);
    which.end().end();
    const Bytes map = attrs_of(which);
    EXPECT_EQ(decode_request_policy(map, NETDEV_CMD_BIND_RX), 3U);
    EXPECT_FALSE(decode_request_policy(map, NETDEV_CMD_BIND_TX));

    NetlinkRequest policy(0, 0, 0);
    policy.nest(CTRL_ATTR_POLICY).nest(3).nest(5).u32(NL_POLICY_TYPE_ATTR_TYPE, 1);
    policy.end().end().end();
    const Bytes rows = attrs_of(policy);
    EXPECT_TRUE(decode_policy_takes(rows, 3, 5));
    EXPECT_FALSE(decode_policy_takes(rows, 3, 4));
    EXPECT_FALSE(decode_policy_takes(rows, 4, 5));
}

TEST(LinkTest, FlagsXdpKindAndCounts) {
    ifinfomsg fixed{};
    fixed.ifi_flags = IFF_UP;
    NetlinkRequest reply(RTM_NEWLINK, std::as_bytes(std::span(&fixed, 1)));
    reply.nest(IFLA_XDP).u8(IFLA_XDP_ATTACHED, XDP_ATTACHED_DRV).end();
    reply.nest(IFLA_LINKINFO).string(IFLA_INFO_KIND, "veth").end();
    const View head = reply.bytes().subspan(NLMSG_HDRLEN);
    Bytes message(head.begin(), head.end());
    for (const std::size_t size : {sizeof(rtnl_link_stats64), std::size_t{8}}) {
        rtnl_link_stats64 stats{};
        stats.rx_packets = 5;
        stats.rx_missed_errors = 7;
        const nlattr attr{static_cast<std::uint16_t>(NLA_HDRLEN + size), IFLA_STATS64};
        Bytes whole = message;
        for (const View part : {View(std::as_bytes(std::span(&attr, 1))),
                                View(std::as_bytes(std::span(&stats, 1))).first(size)})
            whole.insert(whole.end(), part.begin(), part.end());
        const Link link = decode_link(whole);
        EXPECT_TRUE(link.up);
        EXPECT_TRUE(link.xdp);
        EXPECT_EQ(link.kind, "veth");
        EXPECT_EQ(link.counts.rx_packets, 5U);
        EXPECT_EQ(link.counts.rx_missed, size == 8 ? 0U : 7U);  // an older kernel has fewer
    }
    EXPECT_FALSE(decode_link({}).up);
}

TEST(LinkTest, LoopbackOfThisMachine) {
    const Link link = link_of(interface_index("lo"));
    EXPECT_FALSE(link.xdp);
    EXPECT_EQ(counts(interface_index("lo")).rx_errors, 0U);
    EXPECT_THROW(link_of(0x7fffffff), Error);
}

TEST(KernelTest, HasItAll) {
    EXPECT_EQ(not_ok(judge_kernel(whole_kernel())), Names{});
}

TEST(KernelTest, ReceivesOnly) {
    KernelFacts kernel = kernel_with({{NETDEV_CMD_PAGE_POOL_GET, 0},
                                      {NETDEV_CMD_QUEUE_GET, 0},
                                      {NETDEV_CMD_BIND_RX, GENL_ADMIN_PERM}});
    kernel.rx_page_size = false;
    const auto findings = judge_kernel(kernel);
    EXPECT_EQ(not_ok(findings), (Names{"send", "rx-page-size"}));
    EXPECT_TRUE(stands_in_way(find(findings, "send"), Use::send));
    EXPECT_FALSE(stands_in_way(find(findings, "send"), Use::receive));
    EXPECT_FALSE(stands_in_way(find(findings, "rx-page-size"), Use::both));
}

TEST(KernelTest, CommandWithoutTheSocketsHalf) {
    KernelFacts kernel = whole_kernel();
    kernel.token_option = false;
    EXPECT_EQ(not_ok(judge_kernel(kernel)), Names{"receive"});
}

TEST(KernelTest, KnowsNothingOfIt) {
    EXPECT_EQ(not_ok(judge_kernel({})), (Names{"receive", "send", "rx-page-size", "listing"}));
}

TEST(KernelTest, DoesNotTellItsPolicies) {
    KernelFacts kernel = whole_kernel();
    kernel.rx_page_size.reset();
    EXPECT_EQ(find(judge_kernel(kernel), "rx-page-size").state, State::unknown);
}

TEST(KernelTest, ThisOneCanBeAsked) {
    EXPECT_EQ(judge_kernel(look_at_kernel()).size(), 4U);
}

TEST(ProcessTest, Capability) {
    const KernelFacts kernel = whole_kernel();
    EXPECT_EQ(judge_process({.net_admin = true}, kernel).state, State::ok);
    EXPECT_EQ(judge_process({.net_admin = false}, kernel).state, State::missing);
    EXPECT_TRUE(stands_in_way(judge_process({.net_admin = false}, kernel), Use::receive));
}

TEST(ProcessTest, UserNamespace) {
    const ProcessFacts inside{.net_admin = true, .first_user_namespace = false};
    EXPECT_EQ(judge_process(inside, whole_kernel()).state, State::missing);
    const KernelFacts newer = kernel_with({{NETDEV_CMD_BIND_RX, GENL_UNS_ADMIN_PERM}});
    EXPECT_EQ(judge_process(inside, newer).state, State::ok);
}

/// A root folder of files, gone with this.
class Root {
  public:
    Root() {
        std::string name = fs::temp_directory_path() / "probe.XXXXXX";
        if (!::mkdtemp(name.data())) throw_errno("mkdtemp");
        path_ = name;
    }
    ~Root() { fs::remove_all(path_); }
    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;

    void put(const fs::path& file, const std::string& text = "") const {
        fs::create_directories((path_ / file).parent_path());
        std::ofstream(path_ / file) << text;
    }
    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

TEST(MemoryTest, NoneAtAll) {
    const Root root;
    const auto findings = judge_memory(look_at_memory(root.path()));
    EXPECT_TRUE(stands_in_way(find(findings, "any"), Use::send));
    EXPECT_EQ(not_ok(findings), (Names{"any", "udmabuf", "accelmem", "cuda", "rocm"}));
}

TEST(MemoryTest, Devices) {
    const Root root;
    root.put("dev/udmabuf");
    root.put("dev/dma_heap/system");
    const auto findings = judge_memory(look_at_memory(root.path()));
    EXPECT_EQ(find(findings, "any").seen, "heap:system, udmabuf");
    EXPECT_EQ(not_ok(findings), (Names{"accelmem", "cuda", "rocm"}));
}

TEST(MemoryTest, DeviceThatIsClosed) {
    const MemoryFacts facts{.exporters = {{"udmabuf", Exporter::State::closed, "closed", "open"}}};
    EXPECT_EQ(not_ok(judge_memory(facts)), (Names{"any", "udmabuf"}));
}

TEST(MemoryTest, DriverWithoutItsLibrary) {
    const Root root;
    root.put("dev/kfd");
    root.put("dev/nvidiactl");
    const auto findings = judge_memory(
        look_at_memory(root.path(), {"/no/libcuda.so.1", "/no/libhsa-runtime64.so.1"}));
    for (const char* name : {"cuda", "rocm"}) {
        EXPECT_EQ(find(findings, name).state, State::missing);
        EXPECT_NE(find(findings, name).seen.find("No such file"), std::string::npos);
    }
}

TEST(LimitsTest, Plenty) {
    const Root root;
    root.put("proc/sys/net/core/optmem_max", "131072\n");
    root.put("sys/module/udmabuf/parameters/size_limit_mb", "64\n");
    EXPECT_EQ(not_ok(judge_limits(look_at_memory(root.path()), {})), Names{});
}

TEST(LimitsTest, Scarce) {
    const Root root;
    root.put("proc/sys/net/core/optmem_max", "20480\n");
    root.put("sys/module/udmabuf/parameters/size_limit_mb", "1\n");
    const auto limits = judge_limits(look_at_memory(root.path()), {.memlock = 65536});
    EXPECT_EQ(not_ok(limits), (Names{"optmem_max", "memlock", "udmabuf"}));
    EXPECT_EQ(find(limits, "memlock").seen, "65536 bytes");
    for (const Finding& limit : limits) EXPECT_EQ(limit.state, State::missing) << limit.name;
}

TEST(LimitsTest, NotTold) {
    const Root root;
    root.put("proc/sys/net/core/optmem_max", "many\n");
    const auto limits = judge_limits(look_at_memory(root.path()), {});
    EXPECT_EQ(find(limits, "optmem_max").state, State::unknown);
    EXPECT_EQ(find(limits, "udmabuf").state, State::unknown);
}

TEST(NicTest, HasItAll) {
    EXPECT_EQ(not_ok(judge_nic(whole_nic(), whole_kernel())), Names{});
    const Finding line = sum_up_nic("eth0", judge_nic(whole_nic(), whole_kernel()));
    EXPECT_EQ(line.state, State::ok);
    EXPECT_EQ(line.seen, "can receive; can send");
}

// One thing changed, one verdict changed.
TEST(NicTest, EachThingOnItsOwn) {
    const std::vector<std::pair<std::string, void (*)(NicFacts&)>> changes = {
        {"up", [](NicFacts& nic) { nic.link.up = false; }},
        {"queue-api", [](NicFacts& nic) { nic.restarts_queues = Answer::no; }},
        {"header-split", [](NicFacts& nic) { nic.rings->data_split = DataSplit::off; }},
        {"header-split", [](NicFacts& nic) { nic.rings->data_split = DataSplit::unknown; }},
        {"header-split", [](NicFacts& nic) { nic.rings->data_split.reset(); }},
        {"hds-thresh", [](NicFacts& nic) { nic.rings->hds_thresh = 256; }},
        {"ntuple", [](NicFacts& nic) { nic.ntuple = false; }},
        {"rss-contexts", [](NicFacts& nic) { nic.rss_contexts = false; }},
        {"queues", [](NicFacts& nic) { nic.channels->combined = 1; }},
        {"free-queues", [](NicFacts& nic) { nic.queues->at(1).dmabuf_id = 5; }},
        {"free-queues", [](NicFacts& nic) { nic.queues->at(1).io_uring = true; }},
        {"free-queues", [](NicFacts& nic) { nic.queues->at(1).xsk = true; }},
        {"xdp", [](NicFacts& nic) { nic.link.xdp = true; }},
        {"netmem-tx", [](NicFacts& nic) { nic.sends = Answer::no; }},
        {"p2p",
         [](NicFacts& nic) {
             nic.accelerators = {{"pci0000:00", "0000:00:02.0"}};
         }},
    };
    for (const auto& [name, change] : changes) {
        NicFacts nic = whole_nic();
        change(nic);
        const auto findings = judge_nic(nic, whole_kernel());
        EXPECT_EQ(not_ok(findings), Names{name});
        EXPECT_EQ(find(findings, name).state, State::missing) << name;
    }
}

TEST(NicTest, SaysWhoHoldsAQueue) {
    NicFacts nic = whole_nic();
    nic.queues->at(0).dmabuf_id = 5;
    nic.queues->at(1).xsk = true;
    EXPECT_EQ(find(judge_nic(nic, whole_kernel()), "free-queues").seen,
              "0 free; taken: 0 by dmabuf 5, 1 by AF_XDP");
}

TEST(NicTest, RemediesNameTheInterface) {
    NicFacts nic = whole_nic();
    nic.ntuple = false;
    EXPECT_EQ(find(judge_nic(nic, whole_kernel()), "ntuple").remedy, "ethtool -K eth0 ntuple on");
    nic.ntuple_available = false;
    EXPECT_NE(find(judge_nic(nic, whole_kernel()), "ntuple").remedy, "ethtool -K eth0 ntuple on");
    nic.channels = Channels{.rx = 1, .rx_max = 4};
    EXPECT_EQ(find(judge_nic(nic, whole_kernel()), "queues").remedy, "ethtool -L eth0 rx 2");
    nic.channels = Channels{.combined = 1, .combined_max = 1};
    EXPECT_EQ(find(judge_nic(nic, whole_kernel()), "queues").remedy, "Take a NIC with more queues");
}

TEST(NicTest, TellsNothing) {
    const NicFacts nic{.name = "eth0", .link = {.up = true}};
    const auto findings = judge_nic(nic, whole_kernel());
    EXPECT_EQ(not_ok(findings),
              (Names{"queue-api", "header-split", "ntuple", "rss-table", "rss-contexts", "queues",
                     "free-queues", "netmem-tx", "p2p"}));
    EXPECT_EQ(
        sum_up_nic("eth0", findings).seen,
        "not ready to receive: header-split, ntuple, rss-table; may send, unknown: netmem-tx");
}

TEST(NicTest, InOneLine) {
    const auto state = [](void (*change)(NicFacts&)) {
        NicFacts nic = whole_nic();
        change(nic);
        return sum_up_nic("eth0", judge_nic(nic, whole_kernel())).state;
    };
    EXPECT_EQ(state([](NicFacts& nic) { nic.sends = Answer::untold; }), State::unknown);
    EXPECT_EQ(state([](NicFacts& nic) { nic.sends = Answer::no; }), State::missing);
    EXPECT_EQ(state([](NicFacts& nic) { nic.rss_contexts = false; }), State::ok);
}

TEST(NicTest, KernelThatCannotAsk) {
    NicFacts nic = whole_nic();
    nic.restarts_queues = nic.sends = Answer::untold;
    const auto findings = judge_nic(nic, {});
    EXPECT_EQ(find(findings, "queue-api").remedy, "See kernel receive");
    EXPECT_EQ(find(findings, "netmem-tx").remedy, "See kernel send");
}

TEST(BindRefusalTest, RestartsQueues) {
    EXPECT_EQ(can_restart_queues(EBADF, EOPNOTSUPP), Answer::yes);
    EXPECT_EQ(can_restart_queues(EEXIST, EOPNOTSUPP), Answer::yes);
    EXPECT_EQ(can_restart_queues(EOPNOTSUPP, EOPNOTSUPP), Answer::no);
    EXPECT_EQ(can_restart_queues(EPERM, EPERM), Answer::untold);
    EXPECT_EQ(can_restart_queues(EBADF, EBADF), Answer::untold);  // it never saw the driver
}

TEST(BindRefusalTest, Sends) {
    EXPECT_EQ(can_send(EBADF), Answer::yes);
    EXPECT_EQ(can_send(EOPNOTSUPP), Answer::no);
    EXPECT_EQ(can_send(ENODEV), Answer::untold);
}

TEST(PciPathTest, FunctionsOnly) {
    EXPECT_EQ(pci_path("/sys/devices/pci0000:00/0000:00:03.0/virtio0"),
              (PciPath{"pci0000:00", "0000:00:03.0"}));
    EXPECT_TRUE(pci_path("/sys/devices/virtual/net/dm0").empty());
    EXPECT_TRUE(pci_path("/sys/devices/pci0000:00").empty());
}

TEST(PciPathTest, Hops) {
    const PciPath nic{"pci0000:3a", "0000:3a:00.0", "0000:3b:00.0", "0000:3c:08.0", "0000:3d:00.0"};
    const PciPath gpu{"pci0000:3a", "0000:3a:00.0", "0000:3b:00.0", "0000:3c:10.0", "0000:3e:00.0"};
    const PciPath other{"pci0000:3a", "0000:3a:01.0"};
    EXPECT_EQ(pci_hops(nic, gpu), 4U);
    EXPECT_EQ(pci_hops(nic, nic), 0U);
    EXPECT_FALSE(pci_hops(nic, other));
    EXPECT_FALSE(pci_hops(nic, {}));
}

TEST(PciPathTest, AcceleratorsOfAMachine) {
    const Root root;
    const fs::path bridge = "sys/devices/pci0000:00/0000:00:01.0";
    root.put(bridge / "class", "0x060400\n");
    root.put(bridge / "0000:01:00.0/class", "0x030200\n");
    root.put(bridge / "0000:02:00.0/class", "0x120000\n");
    root.put(bridge / "0000:03:00.0/class", "0x020000\n");
    root.put("sys/devices/pci0000:00/0000:00:04.0/class", "0x010802\n");
    root.put("sys/devices/pci0000:00/0000:00:04.0/p2pmem/size", "4096\n");
    fs::create_directories(root.path() / "sys/bus/pci/devices");
    for (const auto& device : fs::recursive_directory_iterator(root.path() / "sys/devices"))
        if (device.path().filename() == "class") {
            const fs::path folder = device.path().parent_path();
            fs::create_symlink(folder, root.path() / "sys/bus/pci/devices" / folder.filename());
        }
    const auto found = pci_accelerators(root.path());
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].back(), "0000:01:00.0");
    EXPECT_EQ(found[1].back(), "0000:02:00.0");
    EXPECT_EQ(found[2].back(), "0000:00:04.0");
}

TEST(ProbeTest, ThisMachine) {
    const auto findings = probe();
    EXPECT_EQ(findings.front().subject, "kernel");
    for (const Finding& finding : findings) {
        EXPECT_FALSE(finding.seen.empty()) << finding.name;
        EXPECT_EQ(finding.remedy.empty(), finding.state == State::ok) << finding.name;
    }
    EXPECT_EQ(find(probe("lo"), "header-split").state, State::missing);
    EXPECT_THROW(probe("no-such-nic"), Error);
}

}  // namespace
}  // namespace devmem
