// SPDX-License-Identifier: MIT
// A Uring of this machine's kernel, and connections of this machine to itself.
#include "devmem/uring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "../examples/task.h"
#include "receiver_core.h"
#include "tcp_pair.h"

namespace devmem {
namespace {

using State = Receiver::State;
using namespace std::chrono_literals;

std::byte stream_byte(std::uint64_t at) {
    return static_cast<std::byte>((at * 2654435761U) >> 13);
}

class UringTest : public testing::Test {
  protected:
    void SetUp() override {
        try {
            uring_.emplace(8);  // few, so that there are too few
        } catch (const Error& error) {
            GTEST_SKIP() << error.what();
        }
    }

    // Until nobody waits.
    void run() {
        while (uring_->waiting() > 0) ASSERT_FALSE(uring_->turn());
    }

    // What comes, until the stream is over.
    Task read(Receiver& receiver) {
        do {
            last_ = co_await receive(receiver, *uring_);
            for (const Piece& piece : last_.pieces)
                text_.append(reinterpret_cast<const char*>(piece.host.data()), piece.host.size());
        } while (last_.state == State::data);
    }

    // What an ordinary receive() then gives.
    static std::string read_now(Receiver& receiver) {
        const auto got = receiver.receive(Receiver::Wait::yes);
        std::string text;
        for (const Piece& piece : got.pieces)
            text.append(reinterpret_cast<const char*>(piece.host.data()), piece.host.size());
        return text;
    }

    // What is said now wakes the task, and so does the end.
    void expect_read_to_the_end(test::TcpPair& pair, const Task& task) {
        pair.say("abc");
        EXPECT_FALSE(uring_->turn());
        EXPECT_EQ(text_, "abc");
        pair.say("def");
        pair.there.close();
        run();
        EXPECT_TRUE(task.done());
        EXPECT_EQ(text_, "abcdef");
        EXPECT_EQ(last_.state, State::end);
    }

    std::optional<Uring> uring_;
    std::string text_;
    Receiver::Result last_;
};

TEST_F(UringTest, NothingToDo) {
    EXPECT_FALSE(uring_->turn());
    EXPECT_EQ(uring_->calls(), 0U);
}

TEST_F(UringTest, ReceivesToTheEnd) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here));
    const Task task = read(receiver);
    EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    EXPECT_FALSE(task.done());
    EXPECT_EQ(uring_->waiting(), 1U);
    expect_read_to_the_end(pair, task);
}

TEST_F(UringTest, ANonBlockingSocketIsWaitedForAsWell) {
    test::TcpPair pair;
    ::fcntl(pair.here.get(), F_SETFL, O_NONBLOCK);
    Receiver receiver(std::move(pair.here));
    const Task task = read(receiver);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    pair.say("abc");
    pair.there.close();
    run();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(text_, "abc");
}

TEST_F(UringTest, ResetIsAState) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here));
    const Task task = read(receiver);
    EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    pair.reset();
    run();
    EXPECT_EQ(last_.state, State::reset);
    EXPECT_EQ(last_.error, std::errc::connection_reset);
}

TEST_F(UringTest, TellsAnotherLoopThatItHasWork) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here));
    const Task task = read(receiver);
    EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    pollfd entry{uring_->fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 0);
    pair.say("abc");
    EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
    EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    EXPECT_EQ(text_, "abc");
}

// ---- with budgets -------------------------------------------------------------

class UringBudgetTest : public UringTest {
  protected:
    // Takes all of the budget, as a receiver does while it reads.
    ReceiverCore hog() { return {Fd(), 64, std::span(&budget_, 1)}; }

    std::shared_ptr<Budget> budget_ = std::make_shared<Budget>(1, 4096);
};

TEST_F(UringBudgetTest, ReceivesToTheEndAndKeepsNothingMeanwhile) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here), {.budgets = {budget_}});
    const Task task = read(receiver);
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(uring_->turn(Uring::Wait::no));
        EXPECT_FALSE(task.done());
        EXPECT_EQ(uring_->waiting(), 1U);
        EXPECT_EQ(budget_->held(), 0U);
    }
    expect_read_to_the_end(pair, task);
}

