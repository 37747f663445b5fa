// SPDX-License-Identifier: MIT
#include "fake_send_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/sender.cc"  // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace devmem {
namespace {

using State = Sender::State;
using Wait = Sender::Wait;
using Ticket = Sender::Ticket;

constexpr std::size_t device_size = 1 << 16;

class SenderTest : public testing::Test {
  protected:
    SenderTest() {
        test::fake_send_kernel = &kernel_;
        for (std::size_t i = 0; i < device_size; ++i)
            kernel_.device.push_back(static_cast<std::byte>((i * 2654435761U) >> 13));
    }

    // One extent, all of which there is room for.
    Ticket send(Sender& sender, const Extent& extent = {0, 10}) {
        const auto sent = sender.send(1, std::span(&extent, 1));
        EXPECT_EQ(sent.state, State::sent);
        EXPECT_EQ(sent.bytes, extent.length);
        return sent.ticket;
    }

    std::vector<Ticket> send_many(Sender& sender, std::size_t count) {
        std::vector<Ticket> tickets(count);
        for (Ticket& ticket : tickets) ticket = send(sender);
        return tickets;
    }

    void expect(const Extent& extent) {
        const auto first = kernel_.device.begin() + static_cast<std::ptrdiff_t>(extent.offset);
        expected_.insert(expected_.end(), first,
                         first + static_cast<std::ptrdiff_t>(extent.length));
    }

