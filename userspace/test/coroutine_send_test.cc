// SPDX-License-Identifier: MIT
#include "fake_send_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/sender.cc"  // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include <optional>

#include "../examples/task.h"
#include "devmem/coroutine.h"
#include "fake_loop.h"

namespace devmem {
namespace {

using Event = Poller::Event;
using State = Sender::State;

class CoroutineSendTest : public testing::Test {
  protected:
    CoroutineSendTest() : extents_{{0, 3000}, {5000, 1000}} {
        test::fake_send_kernel = &kernel_;
        for (std::size_t i = 0; i < 1 << 16; ++i)
            kernel_.device.push_back(static_cast<std::byte>((i * 2654435761U) >> 13));
    }

    // All of it, and until it is done.
    Task send_all(Sender& sender) {
        for (auto left = drop_front(extents_, 0); !left.empty();) {
            last_ = co_await send(sender, 1, left, loop_);
            if (last_.state != State::sent) co_return;
            left = drop_front(left, last_.bytes);
        }
        sent_ = true;
        error_ = co_await completed(sender, loop_);
        done_ = true;
    }

    void finish_all() {
        while (!kernel_.open.empty()) kernel_.finish(*kernel_.open.begin());
    }

    test::FakeSendKernel kernel_;
    test::FakeLoop loop_;
    std::vector<Extent> extents_;
    Sender::Result last_;
    std::error_code error_;
    bool sent_ = false, done_ = false;
};

TEST_F(CoroutineSendTest, WaitsForRoomAndForCompletion) {
    Sender sender{Fd(77)};
    kernel_.room = 1234;
    const Task task = send_all(sender);
    ASSERT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.waits[0]->fd, 77);
    EXPECT_EQ(loop_.waits[0]->event, Event::writable);
    loop_.happen(Event::writable);  // a false alarm
    ASSERT_EQ(loop_.waits.size(), 1U);
    kernel_.room = 1 << 16;
    loop_.happen(Event::writable);
    EXPECT_TRUE(sent_);
    EXPECT_EQ(kernel_.stream.size(), 4000U);
    ASSERT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.waits[0]->event, Event::error);
    loop_.happen(Event::error);  // of something else
    EXPECT_FALSE(done_);
    finish_all();
    loop_.happen(Event::error);
    EXPECT_TRUE(done_);
    EXPECT_FALSE(error_);
    EXPECT_TRUE(task.done());
}

TEST_F(CoroutineSendTest, WhatIsDoneNeedsNoLoop) {
    Sender sender{Fd()};
    const Task task = [](Sender& tx, Poller& loop) -> Task {
        EXPECT_FALSE(co_await completed(tx, loop));
        EXPECT_FALSE(co_await completed(tx, Sender::Ticket(), loop));
    }(sender, loop_);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(loop_.starts, 0U);
}

TEST_F(CoroutineSendTest, ATicketIsWaitedForAlone) {
    Sender sender{Fd()};
    const Extent some{0, 10};
    const auto first = sender.send(1, std::span(&some, 1)).ticket;
    const auto second = sender.send(1, std::span(&some, 1)).ticket;
    const auto wait = [&](Sender::Ticket ticket) -> Task {
        EXPECT_FALSE(co_await completed(sender, ticket, loop_));
    };
    const Task task = wait(second);
    kernel_.finish(0);
    loop_.happen(Event::error);
    EXPECT_TRUE(sender.done(first));
    EXPECT_FALSE(task.done());
    kernel_.finish(1);
    loop_.happen(Event::error);
    EXPECT_TRUE(task.done());
}

TEST_F(CoroutineSendTest, TooManyInFlightWaitsForOneToBeDone) {
    kernel_.limit = 2;
    kernel_.room = 1 << 16;
    Sender sender{Fd()};
    const Extent some{0, 10};
    sender.send(1, std::span(&some, 1));
    sender.send(1, std::span(&some, 1));
    const Task task = send_all(sender);
    ASSERT_EQ(loop_.waits.size(), 1U);
    EXPECT_EQ(loop_.waits[0]->event, Event::error);
    kernel_.finish(0);
    loop_.happen(Event::error);
    EXPECT_TRUE(sent_);
}

