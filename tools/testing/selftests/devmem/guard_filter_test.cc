// SPDX-License-Identifier: GPL-2.0
// Filters on a stream in device memory. One that reads payload matches nothing there, or drops what
// it can't judge, where it does match the same stream in host memory; one that reads headers works
// as ever.
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "guard.h"
#include "guard_bpf.h"
#include "guard_nfnl.h"
#include "leftovers.h"

namespace {

/// A rule that counts the packets it matches, in shell commands.
struct CountingRule {
    const char* module;
    const char* config;
    const char* program;
    std::string add, count;
};

CountingRule iptables(const char* module, const char* config, const std::string& match) {
    return {module, config, "iptables", "iptables -w -A INPUT -i dm0 -p tcp --dport 5201 " + match,
            "iptables -w -nvxL INPUT | sed 1,2d"};
}

CountingRule nft(const std::string& match, const std::string& verdict = "") {
    return {"nf_tables", "CONFIG_NF_TABLES", "nft",
            "nft 'add table ip t; add chain ip t in { type filter hook input priority 0; };"
            "add rule ip t in iifname dm0 tcp dport 5201 " +
                match + " counter " + verdict + "'",
            "nft list chain ip t in | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'"};
}

CountingRule classifier(const std::string& bytecode) {
    return {"cls_bpf", "CONFIG_NET_CLS_BPF", "tc",
            "tc qdisc add dev dm0 clsact && tc filter add dev dm0 ingress bpf bytecode '" +
                bytecode + "' action pass",
            "tc -s filter show dev dm0 ingress | sed -n 's/.* bytes \\([0-9]*\\) pkt.*/\\1/p'"};
}

void add(const CountingRule& rule) {
    need_program(rule.program);
    need_module(rule.module, rule.config);
    std::system("modprobe -q act_gact");
    run_in(-1, rule.add);
}

void expect_matches(const CountingRule& rule, bool of_device) {
    const Bound bound;
    add(rule);
    expect_stream(bound);
    const auto device = number(rule.count);
    EXPECT(fmt::format("device memory: matches {}", of_device), (device > 0) == of_device, device);
    expect_host_stream(bound);
    const auto host = number(rule.count) - device;
    EXPECT("host memory: matches", host > 0, host);
}

// ---- iptables and nftables ------------------------------------------------

// Bytes of the stream from host_port, as --hex-string has them; its packets hold them somewhere.
std::string some_payload(std::uint16_t port) {
    std::string text;
    for (const std::byte byte : Pattern(port).at(2000, 8))
        text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    return text;
}

// The first four bytes of payload, behind the IP header and the TCP header.
constexpr const char* u32_payload = "-m u32 --u32 '0>>22&0x3C@12>>26&0x3C@0=0:0xffffffff'";

void u32_headers() {
    expect_matches(iptables("xt_u32", "CONFIG_NETFILTER_XT_MATCH_U32", "-m u32 --u32 '6&0xff=6'"),
                   true);
}

// It drops what it can't judge: the stream waits until the rule is gone.
void u32_payload_read() {
    const auto rule = iptables("xt_u32", "CONFIG_NETFILTER_XT_MATCH_U32", u32_payload);
    const Bound bound;
    add(rule);
    Sender sender = bound.send();
    Reader reader = bound.accept();
    reader.read(1, 1);
    EXPECT_EQUAL("device memory: bytes that passed", 0, reader.bytes());
    EXPECT_EQUAL("device memory: matches", 0, number(rule.count));
    expect_host_stream(bound);
    EXPECT("host memory: matches", number(rule.count) > 0, 0);
    reader.read(1, 0.1);
    EXPECT_EQUAL("device memory: bytes that passed until then", 0, reader.bytes());
    run_in(-1, "iptables -w -F INPUT");
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, 1 << 20);
}

void string_payload() {
    expect_matches(
        iptables("xt_string", "CONFIG_NETFILTER_XT_MATCH_STRING",
                 "-m string --algo kmp --hex-string '|" + some_payload(host_port) + "|' "),
        false);
    expect_matches(iptables("xt_string", "CONFIG_NETFILTER_XT_MATCH_STRING",
                            "-m string --algo kmp --hex-string '|0a090001|'"),
                   true);
}

