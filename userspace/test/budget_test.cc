// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

#include <fcntl.h>
#include <gtest/gtest.h>

#include <random>

#include "receiver_fixture.h"

namespace devmem {
namespace {

using State = Receiver::State;

constexpr std::uint32_t page = 4096;

// Frags begin at niovs of their own, as from a NIC.
class BudgetTest : public test::ReceiverTest {
  protected:
    BudgetTest() { align_ = page; }

    static std::shared_ptr<Budget> budget_of(std::uint64_t pages, std::uint32_t dmabuf_id = 1) {
        return std::make_shared<Budget>(dmabuf_id, pages * page);
    }

    static bool has_room(const Budget& budget) {
        pollfd room{budget.fd(), POLLIN, 0};
        return ::poll(&room, 1, 0) == 1;
    }

    // Takes all that comes until there is no more of it.
    Receiver::Result keep_all(Receiver& receiver) {
        for (;;) {
            const auto got = receiver.receive();
            if (got.state != State::data) return got;
            for (const Piece& piece : got.pieces) {
                check(piece);
                if (piece.on_device()) kept_.push_back(receiver.take(piece));
            }
        }
    }

    std::vector<Frag> kept_;
};

TEST_F(BudgetTest, CountsWholeNiovs) {
    const Piece spread{{}, page - 1, 2, 1, 1};
    EXPECT_EQ(held_by({{}, 0, 1, 1, 1}), page);
    EXPECT_EQ(held_by({{}, page, page, 1, 1}), page);
    EXPECT_EQ(held_by({{}, page - 1, page + 2, 1, 1}), 3 * page);
    EXPECT_EQ(held_by(spread), 2 * page);
    EXPECT_EQ(Budget(1, 5).limit(), page);
}

TEST_F(BudgetTest, OnlyCountsWithoutALimit) {
    const auto budget = std::make_shared<Budget>(1U);
    send(3, {100, page, 2 * page});
    Receiver receiver(Fd(), {.budgets = {budget, nullptr}});
    ASSERT_EQ(receiver.receive().pieces.size(), 4U);
    EXPECT_EQ(budget->held(), 4 * page);
    EXPECT_EQ(receiver.held(1), 4 * page);
    EXPECT_EQ(receiver.held(2), 0U);
    EXPECT_FALSE(receiver.give_back());
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_EQ(budget->refusals(), 0U);
}

TEST_F(BudgetTest, NothingIsReadWhenItIsUsedUp) {
    const auto budget = budget_of(8);
    for (int i = 0; i < 20; ++i) send(i % 3, {1448});
    Receiver receiver(Fd(), {.budgets = {budget}});
    const auto got = keep_all(receiver);
    EXPECT_EQ(got.state, State::starved);
    EXPECT_EQ(got.budget, budget.get());
    EXPECT_FALSE(got.error);
    EXPECT_EQ(kept_.size(), 8U);
    EXPECT_EQ(budget->held(), 8 * page);
    EXPECT_EQ(budget->refusals(), 1U);
    const auto calls = kernel_.receive_calls;
    EXPECT_EQ(receiver.receive(Receiver::Wait::yes).state, State::starved);
    EXPECT_EQ(kernel_.receive_calls, calls);
    EXPECT_EQ(budget->refusals(), 2U);
}

TEST_F(BudgetTest, ItSaysWhenToGoOn) {
    const auto budget = budget_of(4);
    for (int i = 0; i < 9; ++i) send(0, {page});
    Receiver receiver(Fd(), {.budgets = {budget}});
    EXPECT_TRUE(has_room(*budget));
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(keep_all(receiver).state, State::starved);
        EXPECT_FALSE(has_room(*budget));
        kept_.pop_back();  // goes back at once, though flush_at is 64
        EXPECT_TRUE(has_room(*budget));
        EXPECT_EQ(budget->held(), 3 * page);
    }
    kept_.clear();
    EXPECT_EQ(keep_all(receiver).state, State::would_block);
    EXPECT_EQ(received_, sent_);
}

TEST_F(BudgetTest, LentPiecesAloneNeverStarve) {
    for (int i = 0; i < 50; ++i) send(i % 2 * 9, {page, 1, 77});
    Receiver receiver(Fd(), {.budgets = {budget_of(1)}});
    drain(receiver);
}

TEST_F(BudgetTest, ReceiversShareIt) {
    const auto budget = budget_of(2);
    send(0, {1, 2});
    Receiver one(Fd(), {.budgets = {budget}}), two(Fd(), {.budgets = {budget}});
    EXPECT_EQ(keep_all(one).state, State::starved);
    send(0, {3});
    EXPECT_EQ(two.receive().state, State::starved);
    EXPECT_EQ(two.held(1), 0U);
    EXPECT_EQ(one.held(1), 2 * page);
    kept_.pop_back();
    EXPECT_EQ(keep_all(two).state, State::starved);
    EXPECT_EQ(two.held(1), page);
    kept_.clear();  // the last one waits for others: half of the memory is free
    EXPECT_TRUE(has_room(*budget));
    EXPECT_FALSE(two.flush());
    EXPECT_EQ(budget->held(), 0U);
}

TEST_F(BudgetTest, BindingsOfOneSocketAreCountedApart) {
    const auto first = budget_of(8, 1), second = budget_of(3, 2);
    Receiver receiver(Fd(), {.budgets = {first, second}});
    send(0, {1});
    send(0, {1}, 2);
    send(0, {1}, 9);  // one without a budget
    EXPECT_EQ(keep_all(receiver).state, State::would_block);
    EXPECT_EQ(receiver.held(1), page);
    EXPECT_EQ(receiver.held(2), page);
    EXPECT_EQ(receiver.outstanding(), 3U);
    for (int i = 0; i < 4; ++i) send(0, {1}, 2);
    const auto got = keep_all(receiver);
    EXPECT_EQ(got.state, State::starved);
    EXPECT_EQ(got.budget, second.get());
    EXPECT_EQ(second->held(), 3 * page);
    EXPECT_EQ(first->held(), page);  // what was reserved there is free again
    EXPECT_TRUE(has_room(*first));
    kept_.clear();
    EXPECT_EQ(keep_all(receiver).state, State::would_block);
    EXPECT_EQ(received_, sent_);
}

TEST_F(BudgetTest, NothingStaysReservedByACallThatGotNothing) {
    const auto budget = budget_of(8);
    Receiver receiver(Fd(), {.budgets = {budget}});
    for (const int error : {EAGAIN, EINTR, ENOMEM, ECONNRESET}) {
        kernel_.receive_error = error;
        EXPECT_NE(receiver.receive().state, State::data);
        EXPECT_EQ(budget->held(), 0U);
    }
    kernel_.peer_closed = true;
    EXPECT_EQ(receiver.receive().state, State::end);
    EXPECT_EQ(budget->held(), 0U);
}

TEST_F(BudgetTest, WhatTheKernelDoesNotTakeBackIsHeld) {
    const auto budget = budget_of(80);
    send(0, {1, 2, 3});
    Receiver receiver(Fd(), {.budgets = {budget}});
    ASSERT_EQ(receiver.receive().pieces.size(), 3U);
    kernel_.return_error = ENOMEM;
    EXPECT_EQ(receiver.give_back(), std::errc::not_enough_memory);
    EXPECT_EQ(budget->held(), 3 * page);
    EXPECT_EQ(receiver.held(1), 3 * page);
    kernel_.return_error = 0;
    EXPECT_FALSE(receiver.flush());
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(BudgetTest, LostTokensAreHeldUntilTheSocketCloses) {
    const auto budget = budget_of(8000);
    align_ = 1;
    for (int i = 0; i < 260; ++i) send(0, {1, 1, 1, 1, 1});
    {
        Receiver receiver(Fd(), {.pieces = 2000, .budgets = {budget}});
        EXPECT_EQ(keep_all(receiver).state, State::would_block);
        ASSERT_EQ(kept_.size(), 1300U);
        kernel_.return_error = ENOMEM;
        kept_.clear();
        kernel_.return_error = 0;
        EXPECT_FALSE(receiver.flush());
        EXPECT_EQ(receiver.outstanding(), kernel_.tokens.size());
        EXPECT_EQ(receiver.outstanding(), 1300U - TokenBatch::max_tokens);
        EXPECT_EQ(budget->held(), receiver.outstanding() * page);
    }
    EXPECT_EQ(budget->held(), 0U);
}

TEST_F(BudgetTest, ReleasedTokensAreNotCounted) {
    const auto budget = budget_of(2);
    send(0, {1, 2});
    Receiver receiver(Fd(), {.budgets = {budget}});
    keep_all(receiver);
    for (Frag& frag : kept_) EXPECT_NE(frag.release(), 0U);
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_TRUE(has_room(*budget));
}

TEST_F(BudgetTest, SomePiecesGoBackEarly) {
    const auto budget = budget_of(80);
    send(5, {1, 2, 3});
    Receiver receiver(Fd(), {.budgets = {budget}});
    const auto got = receiver.receive();
    ASSERT_EQ(got.pieces.size(), 4U);
    const Frag taken = receiver.take(got.pieces[2]);
    EXPECT_FALSE(receiver.give_back(got.pieces.first(3)));
    EXPECT_FALSE(receiver.give_back(got.pieces.first(3)));  // again does no harm
    EXPECT_EQ(receiver.outstanding(), 2U);
    EXPECT_EQ(budget->held(), 2 * page);
    EXPECT_EQ(kernel_.tokens.size(), 2U);
    EXPECT_EQ(got.pieces[3].token, 3U);
}

// ---- waiting --------------------------------------------------------------

TEST_F(BudgetTest, WaitsWithNothingReserved) {
    const auto budget = budget_of(8);
    Receiver receiver(Fd(), {.budgets = {budget}});
    std::uint64_t while_waiting = 1;
    kernel_.wait = [&] {
        while_waiting = budget->held();
        if (kernel_.polls == 2) send(0, {7});  // the first was for something else
        return 0;
    };
    EXPECT_EQ(receiver.receive(Receiver::Wait::yes).bytes, 7U);
    EXPECT_EQ(while_waiting, 0U);
    EXPECT_EQ(kernel_.polls, 2U);
    EXPECT_EQ(kernel_.naps, 1U);
    EXPECT_EQ(kernel_.receive_flags, MSG_SOCK_DEVMEM | MSG_DONTWAIT);
}

TEST_F(BudgetTest, ASignalEndsTheWait) {
    Receiver receiver(Fd(), {.budgets = {budget_of(8)}});
    kernel_.wait = [] { return EINTR; };
    EXPECT_EQ(receiver.receive(Receiver::Wait::yes).state, State::would_block);
}

TEST_F(BudgetTest, ANonBlockingSocketIsNotWaitedFor) {
    Receiver receiver(Fd(), {.budgets = {budget_of(8)}});
    kernel_.file_flags = O_RDWR | O_NONBLOCK;
    EXPECT_EQ(receiver.receive(Receiver::Wait::yes).state, State::would_block);
    EXPECT_EQ(receiver.receive(Receiver::Wait::no).state, State::would_block);
    EXPECT_EQ(kernel_.polls, 0U);
}

// ---- the limit ------------------------------------------------------------

// Any frags of one niov or of several that adjoin, in any pattern, several receivers.
TEST_F(BudgetTest, TheLimitHolds) {
    std::mt19937 random(61);
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    for (int round = 0; round < 200; ++round) {
        const auto budget = budget_of(1 + below(40));
        Receiver receiver(
            Fd(), {.host_bytes = 1 + below(100'000), .pieces = 1 + below(40), .budgets = {budget}});
        for (std::uint32_t packets = below(40); packets > 0; --packets) {
            std::vector<std::uint32_t> frags(below(4));
            for (auto& size : frags) size = below(2) ? 1 + below(page) : 1 + below(4 * page);
            send(1 + below(100), frags);
        }
        while (!kernel_.queue.empty()) {
            const auto got = receiver.receive();
            for (const Piece& piece : got.pieces) {
                check(piece);
                if (below(2)) kept_.push_back(receiver.take(piece));
            }
            // The rest of a frag may begin within a niov: that one is more than was foreseen.
            ASSERT_LE(budget->held(), budget->limit() + page);
            ASSERT_TRUE(got.state == State::data || got.state == State::starved);
            if (got.state == State::starved || below(5) == 0) kept_.clear();
        }
        kept_.clear();
        ASSERT_FALSE(receiver.give_back());
        ASSERT_EQ(budget->held(), 0U);
        ASSERT_EQ(received_, sent_);
    }
}

TEST_F(BudgetTest, PeerThatEndsIsHeardOnceThereIsRoom) {
    const auto budget = budget_of(1);
    send(0, {5});
    send(0, {6});
    Receiver receiver(Fd(), {.budgets = {budget}});
    kernel_.peer_closed = true;
    EXPECT_EQ(keep_all(receiver).state, State::starved);
    kept_.clear();
    EXPECT_EQ(receiver.receive().bytes, 6U);
    EXPECT_EQ(receiver.receive().state, State::end);
}

// The token outlives the connection, in its own right.
TEST_F(BudgetTest, FragsOutliveTheConnectionAndTheReceiver) {
    const auto budget = budget_of(4);
    {
        send(0, {5, 6});
        Receiver receiver(Fd(), {.budgets = {budget}});
        keep_all(receiver);
        kernel_.receive_error = ECONNRESET;
        EXPECT_EQ(receiver.receive().state, State::reset);
        EXPECT_EQ(receiver.outstanding(), 2U);
    }
    EXPECT_EQ(budget->held(), 2 * page);
    EXPECT_EQ(kernel_.tokens.size(), 2U);
    kept_.clear();
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

}  // namespace
}  // namespace devmem