TEST_F(CoroutineSendTest, HostBytes) {
    Sender sender{Fd()};
    kernel_.room = 0;
    const Task task = [](Sender& tx, Poller& loop) -> Task {
        const auto sent = co_await send(tx, std::as_bytes(std::span("abc")), loop);
        EXPECT_EQ(sent.bytes, 4U);
    }(sender, loop_);
    kernel_.room = 100;
    loop_.happen(Event::writable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(sender.pending(), 0U);
}

// 0 is no binding, and not host memory either.
TEST_F(CoroutineSendTest, RefusalsAreStates) {
    Sender sender{Fd()};
    for (const std::uint32_t binding : {0U, 2U}) {
        const auto run = [&]() -> Task { last_ = co_await send(sender, binding, extents_, loop_); };
        const Task task = run();
        EXPECT_TRUE(task.done());
        EXPECT_EQ(last_.state, State::failed);
        EXPECT_EQ(last_.error, std::errc::invalid_argument);
    }
}

TEST_F(CoroutineSendTest, ResetEndsTheWait) {
    Sender sender{Fd()};
    kernel_.room = 0;
    const Task task = send_all(sender);
    EXPECT_FALSE(task.done());
    kernel_.send_error = ECONNRESET;
    loop_.happen(Event::writable);
    EXPECT_TRUE(task.done());
    EXPECT_EQ(last_.state, State::reset);
}

TEST_F(CoroutineSendTest, ALoopThatCanNotWaitIsAFailure) {
    loop_.refusal = std::make_error_code(std::errc::not_enough_memory);
    Sender sender{Fd()};
    const Task task = send_all(sender);
    EXPECT_TRUE(sent_);
    EXPECT_EQ(error_, std::errc::not_enough_memory);
    EXPECT_EQ(sender.pending(), 1U);
    kernel_.room = 0;
    const Task second = send_all(sender);
    EXPECT_EQ(last_.state, State::failed);
    EXPECT_EQ(last_.error, std::errc::not_enough_memory);
}

TEST_F(CoroutineSendTest, DestroyedWhileItWaits) {
    Sender sender{Fd()};
    kernel_.room = 0;
    {
        const Task task = send_all(sender);
        ASSERT_EQ(loop_.waits.size(), 1U);
    }
    EXPECT_TRUE(loop_.waits.empty());
    EXPECT_TRUE(kernel_.stream.empty());
    EXPECT_EQ(sender.pending(), 0U);
    kernel_.room = 1 << 16;
    {
        const Task task = send_all(sender);
        ASSERT_TRUE(sent_);
    }
    EXPECT_TRUE(loop_.waits.empty());
    EXPECT_EQ(sender.pending(), 1U);  // and goes on to be
    finish_all();
    EXPECT_EQ(sender.complete(), 1U);
}

// ---- calls that somebody else makes ---------------------------------------

TEST_F(CoroutineSendTest, CallsMadeElsewhere) {
    Sender sender{Fd()};
    SendCall call(sender, 1, extents_, Sender::More::yes);
    ASSERT_FALSE(call.begin());
    EXPECT_EQ(call.flags(), MSG_ZEROCOPY | MSG_NOSIGNAL | MSG_MORE);
    const auto sent = call.finish(test::fake_sendmsg(0, &call.message(), call.flags()));
    EXPECT_EQ(sent.bytes, 4000U);
    EXPECT_EQ(sender.pending(), 1U);
    finish_all();
    CompletionCall completion(sender);
    const int flags = CompletionCall::flags | MSG_DONTWAIT;
    EXPECT_EQ(completion.finish(test::fake_recvmsg(0, &completion.message(), flags)), 1U);
    EXPECT_TRUE(sender.done(sent.ticket));
    EXPECT_EQ(completion.finish(-EAGAIN), 0U);
}

// The kernel numbers only what it takes.
TEST_F(CoroutineSendTest, CallsThatFailHaveNoNumber) {
    Sender sender{Fd()};
    for (const auto& [error, state] :
         {std::pair(EAGAIN, State::would_block), std::pair(ECANCELED, State::would_block),
          std::pair(EPIPE, State::reset), std::pair(EFAULT, State::failed),
          std::pair(ENOBUFS, State::failed)}) {
        SendCall call(sender, 1, extents_);
        ASSERT_FALSE(call.begin());
        EXPECT_EQ(call.finish(-error).state, state) << error;
        EXPECT_EQ(sender.pending(), 0U);
    }
    const auto sent = sender.send(1, extents_);
    finish_all();
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_TRUE(sender.done(sent.ticket));
}

// Its completion may be read before its answer.
TEST_F(CoroutineSendTest, DoneBeforeItsAnswer) {
    Sender sender{Fd()};
    SendCall call(sender, 1, extents_);
    ASSERT_FALSE(call.begin());
    const ssize_t answer = test::fake_sendmsg(0, &call.message(), call.flags());
    finish_all();
    EXPECT_EQ(sender.complete(), 1U);
    const auto sent = call.finish(answer);
    EXPECT_TRUE(sender.done(sent.ticket));
    EXPECT_EQ(sender.unknown(), 0U);
}

TEST_F(CoroutineSendTest, NoCallToMake) {
    Sender sender(Fd(), {.in_flight = 1});
    SendCall nothing(sender, 1, std::span<const Extent>());
    const auto early = nothing.begin();
    ASSERT_TRUE(early);
    EXPECT_EQ(early->state, State::sent);
    sender.send(1, extents_);
    SendCall full(sender, 1, extents_);
    const auto late = full.begin();
    ASSERT_TRUE(late);
    EXPECT_EQ(late->state, State::no_memory);
}

}  // namespace
}  // namespace devmem