TEST_F(UringBudgetTest, StarvesUntilThereIsRoom) {
    test::TcpPair pair;
    pair.say("abc");
    pair.there.close();
    ReceiverCore other = hog();
    ASSERT_EQ(other.reserve(4096).lacking, nullptr);
    Receiver receiver(std::move(pair.here), {.budgets = {budget_}});
    int refused = 0;
    const auto run_it = [&]() -> Task {
        for (;;) {
            const auto got = co_await receive(receiver, *uring_);
            last_ = got;
            if (got.state == State::starved) {
                ++refused;
                EXPECT_EQ(got.budget, budget_.get());
                EXPECT_FALSE(co_await room(*got.budget, *uring_));
                continue;
            }
            if (got.state != State::data) break;
            text_.append(reinterpret_cast<const char*>(got.pieces[0].host.data()), got.bytes);
        }
    };
    const Task task = run_it();
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    EXPECT_EQ(refused, 1);
    EXPECT_EQ(text_, "");
    EXPECT_EQ(uring_->waiting(), 1U);
    other.minted({});
    run();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(text_, "abc");
    EXPECT_EQ(refused, 1);
    EXPECT_EQ(last_.state, State::end);
}

// A completion that nobody has read is reported again and again.
TEST_F(UringBudgetTest, WhatASenderHasToHearDoesNotEndTheWait) {
    test::TcpPair pair;
    Sender sender(Fd::duplicate(pair.here.get()));
    Receiver receiver(std::move(pair.here), {.budgets = {budget_}});
    const std::vector<std::byte> bytes(4096);
    iovec iov{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    ASSERT_EQ(::sendmsg(sender.fd(), &message, MSG_ZEROCOPY), 4096);
    pollfd news{sender.fd(), 0, 0};
    ASSERT_EQ(::poll(&news, 1, 10'000), 1);
    const Task task = read(receiver);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) EXPECT_FALSE(uring_->turn());
    EXPECT_FALSE(task.done());
    EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms);  // it naps
    pair.say("abc");
    pair.there.close();
    run();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(text_, "abc");
}

TEST_F(UringBudgetTest, DestroyedWhileTheyWait) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here), {.budgets = {budget_}});
    {
        const Task task = read(receiver);
        EXPECT_FALSE(uring_->turn(Uring::Wait::no));
        ReceiverCore one = hog(), two = hog();
        ASSERT_EQ(one.reserve(4096).lacking, nullptr);
        ASSERT_NE(two.reserve(4096).lacking, nullptr);
        const auto run_it = [&]() -> Task { co_await room(*budget_, *uring_); };
        const Task second = run_it();
        EXPECT_FALSE(uring_->turn(Uring::Wait::no));
        EXPECT_EQ(uring_->waiting(), 2U);
        one.minted({});
    }
    EXPECT_EQ(uring_->waiting(), 0U);
    pair.say("abc");
    EXPECT_EQ(read_now(receiver), "abc");
}

// ---- both ways, on more connections than the ring has entries ---------------

class UringStreamTest : public UringTest {
  protected:
    static constexpr std::size_t length = 3'000'001;

    Task send_all(Sender& sender) {
        std::span<const std::byte> left = bytes_;
        while (!left.empty()) {
            const auto sent = co_await send(sender, left, *uring_);
            EXPECT_EQ(sent.state, Sender::State::sent);
            if (sent.state != Sender::State::sent) break;
            left = left.subspan(sent.bytes);
        }
        EXPECT_FALSE(co_await completed(sender, *uring_));
        ::shutdown(sender.fd(), SHUT_WR);
    }

    Task read_all(Receiver& receiver) {
        std::uint64_t at = 0;
        for (;;) {
            const auto got = co_await receive(receiver, *uring_);
            if (got.state != State::data) break;
            for (const Piece& piece : got.pieces)
                for (const std::byte byte : piece.host) wrong_ += byte != stream_byte(at++);
        }
        EXPECT_EQ(at, length);
        ++whole_;
    }

    std::vector<std::byte> bytes_;
    std::uint64_t wrong_ = 0;
    int whole_ = 0;
};

TEST_F(UringStreamTest, ManyStreamsArriveWhole) {
    constexpr int connections = 12;
    for (std::size_t i = 0; i < length; ++i) bytes_.push_back(stream_byte(i));
    std::list<Receiver> receivers;
    std::list<Sender> senders;
    std::vector<Task> tasks;
    for (int i = 0; i < connections; ++i) {
        test::TcpPair pair;
        tasks.push_back(read_all(receivers.emplace_back(std::move(pair.here))));
        tasks.push_back(send_all(senders.emplace_back(std::move(pair.there))));
    }
    run();
    EXPECT_EQ(whole_, connections);
    EXPECT_EQ(wrong_, 0U);
}

