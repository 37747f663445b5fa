// SPDX-License-Identifier: GPL-2.0
// Receiving into device memory: every byte exact, and where it belongs, whatever the network, the
// NIC and the program do to the stream.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fstream>

#include <array>
#include <cstring>
#include <numeric>

#include "bound.h"
#include "devmem/flow_rule.h"
#include "devmem/rss_table.h"
#include "devmem/tokens.h"
#include "expect.h"
#include "leftovers.h"
#include "stock.h"

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM 0x2000000
#endif

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

// The stream is over, complete, exact, and all of it came by way of the device.
void expect_whole(const Reader& reader, std::uint64_t bytes, std::uint64_t host_bytes = 0) {
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", bytes, reader.bytes());
    EXPECT_EQUAL("bytes in host memory", host_bytes, reader.host_bytes());
    EXPECT("an orderly end", reader.ended(), reader.reset() ? "a reset" : "none");
}

// Sends one stream and reads it to the end.
void receive_one(const Bound& bound, SendPlan plan = {},
                 const devmem::Receiver::Options& options = {}) {
    Sender sender = bound.send(plan);
    {
        Reader reader = bound.accept(options);
        EXPECT("the stream does not stall", reader.read(), reader.bytes());
        expect_whole(reader, plan.bytes);
    }
    EXPECT("the sender is content", sender.done(), "that it is not");
}

template <int family, unsigned mtu>
void lands() {
    const Bound bound({.pair = {.mtu = mtu}});
    receive_one(bound, {.to = family == 4 ? Topology::v4_here : Topology::v6_here});
}

// With TCP timestamps or without: the headers differ in length.
void options(const Bound& bound, const char* to, bool timestamps) {
    bound.topology.there(
        fmt::format("echo {} >/proc/sys/net/ipv4/tcp_timestamps", timestamps ? 1 : 0));
    Sender sender = bound.send({.to = to});
    Reader reader = bound.accept();
    tcp_info info{};
    socklen_t size = sizeof(info);
    KTAP_NEED(!::getsockopt(reader.receiver().fd(), IPPROTO_TCP, TCP_INFO, &info, &size));
    EXPECT_EQUAL("timestamps", timestamps, (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0);
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, mebibyte);
}

template <bool timestamps>
void options() {
    options(Bound(), Topology::v4_here, timestamps);
    options(Bound(), Topology::v6_here, timestamps);
}

std::uint64_t split_frames() {
    return queue_count(nic_kind()->split);
}

void expect_joined() {
    const auto seen = nic_count("rx1_gro_wire_packets");
    EXPECT("the NIC has joined frames", seen > 0, seen);
}

template <int family, unsigned mtu>
void joined() {
    nic_need(NIC_JOINS);
    const Bound bound({.pair = {.mtu = mtu}});
    bound.topology.here("ethtool -K dm0 rx-gro-hw on");
    receive_one(bound, {.to = family == 4 ? Topology::v4_here : Topology::v6_here});
    expect_joined();
}

void vlan() {
    const Bound bound;
    if (std::system("modprobe -q 8021q") != 0) ktap_skip("no 8021q");
    bound.topology.make_vlan();
    receive_one(bound, {.to = "10.10.0.1"});
    receive_one(bound, {.to = "fd10::1", .first_port = 6100});
}

void udmabuf() {
    if (::access("/dev/udmabuf", R_OK | W_OK) != 0) ktap_skip("no udmabuf");
    receive_one(Bound({.kind = "udmabuf"}));
    receive_one(Bound({.pair = {.mtu = 9000}, .kind = "udmabuf"}));
}

void heap() {
    if (::access("/dev/dma_heap/system", R_OK | W_OK) != 0) ktap_skip("no system heap");
    receive_one(Bound({.kind = "heap"}));
    receive_one(Bound({.pair = {.mtu = 9000}, .kind = "heap:system"}));
}

// ---- several of everything ------------------------------------------------

