// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "receiver_fixture.h"

namespace devmem {
namespace {

using test::ReceiverTest;
using State = Receiver::State;

TEST_F(ReceiverTest, NothingYet) {
    Receiver receiver{Fd()};
    EXPECT_EQ(receiver.receive().state, State::would_block);
    EXPECT_EQ(kernel_.receive_flags, MSG_SOCK_DEVMEM | MSG_DONTWAIT);
    EXPECT_EQ(receiver.receive(Receiver::Wait::yes).state, State::would_block);
    EXPECT_EQ(kernel_.receive_flags, MSG_SOCK_DEVMEM);
}

TEST_F(ReceiverTest, EndAndErrorsAreStates) {
    Receiver receiver{Fd()};
    kernel_.receive_error = EINTR;
    EXPECT_EQ(receiver.receive().state, State::would_block);
    kernel_.receive_error = ECONNRESET;
    const auto reset = receiver.receive();
    EXPECT_EQ(reset.state, State::reset);
    EXPECT_EQ(reset.error, std::errc::connection_reset);
    kernel_.receive_error = ENODEV;
    EXPECT_EQ(receiver.receive().state, State::failed);
    kernel_.peer_closed = true;
    EXPECT_EQ(receiver.receive().state, State::end);
    EXPECT_EQ(receiver.receive().state, State::end);
}

TEST_F(ReceiverTest, LinearBytesComeBeforeTheirFrags) {
    send(10, {4096, 100});
    send(3, {50});
    Receiver receiver{Fd()};
    const auto got = receiver.receive();
    ASSERT_EQ(got.state, State::data);
    ASSERT_EQ(got.pieces.size(), 5U);
    EXPECT_FALSE(got.pieces[0].on_device());
    EXPECT_TRUE(got.pieces[1].on_device());
    EXPECT_FALSE(got.pieces[3].on_device());
    EXPECT_EQ(got.bytes, 10U + 4096 + 100 + 3 + 50);
    for (const Piece& piece : got.pieces) check(piece);
}

TEST_F(ReceiverTest, OrdinaryBytesOnTheSameSocket) {
    send(1000, {});
    send(0, {2000});
    send(20, {});
    Receiver receiver{Fd()};
    drain(receiver);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, EveryControlSize) {
    for (const int too_small : {525, EMSGSIZE}) {
        kernel_.too_small = too_small;
        for (std::size_t pieces = 0; pieces < 6; ++pieces) {
            for (int i = 0; i < 5; ++i) send(i % 2 ? 7 : 0, {1000, 24, 1});
            Receiver receiver(Fd(), {.pieces = pieces});
            drain(receiver);
        }
    }
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, FragLargerThanTheHostBufferComesInParts) {
    send(5, {4096, 4096});
    Receiver receiver(Fd(), {.host_bytes = 1000});
    drain(receiver);
    EXPECT_GE(kernel_.receive_calls, 9U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, OtherControlMessagesDoNotMatter) {
    kernel_.extra_message = 16;
    send(5, {4096, 4096});
    send(5, {});
    Receiver receiver(Fd(), {.pieces = 3});
    drain(receiver);
}

TEST_F(ReceiverTest, CutControlMessageIsNotSilent) {
    kernel_.cuts_messages = true;
    send(5, {4096, 4096});
    Receiver receiver(Fd(), {.pieces = 2});
    const auto got = receiver.receive();
    EXPECT_EQ(got.state, State::failed);
    EXPECT_EQ(got.error, std::errc::bad_message);
    EXPECT_EQ(got.pieces.size(), 2U);
}

TEST_F(ReceiverTest, PiecesGoBackWithTheNextCall) {
    send(0, {100, 100, 100});
    send(0, {100});
    Receiver receiver(Fd(), {.pieces = 3});
    ASSERT_EQ(receiver.receive().pieces.size(), 3U);
    EXPECT_EQ(receiver.outstanding(), 3U);
    EXPECT_EQ(kernel_.tokens.size(), 3U);
    ASSERT_EQ(receiver.receive().pieces.size(), 1U);
    EXPECT_EQ(kernel_.return_calls, 1U);
    EXPECT_EQ(receiver.outstanding(), 1U);
    EXPECT_FALSE(receiver.give_back());
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, MorePiecesThanGoBackAtOnce) {
    send(0, std::vector<std::uint32_t>(2500, 10));
    Receiver receiver(Fd(), {.pieces = 2500});
    ASSERT_EQ(receiver.receive().pieces.size(), 2500U);
    EXPECT_FALSE(receiver.give_back());
    EXPECT_EQ(kernel_.return_calls, 3U);
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, PiecesGoBackBesideTakenOnes) {
    send(0, std::vector<std::uint32_t>(30, 10));
    Receiver receiver{Fd()};
    const auto got = receiver.receive();
    ASSERT_EQ(got.pieces.size(), 30U);
    std::vector<Frag> kept;
    for (std::size_t i = 0; i < 30; i += 3) kept.push_back(receiver.take(got.pieces[i]));
    EXPECT_FALSE(receiver.give_back());
    EXPECT_EQ(kernel_.tokens.size(), 10U);
    for (Frag& frag : kept) EXPECT_TRUE(kernel_.tokens.contains(frag.release()));
}

TEST_F(ReceiverTest, TakenFragStays) {
    send(4, {100, 200});
    Receiver receiver{Fd()};
    const auto got = receiver.receive();
    ASSERT_EQ(got.pieces.size(), 3U);
    EXPECT_FALSE(receiver.take(got.pieces[0]).held());
    const Piece copy = got.pieces[2];
    Frag frag = receiver.take(copy);
    EXPECT_TRUE(frag.held());
    EXPECT_FALSE(receiver.take(copy).held());
    EXPECT_EQ(frag.size(), 200U);
    EXPECT_EQ(receiver.receive().state, State::would_block);
    EXPECT_EQ(kernel_.tokens.size(), 1U);
    frag = Frag();
    EXPECT_EQ(receiver.outstanding(), 1U);  // destroyed, not flushed
    EXPECT_FALSE(receiver.flush());
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, ReleasedTokenIsTheCallersToReturn) {
    send(0, {100});
    Receiver receiver{Fd()};
    Frag frag = receiver.take(receiver.receive().pieces[0]);
    TokenBatch mine(-1);
    mine.add(frag.release());
    EXPECT_FALSE(frag.held());
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_EQ(kernel_.tokens.size(), 1U);
    EXPECT_FALSE(mine.flush());
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, FragsOutliveTheReceiverAndDieInAnyThread) {
    std::vector<Frag> frags;
    {
        for (int i = 0; i < 200; ++i) send(0, {10});
        Receiver receiver{Fd()};
        const auto got = receiver.receive();
        for (const Piece& piece : got.pieces) frags.push_back(receiver.take(piece));
    }
    EXPECT_EQ(kernel_.tokens.size(), 200U);
    std::vector<Frag> half(std::make_move_iterator(frags.begin() + 100),
                           std::make_move_iterator(frags.end()));
    frags.resize(100);
    std::thread other([mine = std::move(half)]() mutable { mine.clear(); });
    frags.clear();
    other.join();
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(ReceiverTest, DestroyedFragsFlushThemselvesInTime) {
    for (int i = 0; i < 20; ++i) send(0, {10});
    Receiver receiver(Fd(), {.flush_at = 8});
    std::vector<Frag> frags;
    for (const Piece& piece : receiver.receive().pieces) frags.push_back(receiver.take(piece));
    frags.clear();
    EXPECT_EQ(kernel_.tokens.size(), 4U);
    EXPECT_EQ(kernel_.return_calls, 2U);
}

TEST_F(ReceiverTest, MovedReceiverGoesOn) {
    send(0, {10});
    send(0, {20});
    Receiver first(Fd(), {.pieces = 1});
    ASSERT_EQ(first.receive().bytes, 10U);
    Receiver second(std::move(first));
    EXPECT_EQ(second.outstanding(), 1U);
    ASSERT_EQ(second.receive().bytes, 20U);
    second = Receiver(Fd());
    EXPECT_TRUE(kernel_.tokens.empty());
}

// Any mixture of packets, through buffers of any size, on kernels of both kinds.
TEST_F(ReceiverTest, RandomStreamsArriveWholeAndInOrder) {
    std::mt19937 random(20240612);
    const auto below = [&](std::uint32_t n) { return random() % n; };
    for (int round = 0; round < 400; ++round) {
        kernel_.too_small = round % 2 ? 525 : EMSGSIZE;
        kernel_.extra_message = below(3) * 12;
        Receiver receiver(
            Fd(), {.host_bytes = 1 + below(9000), .pieces = below(40), .flush_at = 1 + below(100)});
        std::vector<Frag> kept;
        for (std::uint32_t packets = below(12); packets > 0; --packets) {
            std::vector<std::uint32_t> frags(below(4) ? below(17) : 0);
            for (auto& size : frags) size = 1 + below(4096);
            send(frags.empty() ? 1 + below(3000) : below(2) * below(200), frags);
            const auto got = receiver.receive();
            for (const Piece& piece : got.pieces) {
                check(piece);
                if (below(3) == 0) kept.push_back(receiver.take(piece));
            }
            if (below(4) == 0) kept.clear();
        }
        drain(receiver);
        kept.clear();
        ASSERT_FALSE(receiver.flush());
        ASSERT_EQ(receiver.outstanding(), 0U);
        ASSERT_TRUE(kernel_.tokens.empty());
    }
}

}  // namespace
}  // namespace devmem
