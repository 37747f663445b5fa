// SPDX-License-Identifier: GPL-2.0
// Packets with payload in device memory that would have to leave again: by routing, bridging,
// mirrors. No other device can send them, so they are dropped and counted, and nothing else is.
//
//    there             here               beyond
//    dm0p <======> dm0      dm1 <======> dm1p
//    10.9.0.2   10.9.0.1  10.8.0.1    10.8.0.3
#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "guard.h"
#include "ipsec.h"
#include "leftovers.h"

namespace {

devmem::Fd new_namespace() {
    const devmem::Fd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) != 0) throw_errno_of("unshare");
    devmem::Fd made(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::setns(here.get(), CLONE_NEWNET) != 0) throw_errno_of("setns");
    return made;
}

/// A third namespace, another NIC, or a link of the given type, that leads there, and a listener
/// there. Routed, until told otherwise.
class Beyond {
  public:
    static constexpr const char* v4 = "10.8.0.3";
    static constexpr const char* v6 = "fd08::3";

    explicit Beyond(const Bound& bound, const std::string& type = "dmnic")
        : netns_(new_namespace()) {
        bound.topology.here(
            fmt::format("ip -batch - <<-END\n"
                        "link add name dm1 type {}\n"
                        "link set dm1p netns /proc/{}/fd/{}\n"
                        "addr add 10.8.0.1/24 dev dm1\n"
                        "addr add fd08::1/64 dev dm1 nodad\n"
                        "link set dm1 up\n"
                        "END\n"
                        "echo 1 >/proc/sys/net/ipv4/ip_forward\n"
                        "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding\n",
                        type, ::getpid(), netns_.get()));
        run("ip link set lo up && ip link set dm1p up &&"
            "ip addr add 10.8.0.3/24 dev dm1p && ip addr add fd08::3/64 dev dm1p nodad &&"
            "ip route add 10.9.0.0/24 via 10.8.0.1 && ip route add fd09::/64 via fd08::1");
        if (!within(60, [] { return has_link("dm1"); })) throw std::runtime_error("no link");
        bound.topology.there(
            "ip route add 10.8.0.0/24 via 10.9.0.1 && ip route add fd08::/64 via fd09::1");
        listener_ = inside(netns_.get(), [] { return std::make_unique<Listener>(); });
    }

    void run(const std::string& command) const { run_in(netns_.get(), command); }
    [[nodiscard]] int netns() const { return netns_.get(); }
    [[nodiscard]] Reader accept() const { return Reader(listener_->accept(), {}); }

  private:
    devmem::Fd netns_;
    std::unique_ptr<Listener> listener_;
};

// Has the reader got nothing while that count moved?
template <class Count>
void expect_drops(Reader& reader, const Count& count, std::uint64_t before) {
    EXPECT("drops are counted", within(60, [&] { return count() > before; }), count());
    reader.read(1, 0.3);
    EXPECT_EQUAL("bytes that got through", 0, reader.bytes());
}

