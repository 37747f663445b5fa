// SPDX-License-Identifier: MIT
#include "devmem/gather.h"

#include <gtest/gtest.h>

#include <random>

#include "allocations.h"
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

namespace devmem {
namespace {

using Bytes = std::vector<std::byte>;

// Memory that copies by the host's means, counts, and fails when told to.
class HostEngine : public CopyEngine {
  public:
    explicit HostEngine(Bytes& memory) : memory_(memory) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        std::ranges::copy(from, memory_.begin() + static_cast<std::ptrdiff_t>(offset));
        return {};
    }
    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
        return {};
    }
    std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept override {
        if (fails) return std::make_error_code(std::errc::io_error);
        ++gathers;
        for (const CopyRange& r : ranges)
            to.to_device(r.dst, std::span(memory_).subspan(r.src, r.len));
        return {};
    }

    static inline bool fails = false;
    static inline std::size_t gathers = 0;

  private:
    Bytes& memory_;
};

class GatherTest : public testing::Test {
  protected:
    GatherTest() {
        test::fake_kernel = &kernel_;
        HostEngine::fails = false;
        HostEngine::gathers = 0;
        for (std::size_t i = 0; i < first_.size(); ++i) first_[i] = static_cast<std::byte>(i * 7);
        for (std::size_t i = 0; i < second_.size(); ++i) second_[i] = static_cast<std::byte>(i ^ 5);
    }

    static DmaBuf dmabuf(Bytes& memory) {
        return DmaBuf::import(Fd(), memory.size(), std::make_unique<HostEngine>(memory));
    }

    // One packet, and what its bytes are.
    void send(std::size_t linear, const std::vector<test::FakeFrag>& frags) {
        test::FakePacket packet{Bytes(linear, std::byte{9}), frags};
        sent_.insert(sent_.end(), linear, std::byte{9});
        for (const auto& frag : frags) {
            const auto from = (frag.dmabuf_id == 1 ? first_ : second_).begin() +
                              static_cast<std::ptrdiff_t>(frag.offset);
            sent_.insert(sent_.end(), from, from + frag.size);
        }
        kernel_.queue.push_back(packet);
    }

    [[nodiscard]] Bytes arrived(std::size_t at) const {
        const auto begin = result_.begin() + static_cast<std::ptrdiff_t>(at);
        return {begin, begin + static_cast<std::ptrdiff_t>(sent_.size())};
    }

    test::FakeKernel kernel_;
    Bytes first_ = Bytes(100'000), second_ = Bytes(100'000), result_ = Bytes(200'000), sent_;
    DmaBuf one_ = dmabuf(first_), two_ = dmabuf(second_), to_ = dmabuf(result_);
    Gather gather_{{{1, &one_}, {2, &two_}}, to_};
    Receiver receiver_{Fd(), {.pieces = 5000}};
};

TEST_F(GatherTest, AllKindsOfPiecesInOrder) {
    send(10, {{5, 100, 1}, {5000, 4096, 1}});
    send(3, {{77, 33, 2}, {0, 50, 1}});
    const auto got = receiver_.receive();
    ASSERT_EQ(got.pieces.size(), 6U);
    EXPECT_FALSE(gather_(receiver_, got.pieces, 1000));
    EXPECT_EQ(arrived(1000), sent_);
    EXPECT_EQ(HostEngine::gathers, 3U);
    EXPECT_EQ(receiver_.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(GatherTest, TakenPiecesAreCopiedAndStay) {
    send(0, {{0, 10, 1}, {20, 10, 1}});
    const auto got = receiver_.receive();
    const Frag taken = receiver_.take(got.pieces[1]);
    EXPECT_FALSE(gather_(receiver_, got.pieces, 0));
    EXPECT_EQ(arrived(0), sent_);
    EXPECT_EQ(receiver_.outstanding(), 1U);
}

// A message ends within a piece, and the next one goes elsewhere.
TEST_F(GatherTest, APieceMayGoToTwoPlaces) {
    send(0, {{0, 10, 1}, {20, 10, 1}});
    const auto got = receiver_.receive();
    Piece front = got.pieces[1], back = got.pieces[1];
    front.size = 4;
    front.token = 0;
    back.offset += 4;
    back.size -= 4;
    EXPECT_FALSE(gather_(receiver_, got.pieces.first(1), 0));
    EXPECT_FALSE(gather_(receiver_, std::span(&front, 1), 10));
    EXPECT_EQ(receiver_.outstanding(), 1U);
    EXPECT_FALSE(gather_(receiver_, std::span(&back, 1), 14));
    EXPECT_EQ(arrived(0), sent_);
    EXPECT_EQ(receiver_.outstanding(), 0U);
}

TEST_F(GatherTest, MorePiecesThanOneCopyTakes) {
    std::mt19937 random(7);
    std::vector<test::FakeFrag> frags(3000);
    for (auto& frag : frags)
        frag = {random() % 99'000, 1 + static_cast<std::uint32_t>(random() % 60), 1};
    send(0, frags);
    const auto got = receiver_.receive();
    ASSERT_EQ(got.pieces.size(), 3000U);
    kernel_.return_error = ENOMEM;  // that comes later, and the fake allocates
    EXPECT_FALSE(test::counted([&] { return gather_(receiver_, got.pieces.first(1000), 0); }));
    EXPECT_EQ(test::counts().allocations, 0U);
    kernel_.return_error = 0;
    EXPECT_FALSE(gather_(receiver_, got.pieces, 0));
    EXPECT_EQ(arrived(0), sent_);
    EXPECT_EQ(HostEngine::gathers, 4U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(GatherTest, ErrorsGiveNothingBack) {
    send(0, {{0, 10, 1}, {20, 10, 3}});
    auto got = receiver_.receive();
    EXPECT_EQ(gather_(receiver_, got.pieces, 0), std::errc::invalid_argument);  // no binding 3
    EXPECT_EQ(gather_(receiver_, got.pieces.first(1), 199'991), std::errc::invalid_argument);
    EXPECT_EQ(gather_(receiver_, got.pieces.first(1), 200'001), std::errc::invalid_argument);
    EXPECT_EQ(result_, Bytes(200'000));
    HostEngine::fails = true;
    EXPECT_EQ(gather_(receiver_, got.pieces.first(1), 0), std::errc::io_error);
    EXPECT_EQ(receiver_.outstanding(), 2U);
    HostEngine::fails = false;
    EXPECT_FALSE(gather_(receiver_, got.pieces.first(1), 199'990));
    EXPECT_EQ(receiver_.outstanding(), 1U);
}

}  // namespace
}  // namespace devmem