void bpf_payload() {
    expect_matches(iptables("xt_bpf", "CONFIG_NETFILTER_XT_MATCH_BPF",
                            "-m bpf --bytecode '2,48 0 0 100,6 0 0 1'"),
                   false);
    expect_matches(iptables("xt_bpf", "CONFIG_NETFILTER_XT_MATCH_BPF",
                            "-m bpf --bytecode '2,48 0 0 9,6 0 0 1'"),
                   true);
}

void nft_payload() {
    expect_matches(nft("@th,480,32 != 0x01020304"), false);
    expect_matches(nft("@th,16,16 == 5201"), true);
}

void nft_mangle() {
    expect_matches(nft("ip dscp set 10 ip ttl set 9"), true);
}

// What -j does to packets before INPUT counts those with payload that are as it makes them.
void expect_mangled(const std::string& target, const std::string& made) {
    auto rule = iptables("xt_u32", "CONFIG_NETFILTER_XT_MATCH_U32",
                         "-m u32 --u32 '0&0xffff=1000:0xffff&&" + made + "'");
    rule.add = "iptables -w -t mangle -A PREROUTING -i dm0 -p tcp --dport 5201 -j " + target +
               " && " + rule.add;
    expect_matches(rule, true);
}

void dscp_target() {
    need_module("xt_DSCP", "CONFIG_NETFILTER_XT_TARGET_DSCP");
    expect_mangled("DSCP --set-dscp 10", "0>>16&0xfc=40");
}

void ttl_target() {
    need_module("xt_HL", "CONFIG_NETFILTER_XT_TARGET_HL");
    expect_mangled("TTL --ttl-set 9", "8>>24=9");
}

void conntrack() {
    std::system("modprobe -q nft_ct");
    expect_matches(nft("ct state established"), true);
}

// ---- tc and eBPF ----------------------------------------------------------

void classic_classifier() {
    expect_matches(classifier("2,48 0 0 200,6 0 0 4294967295"), false);
    expect_matches(classifier("2,48 0 0 23,6 0 0 4294967295"), true);
}

void extended_classifier() {
    need_module("cls_bpf", "CONFIG_NET_CLS_BPF");
    const Bound bound;
    const bpf::ArrayMap results(bpf::probed);
    const auto program = bpf::load(BPF_PROG_TYPE_SCHED_CLS, bpf::payload_probe(results.fd(), 200));
    run_in(-1, "mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf");
    const auto pin = fmt::format("/sys/fs/bpf/guard-{}", ::getpid());
    bpf::pin(program, pin);
    run_in(-1, fmt::format("tc qdisc add dev dm0 clsact &&"
                           "tc filter add dev dm0 ingress bpf da object-pinned {0} && rm {0}",
                           pin));
    expect_stream(bound);
    EXPECT("long packets were probed", results.get(bpf::probed_packets) > 0, 0);
    EXPECT_EQUAL("bpf_skb_load_bytes", -EFAULT, results.get(bpf::probed_load));
    EXPECT_EQUAL("bpf_skb_pull_data", -ENOMEM, results.get(bpf::probed_pull));
    EXPECT_EQUAL("direct access reaches", 0, results.get(bpf::probed_beyond));
    expect_host_stream(bound);
    EXPECT_EQUAL("host memory: bpf_skb_load_bytes", 0, results.get(bpf::probed_load));
    EXPECT_EQUAL("host memory: bpf_skb_pull_data", 0, results.get(bpf::probed_pull));
}

void need_u32_classifier() {
    need_program("tc");
    need_module("cls_u32", "CONFIG_NET_CLS_U32");
    need_module("act_gact", "CONFIG_NET_ACT_GACT");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
}

std::uint64_t tc_dropped() {
    return number("tc -s filter show dev dm0 ingress | sed -n 's/.*dropped \\([0-9]*\\).*/\\1/p'");
}

