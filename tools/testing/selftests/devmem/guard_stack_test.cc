// SPDX-License-Identifier: GPL-2.0
// Receiving by way of devices on top of the NIC, or of IPsec: payload in device memory gets through
// where nobody has to read it, and is dropped where somebody must.
#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

#include "guard.h"
#include "guard_bpf.h"
#include "ipsec.h"
#include "leftovers.h"

namespace {

std::uint64_t rx_packets(const std::string& interface) {
    return number(
        fmt::format("sed -n 's/^ *{}://p' /proc/net/dev | awk '{{ print $2 }}'", interface));
}

// A stream by way of an interface, in the end: some of its packets are counted there.
void expect_stream_through(const Bound& bound, const std::string& interface, const char* to) {
    const auto before = rx_packets(interface);
    expect_stream(bound, {.to = to, .bytes = 256 * kibibyte});
    const auto packets = rx_packets(interface) - before;
    EXPECT(fmt::format("{} got them", interface), packets > 3, packets);
}

// ---- devices on top -------------------------------------------------------

// The bond first: a NIC has to be down to join one.
void bond() {
    need_module("bonding", "CONFIG_BONDING");
    need_module("8021q", "CONFIG_VLAN_8021Q");
    const auto pair = std::make_shared<Topology>();
    pair->here(
        "ip link add bond0 type bond mode active-backup miimon 100 && ip link set dm0 down &&"
        "ip link set dm0 master bond0 && ip addr flush dev dm0 && ip link set bond0 up &&"
        "ip addr add 10.9.0.1/24 dev bond0 && ip addr add fd09::1/64 dev bond0 nodad");
    const Bound bound(pair);
    pair->there("ip neigh flush dev dm0p");
    expect_stream_through(bound, "bond0", Topology::v4_here);
    expect_stream_through(bound, "bond0", Topology::v6_here);
    pair->make_vlan("bond0");
    expect_stream_through(bound, "v5", "10.10.0.1");
}

// A device above dm0 with an address of its own, which dm0 doesn't answer for.
void above(const char* device) {
    const Bound bound;
    bound.topology.here(fmt::format(
        "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore && ip link add link dm0 name above {} &&"
        "ip addr add 10.11.0.1/24 dev above && ip link set above up",
        device));
    bound.topology.there("ip addr add 10.11.0.2/24 dev dm0p");
    expect_stream_through(bound, "above", "10.11.0.1");
    expect_stream(bound);
}

void macvlan() {
    need_module("macvlan", "CONFIG_MACVLAN");
    above("type macvlan mode bridge");
}

void ipvlan() {
    need_module("ipvlan", "CONFIG_IPVLAN");
    above("type ipvlan mode l2");
}

// Packets that enter once more, elsewhere.
void redirect_to_ingress() {
    need_module("act_mirred", "CONFIG_NET_ACT_MIRRED");
    need_module("cls_matchall", "CONFIG_NET_CLS_MATCHALL");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
    need_module("dummy", "CONFIG_DUMMY");
    const Bound bound;
    bound.topology.here(
        "ip link add other type dummy && ip link set other up && tc qdisc add dev dm0 clsact &&"
        "tc filter add dev dm0 ingress protocol ip matchall action mirred ingress redirect dev "
        "other");
    expect_stream(bound);
    const auto packets =
        number("tc -s filter show dev dm0 ingress | sed -n 's/.* bytes \\([0-9]*\\) pkt.*/\\1/p'");
    EXPECT("packets were redirected", packets > 3, packets);
}

// ---- devices that hand packets to a program -------------------------------

// Single frames to the device's own address; what comes of them, by errno.
struct Handed {
    unsigned whole = 0, refused = 0;
};

Handed inject_and_read(const Bound& bound, int tap, std::uint16_t port) {
    constexpr unsigned frames = 5;
    const auto before = rx_dropped("mvt0");
    bound.topology.there(
        fmt::format("inject dm0p n={} gap=1000 step=id dmac={} src=10.9.0.2 dst=10.9.0.77 sport={} "
                    "dport=5201 len=1000 >/dev/null",
                    frames, first_word("ip -o link show mvt0 | sed 's/.*ether //'"), port));
    Handed handed;
    std::vector<std::byte> buffer(1 << 16);
    within(60, [&] {
        const ssize_t got = ::read(tap, buffer.data(), buffer.size());
        handed.whole += got > 1000;
        handed.refused += got < 0 && errno == EFAULT;
        return handed.whole + handed.refused + (rx_dropped("mvt0") - before) >= frames;
    });
    handed.refused += static_cast<unsigned>(rx_dropped("mvt0") - before);
    return handed;
}

// Dropped and counted where they come in; a stock kernel finds out when they are read.
void macvtap() {
    need_module("macvtap", "CONFIG_MACVTAP");
    const Bound bound;
    bound.topology.here("ip link add link dm0 name mvt0 type macvtap && ip link set mvt0 up");
    const auto node = fmt::format("/dev/tap{}", ::if_nametoindex("mvt0"));
    const devmem::Fd tap(::open(node.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tap.is_open()) throw_errno_of("open " + node);
    const auto device = inject_and_read(bound, tap.get(), device_port);
    EXPECT_EQUAL("device memory: frames read", 0, device.whole);
    EXPECT_EQUAL("device memory: frames dropped or refused", 5, device.refused);
    const auto rule = in_host_memory(bound);
    const auto host = inject_and_read(bound, tap.get(), host_port);
    EXPECT_EQUAL("host memory: frames read", 5, host.whole);
    expect_stream(bound);
}

// ---- XDP ------------------------------------------------------------------

// The NIC refuses XDP while a queue is bound; a VLAN above it can't know.
void generic_xdp() {
    need_module("8021q", "CONFIG_VLAN_8021Q");
    const Bound bound;
    const auto program = bpf::load(BPF_PROG_TYPE_XDP, bpf::constant(XDP_PASS));
    run_in(-1, "mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf");
    const auto pin = fmt::format("/sys/fs/bpf/guard-{}", ::getpid());
    bpf::pin(program, pin);
    bound.topology.make_vlan();
    bound.topology.here("ip link set dev v5 xdpgeneric pinned " + pin + " && rm " + pin);
    Sender sender = bound.send({.to = "10.10.0.1", .bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    reader.read(1, 1);
    EXPECT_EQUAL("bytes that passed the program", 0, reader.bytes());
    bound.topology.here("ip link set dev v5 xdpgeneric off");
    EXPECT("without it the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte);
}

// ---- checksums ------------------------------------------------------------

// The stack would have to verify it, and couldn't: the NIC doesn't split what it has not verified.
void no_checksum_offload() {
    const Bound bound;
    bound.topology.here("ethtool -K dm0 rx off >/dev/null");
    Sender sender = bound.send({.bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte, 256 * kibibyte);
    EXPECT_EQUAL("segments with a wrong checksum", 0, snmp("Tcp", "InCsumErrors"));
    bound.topology.here("ethtool -K dm0 rx on >/dev/null");
    expect_stream(bound, {.first_port = 6100, .bytes = 256 * kibibyte});
}

// tc computes them anew, once it has been told to. It drops what it can't read; with GRO it leaves
// long packets to who sends them on.
void act_csum() {
    need_module("act_csum", "CONFIG_NET_ACT_CSUM");
    need_module("cls_matchall", "CONFIG_NET_CLS_MATCHALL");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
    const Bound bound;
    const auto compute = [&](const char* which) {
        bound.topology.here(fmt::format(
            "tc qdisc del dev dm0 clsact 2>/dev/null; tc qdisc add dev dm0 clsact && tc filter add "
            "dev dm0 ingress protocol ip matchall action csum {}",
            which));
    };
    bound.topology.here("ethtool -K dm0 gro off");
    compute("ip4h");
    expect_stream(bound);
    compute("ip4h and tcp");
    expect_host_stream(bound);
    Sender sender = bound.send({.first_port = 6100, .bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    const auto dropped = [] {
        return number(
            "tc -s filter show dev dm0 ingress | sed -n 's/.*dropped \\([0-9]*\\).*/\\1/p'");
    };
    EXPECT("tc counts drops", within(60, [&] { return dropped() > 0; }), 0);
    reader.read(1, 1);
    EXPECT_EQUAL("bytes that passed", 0, reader.bytes());
    bound.topology.here("tc qdisc del dev dm0 clsact");
    EXPECT("without it the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte);
}

// ---- IPsec ----------------------------------------------------------------

// To the NIC that is not TCP: it stays whole, in host memory, where it can be deciphered.
void esp() {
    need_ipsec();
    const Bound bound;
    bound.topology.here(ipsec_between(Topology::v4_here, Topology::v4_there));
    bound.topology.there(ipsec_between(Topology::v4_there, Topology::v4_here));
    Sender sender = bound.send({.bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte, 256 * kibibyte);
    expect_stream(bound, {.to = Topology::v6_here, .bytes = 256 * kibibyte});
}

const ktap_test tests[] = {
    {"a bond, and a VLAN on it: exact, all on the device", clean<bond>},
    {"a macvlan: exact, all on the device", clean<macvlan>},
    {"an ipvlan: exact, all on the device", clean<ipvlan>},
    {"redirected to another ingress: exact, all on the device", clean<redirect_to_ingress>},
    {"a macvtap: no frame in device memory can be read", clean<macvtap>},
    {"generic XDP on a VLAN: dropped; without: the stream goes on", clean<generic_xdp>},
    {"no checksum offload: exact, all in host memory", clean<no_checksum_offload>},
    {"tc computes checksums: of IP exact, of TCP dropped; without: the stream goes on",
     clean<act_csum>},
    {"ESP: exact, all in host memory", clean<esp>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
