// SPDX-License-Identifier: GPL-2.0
// The way out: only the NIC that device memory is bound to may send it, whatever the routes say.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "leftovers.h"
#include "process.h"
#include "tx_stage.h"
#include "visit.h"

namespace {

// ---- routes ---------------------------------------------------------------

void route_flushed() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (int i = 0; i < 20; i++) {
        stage.topology.here(i % 2 ? "ip route flush cache"
                                  : "ip link set dm0 mtu 1400; ip link set dm0 mtu 1500");
        stream.send(Extent{static_cast<std::uint64_t>(i) * 4001, 100'000});
    }
    expect_whole(stream);
}

void route_gone_and_back() {
    const TxStage stage;
    TxStream stream = stage.stream();
    const Extent extent{1, 10'000};
    stream.send(extent);
    stage.topology.here("ip route del 10.9.0.0/24 dev dm0");
    const Result result = stream.try_send(std::span(&extent, 1));
    EXPECT_EQUAL("errno without a route", EHOSTUNREACH, result.error);
    stage.topology.here("ip route add 10.9.0.0/24 dev dm0");
    stream.send(extent);
    expect_whole(stream);
}

// ---- other devices --------------------------------------------------------

void vlan() {
    const TxStage stage;
    need_module("8021q", "CONFIG_VLAN_8021Q");
    stage.topology.make_vlan();
    TxStream stream = stage.stream({.to = "10.10.0.2"});
    send_all(stream, stage.memory, mebibyte, 50'021);
    expect_whole(stream);
}

void vlan_on_vlan() {
    need_module("8021q", "CONFIG_VLAN_8021Q");
    const TxStage stage;
    stage.topology.make_vlan();
    const auto above = [](int end) {
        return fmt::format(
            "ip link add link v5 name v6 type vlan id 6 && ip link set v6 up && "
            "ip addr add 10.14.0.{}/24 dev v6",
            end);
    };
    stage.topology.here(above(1));
    stage.topology.there(above(2));
    TxStream stream = stage.stream({.to = "10.14.0.2"});
    send_all(stream, stage.memory, mebibyte, 50'021);
    expect_whole(stream);
}

// A send by another way than the binding's device.
void refused_by(const TxStage& stage, const std::string& to, int error) {
    TxStream stream = stage.stream({.to = to});
    const Extent extent{0, 1000};
    const Result result = stream.try_send(std::span(&extent, 1));
    EXPECT_EQUAL("errno by way of " + to, error, result.error);
    stream.send_plain(stage.memory.at({0, 1000}));
    EXPECT_EQUAL("wrong", std::string(), stream.finish());
}

// By way of a device above dm0.
void refused_above(const char* module, const char* config, const char* device) {
    need_module(module, config);
    const TxStage stage;
    stage.topology.here(
        fmt::format("ip link add link dm0 name above {} && ip addr add 10.11.0.1/24 dev above &&"
                    "ip link set above up",
                    device));
    stage.topology.there("ip addr add 10.11.0.2/24 dev dm0p");
    refused_by(stage, "10.11.0.2", ENODEV);
}

void macvlan() {
    refused_above("macvlan", "CONFIG_MACVLAN", "type macvlan");
}

void ipvlan() {
    refused_above("ipvlan", "CONFIG_IPVLAN", "type ipvlan mode l2");
}

// By way of a device that dm0 is a part of.
void refused_over(const char* module, const char* config, const char* device) {
    need_module(module, config);
    const TxStage stage;
    stage.topology.here(
        fmt::format("ip link add over {} && ip link set dm0 down && ip link set dm0 master over &&"
                    "ip link set dm0 up && ip addr add 10.12.0.1/24 dev over &&"
                    "ip link set over up",
                    device));
    stage.topology.there("ip addr add 10.12.0.2/24 dev dm0p");
    refused_by(stage, "10.12.0.2", ENODEV);
}

void bond() {
    refused_over("bonding", "CONFIG_BONDING", "type bond mode active-backup");
}

void bridge() {
    refused_over("bridge", "CONFIG_BRIDGE", "type bridge");
}

void veth() {
    need_module("veth", "CONFIG_VETH");
    const TxStage stage;
    stage.topology.here(
        fmt::format("ip link add ve0 type veth peer name ve1 netns /proc/{}/fd/{} &&"
                    "ip addr add 10.15.0.1/24 dev ve0 && ip link set ve0 up",
                    ::getpid(), stage.topology.there_fd()));
    stage.topology.there("ip addr add 10.15.0.2/24 dev ve1 && ip link set ve1 up");
    refused_by(stage, "10.15.0.2", ENODEV);
}

// dx0 here, dx0p there, beside what the binding is for.
void make_other_nic(const TxStage& stage) {
    stage.topology.here(
        fmt::format("ip link add name dx0 type dmnic && ip link set dx0p netns /proc/{}/fd/{} &&"
                    "ip link set dx0 up",
                    ::getpid(), stage.topology.there_fd()));
    stage.topology.there("ip link set dx0p up");
}

void other_nic() {
    const TxStage stage;
    make_other_nic(stage);
    stage.topology.here("ip addr add 10.13.0.1/24 dev dx0");
    stage.topology.there("ip addr add 10.13.0.2/24 dev dx0p");
    refused_by(stage, "10.13.0.2", ENODEV);
}

// Nothing that has left waits for its acknowledgement, so all of it has arrived.
bool nothing_underway(int fd) {
    int queued = 0, unsent = 0;
    KTAP_NEED(::ioctl(fd, SIOCOUTQ, &queued) == 0 && ::ioctl(fd, SIOCOUTQNSD, &unsent) == 0);
    return queued == unsent;
}

// What is queued on its way out when the route moves to a NIC that it isn't bound to.
void route_moves() {
    const TxStage stage;
    make_other_nic(stage);
    TxStream stream = stage.stream({.rcvbuf = 8192});
    const Extent extent{0, 200'000};
    KTAP_NEED(stream.try_send(std::span(&extent, 1)).value > 0);
    KTAP_NEED(within(60, [&] { return nothing_underway(stream.fd()); }));
    stage.topology.here("ip route add 10.9.0.2/32 dev dx0");
    const Extent more{0, 10};
    EXPECT_EQUAL("errno", ENODEV, stream.try_send(std::span(&more, 1)).error);
    stream.read();
    const auto before = stream.received();
    EXPECT("drops are counted there", within(60, [] { return tx_dropped("dx0") > 0; }), 0);
    stream.read();
    EXPECT_EQUAL("bytes that left there", 0U, stream.received() - before);
    stage.topology.here("ip route del 10.9.0.2/32 dev dx0");
    expect_whole(stream, 120);
}

/// tc shows another NIC all that leaves, or sends it there instead.
void mirred(const TxStage& stage, const char* how) {
    need_module("act_mirred", "CONFIG_NET_ACT_MIRRED");
    need_module("cls_matchall", "CONFIG_NET_CLS_MATCHALL");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
    stage.topology.here(
        fmt::format("tc qdisc add dev dm0 clsact && tc filter add dev dm0 egress matchall action "
                    "mirred egress {} dev dx0",
                    how));
}

void mirror() {
    const TxStage stage;
    make_other_nic(stage);
    TxStream stream = stage.stream();
    mirred(stage, "mirror");
    send_all(stream, stage.memory, mebibyte, 50'021);
    expect_whole(stream);
    EXPECT("drops are counted at the mirror", tx_dropped("dx0") > 0, 0);
}

void redirect() {
    const TxStage stage;
    make_other_nic(stage);
    TxStream stream = stage.stream();
    mirred(stage, "redirect");
    const Extent extent{0, 100'000};
    KTAP_NEED(stream.try_send(std::span(&extent, 1)).value > 0);
    EXPECT("drops are counted there", within(60, [] { return tx_dropped("dx0") > 0; }), 0);
    stream.read();
    EXPECT_EQUAL("bytes that arrived", 0U, stream.received());
    stage.topology.here("tc qdisc del dev dm0 clsact");
    expect_whole(stream, 120);
}

void same_host() {
    const TxStage stage;
    const devmem::Fd listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(5302);
    at.sin6_addr = in6addr_loopback;
    KTAP_NEED(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    KTAP_NEED(::listen(listener.get(), 1) == 0);
    const devmem::Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int one = 1;
    KTAP_NEED(::setsockopt(fd.get(), SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0);
    KTAP_NEED(::connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    const iovec iov = extent_to_iovec({0, 100});
    const Result result = send_extents(fd.get(), {&iov, 1}, stage.binding->id(), MSG_ZEROCOPY);
    EXPECT_EQUAL("errno", ENODEV, result.error);
}

void other_netns() {
    const TxStage stage;
    const RawTxBinding far = inside(stage.topology.there_fd(), [&] {
        return RawTxBinding(devmem::interface_index("dm0p"), stage.memory.fd());
    });
    EXPECT_EQUAL("bind-tx there", 0, far.error());
    TxStream stream = stage.stream();
    stream.use(far.id());
    const Extent extent{0, 100};
    EXPECT_EQUAL("errno", ENODEV, stream.try_send(std::span(&extent, 1)).error);
}

const ktap_test tests[] = {
    {"routes flushed while sending: exact", clean<route_flushed>},
    {"a route goes and comes back: EHOSTUNREACH between, exact", clean<route_gone_and_back>},
    {"through a VLAN: exact", clean<vlan>},
    {"through a VLAN on a VLAN: exact", clean<vlan_on_vlan>},
    {"through a macvlan: ENODEV", clean<macvlan>},
    {"through an ipvlan: ENODEV", clean<ipvlan>},
    {"through a bond: ENODEV", clean<bond>},
    {"through a bridge: ENODEV", clean<bridge>},
    {"through a veth: ENODEV", clean<veth>},
    {"by way of another NIC: ENODEV", clean<other_nic>},
    {"the route moves to another NIC: nothing leaves there, later exact", clean<route_moves>},
    {"a mirror at another NIC: drops the copies, exact", clean<mirror>},
    {"redirected to another NIC: nothing leaves there, later exact", clean<redirect>},
    {"to the same host: ENODEV", clean<same_host>},
    {"another netns's device: ENODEV", clean<other_netns>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