// One rule drops what has any bytes beyond the headers. It ends the search where it can't read
// them, as it does for short packets: the next one, which would drop everything, is never asked.
constexpr const char* drop_payload =
    "tc qdisc add dev dm0 clsact &&"
    "tc filter add dev dm0 ingress pref 1 protocol ip u32 match u32 0 0 at 128 action drop &&"
    "tc filter add dev dm0 ingress pref 1 protocol ip u32 match ip protocol 6 0xff action drop";

void u32_classifier() {
    need_u32_classifier();
    const Bound bound;
    run_in(-1, drop_payload);
    expect_stream(bound);
    EXPECT_EQUAL("device memory: drops", 0, tc_dropped());
    const auto rule = in_host_memory(bound);
    Sender sender = bound.send({.first_port = host_port, .bytes = 256 * kibibyte});
    Reader reader = bound.accept();
    EXPECT("host memory: drops", within(60, [] { return tc_dropped() > 0; }), 0);
    reader.read(1, 0.3);
    EXPECT_EQUAL("host memory: bytes that passed", 0, reader.bytes());
    run_in(-1, "tc qdisc del dev dm0 clsact");
    EXPECT("without it the stream goes on", reader.read(), reader.bytes());
    expect_whole(reader, 256 * kibibyte, 256 * kibibyte);
}

// ---- socket filters -------------------------------------------------------

