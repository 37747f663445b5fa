// SPDX-License-Identifier: GPL-2.0
// Taps on a stream in device memory: they get the headers, the length on the wire, and no payload;
// the stream is as if nobody looked.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/psample.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <vector>

#include "guard.h"
#include "leftovers.h"
#include "raw_netlink.h"

namespace {

constexpr std::size_t ether_header = 14;

/// What a tap says of a frame.
struct Frame {
    std::span<const std::byte> bytes;
    std::size_t on_wire;
};
using Look = std::function<void(const Frame&)>;

devmem::Fd packet_socket() {
    devmem::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) throw_errno_of("packet socket");
    const int room = 16 << 20;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    return fd;
}

void start(const devmem::Fd& fd, std::uint32_t ifindex) {
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(ifindex);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0)
        throw_errno_of("bind a packet socket");
}

void set(const devmem::Fd& fd, int option, const void* value, socklen_t size) {
    if (::setsockopt(fd.get(), SOL_PACKET, option, value, size) != 0)
        throw_errno_of(fmt::format("packet option {}", option));
}

/// recvmsg(), with the lengths that PACKET_AUXDATA tells.
class ReceiveTap {
  public:
    explicit ReceiveTap(std::uint32_t ifindex) : fd_(packet_socket()) {
        const int on = 1;
        set(fd_, PACKET_AUXDATA, &on, sizeof(on));
        start(fd_, ifindex);
    }

    void drain(const Look& look) {
        while (step(look)) {
        }
    }

  private:
    bool step(const Look& look) {
        std::array<std::byte, CMSG_SPACE(sizeof(tpacket_auxdata))> control;
        iovec iov{buffer_.data(), buffer_.size()};
        msghdr message{};
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return false;
        if (!EXPECT("recvmsg succeeds", got > 0, errno)) return false;
        const cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        KTAP_NEED(cmsg && cmsg->cmsg_type == PACKET_AUXDATA);
        tpacket_auxdata told{};
        std::memcpy(&told, CMSG_DATA(cmsg), sizeof(told));
        EXPECT_EQUAL("tp_snaplen and what recvmsg gives", told.tp_snaplen, got);
        look({std::span(buffer_).first(static_cast<std::size_t>(got)), told.tp_len});
        return true;
    }

    devmem::Fd fd_;
    std::vector<std::byte> buffer_ = std::vector<std::byte>(1 << 17);
};

/// A ring in memory shared with the kernel.
class RingTap {
  public:
    static constexpr unsigned block = 1 << 16, blocks = 64, frame = 2048;

    RingTap(std::uint32_t ifindex, int version) : fd_(packet_socket()), version_(version) {
        set(fd_, PACKET_VERSION, &version, sizeof(version));
        tpacket_req3 ring{};
        ring.tp_block_size = block;
        ring.tp_block_nr = blocks;
        ring.tp_frame_size = frame;
        ring.tp_frame_nr = block / frame * blocks;
        ring.tp_retire_blk_tov = 10;
        set(fd_, PACKET_RX_RING, &ring, version == TPACKET_V3 ? sizeof(ring) : sizeof(tpacket_req));
        void* mapped = ::mmap(nullptr, std::size_t{block} * blocks, PROT_READ | PROT_WRITE,
                              MAP_SHARED, fd_.get(), 0);
        if (mapped == MAP_FAILED) throw_errno_of("map a packet ring");
        ring_ = static_cast<std::byte*>(mapped);
        start(fd_, ifindex);
    }
    ~RingTap() { ::munmap(ring_, std::size_t{block} * blocks); }
    RingTap(const RingTap&) = delete;
    RingTap& operator=(const RingTap&) = delete;

    void drain(const Look& look) {
        if (version_ == TPACKET_V1) return drain_frames<tpacket_hdr>(look);
        if (version_ == TPACKET_V2) return drain_frames<tpacket2_hdr>(look);
        // A block that is not full is ours when its time is up.
        pollfd ready{fd_.get(), POLLIN, 0};
        while (::poll(&ready, 1, 2000) == 1 && drain_block(look)) {
        }
    }

  private:
    template <class Header>
    void show(const Header& header, const Look& look) {
        const auto* at = reinterpret_cast<const std::byte*>(&header) + header.tp_mac;
        look({std::span(at, header.tp_snaplen), header.tp_len});
    }