int queues_that_split(unsigned queues) {
    int busy = 0;
    for (unsigned i = 0; i < queues; i++) busy += queue_count(nic_kind()->split, i) > 0;
    return busy;
}

// With most keys the low bits of the hash tell consecutive source ports apart, with one in ten
// they do not. With this one the low bits of the port are those of the hash.
void spread_consecutive_ports() {
    if (nic_kind()->queues == 1) return;
    std::string key = "00";
    for (int i = 1; i < 40; i++) key += i == 13 ? ":04" : ":00";
    run_in(-1, "ethtool -X dm0 hkey " + key);
}

void many_connections() {
    constexpr unsigned connections = 32;
    constexpr std::uint64_t bytes = 128 << 10;
    std::vector<std::uint32_t> queues(nic_kind()->queues);
    std::iota(queues.begin(), queues.end(), 0);
    const Bound bound({.queues = queues});
    spread_consecutive_ports();
    Sender sender = bound.send({.connections = connections, .bytes = bytes});
    {
        std::vector<Reader> readers;
        for (unsigned i = 0; i < connections; i++) readers.push_back(bound.accept());
        EXPECT("no stream stalls", read_all(readers), "a stall");
        for (const Reader& reader : readers) expect_whole(reader, bytes);
    }
    EXPECT("the sender is content", sender.done(), "that it is not");
    const int busy = queues_that_split(nic_kind()->queues);
    EXPECT_EQUAL("queues with payload", nic_kind()->queues, busy);
}

devmem::Flow from_port(std::uint16_t port) {
    devmem::Flow flow;
    flow.source_port = port;
    return flow;
}

void two_bindings() {
    nic_need(NIC_QUEUES);
    const Bound bound;
    const auto other = devmem::DmaBuf::accelmem(4 * mebibyte);
    const std::array<std::uint32_t, 1> queue{2};
    const devmem::RxBinding binding(bound.ifindex, queue, other);
    const devmem::FlowRule rule(bound.ifindex, from_port(6001), 2);

    Memories memories = bound.memories();
    memories[binding.id()] = &other;
    Sender sender = bound.send({.connections = 2});
    std::vector<Reader> readers;
    for (int i = 0; i < 2; i++) readers.emplace_back(bound.listener.accept(), memories);
    EXPECT("no stream stalls", read_all(readers), "a stall");
    std::set<std::uint32_t> seen;
    for (const Reader& reader : readers) {
        expect_whole(reader, mebibyte);
        EXPECT_EQUAL("bindings of one stream", 1, reader.bindings().size());
        seen.insert(reader.bindings().begin(), reader.bindings().end());
    }
    const std::set<std::uint32_t> both{bound.binding->id(), binding.id()};
    EXPECT_EQUAL("bindings of both streams", both, seen);
}

void moves_between_bindings() {
    nic_need(NIC_QUEUES);
    const Bound bound({.rcvbuf = 128 << 10});
    const auto other = devmem::DmaBuf::accelmem(4 * mebibyte);
    const std::array<std::uint32_t, 1> queue{2};
    const devmem::RxBinding binding(bound.ifindex, queue, other);
    Sender sender = bound.send({.bytes = 6 * mebibyte});
    Reader reader = bound.accept();
    reader.knows(binding.id(), &other);

    EXPECT("first part", reader.read(mebibyte), reader.bytes());
    const std::set<std::uint32_t> first{bound.binding->id()};
    EXPECT_EQUAL("bindings before the rule", first, reader.bindings());
    {
        const devmem::FlowRule rule(bound.ifindex, from_port(6000), 2);
        EXPECT("second part", reader.read(3 * mebibyte), reader.bytes());
    }
    const std::set<std::uint32_t> both{bound.binding->id(), binding.id()};
    EXPECT_EQUAL("bindings with the rule", both, reader.bindings());
    EXPECT("the rest", reader.read(), reader.bytes());
    expect_whole(reader, 6 * mebibyte);
}

