// SPDX-License-Identifier: MIT
// What the headers say may be done in several threads, with system calls that fail now and then,
// all but giving tokens back: nobody here would try that again while all sleep.
// ThreadSanitizer is to see it: DEVMEM_SANITIZE=thread.
#include "fake_connection.h"
// The system calls go to the fake connection.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/sender.cc"    // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>

#include "fake_traffic.h"

namespace devmem {
namespace {

using test::FakeConnection;
using test::FakeMemory;
using test::FakeTraffic;

constexpr std::uint64_t page = FakeMemory::page;

struct Job {
    Frag frag;
    std::uint64_t position;
};

bool is_right(const FakeTraffic& traffic, const Job& job) {
    const Frag& frag = job.frag;
    return traffic.is_right({{}, frag.offset(), frag.size(), 1, frag.dmabuf_id()}, job.position);
}

class Jobs {
  public:
    void put(Job job) {
        const std::lock_guard lock(mutex_);
        jobs_.push_back(std::move(job));
        changed_.notify_one();
    }
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }
    std::optional<Job> take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return std::nullopt;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    bool closed_ = false;
};

// Whoever was refused waits until memory has gone back, from whichever thread.
void wait_for_room(const Budget& budget) {
    pollfd room{budget.fd(), POLLIN, 0};
    ::poll(&room, 1, -1);
}

// Checks each frag and gives it back, by destroying it or by its token.
void work(Jobs& jobs, const FakeTraffic& traffic, int socket, std::atomic<int>& wrong) {
    TokenBatch own(socket);
    for (unsigned i = 0; auto job = jobs.take(); ++i) {
        if (!is_right(traffic, *job)) ++wrong;
        if (i % 3 > 0) continue;
        own.add(job->frag.release());
        own.flush();
    }
}

TEST(Threads, FragsDieElsewhereWhileOneReceives) {
    FakeConnection connection(11);
    connection.returns_fail = false;
    FakeMemory memory(1, 32);
    const FakeTraffic traffic(connection, {&memory}, 12, 400'000, true);
    const auto budget = std::make_shared<Budget>(1U, 16 * page);
    Receiver receiver(connection.socket(), {.host_bytes = 20'000, .budgets = {budget}});
    Jobs jobs;
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> workers;
    for (int i = 0; i < 3; ++i)
        workers.emplace_back([&] { work(jobs, traffic, receiver.fd(), wrong); });

    std::uint64_t position = 0;
    for (;;) {
        const auto got = receiver.receive(Receiver::Wait::yes);
        if (got.state == Receiver::State::end) break;
        if (got.state == Receiver::State::starved) wait_for_room(*got.budget);
        for (const Piece& piece : got.pieces) {
            if (piece.on_device())
                jobs.put({receiver.take(piece), position});
            else
                EXPECT_TRUE(traffic.is_right(piece, position));
            position += piece.size;
        }
    }
    jobs.close();
    workers.clear();
    EXPECT_EQ(position, 400'000U);
    EXPECT_EQ(wrong, 0);
    receiver.give_back();
    EXPECT_EQ(receiver.outstanding(), 0U);
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_TRUE(memory.idle());
}

// Reads a stream, keeping some of it for a while. Gives all back before it sleeps.
void read_and_keep(FakeConnection& connection, const FakeTraffic& traffic,
                   const std::shared_ptr<Budget>& budget, std::uint64_t bytes) {
    Receiver receiver(connection.socket(), {.host_bytes = 20'000, .budgets = {budget}});
    std::vector<Job> kept;
    std::uint64_t position = 0;
    for (;;) {
        const auto got = receiver.receive(kept.empty() ? Receiver::Wait::yes : Receiver::Wait::no);
        for (const Piece& piece : got.pieces) {
            EXPECT_TRUE(traffic.is_right(piece, position));
            if (piece.on_device()) kept.push_back({receiver.take(piece), position});
            position += piece.size;
        }
        if (got.state == Receiver::State::end) break;
        if (got.state == Receiver::State::starved && kept.empty()) wait_for_room(*budget);
        if (got.state == Receiver::State::data && kept.size() < 8) continue;
        for (const Job& job : kept) EXPECT_TRUE(is_right(traffic, job));
        kept.clear();
        receiver.flush();
    }
    EXPECT_EQ(position, bytes);
    kept.clear();
    receiver.give_back();
}

TEST(Threads, ReceiversShareABudget) {
    constexpr std::uint64_t bytes = 150'000;
    FakeMemory memory(1, 64);
    const auto budget = std::make_shared<Budget>(1U, 12 * page);
    std::deque<FakeConnection> connections;
    std::deque<FakeTraffic> traffic;
    std::vector<std::jthread> readers;
    for (std::uint32_t i = 1; i <= 3; ++i) {
        connections.emplace_back(20 + i);
        connections.back().returns_fail = false;
        traffic.emplace_back(connections.back(), std::vector<FakeMemory*>{&memory}, 30 + i, bytes,
                             true);
    }
    for (std::size_t i = 0; i < 3; ++i)
        readers.emplace_back([&, i] { read_and_keep(connections[i], traffic[i], budget, bytes); });
    readers.clear();
    EXPECT_EQ(budget->held(), 0U);
    EXPECT_TRUE(memory.idle());
}

void send_all(Sender& sender, std::size_t bytes) {
    for (std::size_t sent = 0; sent < bytes;) {
        std::array<Extent, 2> extents{{{sent % 1000, 3000}, {5, 700}}};
        const auto result = sender.send(1, extents, Sender::Wait::yes);
        sent += result.bytes;
        if (result.state == Sender::State::no_memory) sender.complete(Sender::Wait::yes);
    }
    while (sender.pending() > 0) sender.complete(Sender::Wait::yes);
}

TEST(Threads, OneSendsWhileAnotherReceives) {
    constexpr std::uint64_t bytes = 200'000;
    FakeConnection connection(41);
    connection.returns_fail = false;
    connection.out.device.resize(10'000);
    FakeMemory memory(1, 64);
    const FakeTraffic traffic(connection, {&memory}, 42, bytes, true);
    Sender sender(connection.socket());
    {
        const std::jthread sending([&] { send_all(sender, bytes); });
        read_and_keep(connection, traffic, std::make_shared<Budget>(1U, 12 * page), bytes);
    }
    EXPECT_GE(connection.out.stream.size(), bytes);
    EXPECT_EQ(sender.unknown(), 0U);
    EXPECT_TRUE(memory.idle());
}

}  // namespace
}  // namespace devmem