TEST_F(UringStreamTest, SendingToWhoIsGone) {
    test::TcpPair pair;
    pair.reset();
    Sender sender(std::move(pair.here));
    Sender::Result last;
    const auto run_it = [&]() -> Task {
        do last = co_await send(sender, std::as_bytes(std::span("abc")), *uring_);
        while (last.state == Sender::State::sent);
    };
    const Task task = run_it();
    run();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(last.state, Sender::State::reset);
}

// No kernel has such a binding; those without device memory know no such message either.
TEST_F(UringStreamTest, ARefusalIsAState) {
    test::TcpPair pair;
    Sender sender(std::move(pair.here));
    const Extent extent{0, 10};
    Sender::Result last;
    const auto run_it = [&]() -> Task {
        last = co_await send(sender, UINT32_MAX, std::span(&extent, 1), *uring_);
    };
    const Task task = run_it();
    run();
    EXPECT_EQ(last.state, Sender::State::failed);
    EXPECT_EQ(last.error, std::errc::invalid_argument);
    EXPECT_EQ(sender.pending(), 0U);
}

// ---- coroutines that end while they wait --------------------------------------

TEST_F(UringTest, DestroyedBeforeItWasHandedOver) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here));
    read(receiver).destroy();
    EXPECT_EQ(uring_->waiting(), 0U);
    pair.say("abc");
    EXPECT_EQ(read_now(receiver), "abc");
    EXPECT_EQ(text_, "");
}

TEST_F(UringTest, DestroyedWhileItWaits) {
    test::TcpPair pair;
    Receiver receiver(std::move(pair.here));
    {
        const Task task = read(receiver);
        EXPECT_FALSE(uring_->turn(Uring::Wait::no));
    }
    EXPECT_EQ(uring_->waiting(), 0U);
    pair.say("abc");
    EXPECT_EQ(read_now(receiver), "abc");
    EXPECT_FALSE(uring_->turn());
    EXPECT_EQ(text_, "");
}

// Whether the kernel has read it by then or not.
TEST_F(UringTest, WhatWasReceivedForACoroutineThatIsGoneComesNext) {
    for (int i = 0; i < 20; ++i) {
        test::TcpPair pair;
        Receiver receiver(std::move(pair.here));
        {
            const Task task = read(receiver);
            EXPECT_FALSE(uring_->turn(Uring::Wait::no));
            pair.say("abc");
        }
        const Task next = read(receiver);
        pair.there.close();
        run();
        EXPECT_EQ(std::exchange(text_, {}), "abc");
    }
}

// Both are told in one turn; whoever is first destroys the other.
TEST_F(UringTest, DestroyedByAnotherThatIsReadyAsWell) {
    test::TcpPair pairs[2];
    Receiver receivers[2] = {Receiver(std::move(pairs[0].here)),
                             Receiver(std::move(pairs[1].here))};
    std::optional<Task> tasks[2];
    int resumed = 0;
    const auto run_it = [&](int which) -> Task {
        co_await receive(receivers[which], *uring_);
        ++resumed;
        tasks[1 - which].reset();
    };
    pairs[0].say("abc");
    pairs[1].say("abc");
    for (int i = 0; i < 2; ++i) tasks[i].emplace(run_it(i));
    run();
    EXPECT_EQ(resumed, 1);
    EXPECT_EQ(tasks[0].has_value() + tasks[1].has_value(), 1);
    const int gone = tasks[0] ? 1 : 0;
    EXPECT_EQ(read_now(receivers[gone]), "abc");  // it was not lost
}

TEST_F(UringTest, ASendThatIsDestroyed) {
    test::TcpPair pair;
    const std::vector<std::byte> much(64 << 20);
    Sender sender(std::move(pair.here));
    const auto run_it = [&]() -> Task {
        for (;;) co_await send(sender, much, *uring_);
    };
    {
        const Task task = run_it();
        for (int i = 0; i < 3; ++i) EXPECT_FALSE(uring_->turn(Uring::Wait::no));
        EXPECT_FALSE(task.done());
        EXPECT_EQ(uring_->waiting(), 1U);
    }
    EXPECT_EQ(uring_->waiting(), 0U);
}

}  // namespace
}  // namespace devmem
