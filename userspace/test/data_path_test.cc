// SPDX-License-Identifier: MIT
// The data path with system calls that fail and fall short, in random sequences from fixed seeds:
// every byte once and in order, every token back, nothing allocated and nothing thrown.
#include "fake_connection.h"
// The system calls go to the fake connection.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/sender.cc"    // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include "fake_traffic.h"

namespace devmem {
namespace {

using test::counted;
using test::FakeConnection;
using test::FakeMemory;
using test::FakeTraffic;

void expect_no_cost(std::uint32_t seed) {
    EXPECT_EQ(test::counts().allocations, 0U) << "seed " << seed;
    EXPECT_EQ(test::counts().throws, 0U) << "seed " << seed;
    test::counts() = {};
}

TEST(DataPath, TheCountsCount) {
    test::counts() = {};
    counted([] {
        try {
            throw std::vector<int>(5);
        } catch (const std::vector<int>&) {
            const test::NotCounted pause;
            delete new int;
        }
        return 0;
    });
    EXPECT_EQ(test::counts().allocations, 1U);
    EXPECT_EQ(test::counts().throws, 1U);
    test::counts() = {};
}

// A program that reads a stream and does with the pieces whatever it may, at random.
class AnyReader {
  public:
    explicit AnyReader(std::uint32_t seed) : random_(seed), seed_(seed) {}

    void run() {
        for (bool more = true; more && !testing::Test::HasFatalFailure();) more = step();
        EXPECT_EQ(position_, bytes) << "seed " << seed_;
        connection_.fails = false;
        let_go(kept_.size());
        EXPECT_FALSE(counted([&] { return receiver_.give_back(); }));
        EXPECT_EQ(receiver_.outstanding(), 0U) << "seed " << seed_;
        EXPECT_TRUE(connection_.in.tokens.empty()) << "seed " << seed_;
        EXPECT_TRUE(first_.idle() && second_.idle()) << "seed " << seed_;
        for (const auto& budget : budgets_) EXPECT_EQ(budget->held(), 0U) << "seed " << seed_;
        expect_no_cost(seed_);
    }

  private:
    struct Kept {
        Frag frag;
        std::uint64_t position;
    };
    static constexpr std::uint64_t bytes = 150'000;

    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

    // One budget, two, or none.
    std::vector<std::shared_ptr<Budget>> make_budgets() {
        std::vector<std::shared_ptr<Budget>> budgets;
        const std::uint32_t bindings = below(3);
        for (std::uint32_t id = 1; id <= bindings; ++id)
            budgets.push_back(std::make_shared<Budget>(id, (1 + below(20)) * FakeMemory::page));
        return budgets;
    }

    bool step() {
        const auto wait = below(2) ? Receiver::Wait::yes : Receiver::Wait::no;
        const auto got = counted([&] { return receiver_.receive(wait); });
        for (const auto& budget : budgets_)
            EXPECT_LE(budget->held(), budget->limit() + FakeMemory::page) << "seed " << seed_;
        std::size_t sum = 0;
        for (const Piece& piece : got.pieces) {
            EXPECT_TRUE(traffic_.is_right(piece, position_ + sum)) << "seed " << seed_;
            if (below(2)) keep(piece, position_ + sum);
            sum += piece.size;
        }
        EXPECT_EQ(sum, got.bytes);
        position_ += sum;
        do_anything(got);
        return got.state != Receiver::State::end;
    }

    void keep(const Piece& piece, std::uint64_t position) {
        Frag frag = counted([&] { return receiver_.take(piece); });
        EXPECT_EQ(frag.held(), piece.on_device());
        if (frag.held()) kept_.push_back({std::move(frag), position});
    }

    void do_anything(const Receiver::Result& got) {
        if (got.state == Receiver::State::starved || below(8) == 0) let_go(kept_.size());
        if (below(4) == 0) let_go(below(static_cast<std::uint32_t>(kept_.size()) + 1));
        if (below(4) == 0) counted([&] { return receiver_.flush(); });
        if (below(4) == 0 && !got.pieces.empty()) {
            const auto some =
                got.pieces.subspan(below(static_cast<std::uint32_t>(got.pieces.size())));
            counted([&] { return receiver_.give_back(some); });
        }
        if (got.state != Receiver::State::failed) return;
        const int error = got.error.value();
        EXPECT_TRUE(error == ENOMEM || error == EBUSY || error == ENOBUFS) << got.error.message();
    }