// ---- queues that are not bound --------------------------------------------

void unbound_queue() {
    nic_need(NIC_QUEUES);
    const Bound bound;
    const devmem::FlowRule rule(bound.ifindex, from_port(6000), 0);
    Sender sender = bound.send();
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, mebibyte, mebibyte);
    EXPECT_EQUAL("frags", 0, reader.frags());
}

void moves_to_unbound_and_back() {
    nic_need(NIC_QUEUES);
    const Bound bound({.rcvbuf = 128 << 10});
    Sender sender = bound.send({.bytes = 6 * mebibyte});
    Reader reader = bound.accept();
    EXPECT("first part", reader.read(mebibyte), reader.bytes());
    EXPECT_EQUAL("host bytes at first", 0, reader.host_bytes());
    {
        const devmem::FlowRule rule(bound.ifindex, from_port(6000), 0);
        EXPECT("second part", reader.read(3 * mebibyte), reader.bytes());
    }
    const auto in_between = reader.host_bytes();
    EXPECT("at least 1 MiB of the second part in host memory", in_between > mebibyte, in_between);
    EXPECT("the rest", reader.read(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", 6 * mebibyte, reader.bytes());
    const auto last = reader.host_bytes() - in_between;
    EXPECT("at least 1 MiB of the last part on the device", last < 2 * mebibyte, last);
    EXPECT("an orderly end", reader.ended(), "none");
}

// ---- what is not TCP ------------------------------------------------------

constexpr std::size_t datagram_sizes[] = {1, 17, 256, 1000, 1472};

void send_datagrams() {
    const int fd = ::socket(AF_INET6, SOCK_DGRAM, 0);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(5300);
    to.sin6_addr = IN6ADDR_ANY_INIT;
    // ::ffff:10.9.0.1
    const std::uint8_t address[] = {0xff, 0xff, 10, 9, 0, 1};
    std::memcpy(to.sin6_addr.s6_addr + 10, address, sizeof(address));
    std::uint32_t number = 0;
    for (int round = 0; round < 20; round++)
        for (const std::size_t size : datagram_sizes) {
            const auto bytes = Pattern(number++).at(0, size);
            ::sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to),
                     sizeof(to));
            ::usleep(1000);
        }
    ::close(fd);
}