// A stream to beyond stops where it would have to be sent; in host memory it goes on.
template <class Count>
void expect_stopped(const Bound& bound, const Beyond& beyond, const char* to, const Count& count) {
    const bool v6 = std::string(to).find(':') != std::string::npos;
    const std::uint64_t before = count();
    Sender sender = bound.send({.to = to, .bytes = 256 * kibibyte});
    Reader reader = beyond.accept();
    expect_drops(reader, count, before);
    const auto rule = in_host_memory(bound, device_port, v6);
    EXPECT("in host memory the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte, 256 * kibibyte);
}

std::uint64_t dm1_dropped() {
    return tx_dropped("dm1");
}

// ---- routing --------------------------------------------------------------

template <bool gro>
void route() {
    const Bound bound;
    const Beyond beyond(bound);
    if (!gro) bound.topology.here("ethtool -K dm0 gro off");
    expect_stopped(bound, beyond, Beyond::v4, dm1_dropped);
    expect_stopped(bound, beyond, Beyond::v6, dm1_dropped);
    expect_stream(bound);
}

// Without a queueing discipline the drop is in another place.
void route_noqueue() {
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here("tc qdisc replace dev dm1 root noqueue");
    expect_stopped(bound, beyond, Beyond::v4, dm1_dropped);
    expect_stream(bound);
}

void route_conntrack() {
    need_program("nft");
    need_module("nf_conntrack", "CONFIG_NF_CONNTRACK");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here(
        "nft 'add table ip t; add chain ip t f { type filter hook forward priority 0; };"
        "add rule ip t f ct state invalid drop'");
    expect_stopped(bound, beyond, Beyond::v4, dm1_dropped);
    expect_stream(bound);
}

// ---- routing to virtual devices -------------------------------------------

void route_to_veth() {
    need_module("veth", "CONFIG_VETH");
    const Bound bound;
    const Beyond beyond(bound, "veth peer name dm1p");
    expect_stopped(bound, beyond, Beyond::v4, dm1_dropped);
    expect_stopped(bound, beyond, Beyond::v6, dm1_dropped);
    expect_stream(bound);
}

// The bond gets dm1's addresses.
void route_to_bond() {
    need_module("bonding", "CONFIG_BONDING");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here(
        "ip link add bond0 type bond mode active-backup miimon 100 && ip link set dm1 down &&"
        "ip link set dm1 master bond0 && ip addr flush dev dm1 && ip link set bond0 up &&"
        "ip addr add 10.8.0.1/24 dev bond0 && ip addr add fd08::1/64 dev bond0 nodad");
    beyond.run("ip neigh flush dev dm1p");
    if (!within(60, [] { return has_link("bond0"); })) throw std::runtime_error("no link");
    const auto dropped = [] { return tx_dropped("bond0"); };
    expect_stopped(bound, beyond, Beyond::v4, dropped);
    expect_stopped(bound, beyond, Beyond::v6, dropped);
    expect_stream(bound);
}

// ---- NAT ------------------------------------------------------------------

void need_nat(const char* module, const char* config) {
    need_program("nft");
    need_module("nft_chain_nat", "CONFIG_NFT_NAT");
    need_module(module, config);
}

// There is no way back but to the router itself.
void route_masquerade() {
    need_nat("nft_masq", "CONFIG_NFT_MASQ");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here(
        "nft 'add table ip t; add chain ip t p { type nat hook postrouting priority 100; };"
        "add rule ip t p oifname dm1 counter masquerade'");
    beyond.run("ip route del 10.9.0.0/24");
    expect_stopped(bound, beyond, Beyond::v4, dm1_dropped);
    expect_stream(bound);
}

// Only headers change on the way in.
void redirect_to_local_port() {
    need_nat("nft_redir", "CONFIG_NFT_REDIR");
    const Bound bound;
    bound.topology.here(
        "nft 'add table ip t; add chain ip t p { type nat hook prerouting priority -100; };"
        "add rule ip t p iifname dm0 tcp dport 5202 counter redirect to :5201'");
    expect_stream(bound, {.port = 5202, .bytes = 256 * kibibyte});
    const auto redirected =
        number("nft list chain ip t p | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'");
    EXPECT("connections redirected", redirected > 0, redirected);
}

// ---- IPsec ----------------------------------------------------------------

// What goes beyond is to be enciphered, in a tunnel from dm1 to dm1p; what comes back is not.
void make_tunnel(const Bound& bound, const Beyond& beyond) {
    const auto end = [](const char* direction) {
        return esp_state("10.8.0.1", Beyond::v4, 1, "tunnel") +
               fmt::format(
                   "ip xfrm policy add src 10.9.0.0/24 dst {0} dir {1} tmpl src 10.8.0.1 "
                   "dst {0} proto esp mode tunnel",
                   Beyond::v4, direction);
    };
    bound.topology.here(end("out"));
    beyond.run(end("in"));
    bound.topology.there("ip route change 10.8.0.0/24 via 10.9.0.1 mtu 1300");
}

std::uint64_t esp_packets() {
    return number("ip -s xfrm state | sed -n 's/.*[0-9](bytes), \\([0-9]*\\)(packets).*/\\1/p'");
}

// What GRO has joined is dropped before ESP gets it: with it only what is sent again counts.
template <bool gro>
void route_to_tunnel() {
    skip_on_stock("an oops: ESP copies what a NULL page has");
    need_ipsec();
    const Bound bound;
    const Beyond beyond(bound);
    make_tunnel(bound, beyond);
    if (!gro) bound.topology.here("ethtool -K dm0 gro off");
    const auto lost = [&] {
        const auto given = esp_packets();
        ::usleep(200'000);  // for those that are on their way
        return given - std::min(given, inside(beyond.netns(), esp_packets));
    };
    expect_stopped(bound, beyond, Beyond::v4, lost);
    expect_stream(bound);
}

// ---- packets too large for the way on -------------------------------------

// With a small MTU there and no DF bit, the router is to cut packets: it can't copy these.
template <bool gro>
void fragment() {
    skip_on_stock("BUG in ip_frag_next()");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.there("echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc");
    bound.topology.here("ip link set dm1 mtu 1000");
    if (!gro) bound.topology.here("ethtool -K dm0 gro off");
    expect_stopped(bound, beyond, Beyond::v4, [] { return snmp("Ip", "FragFails"); });
    EXPECT("in host memory they were cut", snmp("Ip", "FragCreates") > 0, 0);
    expect_stream(bound);
}

std::uint64_t snmp6(const char* name) {
    return number(fmt::format("awk '$1 == \"{}\" {{ print $2 }}' /proc/net/snmp6", name));
}

void ask_rtnetlink(nlmsghdr* message) {
    const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(mnl_socket_open(NETLINK_ROUTE),
                                                                   mnl_socket_close);
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
    if (!socket || mnl_socket_sendto(socket.get(), message, message->nlmsg_len) < 0)
        throw_errno_of("rtnetlink");
    std::array<char, 4096> answer{};
    const ssize_t got = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
    if (got < 0 ||
        mnl_cb_run(answer.data(), static_cast<std::size_t>(got), 0, 0, nullptr, nullptr) < 0)
        throw_errno_of("rtnetlink");
}

// A route by which every packet goes in fragments, however small: RTAX_FEATURE_ALLFRAG, which ip(8)
// does not know.
void add_fragmenting_route(const char* to, std::uint32_t ifindex) {
    std::array<char, 256> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_NEWROUTE;
    auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
    route->rtm_family = AF_INET6;
    route->rtm_dst_len = 128;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_type = RTN_UNICAST;
    in6_addr address{};
    ::inet_pton(AF_INET6, to, &address);
    mnl_attr_put(message, RTA_DST, sizeof(address), &address);
    mnl_attr_put_u32(message, RTA_OIF, ifindex);
    nlattr* metrics = mnl_attr_nest_start(message, RTA_METRICS);
    mnl_attr_put_u32(message, RTAX_FEATURES, RTAX_FEATURE_ALLFRAG);
    mnl_attr_nest_end(message, metrics);
    ask_rtnetlink(message);
}

// Linux cuts an IPv6 packet that it forwards where netfilter has joined it of fragments, whose
// payload no NIC splits off, or where the route says so, which is the one way to get there.
void fragment_v6() {
    skip_on_stock("routes don't fragment there");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here("ethtool -K dm0 gro off");
    add_fragmenting_route(Beyond::v6, devmem::interface_index("dm1"));
    expect_stopped(bound, beyond, Beyond::v6, [] { return snmp6("Ip6FragFails"); });
    EXPECT("in host memory they were cut", snmp6("Ip6FragCreates") > 0, 0);
    expect_stream(bound, {.to = "fd09::1", .bytes = 256 * kibibyte});
}

std::uint64_t too_big_sent(bool v6) {
    return v6 ? snmp6("Icmp6OutPktTooBigs") : snmp("Icmp", "OutDestUnreachs");
}

// The router says that a packet is too large, and quotes it as far as it can read it. Who gets that
// checks its checksum, and believes it.
void too_large(const char* to, bool v6) {
    skip_on_stock("ICMP errors quote memory that nobody has written to");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here("ip link set dm1 mtu 1300");
    Sender sender = bound.send({.to = to, .bytes = 256 * kibibyte});
    Reader reader = beyond.accept();
    EXPECT("the router says so", within(60, [&] { return too_big_sent(v6) > 0; }), 0);
    const auto ask = fmt::format("ip route get {} | sed -n 's/.*mtu \\([0-9]*\\).*/\\1/p'", to);
    const auto learned = [&] {
        return inside(bound.topology.there_fd(), [&] { return first_word(ask); });
    };
    EXPECT("the sender learns", within(60, [&] { return learned() == "1300"; }), learned());
    const auto rule = in_host_memory(bound, device_port, v6);
    EXPECT("in host memory the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte, 256 * kibibyte);
}

void path_mtu() {
    too_large(Beyond::v4, false);
}

void path_mtu_v6() {
    too_large(Beyond::v6, true);
}

// ---- bridges --------------------------------------------------------------

// Both NICs are ports of a bridge, which has our address too.
void bridge() {
    need_module("bridge", "CONFIG_BRIDGE");
    const Bound bound;
    const Beyond beyond(bound);
    bound.topology.here(
        "ip link add br0 type bridge && ip addr flush dev dm0 && ip addr flush dev dm1 &&"
        "ip link set dm0 master br0 && ip link set dm1 master br0 && ip link set br0 up &&"
        "ip addr add 10.9.0.1/24 dev br0 && ip addr add fd09::1/64 dev br0 nodad");
    beyond.run(
        "ip addr flush dev dm1p && ip addr add 10.9.0.3/24 dev dm1p &&"
        "ip addr add fd09::3/64 dev dm1p nodad");
    expect_stopped(bound, beyond, "10.9.0.3", dm1_dropped);
    expect_stopped(bound, beyond, "fd09::3", dm1_dropped);
    expect_stream(bound);
    expect_stream(bound, {.to = "fd09::1", .bytes = 256 * kibibyte});
}

// ---- mirrors --------------------------------------------------------------

void need_mirred() {
    need_module("act_mirred", "CONFIG_NET_ACT_MIRRED");
    need_module("cls_matchall", "CONFIG_NET_CLS_MATCHALL");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
}

void mirred(const Bound& bound, const std::string& what) {
    bound.topology.here(
        "tc qdisc replace dev dm0 clsact &&"
        "tc filter add dev dm0 ingress matchall action mirred " +
        what);
}

// A stream passes a mirror that can't show it; in host memory it can.
void expect_mirror(const Bound& bound, const std::string& to) {
    const auto before = tx_dropped(to);
    mirred(bound, "egress mirror dev " + to);
    expect_stream(bound);
    const auto dropped = [&] { return tx_dropped(to) - before; };
    EXPECT("drops are counted at " + to, within(60, [&] { return dropped() > 3; }), dropped());
    bound.topology.here("tc qdisc del dev dm0 clsact");
}

void mirror() {
    need_mirred();
    const Bound bound;
    const Beyond beyond(bound);
    expect_mirror(bound, "dm1");
}

void mirror_to_itself() {
    need_mirred();
    const Bound bound;
    expect_mirror(bound, "dm0");
}

devmem::Fd open_tap(const char* name) {
    devmem::Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    ifreq request{};
    std::strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (!fd.is_open() || ::ioctl(fd.get(), TUNSETIFF, &request) != 0) throw_errno_of("make a tap");
    return fd;
}

// Frames that a tap device gives with TCP payload from this port.
unsigned frames_with_payload(const devmem::Fd& tap, std::uint16_t port) {
    std::vector<std::byte> buffer(1 << 17);
    unsigned frames = 0;
    for (;;) {
        const ssize_t got = ::read(tap.get(), buffer.data(), buffer.size());
        if (got <= 14) break;
        const auto frame = std::span(buffer).first(static_cast<std::size_t>(got));
        const auto tcp = parse_tcp(frame.subspan(14));
        frames += tcp && tcp->from == port && tcp->has_payload();
    }
    return frames;
}

void mirror_to_tap() {
    need_mirred();
    need_module("tun", "CONFIG_TUN");
    const Bound bound;
    const auto tap = open_tap("tap0");
    bound.topology.here("ip link set tap0 up");
    expect_mirror(bound, "tap0");
    EXPECT_EQUAL("frames read", 0, frames_with_payload(tap, device_port));
    mirred(bound, "egress mirror dev tap0");
    expect_host_stream(bound);
    const auto frames = frames_with_payload(tap, host_port);
    EXPECT("frames read in host memory", frames > 3, frames);
}

// All is sent on to another device, once the connection stands.
void redirect(const std::string& to) {
    need_mirred();
    const Bound bound;
    const Beyond beyond(bound);
    Sender sender = bound.send({.bytes = 4096 * kibibyte});
    Reader reader = bound.accept();
    EXPECT("the stream begins", reader.read(64 * kibibyte), reader.bytes());
    const auto before = tx_dropped(to);
    mirred(bound, "egress redirect dev " + to);
    reader.give_back();
    while (reader.read(endless, 0.5) && !reader.over()) {
    }
    EXPECT("the redirected stream stops", !reader.over(), reader.bytes());
    EXPECT("drops are counted", within(60, [&] { return tx_dropped(to) > before; }), before);
    bound.topology.here("tc qdisc del dev dm0 clsact");
    EXPECT("the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 4096 * kibibyte);
}

void redirect_to_port() {
    redirect("dm1");
}

void redirect_to_itself() {
    redirect("dm0");
}

// An ifb sends what it gets back to where that came from.
void redirect_to_ifb() {
    need_mirred();
    need_module("ifb", "CONFIG_IFB");
    const Bound bound;
    bound.topology.here("ip link add ifb5 type ifb && ip link set ifb5 up");
    mirred(bound, "egress redirect dev ifb5");
    expect_host_stream(bound);
    EXPECT_EQUAL("drops of what is in host memory", 0, tx_dropped("ifb5"));
    Sender sender = bound.send({.bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    expect_drops(
        reader, [] { return tx_dropped("ifb5"); }, 0);
    bound.topology.here("tc qdisc del dev dm0 clsact");
    EXPECT("without it the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte);
}

// A copy of each packet, sent by way of another gateway. They wait until that has been found.
void tee() {
    skip_on_stock("__pskb_copy_fclone() takes references on NULL pages");
    need_program("iptables");
    need_module("xt_TEE", "CONFIG_NETFILTER_XT_TARGET_TEE");
    const Bound bound;
    const Beyond beyond(bound);
    const auto before = dm1_dropped();
    bound.topology.here("iptables -w -t mangle -A PREROUTING -i dm0 -j TEE --gateway 10.8.0.3");
    expect_stream(bound);
    EXPECT("drops are counted", within(60, [&] { return dm1_dropped() > before; }), before);
}

const ktap_test tests[] = {
    {"a router: dropped and counted", clean<route<true>>},
    {"a router without GRO: the same", clean<route<false>>},
    {"a router without a queueing discipline: the same", clean<route_noqueue>},
    {"a router with conntrack: the same", clean<route_conntrack>},
    {"a router to a veth: the same", clean<route_to_veth>},
    {"a router to a bond: the same", clean<route_to_bond>},
    {"a router that masquerades: the same", clean<route_masquerade>},
    {"redirected by NAT to another port here: exact, all on the device",
     clean<redirect_to_local_port>},
    {"a router to an ESP tunnel: dropped", clean<route_to_tunnel<true>>},
    {"a router to an ESP tunnel, no GRO: the same", clean<route_to_tunnel<false>>},
    {"a smaller MTU ahead: FragFails counts", clean<fragment<true>>},
    {"a smaller MTU ahead, no GRO: the same", clean<fragment<false>>},
    {"a route that fragments, IPv6: the same", clean<fragment_v6>},
    {"a smaller MTU ahead, DF: the sender is told", clean<path_mtu>},
    {"a smaller MTU ahead, IPv6: the sender is told", clean<path_mtu_v6>},
    {"a bridge: drops what has to leave, takes what is its own", clean<bridge>},
    {"a mirror to another NIC: drops the copy, the stream is exact", clean<mirror>},
    {"a mirror to the same NIC: the same", clean<mirror_to_itself>},
    {"a mirror to a tap device: the same", clean<mirror_to_tap>},
    {"a redirection to another NIC: dropped and counted", clean<redirect_to_port>},
    {"a redirection to the same NIC: the same", clean<redirect_to_itself>},
    {"a redirection to an ifb: the same", clean<redirect_to_ifb>},
    {"xt_TEE: drops the copy, the stream is exact", clean<tee>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
