// SPDX-License-Identifier: GPL-2.0
// rx-page-size: bindings whose niovs are larger than a page, so that a large frame lands in one.
#include <net/if.h>
#include <poll.h>

#include <array>

#include "bound.h"
#include "expect.h"
#include "leftovers.h"
#include "page_size_binding.h"
#include "process.h"

namespace {

constexpr std::uint32_t kibibyte = 1 << 10, page = 4 * kibibyte;
constexpr std::uint64_t mebibyte = 1 << 20;

struct Stage {
    explicit Stage(unsigned mtu = 9000) : topology({.mtu = mtu}) { spread_over(ifindex, {1}); }

    Topology topology;
    std::uint32_t ifindex = ::if_nametoindex("dm0");
    devmem::HeaderSplit split{ifindex};
    devmem::DmaBuf memory = devmem::DmaBuf::accelmem(8 * mebibyte);
    Listener listener;
};

// ---- what lands where -----------------------------------------------------

// A stream's frags as they come: each begins a niov, or goes on where the last one was cut.
class Landing {
  public:
    Landing(const devmem::DmaBuf& memory, std::uint32_t size) : memory_(memory), size_(size) {}

    void take(const devmem::Piece& piece, const Pattern& pattern) {
        if (!EXPECT("all payload is on the device", piece.on_device(), position_)) return;
        std::vector<std::byte> bytes(piece.size);
        EXPECT("the copy works", !memory_.to_host(piece.offset, bytes), piece.offset);
        EXPECT_EQUAL("wrong byte", -1, pattern.differs(bytes, position_));
        if (piece.offset != end_)
            EXPECT_EQUAL("place of a frag in its niov", 0, piece.offset % size_);
        // A frame fills pages, and those next to each other are told as one.
        EXPECT("a frag is no larger than a niov", piece.size <= size_ || size_ == page, piece.size);
        position_ += piece.size;
        end_ = piece.offset + piece.size;
        largest_ = std::max(largest_, piece.size);
    }
    [[nodiscard]] std::uint64_t position() const { return position_; }
    [[nodiscard]] std::uint32_t largest() const { return largest_; }