void attach(int fd, std::span<const sock_filter> code) {
    const sock_fprog program{static_cast<unsigned short>(code.size()),
                             const_cast<sock_filter*>(code.data())};
    KTAP_NEED(!::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

// A filter on a TCP socket sees packets from the TCP header on. A load that fails drops the packet.
void socket_filter() {
    const std::array<sock_filter, 2> reads_payload{
        {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 80), BPF_STMT(BPF_RET | BPF_K, ~0U)}};
    const std::array<sock_filter, 2> reads_header{
        {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_STMT(BPF_RET | BPF_K, ~0U)}};
    const Bound bound;
    Sender sender = bound.send({.bytes = 4 << 20});
    Reader reader = bound.accept();
    EXPECT("the stream begins", reader.read(1), reader.bytes());
    attach(reader.receiver().fd(), reads_payload);
    while (reader.read(endless, 1) && !reader.over()) {
    }
    EXPECT("the filter that reads payload stops the stream", !reader.over(), reader.bytes());
    attach(reader.receiver().fd(), reads_header);
    EXPECT("the filter that reads headers lets it go on", reader.read(), reader.bytes());
    expect_whole(reader, 4 << 20);
}

// ---- nfnetlink ------------------------------------------------------------

/// Of the packets with payload from one port: how many, and how many showed any of it.
struct Tally {
    unsigned packets = 0, with_bytes = 0;

    void look(const nfnl::Packet& packet, std::uint16_t port) {
        const auto tcp = parse_tcp(packet.bytes);
        if (!tcp || tcp->from != port || !tcp->has_payload()) return;
        packets++;
        with_bytes += packet.bytes.size() > tcp->size;
        EXPECT("at least the headers", packet.bytes.size() >= tcp->size, packet.bytes.size());
        if (packet.length) EXPECT_EQUAL("length of the packet", tcp->total, packet.length);
    }
};

void expect_tally(const char* what, const Tally& tally, bool shows) {
    EXPECT(fmt::format("{}: packets", what), tally.packets > 3, tally.packets);
    EXPECT_EQUAL(fmt::format("{}: with payload", what), shows ? tally.packets : 0,
                 tally.with_bytes);
}

void nflog() {
    need_program("nft");
    need_module("nfnetlink_log", "CONFIG_NETFILTER_NETLINK_LOG");
    const Bound bound;
    nfnl::Log log(5);
    run_in(-1, nft("", "log group 5 snaplen 9000").add);
    Tally device, host;
    expect_stream(bound);
    log.drain([&](const nfnl::Packet& packet) { device.look(packet, device_port); });
    expect_host_stream(bound);
    log.drain([&](const nfnl::Packet& packet) { host.look(packet, host_port); });
    expect_tally("device memory", device, false);
    expect_tally("host memory", host, true);
}

/// Accepts what comes to a queue, in a thread, until destroyed.
class Accepting {
  public:
    Accepting(std::uint16_t number, nfnl::Queue::Gso gso)
        : queue_(number, gso), thread_([this] { run(); }) {}
    ~Accepting() {
        stop_ = true;
        thread_.join();
    }
    Accepting(const Accepting&) = delete;
    Accepting& operator=(const Accepting&) = delete;

    /// Once the streams are over.
    Tally device, host;

  private:
    void run() {
        while (!stop_)
            queue_.step([this](const nfnl::Packet& packet) {
                device.look(packet, device_port);
                host.look(packet, host_port);
            });
    }

    nfnl::Queue queue_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

void need_nfqueue() {
    need_program("nft");
    need_module("nfnetlink_queue", "CONFIG_NETFILTER_NETLINK_QUEUE");
    std::system("modprobe -q nft_queue");
}

template <bool gro>
void nfqueue(nfnl::Queue::Gso gso) {
    const Bound bound;
    if (!gro) run_in(-1, "ethtool -K dm0 gro off");
    auto queue = std::make_unique<Accepting>(7, gso);
    run_in(-1, nft("", "queue num 7").add);
    expect_stream(bound);
    expect_host_stream(bound);
    run_in(-1, "nft flush ruleset");
    const Tally device = queue->device, host = queue->host;
    queue.reset();
    expect_tally("device memory", device, false);
    expect_tally("host memory", host, true);
}

void nfqueue_whole() {
    need_nfqueue();
    nfqueue<true>(nfnl::Queue::Gso::whole);
    nfqueue<false>(nfnl::Queue::Gso::whole);
}

void nfqueue_segments() {
    need_nfqueue();
    nfqueue<false>(nfnl::Queue::Gso::segments);
}

// Who wants single segments can't have those of a large packet: they would have to be checksummed.
// So it is dropped; what TCP sends again in single segments gets through.
void nfqueue_cut() {
    skip_on_stock("skb_segment() makes up the bytes, with a checksum that fits");
    need_nfqueue();
    const Bound bound;
    Accepting queue(7, nfnl::Queue::Gso::segments);
    run_in(-1, nft("", "queue num 7").add);
    Sender sender = bound.send({.bytes = 20'000});
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(endless, 60), reader.bytes());
    expect_whole(reader, 20'000);
    const auto again = inside(bound.topology.there_fd(), [] { return snmp("Tcp", "RetransSegs"); });
    EXPECT("segments were sent again", again > 0, again);
}

const ktap_test tests[] = {
    {"xt_u32: headers match", clean<u32_headers>},
    {"xt_u32: payload is dropped where a rule reads it", clean<u32_payload_read>},
    {"xt_string: payload never matches, headers do", clean<string_payload>},
    {"xt_bpf: payload never matches, headers do", clean<bpf_payload>},
    {"nftables: payload never matches, headers do", clean<nft_payload>},
    {"nftables: headers can be written", clean<nft_mangle>},
    {"iptables, DSCP: headers can be written", clean<dscp_target>},
    {"iptables, TTL: the same", clean<ttl_target>},
    {"conntrack follows the stream", clean<conntrack>},
    {"tc, classic BPF: payload never matches, headers do", clean<classic_classifier>},
    {"tc, eBPF: EFAULT for payload, ENOMEM to pull it", clean<extended_classifier>},
    {"tc, u32: payload never matches", clean<u32_classifier>},
    {"socket filter: drops what it can't read, detached: the stream goes on", clean<socket_filter>},
    {"NFLOG: headers only", clean<nflog>},
    {"NFQUEUE with the GSO flag: headers only, accepted: exact", clean<nfqueue_whole>},
    {"NFQUEUE without, GRO off: the same", clean<nfqueue_segments>},
    {"NFQUEUE without, GRO on: drops what it would have to cut", clean<nfqueue_cut>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