    template <class Header>
    void drain_frames(const Look& look) {
        for (;; next_ = (next_ + 1) % (block / frame * blocks)) {
            auto& header = *reinterpret_cast<Header*>(ring_ + std::size_t{frame} * next_);
            if (!(__atomic_load_n(&header.tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return;
            show(header, look);
            __atomic_store_n(&header.tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        }
    }

    bool drain_block(const Look& look) {
        auto* start = ring_ + std::size_t{block} * next_;
        auto& header = reinterpret_cast<tpacket_block_desc*>(start)->hdr.bh1;
        if (!(__atomic_load_n(&header.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
            return false;
        auto* at = start + header.offset_to_first_pkt;
        for (unsigned i = 0; i < header.num_pkts; i++) {
            const auto& packet = *reinterpret_cast<const tpacket3_hdr*>(at);
            show(packet, look);
            at += packet.tp_next_offset;
        }
        __atomic_store_n(&header.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        next_ = (next_ + 1) % blocks;
        return true;
    }

    devmem::Fd fd_;
    int version_;
    std::byte* ring_;
    unsigned next_ = 0;
};

/// What tc's action "sample" tells, as long as this lives; one at a time.
class SampleTap {
  public:
    explicit SampleTap(const Bound& bound) : topology_(bound.topology) {
        socket_.join("psample", "packets");
        const int room = 16 << 20;
        ::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
        topology_.here(
            "tc qdisc add dev dm0 clsact && tc filter add dev dm0 ingress matchall action sample "
            "rate 1 group 5 trunc 200");
    }
    ~SampleTap() { topology_.here("tc qdisc del dev dm0 clsact"); }
    SampleTap(const SampleTap&) = delete;
    SampleTap& operator=(const SampleTap&) = delete;

    void drain(const Look& look) {
        for (const RawNews& news : socket_.hear())
            look({std::as_bytes(find_bytes(news.attributes, PSAMPLE_ATTR_DATA)),
                  find_u32(news.attributes, PSAMPLE_ATTR_ORIGSIZE).value_or(0)});
    }

  private:
    const Topology& topology_;
    RawSocket socket_;
};

/// What passed with payload, and how many of those frames showed any of it.
struct Tally {
    unsigned frames = 0, with_bytes = 0;
};

// Checks the lengths of a data frame from this port.
void count(const Frame& frame, std::uint16_t port, Tally& tally) {
    if (frame.bytes.size() < ether_header) return;
    const auto tcp = parse_tcp(frame.bytes.subspan(ether_header));
    if (!tcp || tcp->from != port || !tcp->has_payload()) return;
    tally.frames++;
    tally.with_bytes += frame.bytes.size() > ether_header + tcp->size;
    EXPECT("at least the headers", frame.bytes.size() >= ether_header + tcp->size,
           frame.bytes.size());
    EXPECT_EQUAL("length on the wire", ether_header + tcp->total, frame.on_wire);
}

template <class Tap>
void look_at_streams(const Bound& bound, Tap tap, const char* to) {
    Tally device, host;
    expect_stream(bound, {.to = to, .bytes = 256 * kibibyte});
    tap->drain([&](const Frame& frame) { count(frame, device_port, device); });
    expect_host_stream(bound, {.to = to, .bytes = 256 * kibibyte});
    tap->drain([&](const Frame& frame) { count(frame, host_port, host); });
    EXPECT("the tap saw the stream in device memory", device.frames > 3, device.frames);
    EXPECT_EQUAL("frames that showed payload there", 0, device.with_bytes);
    EXPECT("the tap saw the stream in host memory", host.frames > 3, host.frames);
    EXPECT_EQUAL("frames that showed payload there", host.frames, host.with_bytes);
}

void receive() {
    skip_on_stock("to trim a clone, pskb_expand_head() takes references on NULL pages");
    const Bound bound;
    look_at_streams(bound, std::make_unique<ReceiveTap>(bound.ifindex), Topology::v4_here);
    look_at_streams(bound, std::make_unique<ReceiveTap>(bound.ifindex), Topology::v6_here);
}

template <int version>
void ring() {
    const Bound bound;
    look_at_streams(bound, std::make_unique<RingTap>(bound.ifindex, version), Topology::v4_here);
    look_at_streams(bound, std::make_unique<RingTap>(bound.ifindex, version), Topology::v6_here);
}

// SOCK_PACKET has no way to tell a length on the wire. Stock kernels queue the whole packet there,
// and then can't copy it.
void obsolete_socket() {
    const Bound bound;
    const devmem::Fd fd(::socket(AF_PACKET, SOCK_PACKET | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    KTAP_NEED(fd.is_open());
    expect_stream(bound, {.bytes = 64 * kibibyte});
    std::vector<std::byte> buffer(1 << 17);
    unsigned headers = 0, refused = 0;
    for (;;) {
        const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) break;
        refused += got < 0 && errno == EFAULT;
        if (got < static_cast<ssize_t>(ether_header)) continue;
        const auto bytes = std::span(buffer).first(static_cast<std::size_t>(got));
        const auto tcp = parse_tcp(bytes.subspan(ether_header));
        if (!tcp || tcp->from != device_port || !tcp->has_payload()) continue;
        headers++;
        EXPECT_EQUAL("bytes", ether_header + tcp->size, bytes.size());
    }
    EXPECT(stock_kernel() ? "EFAULT" : "headers", (stock_kernel() ? refused : headers) > 0,
           fmt::format("{} and {}", headers, refused));
    differs("recv() from such a socket", "headers", "EFAULT");
}

void sample() {
    skip_on_stock("psample tells nothing of a packet that it can't copy");
    need_module("psample", "CONFIG_PSAMPLE");
    need_module("act_sample", "CONFIG_NET_ACT_SAMPLE");
    need_module("cls_matchall", "CONFIG_NET_CLS_MATCHALL");
    need_module("sch_ingress", "CONFIG_NET_SCH_INGRESS");
    const Bound bound;
    look_at_streams(bound, std::make_unique<SampleTap>(bound), Topology::v4_here);
    look_at_streams(bound, std::make_unique<SampleTap>(bound), Topology::v6_here);
}

// ---- tcpdump --------------------------------------------------------------

/// tcpdump on dm0, as long as this lives.
class Tcpdump {
  public:
    explicit Tcpdump(const std::string& filter)
        : process_(-1, [&](int) {
              ::execlp(
                  "sh", "sh", "-c",
                  "exec tcpdump -Z root -U --immediate-mode -n -i dm0 -w tap.pcap \"$0\" 2>tap.log",
                  filter.c_str(), nullptr);
              throw_errno_of("exec tcpdump");
          }) {
        if (!within(60, [] { return !first_word("grep listening tap.log").empty(); }))
            throw std::runtime_error("tcpdump does not start");
    }
    // Or the next one would be taken to have started, and to have captured what this one did.
    ~Tcpdump() {
        ::unlink("tap.log");
        ::unlink("tap.pcap");
    }
    Tcpdump(const Tcpdump&) = delete;
    Tcpdump& operator=(const Tcpdump&) = delete;

    /// Has it captured anything? Waits longer for what should be.
    bool captured(bool should) {
        constexpr std::uintmax_t file_header = 24;
        return within(should ? 60 : 1,
                      [] { return std::filesystem::file_size("tap.pcap") > file_header; });
    }

  private:
    Process process_;
};

void expect_dump(const Bound& bound, const char* filter, bool of_device) {
    {
        Tcpdump dump(filter);
        expect_stream(bound);
        EXPECT_EQUAL(fmt::format("'{}' matches in device memory", filter), of_device,
                     dump.captured(of_device));
    }
    Tcpdump dump(filter);
    expect_host_stream(bound);
    EXPECT_EQUAL(fmt::format("'{}' matches in host memory", filter), true, dump.captured(true));
}

void tcpdump() {
    need_program("tcpdump");
    KTAP_NEED(::chdir("/tmp") == 0);
    const Bound bound;
    expect_dump(bound, "tcp dst port 5201 and tcp[13] & 16 != 0", true);
    expect_dump(bound, "tcp dst port 5201 and len > 200 and tcp[60] != 7", false);
    expect_dump(bound, "tcp dst port 5201 and len > 1400", true);
}

const ktap_test tests[] = {
    {"packet socket: headers, and the length on the wire", clean<receive>},
    {"packet ring, TPACKET_V1: the same", clean<ring<TPACKET_V1>>},
    {"packet ring, TPACKET_V2: the same", clean<ring<TPACKET_V2>>},
    {"packet ring, TPACKET_V3: the same", clean<ring<TPACKET_V3>>},
    {"SOCK_PACKET: headers (stock: EFAULT)", clean<obsolete_socket>},
    {"tc's samples: headers, and the length on the wire", clean<sample>},
    {"tcpdump: a filter that reads payload never matches device memory", clean<tcpdump>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
