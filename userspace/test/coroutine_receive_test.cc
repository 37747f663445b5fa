// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include <optional>

#include "../examples/task.h"
#include "devmem/coroutine.h"
#include "fake_loop.h"

namespace devmem {
namespace {

using Event = Poller::Event;
using State = Receiver::State;

class CoroutineReceiveTest : public testing::Test {
  protected:
    CoroutineReceiveTest() { test::fake_kernel = &kernel_; }

    void arrive(std::uint32_t bytes) {
        kernel_.queue.push_back({{}, {{place_, bytes, 1}}});
        place_ += bytes;
    }

    // Counts what comes, until the stream is over.
    Task count(Receiver& receiver) {
        do {
            last_ = co_await receive(receiver, loop_);
            for (const Piece& piece : last_.pieces) bytes_ += piece.size;
        } while (last_.state == State::data);
    }

    test::FakeKernel kernel_;
    test::FakeLoop loop_;
    std::uint64_t place_ = 0, bytes_ = 0;
    Receiver::Result last_;
};

TEST_F(CoroutineReceiveTest, WhatIsThereNeedsNoLoop) {
    arrive(100);
    arrive(50);
    kernel_.peer_closed = true;
    Receiver receiver{Fd()};
    const Task task = count(receiver);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(bytes_, 150U);
    EXPECT_EQ(last_.state, State::end);
    EXPECT_EQ(loop_.starts, 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CoroutineReceiveTest, WaitsForWhatIsNot) {
    Receiver receiver{Fd(77)};
    const Task task = count(receiver);
    ASSERT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.waits[0]->fd, 77);
    EXPECT_EQ(loop_.waits[0]->event, Event::readable);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        arrive(100);
        loop_.happen(Event::readable);
        EXPECT_EQ(bytes_, i * 100);
    }
    EXPECT_FALSE(task.done());
    kernel_.peer_closed = true;
    loop_.happen(Event::readable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(last_.state, State::end);
}

TEST_F(CoroutineReceiveTest, FalseAlarmsGoUnseen) {
    Receiver receiver{Fd()};
    const Task task = count(receiver);
    for (int i = 0; i < 5; ++i) loop_.happen(Event::readable);
    kernel_.receive_error = EINTR;
    loop_.happen(Event::readable);
    EXPECT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.starts, 7U);
    arrive(10);
    loop_.happen(Event::readable);
    EXPECT_EQ(bytes_, 10U);
}

TEST_F(CoroutineReceiveTest, ResetAndFailureAreStates) {
    for (const auto& [error, state] :
         {std::pair(ECONNRESET, State::reset), std::pair(ENODEV, State::failed)}) {
        Receiver receiver{Fd()};
        const Task task = count(receiver);
        kernel_.receive_error = error;
        loop_.happen(Event::readable);
        EXPECT_TRUE(task.done());
        EXPECT_EQ(last_.state, state);
        EXPECT_EQ(last_.error.value(), error);
    }
}

TEST_F(CoroutineReceiveTest, WhoIsStarvedWaitsForRoom) {
    const auto budget = std::make_shared<Budget>(1U, 4096);
    Receiver receiver(Fd(), {.budgets = {budget}}), other(Fd(), {.budgets = {budget}});
    arrive(10);
    ASSERT_EQ(other.receive().state, State::data);
    arrive(20);
    kernel_.peer_closed = true;
    const auto run_it = [&]() -> Task {
        do {
            last_ = co_await receive(receiver, loop_);
            bytes_ += last_.bytes;
            if (last_.state != State::starved) continue;
            EXPECT_FALSE(co_await room(*last_.budget, loop_));
        } while (last_.state != State::end);
        EXPECT_FALSE(co_await room(*budget, loop_));  // there is some
    };
    const Task task = run_it();
    ASSERT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.waits[0]->fd, budget->fd());
    EXPECT_EQ(loop_.waits[0]->event, Event::readable);
    loop_.happen(Event::readable);  // a false alarm
    EXPECT_EQ(loop_.waits.size(), 1U);
    EXPECT_FALSE(other.give_back());
    loop_.happen(Event::readable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(bytes_, 20U);
}

TEST_F(CoroutineReceiveTest, ALoopThatCanNotWaitIsAFailure) {
    loop_.refusal = std::make_error_code(std::errc::not_enough_memory);
    Receiver receiver{Fd()};
    const Task task = count(receiver);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(last_.state, State::failed);
    EXPECT_EQ(last_.error, std::errc::not_enough_memory);
}

TEST_F(CoroutineReceiveTest, AlsoLater) {
    Receiver receiver{Fd()};
    const Task task = count(receiver);
    loop_.refusal = std::make_error_code(std::errc::not_enough_memory);
    loop_.happen(Event::readable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(last_.state, State::failed);
    EXPECT_EQ(loop_.cancels, 0U);
}

TEST_F(CoroutineReceiveTest, DestroyedWhileItWaits) {
    Receiver receiver{Fd()};
    {
        const Task task = count(receiver);
        ASSERT_EQ(loop_.waits.size(), 1U);
    }
    EXPECT_TRUE(loop_.waits.empty());
    EXPECT_EQ(loop_.cancels, 1U);
    arrive(10);
    loop_.happen(Event::readable);
    EXPECT_EQ(bytes_, 0U);
    EXPECT_EQ(receiver.receive().bytes, 10U);  // nothing was lost
}

TEST_F(CoroutineReceiveTest, DestroyedWithItsReceiver) {
    {
        const Task task = [](Poller& loop) -> Task {
            Receiver own{Fd()};
            co_await receive(own, loop);
        }(loop_);
        ASSERT_EQ(loop_.waits.size(), 1U);
    }
    EXPECT_TRUE(loop_.waits.empty());
}

// Both wait for the same event; whoever is first destroys the other, which has been told too.
TEST_F(CoroutineReceiveTest, DestroyedByAnotherThatIsReadyAsWell) {
    Receiver first{Fd()}, second{Fd()};
    std::optional<Task> victim;
    const auto run = [&](Receiver& receiver) -> Task {
        co_await receive(receiver, loop_);
        victim.reset();
    };
    const Task task = run(first);
    victim.emplace(count(second));
    ASSERT_EQ(loop_.waits.size(), 2U);
    arrive(10);
    loop_.happen(Event::readable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(loop_.cancels, 1U);
    EXPECT_TRUE(loop_.waits.empty());
    EXPECT_EQ(bytes_, 0U);
}

TEST_F(CoroutineReceiveTest, PiecesAreLentUntilTheNextReceive) {
    Receiver receiver{Fd()};
    std::optional<Frag> kept;
    const auto run = [&]() -> Task {
        const auto got = co_await receive(receiver, loop_);
        kept = receiver.take(got.pieces[0]);
        co_await receive(receiver, loop_);
    };
    const Task task = run();
    kernel_.queue.push_back({{}, {{0, 10, 1}, {4096, 10, 1}}});
    loop_.happen(Event::readable);
    EXPECT_EQ(kernel_.tokens.size(), 1U);
    kept.reset();
    receiver.flush();
    EXPECT_TRUE(kernel_.tokens.empty());
}

// ---- calls that somebody else makes ---------------------------------------

// Makes the calls as an engine would.
std::optional<Receiver::Result> make(ReceiveCall& call) {
    const ssize_t got = test::fake_recvmsg(0, &call.message(), ReceiveCall::flags);
    return call.finish(got < 0 ? -errno : got);
}

int return_to(test::FakeKernel& kernel, std::span<const std::byte> tokens) {
    const int freed = kernel.dontneed(tokens.data(), static_cast<socklen_t>(tokens.size()));
    return freed < 0 ? -errno : freed;
}

TEST_F(CoroutineReceiveTest, CallsMadeElsewhere) {
    Receiver receiver(Fd(), {.pieces = 1});
    ReceiveCall call(receiver);
    EXPECT_TRUE(call.tokens().empty());
    kernel_.queue.push_back({{}, {{0, 10, 1}, {4096, 10, 1}, {9000, 10, 1}}});
    std::optional<Receiver::Result> got;
    for (int calls = 0; !got && calls < 10; ++calls) got = make(call);
    ASSERT_TRUE(got);
    EXPECT_EQ(receiver.outstanding(), got->pieces.size());
    const auto tokens = call.tokens();
    EXPECT_EQ(receiver.outstanding(), kernel_.tokens.size());  // the kernel has yet to say so
    call.tokens_arrived(return_to(kernel_, tokens));
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CoroutineReceiveTest, TokensThatDidNotArriveGoByAnOrdinaryCall) {
    Receiver receiver{Fd()};
    ReceiveCall call(receiver);
    for (const int answer : {-EOPNOTSUPP, -ECANCELED, 1}) {
        kernel_.queue.push_back({{}, {{0, 10, 1}, {4096, 10, 1}, {9000, 10, 1}}});
        ASSERT_TRUE(make(call));
        const auto tokens = call.tokens();
        ASSERT_FALSE(tokens.empty());
        if (answer > 0) kernel_.tokens.erase(kernel_.tokens.begin());  // only the first was taken
        call.tokens_arrived(answer);
        EXPECT_TRUE(kernel_.tokens.empty());
        EXPECT_EQ(receiver.outstanding(), 0U);
    }
}

TEST_F(CoroutineReceiveTest, TokensThatNobodyTakesWaitForTheNextTime) {
    Receiver receiver{Fd()};
    ReceiveCall call(receiver);
    arrive(10);
    ASSERT_TRUE(make(call));
    ASSERT_FALSE(call.tokens().empty());
    kernel_.return_error = ENOMEM;
    call.tokens_arrived(-ENOMEM);
    EXPECT_EQ(receiver.outstanding(), 1U);
    kernel_.return_error = 0;
    EXPECT_EQ(receiver.receive().state, State::would_block);
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

// What is on its way must not be returned a second time: the number may be another frag's by then.
TEST_F(CoroutineReceiveTest, TokensOnTheirWayAreNotReturnedTwice) {
    Receiver receiver{Fd()};
    ReceiveCall call(receiver);
    arrive(10);
    arrive(10);
    const auto got = make(call);
    ASSERT_TRUE(got);
    Frag frag = receiver.take(got->pieces[0]);
    const auto tokens = call.tokens();
    const std::size_t calls = kernel_.return_calls;
    frag.give_back();
    receiver.flush();  // this one alone
    EXPECT_EQ(kernel_.return_calls, calls + 1);
    EXPECT_EQ(kernel_.tokens.size(), 1U);
    EXPECT_EQ(return_to(kernel_, tokens), 1);
    call.tokens_arrived(1);
    EXPECT_EQ(receiver.outstanding(), 0U);
}

TEST_F(CoroutineReceiveTest, WhatNobodyWaitedForComesNext) {
    Receiver receiver{Fd()};
    arrive(10);
    {
        ReceiveCall call(receiver);
        const auto got = make(call);
        ASSERT_TRUE(got);
        call.keep(*got);
    }
    receiver.give_back();
    EXPECT_EQ(kernel_.tokens.size(), 1U);  // nobody has seen it yet
    const auto got = receiver.receive();
    EXPECT_EQ(got.bytes, 10U);
    EXPECT_EQ(got.pieces.size(), 1U);
    EXPECT_EQ(receiver.receive().state, State::would_block);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CoroutineReceiveTest, WhatNobodyWaitedForIsGivenBackInTheEnd) {
    arrive(10);
    {
        Receiver receiver{Fd()};
        ReceiveCall call(receiver);
        call.keep(*make(call));
    }
    EXPECT_TRUE(kernel_.tokens.empty());
}

}  // namespace
}  // namespace devmem