  private:
    const devmem::DmaBuf& memory_;
    std::uint64_t size_, position_ = 0, end_ = 0;
    std::uint32_t largest_ = 0;
};

// One stream through a binding of that size.
Landing receive(const Stage& stage, const devmem::DmaBuf& memory, std::uint32_t size,
                const SendPlan& plan) {
    Landing landing(memory, size);
    Sender sender(stage.topology.there_fd(), plan);
    devmem::Receiver receiver(stage.listener.accept());
    const Pattern pattern(plan.first_port);
    for (;;) {
        const auto got = receiver.receive();
        for (const devmem::Piece& piece : got.pieces) landing.take(piece, pattern);
        if (got.state == devmem::Receiver::State::end) break;
        if (got.state == devmem::Receiver::State::data) continue;
        receiver.give_back();
        pollfd ready{receiver.fd(), POLLIN, 0};
        if (got.state != devmem::Receiver::State::would_block || ::poll(&ready, 1, 60'000) <= 0)
            throw std::runtime_error("the stream stalls: " + got.error.message());
    }
    EXPECT_EQUAL("bytes", plan.bytes, landing.position());
    return landing;
}

template <std::uint32_t size>
void frames_land_whole() {
    Stage stage;
    const PageSizeBinding binding(stage.memory, 1, size);
    EXPECT("an id from 1 on", binding.id() > 0, binding.id());
    for (const char* to : {Topology::v4_here, Topology::v6_here}) {
        const Landing landing = receive(stage, stage.memory, size, {.to = to, .bytes = mebibyte});
        EXPECT("a frame's payload is one frag", landing.largest() > 2 * page, landing.largest());
    }
}

void small_frames() {
    Stage stage(1500);
    const PageSizeBinding binding(stage.memory, 1, 16 * kibibyte);
    EXPECT("an id from 1 on", binding.id() > 0, binding.id());
    receive(stage, stage.memory, 16 * kibibyte, {.bytes = mebibyte});
}

void two_sizes() {
    Stage stage;
    const auto other = devmem::DmaBuf::accelmem(8 * mebibyte);
    const PageSizeBinding first(stage.memory, 1, 16 * kibibyte);
    const PageSizeBinding second(other, 2, 64 * kibibyte);
    EXPECT("two ids", first.id() != second.id(), first.id());
    receive(stage, stage.memory, 16 * kibibyte, {.bytes = mebibyte});
    spread_over(stage.ifindex, {2});
    receive(stage, other, 64 * kibibyte, {.first_port = 6001, .bytes = mebibyte});
}

void sizes_follow_bindings() {
    Stage stage;
    std::uint16_t port = 6000;
    for (const std::uint32_t size : {64 * kibibyte, page, 16 * kibibyte}) {
        const PageSizeBinding binding(stage.memory, 1, size);
        EXPECT("an id from 1 on", binding.id() > 0, binding.id());
        receive(stage, stage.memory, size, {.first_port = port++, .bytes = mebibyte});
    }
}

// The queue's memory is made anew each time.
void outlives_changes() {
    Stage stage;
    const PageSizeBinding binding(stage.memory, 1, 16 * kibibyte);
    std::uint16_t port = 6000;
    for (const char* change : {"ethtool -G dm0 rx 128", "ethtool -L dm0 tx 2",
                               "ip link set dm0 down; ip link set dm0 up; ip "
                               "addr add fd09::1/64 dev dm0 nodad"}) {
        stage.topology.here(change);
        receive(stage, stage.memory, 16 * kibibyte, {.first_port = port++, .bytes = mebibyte});
    }
    EXPECT("an id from 1 on", binding.id() > 0, binding.id());
}

void pool_tells_memory() {
    Stage stage;
    const PageSizeBinding binding(stage.memory, 1, 16 * kibibyte);
    int pools = 0;
    for (const devmem::PagePool& pool : devmem::page_pools(stage.ifindex)) {
        if (pool.dmabuf_id != binding.id()) continue;
        pools++;
        EXPECT("niovs are in flight", pool.inflight > 0, pool.inflight);
        EXPECT("at most those that there are",
               pool.inflight_bytes <= static_cast<std::uint64_t>(stage.memory.size()),
               pool.inflight_bytes);
        EXPECT_EQUAL("bytes in flight", pool.inflight * 16 * kibibyte, pool.inflight_bytes);
    }
    EXPECT_EQUAL("pools of the binding", 1, pools);
}

// ---- what is refused ------------------------------------------------------

void refused(const devmem::DmaBuf& memory, std::uint32_t size, int error, std::string_view words) {
    const PageSizeBinding binding(memory, 1, size);
    EXPECT_EQUAL(fmt::format("errno for {}", size), error, binding.reply().error);
    EXPECT(fmt::format("\"{}\" for {}", words, size),
           binding.reply().message.find(words) != std::string::npos, binding.reply().message);
}

void wrong_sizes() {
    Stage stage;
    const auto odd = devmem::DmaBuf::accelmem(20 * kibibyte);
    refused(stage.memory, 0, ERANGE, "out of range");
    refused(stage.memory, 2 * kibibyte, ERANGE, "out of range");
    refused(stage.memory, 12 * kibibyte, EINVAL, "power of 2");
    refused(stage.memory, 128 * kibibyte, ERANGE, "64 KiB");
    refused(stage.memory, 1U << 31, ERANGE, "64 KiB");
    refused(odd, 16 * kibibyte, EINVAL, "aligned to rx-page-size");
    const PageSizeBinding binding(stage.memory, 1, 16 * kibibyte);
    EXPECT("then the right one is taken", binding.id() > 0, binding.id());
    receive(stage, stage.memory, 16 * kibibyte, {.bytes = mebibyte});
}

bool has_page_size() {
    Process trial(-1, [](int) {
        const Stage stage;
        (void)PageSizeBinding(stage.memory, 1, page).id();
    });
    return trial.wait(120) == 0;
}

constexpr std::array tests{
    ktap_test{"another binding, another size: 64 KiB, 4 KiB as without, 16 KiB",
              clean<sizes_follow_bindings>},
    ktap_test{"16 KiB: a frame of 9000 bytes lands whole", clean<frames_land_whole<16 * kibibyte>>},
    ktap_test{"64 KiB: a frame of 9000 bytes lands whole", clean<frames_land_whole<64 * kibibyte>>},
    ktap_test{"16 KiB: small frames have a niov each", clean<small_frames>},
    ktap_test{"two bindings with two sizes", clean<two_sizes>},
    ktap_test{"a size outlives new rings, new channels, down and up", clean<outlives_changes>},
    ktap_test{"the page pool tells how much memory is in flight", clean<pool_tells_memory>},
    ktap_test{"wrong sizes are refused, and leave the queue as it is", clean<wrong_sizes>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    if (!has_page_size()) return ktap_skip_all("this kernel has no rx-page-size");
    return run_tests(tests, argc, argv);
}