void udp() {
    const Bound bound;
    const devmem::Fd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    // For all of them, should this process not get to run while they come.
    const int room = 4 << 20;
    KTAP_NEED(!::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
    sockaddr_in6 at{};
    at.sin6_family = AF_INET6;
    at.sin6_port = htons(5300);
    KTAP_NEED(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    const auto packets = queue_count(nic_kind()->frames);
    Process sender(bound.topology.there_fd(), [](int) { send_datagrams(); });
    std::vector<std::byte> buffer(65536);
    for (std::uint32_t i = 0; i < 20 * std::size(datagram_sizes); i++) {
        pollfd ready{fd.get(), POLLIN, 0};
        KTAP_NEED(::poll(&ready, 1, 60'000) == 1);
        const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_SOCK_DEVMEM);
        if (!EXPECT_EQUAL("size of a datagram", datagram_sizes[i % std::size(datagram_sizes)], got))
            return;
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        if (!EXPECT_EQUAL("wrong byte", -1, Pattern(i).differs(bytes, 0))) return;
    }
    const auto through = queue_count(nic_kind()->frames) - packets;
    EXPECT("at least 100 packets through the bound queue", through >= 100, through);
}

void ping() {
    const Bound bound;
    const auto packets = queue_count(nic_kind()->frames);
    for (const char* size : {"8", "1400", "4000"}) {
        bound.topology.there(
            fmt::format("ping -q -c 3 -i 0.02 -W 30 -s {} 10.9.0.1 >/dev/null", size));
        bound.topology.there(
            fmt::format("ping -q -c 3 -i 0.02 -W 30 -s {} fd09::1 >/dev/null", size));
    }
    const auto through = queue_count(nic_kind()->frames) - packets;
    EXPECT("at least 18 packets through the bound queue", through >= 18, through);
}

// ---- small buffers --------------------------------------------------------

void small_control_buffers() {
    const Bound bound;
    std::uint16_t port = 6000;
    for (const std::size_t pieces : {1, 2, 3, 17}) {
        Sender sender = bound.send({.first_port = port++, .bytes = 256 << 10});
        Reader reader = bound.accept({.pieces = pieces});
        EXPECT("the stream does not stall", reader.read(), reader.bytes());
        expect_whole(reader, 256 << 10);
        EXPECT("no more pieces than room for them", reader.most_pieces() <= pieces,
               reader.most_pieces());
    }
}

struct RawResult {
    ssize_t got;
    int error;
    msghdr message;
};

RawResult receive_raw(int fd, std::span<std::byte> control, std::span<std::byte> host) {
    iovec iov{host.data(), host.size()};
    RawResult result{};
    result.message.msg_iov = &iov;
    result.message.msg_iovlen = 1;
    result.message.msg_control = control.data();
    result.message.msg_controllen = control.size();
    errno = 0;
    result.got = ::recvmsg(fd, &result.message, MSG_SOCK_DEVMEM);
    result.error = errno;
    return result;
}

// One receive with so much room for control messages; returns the bytes it got.
std::size_t receive_with_room(int fd, std::size_t room) {
    std::array<std::byte, 256> control{};
    std::vector<std::byte> host(65536);
    std::array<devmem::Piece, 16> pieces;
    const auto given = std::span(control).first(room);
    const RawResult result = receive_raw(fd, given, host);
    if (room < CMSG_SPACE(24)) {
        const bool told = result.error == EMSGSIZE || result.error == 525;
        EXPECT(fmt::format("{} bytes for messages: EMSGSIZE or 525", room),
               result.got == -1 && told, fmt::format("{} ({})", result.got, result.error));
        return 0;
    }
    if (!EXPECT("bytes", result.got > 0, result.error)) return 0;
    EXPECT(fmt::format("{} bytes for messages: no MSG_CTRUNC", room),
           !(result.message.msg_flags & MSG_CTRUNC), result.message.msg_flags);
    const auto parsed = devmem::parse_pieces(given.first(result.message.msg_controllen),
                                             static_cast<std::size_t>(result.got), host, pieces);
    EXPECT(fmt::format("{} bytes for messages: all bytes are told", room), parsed.complete,
           parsed.count);
    devmem::TokenBatch tokens(fd);
    for (std::size_t i = 0; i < parsed.count; i++) tokens.add(pieces[i].token);
    tokens.flush();
    EXPECT_EQUAL("tokens returned", parsed.count, tokens.returned());
    return static_cast<std::size_t>(result.got);
}

void every_control_length() {
    const Bound bound;
    Sender sender = bound.send({.bytes = 2 * mebibyte});
    Reader reader = bound.accept();
    EXPECT("the stream has begun", reader.read(1), reader.bytes());
    reader.give_back();
    std::uint64_t raw = 0;
    for (std::size_t room = 0; room <= 200; room++)
        raw += receive_with_room(reader.receiver().fd(), room);
    EXPECT("something came", raw > 0, raw);
    // What is left is all of it: those bytes were not lost, nor given twice.
    std::uint64_t rest = 0;
    for (;;) {
        const auto got = reader.receiver().receive(devmem::Receiver::Wait::yes);
        if (got.state != devmem::Receiver::State::data) break;
        rest += got.bytes;
    }
    EXPECT_EQUAL("bytes in all", 2 * mebibyte, reader.bytes() + raw + rest);
}

template <std::size_t room, std::uint64_t bytes>
void partial_reads() {
    const Bound bound;
    Sender sender = bound.send({.bytes = bytes});
    Reader reader = bound.accept({.host_bytes = room});
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
    const std::uint64_t least = (bytes + room - 1) / room;
    EXPECT("at least a frag for each read", reader.frags() >= least, reader.frags());
}

// ---- a program that does not ask for device memory ------------------------

void plain_receive() {
    const Bound bound;
    Sender sender = bound.send();
    Reader reader = bound.accept();
    const int fd = reader.receiver().fd();
    std::array<char, 4096> buffer{};
    pollfd ready{fd, POLLIN, 0};
    KTAP_NEED(::poll(&ready, 1, 60'000) == 1);
    for (int i = 0; i < 3; i++) KTAP_ERRNO(::recv(fd, buffer.data(), buffer.size(), 0), EFAULT);
    KTAP_ERRNO(::read(fd, buffer.data(), buffer.size()), EFAULT);
    EXPECT("some", reader.read(1000), reader.bytes());
    const bool more = within(5, [&] { return ::poll(&ready, 1, 0) == 1; });
    if (more && reader.bytes() < mebibyte)
        KTAP_ERRNO(::recv(fd, buffer.data(), buffer.size(), 0), EFAULT);
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, mebibyte);
}

// Waits until at least so much has come and nothing more does: the window is full.
void let_window_fill(int fd, int least) {
    int queued = 0;
    within(60, [&] {
        const int before = queued;
        ::ioctl(fd, FIONREAD, &queued);
        ::usleep(100'000);
        return queued > least && queued == before;
    });
}

// Reads host bytes as any program would, until that fails.
std::uint64_t receive_plainly(int fd, const Pattern& pattern) {
    std::vector<std::byte> buffer(1 << 16);
    std::uint64_t position = 0;
    for (;;) {
        const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (got <= 0) break;
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        if (!EXPECT_EQUAL("wrong byte", -1, pattern.differs(bytes, position))) break;
        position += bytes.size();
    }
    return position;
}

void plain_receive_stops_at_device_bytes() {
    nic_need(NIC_QUEUES);
    const Bound bound({.rcvbuf = 128 << 10});
    auto rule = std::make_optional<devmem::FlowRule>(bound.ifindex, from_port(6000), 0);
    Sender sender = bound.send({.bytes = mebibyte});
    const devmem::Fd connection = bound.listener.accept();
    let_window_fill(connection.get(), 10'000);
    rule.reset();
    const auto plain = receive_plainly(connection.get(), Pattern(6000));
    EXPECT_EQUAL("errno of the last recv", EFAULT, errno);
    EXPECT("host bytes came, and not all", plain > 10'000 && plain < mebibyte, plain);
}

// ---- peers that go away ---------------------------------------------------

template <SendPlan::End how>
void peer_goes() {
    const Bound bound;
    Sender sender = bound.send({.bytes = 300'000, .end = how});
    Reader reader = bound.accept();
    reader.hold(true);
    EXPECT("the stream does not stall", reader.read(100'000), reader.bytes());
    // It may have to wait for room to go.
    within(5, [&] {
        pollfd ready{reader.receiver().fd(), POLLRDHUP, 0};
        return ::poll(&ready, 1, 0) == 1;
    });
    EXPECT("something is held", reader.held() > 0, reader.held());
    EXPECT_EQUAL("frags held from before", std::string(), reader.check_held());
    EXPECT("it does not stall", reader.read(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("frags held to the end", std::string(), reader.check_held());
    if (how == SendPlan::End::close) {
        expect_whole(reader, 300'000);
    } else {
        EXPECT("a reset", reader.reset(), "an end");
    }
    reader.give_back();
    EXPECT_EQUAL("tokens out", 0, reader.receiver().outstanding());
}

// ---- scarce memory --------------------------------------------------------

/// While it lives, no CPU keeps skbs for another to free when that next runs the stack. Their niovs
/// may be all that a small dmabuf has, and then nothing comes in that would make it run.
class KeepsNoSkbs {
  public:
    KeepsNoSkbs() : file_("/proc/sys/net/core/skb_defer_max") {
        if (!(file_ << 0 << std::flush)) throw_errno_of("write skb_defer_max");
    }
    ~KeepsNoSkbs() { file_.seekp(0) << 64 << std::flush; }
    KeepsNoSkbs(const KeepsNoSkbs&) = delete;
    KeepsNoSkbs& operator=(const KeepsNoSkbs&) = delete;

  private:
    std::ofstream file_;  // a namespace that is made later has no such file
};

void expect_count(const char* name) {
    const auto seen = tcp_count(name);
    EXPECT(fmt::format("{} moved", name), seen > 0, seen);
}

// Where memory is short, segments that come out of order can take all of it from the missing one.
void needs_room_for_the_missing() {
    skip_on_stock("it may keep all the memory from what is missing, and stall");
}

template <std::uint64_t pages, std::uint64_t bytes, bool gro_hw = false>
void small_dmabuf() {
    if (gro_hw) nic_need(NIC_JOINS);
    needs_room_for_the_missing();
    const KeepsNoSkbs none;
    const Bound bound({.memory = pages * 4096});
    if (gro_hw) bound.topology.here("ethtool -K dm0 rx-gro-hw on");
    receive_one(bound, {.bytes = bytes});
    if (gro_hw) expect_joined();
}

// Of TCP payload over IPv4, with timestamps: the length of the packet tells them from others. The
// sender takes them for sent.
void lose_segments_of(const Topology& topology, unsigned payload) {
    topology.there(
        fmt::format("ip link set dm0p gso_max_segs 1 && tc qdisc add dev dm0p clsact && tc filter "
                    "add dev dm0p egress protocol ip u32 match u16 {} 0xffff at 2 action trap",
                    20 + 32 + payload));
}

void out_of_order() {
    constexpr unsigned first = 1000;
    constexpr std::uint64_t bytes = 100'000;
    needs_room_for_the_missing();
    const KeepsNoSkbs none;
    const Bound bound({.memory = 4 * 4096});
    lose_segments_of(bound.topology, first);
    Sender sender = bound.send({.bytes = bytes, .first_write = first});
    Reader reader = bound.accept();
    EXPECT("all memory is taken once", within(60, [] { return split_frames() >= 4; }),
           split_frames());
    EXPECT("nothing came in order", !reader.read(1, 0.1), reader.bytes());
    bound.topology.there("tc qdisc del dev dm0p clsact");
    EXPECT("what was missing comes", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
    expect_count("TCPOFODrop");
}

template <bool gro_hw>
void exhaustion() {
    if (gro_hw) nic_need(NIC_JOINS);
    constexpr std::uint64_t memory = 256 * 4096;
    constexpr std::uint64_t bytes = 3 * mebibyte;
    const KeepsNoSkbs none;
    const Bound bound({.memory = memory});
    if (gro_hw) bound.topology.here("ethtool -K dm0 rx-gro-hw on");
    Sender sender = bound.send({.bytes = bytes});
    Reader reader = bound.accept();
    reader.hold(true);
    const auto starved = [&] {
        reader.read(endless, 0.1);
        return queue_count(nic_kind()->starved) > 0;
    };
    EXPECT("the NIC counts that it has no memory", within(60, starved), 0);
    EXPECT("the stream stalls", !reader.read(endless, 0.7), reader.bytes());
    const auto most = gro_hw ? memory : memory / 4096 * 1500;
    EXPECT("no more came than there is memory for", reader.bytes() < most, reader.bytes());
    EXPECT_EQUAL("frags held", std::string(), reader.check_held());
    reader.hold(false);
    reader.give_back();
    EXPECT("it goes on once memory is back", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
    if (gro_hw) expect_joined();
}

// ---- bad networks ---------------------------------------------------------

void netem(const Bound& bound, const char* what) {
    if (std::system("modprobe -q sch_netem") != 0) ktap_skip("no sch_netem");
    // TCP sends trains of segments even where the NIC can't cut them: let each share its own fate.
    bound.topology.there(fmt::format(
        "ip link set dm0p gso_max_segs 1 && tc qdisc add dev dm0p root netem {}", what));
}

void loss() {
    const Bound bound;
    netem(bound, "loss 2% limit 10000");
    receive_one(bound);
    expect_count("TCPOFOQueue");
}

void reordering() {
    const Bound bound;
    netem(bound, "delay 3ms reorder 70% 50% duplicate 5% limit 10000");
    receive_one(bound);
    expect_count("TCPOFOQueue");
    expect_count("TCPDSACKOldSent");
}

void receive_slowly(const Bound& bound, std::uint16_t port) {
    Sender sender = bound.send({.first_port = port, .bytes = 256 << 10});
    Reader reader = bound.accept();
    while (!reader.over() && reader.bytes() < (256 << 10)) {
        ::usleep(20000);  // lets the queue grow until the kernel has to prune it
        reader.step();
    }
    EXPECT("the end", reader.read(), reader.bytes());
    expect_whole(reader, 256 << 10);
}

void small_receive_buffer() {
    const Bound bound({.rcvbuf = 16 << 10});
    netem(bound, "delay 2ms reorder 50% loss 1% duplicate 10% limit 10000");
    // Whether the kernel has to prune is chance: every stream must be exact, one be pruned.
    std::uint16_t port = 6000;
    within(240, [&] { return receive_slowly(bound, port++), tcp_count("PruneCalled") > 0; });
    fmt::print("# pruned in stream {}\n", port - 6000);
    expect_count("PruneCalled");
}

// Frames of little payload take more memory than a window makes room for: the kernel prunes.
void send_small_frames(const Bound& bound, const char* rate) {
    bound.topology.there("ip route add 10.9.0.1 dev dm0p mtu 600");
    bound.topology.here("ethtool -K dm0 gro off");
    netem(bound, rate);
}

int queued(int fd) {
    int bytes = 0;
    ::ioctl(fd, FIONREAD, &bytes);
    return bytes;
}

// Nobody reads. Host bytes are queued, then bytes in device memory, then host bytes again, and then
// the kernel has to prune. What it copies into fewer skbs must end where the first can't be read.
void collapse_ends_at_device_bytes() {
    skip_on_stock(
        "it knows what an skb costs for its payload, and collapses none that cost as much");
    nic_need(NIC_QUEUES);
    const Bound bound({.rcvbuf = 128 << 10});
    send_small_frames(bound, "rate 300kbit limit 10000");
    auto rule = std::make_optional<devmem::FlowRule>(bound.ifindex, from_port(6000), 0);
    Sender sender = bound.send({.bytes = 256 << 10});
    Reader reader = bound.accept();
    const int fd = reader.receiver().fd();
    EXPECT("host bytes", within(60, [&] { return queued(fd) > 5'000; }), queued(fd));
    rule.reset();
    EXPECT("frames split", within(60, [] { return split_frames() > 5; }), split_frames());
    rule.emplace(bound.ifindex, from_port(6000), 0);
    EXPECT_EQUAL("collapsed before", 0, tcp_count("TCPRcvCollapsed"));
    within(60, [] { return tcp_count("TCPRcvCollapsed") > 0; });
    expect_count("TCPRcvCollapsed");
    expect_count("PruneCalled");
    bound.topology.there("tc qdisc del dev dm0p root");
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    EXPECT("some on the device", reader.device_bytes() > 0, reader.device_bytes());
    expect_whole(reader, 256 << 10, (256 << 10) - reader.device_bytes());
}

const ktap_test tests[] = {
    {"IPv4, MTU 1500: exact, all on the device", clean<lands<4, 1500>>},
    {"IPv6, MTU 1500: exact, all on the device", clean<lands<6, 1500>>},
    {"IPv4, MTU 4096: exact, all on the device", clean<lands<4, 4096>>},
    {"IPv6, MTU 4096: exact, all on the device", clean<lands<6, 4096>>},
    {"IPv4, MTU 9000: exact, all on the device", clean<lands<4, 9000>>},
    {"IPv6, MTU 9000: exact, all on the device", clean<lands<6, 9000>>},
    {"TCP timestamps: exact, all on the device", clean<options<true>>},
    {"no TCP timestamps: exact, all on the device", clean<options<false>>},
    {"frames joined by the NIC, IPv4, MTU 1500: exact, all on the device", clean<joined<4, 1500>>},
    {"frames joined by the NIC, IPv6, MTU 1500: exact, all on the device", clean<joined<6, 1500>>},
    {"frames joined by the NIC, IPv4, MTU 9000: exact, all on the device", clean<joined<4, 9000>>},
    {"VLAN: exact, all on the device", clean<vlan>},
    {"udmabuf as memory: exact, all on the device", clean<udmabuf>},
    {"the system heap as memory: exact, all on the device", clean<heap>},
    {"32 connections over all queues of one binding: each exact", clean<many_connections>},
    {"two bindings on one NIC: each stream in its own memory", clean<two_bindings>},
    {"a stream moves to another binding and back: exact, both ids", clean<moves_between_bindings>},
    {"a queue that is not bound: ordinary host bytes, no frags", clean<unbound_queue>},
    {"a stream moves to an unbound queue and back: exact", clean<moves_to_unbound_and_back>},
    {"UDP through a bound queue: whole in host memory", clean<udp>},
    {"ping through a bound queue, fragments too", clean<ping>},
    {"room for 1, 2, 3, 17 control messages: exact", clean<small_control_buffers>},
    {"control buffers of 0 to 200 bytes: no message is cut, no byte lost (too small: 525 on stock "
     "6.12, EMSGSIZE elsewhere)",
     clean<every_control_length>},
    {"reads of 1 byte: exact, a token each", clean<partial_reads<1, 3000>>},
    {"reads of 333 bytes: exact", clean<partial_reads<333, 200'000>>},
    {"reads of 4096 bytes: exact", clean<partial_reads<4096, mebibyte>>},
    {"recv without MSG_SOCK_DEVMEM: EFAULT, nothing lost", clean<plain_receive>},
    {"recv without MSG_SOCK_DEVMEM: host bytes up to the first device byte",
     clean<plain_receive_stops_at_device_bytes>},
    {"the peer closes while frags are held: they keep their bytes",
     clean<peer_goes<SendPlan::End::close>>},
    {"the peer resets while frags are held: they keep their bytes",
     clean<peer_goes<SendPlan::End::reset>>},
    {"a dma-buf of 1 page, ring of 512: slow, but exact", clean<small_dmabuf<1, 6000>>},
    {"a dma-buf of 16 pages, ring of 512: exact", clean<small_dmabuf<16, 200'000>>},
    {"a dma-buf of 16 pages, frames joined by the NIC: exact",
     clean<small_dmabuf<16, 200'000, true>>},
    {"all memory taken out of order: what is missing finds room", clean<out_of_order>},
    {"all memory held: that is counted; given back: the stream goes on", clean<exhaustion<false>>},
    {"the same with frames that the NIC joins", clean<exhaustion<true>>},
    {"2 % loss: exact, all on the device", clean<loss>},
    {"reordering and duplicates: exact, all on the device", clean<reordering>},
    {"a small SO_RCVBUF in a bad network: exact", clean<small_receive_buffer>},
    {"skbs of both kinds are pruned: exact", clean<collapse_ends_at_device_bytes>},
};

}  // namespace

int main(int argc, char** argv) {
    if (const char* missing = nic_missing()) return ktap_skip_all(missing);
    return run_tests(tests, argc, argv);
}
