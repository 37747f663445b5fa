// SPDX-License-Identifier: GPL-2.0
// Sending from device memory, with the kernel's bare interface: every byte exact, whatever the
// lengths, the network and the NIC.
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <random>

#include "leftovers.h"
#include "process.h"
#include "tx_stage.h"

namespace {

template <int family, unsigned mtu>
void leaves() {
    if (family == 6) nic_need(NIC_CUTS_V6);
    const TxStage stage({.mtu = mtu});
    stage.topology.here("ethtool -K dm0 tso on >/dev/null");
    stage.topology.await_link();
    TxStream stream = stage.stream({.to = family == 4 ? Topology::v4_there : Topology::v6_there});
    const auto before = cut_segments();
    send_all(stream, stage.memory, 8 * mebibyte, 300'007);
    expect_whole(stream);
    const auto cut = cut_segments() - before;
    EXPECT("the NIC cut segments", cut > 0, cut);
}

void feature_off(const char* features) {
    const TxStage stage;
    stage.topology.here(fmt::format("ethtool -K dm0 {} >/dev/null", features));
    TxStream stream = stage.stream();
    send_all(stream, stage.memory, 2 * mebibyte, 100'003);
    expect_whole(stream);
}

void no_tso() {
    feature_off("tso off");
}

void no_gso() {
    feature_off("tso off gso off");
}

// ---- lengths and offsets --------------------------------------------------

void every_length() {
    const TxStage stage({.mtu = 9000});
    TxStream stream = stage.stream();
    for (std::size_t length = 1; length <= 9000; length++)
        stream.send(Extent{length * 4099 % (stage.memory.size() - length), length});
    expect_whole(stream);
}

void every_alignment() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (std::uint64_t offset = 4032; offset < 4160; offset++)
        for (const std::size_t length : {1, 3, 63, 64, 65, 4096, 4097})
            stream.send(Extent{offset, length});
    expect_whole(stream);
}

void edges() {
    const TxStage stage;
    const std::uint64_t size = stage.memory.size();
    TxStream stream = stage.stream();
    stream.send(Extent{0, 1});
    stream.send(Extent{size - 1, 1});
    stream.send(Extent{size - 4096, 4096});
    stream.send(Extent{0, static_cast<std::size_t>(size)});
    expect_whole(stream);
}

template <std::size_t count>
void iovecs() {
    const TxStage stage;
    TxStream stream = stage.stream();
    std::minstd_rand random(count);
    for (int call = 0; call < 20; call++) {
        std::vector<Extent> extents;
        for (std::size_t i = 0; i < count; i++)
            extents.push_back({random() % (stage.memory.size() - 300), random() % 300});
        extents.back().length++;
        stream.send(extents);
    }
    expect_whole(stream);
}

void too_many_iovecs() {
    const TxStage stage;
    const TxStream stream = stage.stream();
    const std::vector<iovec> iov(1025, extent_to_iovec({0, 1}));
    const Result result = send_extents(stream.fd(), iov, stage.binding->id(), MSG_ZEROCOPY);
    EXPECT_EQUAL("errno", EMSGSIZE, result.error);
}

void same_region() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (int i = 0; i < 200; i++) stream.send(Extent{12'345, 4103});
    expect_whole(stream);
}

void adjacent_calls() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (std::uint64_t offset = 0; offset < 60'000; offset += 3)
        stream.send(Extent{offset, 3}, MSG_MORE);
    stream.send(Extent{0, 1});
    expect_whole(stream);
}

// ---- with other kinds of sending ------------------------------------------

void set_cork(int fd, int value) {
    KTAP_NEED(::setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value)) == 0);
}

// By way of a pipe, as sendfile() does.
void splice_in(TxStream& stream, std::span<const std::byte> bytes) {
    stream.splice(bytes.first(std::min<std::size_t>(bytes.size(), 4096)));
}

void mixture() {
    const TxStage stage;
    TxStream stream = stage.stream();
    std::minstd_rand random(7);
    for (int i = 0; i < 3000; i++) {
        const int more = random() % 2 ? MSG_MORE : 0;
        const std::size_t length = 1 + random() % (i % 10 ? 500 : 70'000);
        const std::uint64_t offset = random() % (mebibyte - length);
        switch (random() % 8) {
            case 0:
            case 1:
                stream.send_plain(stage.memory.at({offset, length}), more);
                break;
            case 2:
                stream.send_plain(stage.memory.at({offset, length}), more | MSG_ZEROCOPY);
                break;
            case 3:
                set_cork(stream.fd(), more ? 1 : 0);
                break;
            case 4:
                splice_in(stream, stage.memory.at({offset, length}));
                break;
            default:
                stream.send(Extent{offset, length}, more);
        }
    }
    set_cork(stream.fd(), 0);
    stream.send_plain(stage.memory.at({0, 1}));
    EXPECT_EQUAL("wrong", std::string(), stream.finish());
}

void two_bindings() {
    const TxStage stage;
    const RawTxBinding second(stage.ifindex, stage.memory.fd());
    TxStream stream = stage.stream();
    for (int i = 0; i < 200; i++) {
        stream.use(i % 2 ? second.id() : stage.binding->id());
        stream.send(Extent{static_cast<std::uint64_t>(i) * 1001, 999}, MSG_MORE);
    }
    stream.send(Extent{0, 1});
    expect_whole(stream);
}

void urgent() {
    const TxStage stage;
    TxStream stream = stage.stream();
    const int inline_too = 1;
    KTAP_NEED(::setsockopt(stream.far_fd(), SOL_SOCKET, SO_OOBINLINE, &inline_too,
                           sizeof(inline_too)) == 0);
    for (int i = 0; i < 50; i++) {
        stream.send(Extent{static_cast<std::uint64_t>(i) * 777, 500});
        stream.send(Extent{static_cast<std::uint64_t>(i) * 7, 1}, MSG_OOB);
    }
    expect_whole(stream);
}

void fastopen() {
    const TxStage stage;
    stage.topology.here("echo 5 >/proc/sys/net/ipv4/tcp_fastopen");
    stage.topology.there("echo 3 >/proc/sys/net/ipv4/tcp_fastopen");
    for (int i = 0; i < 3; i++) {
        TxStream stream = stage.stream({.fastopen = true});
        stream.send(Extent{5, 5000});
        stream.accept();
        stream.send(Extent{77'777, 100'000});
        expect_whole(stream);
    }
}

void timestamps() {
    const TxStage stage;
    TxStream stream = stage.stream();
    const int flags = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE;
    KTAP_NEED(::setsockopt(stream.fd(), SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags)) == 0);
    stream.send(Extent{0, 3000});
    bool seen = false;
    within(60, [&] {
        std::array<char, 512> control{};
        std::array<char, 64> payload{};
        iovec iov{payload.data(), payload.size()};
        msghdr message{};
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        stream.read();
        const ssize_t n = ::recvmsg(stream.fd(), &message, MSG_ERRQUEUE | MSG_DONTWAIT);
        for (cmsghdr* cmsg = CMSG_FIRSTHDR(&message); n >= 0 && cmsg;
             cmsg = CMSG_NXTHDR(&message, cmsg))
            seen |= cmsg->cmsg_type == SCM_TIMESTAMPING;
        return seen;
    });
    EXPECT("a timestamp, without the packet", seen, "none");
}

// ---- bad networks ---------------------------------------------------------
void loss() {
    const TxStage stage;
    stage.topology.here("ip link set dm0 gso_max_segs 4");
    stage.netem("loss 3%");
    TxStream stream = stage.stream();
    send_all(stream, stage.memory, 4 * mebibyte, 50'021);
    expect_whole(stream);
    EXPECT("segments were sent again", retransmitted() > 0, 0);
}

void reordering() {
    const TxStage stage;
    stage.netem("delay 3ms reorder 70% 50% duplicate 5%");
    TxStream stream = stage.stream();
    send_all(stream, stage.memory, 2 * mebibyte, 9'001);
    expect_whole(stream);
}

void mtu_probes() {
    const TxStage stage({.mtu = 9000});
    stage.topology.here(
        "echo 2 >/proc/sys/net/ipv4/tcp_mtu_probing; echo 512 >/proc/sys/net/ipv4/tcp_base_mss");
    TxStream stream = stage.stream();
    send_all(stream, stage.memory, 4 * mebibyte, 50'021);
    expect_whole(stream);
}

void small_window() {
    const TxStage stage;
    TxStream stream = stage.stream({.rcvbuf = 4096});
    send_all(stream, stage.memory, 300'000, 7'001);
    expect_whole(stream);
}

const ktap_test tests[] = {
    {"IPv4, MTU 1500: exact, cut by the NIC", clean<leaves<4, 1500>>},
    {"IPv6, MTU 1500: exact, cut by the NIC", clean<leaves<6, 1500>>},
    {"IPv4, MTU 9000: exact, cut by the NIC", clean<leaves<4, 9000>>},
    {"cut by the stack: exact", clean<no_tso>},
    {"not cut at all: exact", clean<no_gso>},
    {"1 to 9000 bytes: exact", clean<every_length>},
    {"every alignment around a page's end: exact", clean<every_alignment>},
    {"the first byte, the last byte, all of the dmabuf at once: exact", clean<edges>},
    {"1 iovec: exact", clean<iovecs<1>>},
    {"2 iovecs: exact", clean<iovecs<2>>},
    {"17 iovecs: exact", clean<iovecs<17>>},
    {"1024 iovecs: exact", clean<iovecs<1024>>},
    {"1025 iovecs: EMSGSIZE", clean<too_many_iovecs>},
    {"the same region again and again: exact", clean<same_region>},
    {"pieces of 3 bytes that adjoin: exact", clean<adjacent_calls>},
    {"mixed with ordinary sends, MSG_MORE and corks: exact", clean<mixture>},
    {"two bindings on one stream: exact", clean<two_bindings>},
    {"urgent bytes: exact", clean<urgent>},
    {"TCP fast open: exact, payload after the handshake", clean<fastopen>},
    {"timestamps come without the packet", clean<timestamps>},
    {"3 % loss: exact", clean<loss>},
    {"reordering and duplicates: exact", clean<reordering>},
    {"MTU probing: exact", clean<mtu_probes>},
    {"a small window: exact", clean<small_window>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