    test::FakeSendKernel kernel_;
    std::vector<std::byte> expected_;
};

TEST_F(SenderTest, TurnsZerocopyOn) {
    const Sender sender{Fd()};
    EXPECT_TRUE(kernel_.zerocopy);
    EXPECT_EQ(sender.pending(), 0U);
}

TEST_F(SenderTest, SaysWhatIsNoTcpSocket) {
    kernel_.option_error = 524;  // ENOTSUPP, as for AF_UNIX
    EXPECT_THROW(Sender{Fd()}, Error);
}

TEST_F(SenderTest, SendsExtentsInOrder) {
    Sender sender{Fd()};
    const std::vector<Extent> extents{{100, 50}, {0, 1}, {7, 0}, {device_size - 3, 3}, {100, 50}};
    const auto sent = sender.send(1, extents);
    EXPECT_EQ(sent.state, State::sent);
    EXPECT_EQ(sent.bytes, 104U);
    EXPECT_EQ(kernel_.send_flags, MSG_ZEROCOPY | MSG_NOSIGNAL | MSG_DONTWAIT);
    for (const Extent& extent : extents) expect(extent);
    EXPECT_EQ(kernel_.stream, expected_);
    EXPECT_EQ(sender.pending(), 1U);
    EXPECT_FALSE(sender.done(sent.ticket));
}

TEST_F(SenderTest, FlagsAreThoseAskedFor) {
    Sender sender{Fd()};
    const std::array<Extent, 1> some{{{0, 10}}};
    sender.send(1, some, Wait::yes, Sender::More::yes);
    EXPECT_EQ(kernel_.send_flags, MSG_ZEROCOPY | MSG_NOSIGNAL | MSG_MORE);
    sender.send(std::as_bytes(std::span("abc")), Wait::no, Sender::More::yes);
    EXPECT_EQ(kernel_.send_flags, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
}

TEST_F(SenderTest, NothingIsNotSent) {
    Sender sender{Fd()};
    const std::vector<Extent> nothing(3);
    for (const auto extents : {std::span<const Extent>(), std::span<const Extent>(nothing)}) {
        const auto sent = sender.send(1, extents);
        EXPECT_EQ(sent.state, State::sent);
        EXPECT_EQ(sent.bytes, 0U);
        EXPECT_TRUE(sender.done(sent.ticket));
    }
    EXPECT_EQ(kernel_.send_calls, 0U);
    send(sender);
    kernel_.finish(0);  // the numbers still agree
    EXPECT_EQ(sender.complete(), 1U);
}

TEST_F(SenderTest, LongListsAreSentInParts) {
    Sender sender{Fd()};
    std::vector<Extent> extents;
    for (std::size_t i = 0; i < 2500; ++i) extents.push_back({i, i % 4});
    for (const Extent& extent : extents) expect(extent);
    std::vector<std::size_t> parts;
    for (std::span<Extent> left = extents; !left.empty();) {
        const auto sent = sender.send(1, left);
        ASSERT_EQ(sent.state, State::sent);
        left = drop_front(left, sent.bytes);
        parts.push_back(sent.bytes);
    }
    EXPECT_EQ(parts.size(), 3U);
    EXPECT_EQ(kernel_.stream, expected_);
}

TEST_F(SenderTest, PartialSendsGoOnWhereTheyStopped) {
    Sender sender{Fd()};
    std::vector<Extent> extents{{1, 100}, {500, 30}, {9, 0}, {2, 700}};
    for (const Extent& extent : extents) expect(extent);
    for (std::span<Extent> left = extents; !left.empty();) {
        kernel_.room = 7;
        const auto sent = sender.send(1, left);
        ASSERT_EQ(sent.state, State::sent);
        ASSERT_LE(sent.bytes, 7U);
        left = drop_front(left, sent.bytes);
        ASSERT_EQ(sender.send(1, left).state, left.empty() ? State::sent : State::would_block);
    }
    EXPECT_EQ(kernel_.stream, expected_);
    EXPECT_EQ(sender.pending(), (830U + 6) / 7);  // those that found no room have no number
}

TEST_F(SenderTest, ErrorsAreStates) {
    Sender sender{Fd()};
    const std::array<Extent, 1> some{{{0, 10}}};
    const std::pair<int, State> cases[] = {
        {EAGAIN, State::would_block}, {EINTR, State::would_block},   {EPIPE, State::reset},
        {ECONNRESET, State::reset},   {EHOSTUNREACH, State::failed}, {ENODEV, State::failed},
        {EOPNOTSUPP, State::failed},  {ETIMEDOUT, State::failed},    {ENOBUFS, State::failed}};
    for (const auto& [error, state] : cases) {
        kernel_.send_error = error;
        const auto device = sender.send(1, some);
        EXPECT_EQ(device.state, state) << error;
        EXPECT_EQ(device.error.value(), state == State::would_block ? 0 : error);
        EXPECT_TRUE(sender.done(device.ticket));
        kernel_.send_error = error;
        EXPECT_EQ(sender.send(std::as_bytes(std::span("x"))).state, state) << error;
    }
    EXPECT_EQ(sender.pending(), 0U);
    EXPECT_TRUE(kernel_.stream.empty());
}

TEST_F(SenderTest, WhatTheKernelRefusesIsNotSent) {
    Sender sender{Fd()};
    const std::array<Extent, 2> beyond{{{0, 10}, {device_size - 1, 2}}};
    EXPECT_EQ(sender.send(1, beyond).error, std::errc::bad_address);
    EXPECT_EQ(sender.send(2, std::span(beyond).first(1)).error, std::errc::invalid_argument);
    EXPECT_EQ(sender.send(1, std::array<Extent, 1>{{{SIZE_MAX, SIZE_MAX}}}).state, State::failed);
    EXPECT_TRUE(kernel_.stream.empty());
    EXPECT_EQ(sender.pending(), 0U);
}

TEST_F(SenderTest, HostBytesNeedNoWaiting) {
    Sender sender{Fd()};
    const Ticket first = send(sender);
    const auto sent = sender.send(std::as_bytes(std::span("abc")));
    EXPECT_EQ(sent.bytes, 4U);
    EXPECT_TRUE(sender.done(sent.ticket));
    const Ticket second = send(sender);
    EXPECT_EQ(sender.pending(), 2U);
    kernel_.finish(0);
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_TRUE(sender.done(first));
    EXPECT_FALSE(sender.done(second));
}

TEST_F(SenderTest, RunsCompleteEveryTicketInThem) {
    Sender sender{Fd()};
    const auto tickets = send_many(sender, 10);
    EXPECT_LT(tickets[0], tickets[9]);
    for (std::uint32_t i = 0; i < 7; ++i) kernel_.finish(i);
    ASSERT_EQ(kernel_.completions.size(), 1U);
    EXPECT_EQ(sender.complete(), 7U);
    for (std::size_t i = 0; i < tickets.size(); ++i) EXPECT_EQ(sender.done(tickets[i]), i < 7);
    EXPECT_EQ(sender.complete(), 0U);
}

TEST_F(SenderTest, SendsMayCompleteInAnyOrder) {
    Sender sender{Fd()};
    const auto tickets = send_many(sender, 6);
    std::set<std::size_t> done;
    for (const std::uint32_t number : {4U, 1U, 5U, 0U, 3U, 2U}) {
        kernel_.finish(number);
        done.insert(number);
        EXPECT_EQ(sender.complete(), 1U);
        for (std::size_t i = 0; i < tickets.size(); ++i)
            EXPECT_EQ(sender.done(tickets[i]), done.contains(i)) << number << ' ' << i;
        EXPECT_EQ(sender.pending(), tickets.size() - done.size());
    }
    EXPECT_EQ(sender.unknown(), 0U);
}

TEST_F(SenderTest, NumbersWrapAround) {
    kernel_.next = UINT32_MAX - 2;
    Sender sender(Fd(), {.next = kernel_.next});
    const auto tickets = send_many(sender, 7);
    EXPECT_TRUE(std::is_sorted(tickets.begin(), tickets.end()));
    kernel_.finish(1);  // beyond the end of the numbers
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_TRUE(sender.done(tickets[4]));
    EXPECT_FALSE(sender.done(tickets[0]));
    for (std::uint32_t i = 0; i < 4; ++i) kernel_.finish(UINT32_MAX - 2 + i);
    ASSERT_EQ(kernel_.completions.size(), 1U);  // a run from before the end to after it
    EXPECT_EQ(sender.complete(), 4U);
    EXPECT_EQ(sender.pending(), 2U);
    EXPECT_FALSE(sender.done(tickets[6]));
    EXPECT_EQ(sender.unknown(), 0U);
}

TEST_F(SenderTest, WhatTheKernelCopiedIsTold) {
    Sender sender{Fd()};
    send(sender);
    send(sender);
    kernel_.joins = false;
    kernel_.finish(0);
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_EQ(sender.copied(), 0U);
    kernel_.finish(1, true);
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_EQ(sender.copied(), 1U);
}

TEST_F(SenderTest, SomebodyElsesCompletionsAreTold) {
    Sender sender{Fd()};
    const Ticket ticket = send(sender);
    for (const test::FakeSendKernel::Run run :
         {test::FakeSendKernel::Run{1, 1}, {0, 1}, {UINT32_MAX, 0}, {1, 0}, {5, 3}})
        kernel_.completions.push_back(run);
    EXPECT_EQ(sender.complete(), 0U);
    EXPECT_EQ(sender.unknown(), 5U);
    EXPECT_FALSE(sender.done(ticket));
    kernel_.completions.push_back({0, 0});
    kernel_.completions.push_back({0, 0});
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_EQ(sender.unknown(), 6U);
}

TEST_F(SenderTest, OtherErrorsAreReadAway) {
    Sender sender{Fd()};
    send(sender);
    kernel_.finish(0);
    kernel_.stray.resize(CMSG_SPACE(16));
    EXPECT_EQ(sender.complete(), 1U);
    EXPECT_EQ(sender.unknown(), 0U);
}

TEST_F(SenderTest, UnreadCompletionsAreReadWhereTheyAreInTheWay) {
    kernel_.limit = 4;
    Sender sender{Fd()};
    for (int i = 0; i < 4; ++i) send(sender);
    const std::array<Extent, 1> some{{{0, 10}}};
    const auto full = sender.send(1, some);
    EXPECT_EQ(full.state, State::no_memory);
    EXPECT_EQ(full.error, std::errc::no_buffer_space);
    kernel_.finish(2);
    send(sender);  // no complete() by the caller
    EXPECT_EQ(sender.pending(), 4U);
    EXPECT_EQ(sender.complete(Wait::yes), 1U);
    send(sender);
}

TEST_F(SenderTest, HasALimitOfItsOwn) {
    Sender sender(Fd(), {.in_flight = 3});
    for (int i = 0; i < 3; ++i) send(sender);
    const std::array<Extent, 1> some{{{0, 10}}};
    const std::size_t calls = kernel_.send_calls;
    EXPECT_EQ(sender.send(1, some).state, State::no_memory);
    kernel_.finish(1);  // the oldest is still open: no number to spare
    EXPECT_EQ(sender.send(1, some).state, State::no_memory);
    EXPECT_EQ(kernel_.send_calls, calls);
    kernel_.finish(0);
    send(sender);
    EXPECT_EQ(sender.pending(), 2U);
}

TEST_F(SenderTest, WaitsForACompletion) {
    Sender sender{Fd()};
    EXPECT_EQ(sender.complete(Wait::yes), 0U);  // nothing pending, nothing to wait for
    EXPECT_EQ(kernel_.polls, 0U);
    for (int i = 0; i < 3; ++i) send(sender);
    EXPECT_EQ(sender.complete(Wait::yes), 1U);
    EXPECT_EQ(kernel_.polls, 1U);
    kernel_.poll_error = EINTR;
    EXPECT_EQ(sender.complete(Wait::yes), 0U);
    EXPECT_EQ(sender.pending(), 2U);
}

TEST_F(SenderTest, DoesNotSpinWherePollHasOtherNews) {
    Sender sender{Fd()};
    send(sender);
    kernel_.idle_polls = 5;
    EXPECT_EQ(sender.complete(Wait::yes), 1U);
    EXPECT_EQ(kernel_.polls, 6U);
    EXPECT_EQ(kernel_.naps, 5U);
}

TEST_F(SenderTest, MovedSenderGoesOn) {
    Sender first{Fd()};
    const Ticket ticket = send(first);
    Sender second(std::move(first));
    kernel_.finish(0);
    EXPECT_EQ(second.complete(), 1U);
    EXPECT_TRUE(second.done(ticket));
    second = Sender(Fd());
    EXPECT_EQ(second.pending(), 0U);
}

// Any mixture of sends, room and completions; numbers start anywhere.
TEST_F(SenderTest, RandomStreamsLeaveWholeAndInOrder) {
    std::mt19937 random(20241117);
    const auto below = [&](std::size_t n) { return random() % n; };
    for (int round = 0; round < 300; ++round) {
        kernel_.stream.clear();
        kernel_.open.clear();
        kernel_.completions.clear();
        kernel_.joins = below(2) == 0;
        kernel_.limit = 1 + below(40);
        kernel_.next = UINT32_MAX - static_cast<std::uint32_t>(below(60));
        expected_.clear();
        Sender sender(Fd(), {.in_flight = 1 + below(60), .next = kernel_.next});
        std::map<std::uint32_t, Ticket> open;
        for (int call = 0; call < 100; ++call) {
            kernel_.room = below(3) * below(9000);
            std::vector<Extent> extents(1 + below(5));
            for (Extent& extent : extents) extent = {below(60000), below(5000)};
            const std::uint32_t number = kernel_.next;
            const auto sent = sender.send(1, extents);
            std::size_t left = sent.bytes;
            for (const Extent& extent : extents) {
                expect({extent.offset, std::min(left, extent.length)});
                left -= std::min(left, extent.length);
            }
            if (kernel_.next != number) open[number] = sent.ticket;
            while (!kernel_.open.empty() && below(3) != 0)
                kernel_.finish(*std::next(kernel_.open.begin(),
                                          static_cast<std::ptrdiff_t>(below(kernel_.open.size()))));
            if (below(2) == 0) sender.complete();
        }
        sender.complete();
        EXPECT_EQ(kernel_.stream, expected_);
        for (const auto& [number, ticket] : open)
            ASSERT_EQ(sender.done(ticket), !kernel_.open.contains(number)) << number;
        ASSERT_EQ(sender.pending(), kernel_.open.size());
        ASSERT_EQ(sender.unknown(), 0U);
    }
}

}  // namespace
}  // namespace devmem