    // They still have the bytes they came with.
    void let_go(std::size_t frags) {
        for (; frags > 0; --frags) {
            const std::size_t at = below(static_cast<std::uint32_t>(kept_.size()));
            std::swap(kept_[at], kept_.back());
            const Frag& frag = kept_.back().frag;
            const Piece piece{{}, frag.offset(), frag.size(), 1, frag.dmabuf_id()};
            EXPECT_TRUE(traffic_.is_right(piece, kept_.back().position)) << "seed " << seed_;
            counted([&] { return kept_.back().frag.give_back(), 0; });
            kept_.pop_back();
        }
    }

    std::mt19937 random_;
    std::uint32_t seed_;
    FakeConnection connection_{seed_};
    FakeMemory first_{1, 24}, second_{2, 24};
    FakeTraffic traffic_{connection_, {&first_, &second_}, seed_, bytes, false};
    std::vector<std::shared_ptr<Budget>> budgets_ = make_budgets();
    Receiver receiver_{connection_.socket(),
                       {.host_bytes = 1 + below(30'000),
                        .pieces = 1 + below(30),
                        .flush_at = 1 + below(30),
                        .budgets = budgets_}};
    std::vector<Kept> kept_;
    std::uint64_t position_ = 0;
};

TEST(DataPath, AnyStreamIsReceivedWhateverFails) {
    for (std::uint32_t seed = 1; seed <= 150; ++seed) AnyReader(seed).run();
}

// A program that sends whatever it may, at random.
class AnyWriter {
  public:
    explicit AnyWriter(std::uint32_t seed)
        : random_(seed),
          seed_(seed),
          connection_(seed),
          sender_(connection_.socket(), {.in_flight = 1 + below(60)}) {
        for (std::size_t i = 0; i < device_size; ++i)
            connection_.out.device.push_back(test::stream_byte(i));
        connection_.out.limit = 1 + below(100);
    }

    void run() {
        while (expected_.size() < 200'000 && !testing::Test::HasFailure()) step();
        connection_.fails = false;
        while (sender_.pending() > 0) counted([&] { return sender_.complete(Sender::Wait::yes); });
        for (const auto ticket : tickets_) EXPECT_TRUE(sender_.done(ticket));
        EXPECT_EQ(connection_.out.stream, expected_) << "seed " << seed_;
        EXPECT_EQ(sender_.unknown(), 0U);
        expect_no_cost(seed_);
    }

  private:
    static constexpr std::size_t device_size = 60'000;

    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

    void step() {
        const auto wait = below(2) ? Sender::Wait::yes : Sender::Wait::no;
        const auto more = below(2) ? Sender::More::yes : Sender::More::no;
        const auto& device = connection_.out.device;
        std::vector<Extent> extents(1 + below(5));
        for (Extent& extent : extents) extent = {below(device_size - 9000), below(9000)};
        const auto host = std::span(device).subspan(extents[0].offset, 1 + extents[0].length);
        const bool from_host = below(3) == 0;
        const auto sent = counted([&] {
            return from_host ? sender_.send(host, wait, more)
                             : sender_.send(1, extents, wait, more);
        });
        if (from_host) extents = {{extents[0].offset, host.size()}};
        note(extents, sent.bytes);
        if (sent.state == Sender::State::sent) tickets_.push_back(sent.ticket);
        if (sent.state == Sender::State::failed) {
            EXPECT_TRUE(sent.error.value() == ENOMEM || sent.error.value() == ENOBUFS);
        }
        if (sent.state == Sender::State::no_memory || below(4) == 0)
            counted([&] { return sender_.complete(wait); });
        // What is done is so: the kernel had said it.
        EXPECT_GE(sender_.pending(), connection_.out.open.size()) << "seed " << seed_;
    }

    void note(std::span<const Extent> extents, std::size_t bytes) {
        for (const Extent& extent : extents) {
            const auto part = std::span(connection_.out.device)
                                  .subspan(extent.offset, std::min(extent.length, bytes));
            expected_.insert(expected_.end(), part.begin(), part.end());
            bytes -= part.size();
        }
        EXPECT_EQ(bytes, 0U);
    }

    std::mt19937 random_;
    std::uint32_t seed_;
    FakeConnection connection_;
    Sender sender_;
    std::vector<Sender::Ticket> tickets_;
    std::vector<std::byte> expected_;
};

TEST(DataPath, AnythingIsSentWhateverFails) {
    for (std::uint32_t seed = 1; seed <= 60; ++seed) AnyWriter(seed).run();
}

}  // namespace
}  // namespace devmem
