// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)
// And this is what is tested.
#include "../src/c_receiver.cc"  // NOLINT(bugprone-suspicious-include)

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace devmem {
namespace {

struct Freed {
    void operator()(devmem_receiver* receiver) const { devmem_receiver_free(receiver); }
    void operator()(devmem_frag* frag) const { devmem_frag_free(frag); }
    void operator()(devmem_budget* budget) const { devmem_budget_free(budget); }
};

class CReceiverTest : public testing::Test {
  protected:
    CReceiverTest() { test::fake_kernel = &kernel_; }

    std::unique_ptr<devmem_receiver, Freed> make(const devmem_receiver_options* options = {}) {
        const Fd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
        devmem_receiver* receiver = nullptr;
        EXPECT_EQ(devmem_receiver_new(any.get(), options, &receiver, nullptr), 0);
        return std::unique_ptr<devmem_receiver, Freed>(receiver);
    }

    test::FakeKernel kernel_;
};

TEST_F(CReceiverTest, PiecesArePlain) {
    const auto receiver = make();
    kernel_.queue.push_back({{std::byte{7}, std::byte{8}}, {{8192, 4096, 3}, {100, 50, 3}}});
    const devmem_received* got = devmem_receiver_receive(receiver.get(), 0);
    ASSERT_EQ(got->state, DEVMEM_OK);
    ASSERT_EQ(got->count, 3U);
    EXPECT_EQ(got->bytes, 2U + 4096 + 50);
    EXPECT_EQ(got->pieces[0].size, 2U);
    EXPECT_EQ(got->pieces[0].dmabuf_id, 0U);
    EXPECT_EQ(static_cast<const char*>(got->pieces[0].host)[1], 8);
    EXPECT_EQ(got->pieces[1].host, nullptr);
    EXPECT_EQ(got->pieces[1].offset, 8192U);
    EXPECT_EQ(got->pieces[1].size, 4096U);
    EXPECT_EQ(got->pieces[1].dmabuf_id, 3U);
    EXPECT_EQ(devmem_receiver_outstanding(receiver.get()), 2U);
}

TEST_F(CReceiverTest, StatesAndErrors) {
    const auto receiver = make();
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->state, DEVMEM_WOULD_BLOCK);
    EXPECT_EQ(kernel_.receive_flags, MSG_SOCK_DEVMEM | MSG_DONTWAIT);
    devmem_receiver_receive(receiver.get(), DEVMEM_WAIT);
    EXPECT_EQ(kernel_.receive_flags, MSG_SOCK_DEVMEM);
    kernel_.receive_error = ECONNRESET;
    const devmem_received* got = devmem_receiver_receive(receiver.get(), 0);
    EXPECT_EQ(got->state, DEVMEM_RESET);
    EXPECT_EQ(got->error, ECONNRESET);
    kernel_.receive_error = ENODEV;
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->state, DEVMEM_FAILED);
    EXPECT_EQ(got->error, ENODEV);
    EXPECT_EQ(got->count, 0U);
    kernel_.peer_closed = true;
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->state, DEVMEM_END);
}

TEST_F(CReceiverTest, WhatIsTakenStaysUntilItIsFreed) {
    auto receiver = make();
    kernel_.queue.push_back({{}, {{0, 10, 1}, {4096, 20, 1}}});
    const devmem_piece second = devmem_receiver_receive(receiver.get(), 0)->pieces[1];
    std::unique_ptr<devmem_frag, Freed> frag(devmem_receiver_take(receiver.get(), &second));
    ASSERT_TRUE(frag);
    EXPECT_EQ(devmem_receiver_take(receiver.get(), &second), nullptr);
    EXPECT_EQ(devmem_frag_piece(frag.get())->offset, 4096U);
    EXPECT_EQ(devmem_frag_piece(frag.get())->size, 20U);
    EXPECT_EQ(devmem_frag_piece(frag.get())->dmabuf_id, 1U);

    EXPECT_EQ(devmem_receiver_give_back(receiver.get()), 0);
    EXPECT_EQ(kernel_.tokens, std::set{second.token});
    std::thread([&] { frag.reset(); }).join();
    EXPECT_EQ(devmem_receiver_outstanding(receiver.get()), 1U);
    EXPECT_EQ(devmem_receiver_flush(receiver.get()), 0);
    EXPECT_EQ(devmem_receiver_outstanding(receiver.get()), 0U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CReceiverTest, AFragMayOutliveItsReceiver) {
    auto receiver = make();
    kernel_.queue.push_back({{}, {{0, 10, 1}}});
    const devmem_received* got = devmem_receiver_receive(receiver.get(), 0);
    std::unique_ptr<devmem_frag, Freed> frag(devmem_receiver_take(receiver.get(), got->pieces));
    receiver.reset();
    EXPECT_EQ(kernel_.tokens.size(), 1U);
    frag.reset();
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CReceiverTest, OptionsAreTaken) {
    const devmem_receiver_options options{sizeof(options), 1000, 2, 1, nullptr, 0};
    const auto receiver = make(&options);
    kernel_.queue.push_back({{}, {{0, 1500, 1}}});
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->bytes, 1000U);
    const devmem_piece rest = *devmem_receiver_receive(receiver.get(), 0)->pieces;
    EXPECT_EQ(rest.size, 500U);
    devmem_frag_free(devmem_receiver_take(receiver.get(), &rest));  // and flushed at once
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CReceiverTest, ManyPiecesNeedNoMemory) {
    const devmem_receiver_options options{sizeof(options), 1 << 20, 1, 0, nullptr, 0};
    const auto receiver = make(&options);
    test::FakePacket packet;
    for (std::uint64_t i = 0; i < 5000; ++i) packet.frags.push_back({i * 16, 16, 1});
    kernel_.queue.push_back(packet);
    std::uint64_t next = 0;
    const devmem_piece* first = nullptr;
    for (;;) {
        const devmem_received* got = devmem_receiver_receive(receiver.get(), 0);
        if (got->state != DEVMEM_OK) break;
        if (!first) first = got->pieces;
        EXPECT_EQ(got->pieces, first);  // always in the same place
        for (std::size_t i = 0; i < got->count; ++i, next += 16)
            ASSERT_EQ(got->pieces[i].offset, next);
    }
    EXPECT_EQ(next, 80000U);
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(CReceiverTest, AKernelThatTakesNothingBack) {
    const auto receiver = make();
    kernel_.queue.push_back({{}, {{0, 10, 1}}});
    devmem_receiver_receive(receiver.get(), 0);
    kernel_.return_error = ENOMEM;
    EXPECT_EQ(devmem_receiver_give_back(receiver.get()), -ENOMEM);
    kernel_.return_error = 0;
    EXPECT_EQ(devmem_receiver_flush(receiver.get()), 0);
}

bool readable(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
}

class CBudgetTest : public CReceiverTest {
  protected:
    static std::unique_ptr<devmem_budget, Freed> budget_of(std::uint64_t limit) {
        devmem_budget* budget = nullptr;
        EXPECT_EQ(devmem_budget_new(1, limit, &budget, nullptr), 0);
        return std::unique_ptr<devmem_budget, Freed>(budget);
    }

    std::unique_ptr<devmem_receiver, Freed> make_with(const devmem_budget& budget) {
        auto* const one = const_cast<devmem_budget*>(&budget);
        const devmem_receiver_options options{sizeof(options), 0, 0, 0, &one, 1};
        return make(&options);
    }
};

TEST_F(CBudgetTest, StarvesUntilMemoryGoesBack) {
    const auto budget = budget_of(8192);
    const auto receiver = make_with(*budget);
    for (std::uint64_t i = 0; i < 3; ++i) kernel_.queue.push_back({{}, {{i * 4096, 10, 1}}});
    std::vector<std::unique_ptr<devmem_frag, Freed>> kept;
    for (int i = 0; i < 2; ++i) {
        const devmem_received* got = devmem_receiver_receive(receiver.get(), DEVMEM_WAIT);
        ASSERT_EQ(got->state, DEVMEM_OK);
        EXPECT_EQ(got->budget_fd, -1);
        kept.emplace_back(devmem_receiver_take(receiver.get(), got->pieces));
    }
    EXPECT_EQ(devmem_budget_held(budget.get()), 2U * 4096);
    EXPECT_EQ(devmem_receiver_held(receiver.get(), 1), 2U * 4096);
    EXPECT_EQ(devmem_receiver_held(receiver.get(), 2), 0U);
    EXPECT_TRUE(readable(devmem_budget_fd(budget.get())));

    const devmem_received* got = devmem_receiver_receive(receiver.get(), DEVMEM_WAIT);
    EXPECT_EQ(got->state, DEVMEM_STARVED);
    EXPECT_EQ(got->count, 0U);
    EXPECT_EQ(got->error, 0);
    EXPECT_EQ(got->budget_fd, devmem_budget_fd(budget.get()));
    EXPECT_FALSE(readable(got->budget_fd));
    EXPECT_EQ(devmem_budget_refusals(budget.get()), 1U);
    EXPECT_EQ(kernel_.queue.size(), 1U);

    kept.clear();
    EXPECT_TRUE(readable(got->budget_fd));
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->pieces[0].offset, 2U * 4096);
}

TEST_F(CBudgetTest, ReceiversShareIt) {
    const auto budget = budget_of(4096);
    const auto one = make_with(*budget), two = make_with(*budget);
    kernel_.queue.push_back({{}, {{0, 10, 1}}});
    EXPECT_EQ(devmem_receiver_receive(one.get(), 0)->state, DEVMEM_OK);
    EXPECT_EQ(devmem_receiver_receive(two.get(), 0)->state, DEVMEM_STARVED);
    EXPECT_EQ(devmem_receiver_give_back(one.get()), 0);
    EXPECT_EQ(devmem_receiver_receive(two.get(), 0)->state, DEVMEM_WOULD_BLOCK);
}

TEST_F(CBudgetTest, WithoutALimitItOnlyCounts) {
    const auto budget = budget_of(UINT64_MAX);
    const auto receiver = make_with(*budget);
    kernel_.queue.push_back({{}, {{4095, 2, 1}}});
    EXPECT_EQ(devmem_receiver_receive(receiver.get(), 0)->state, DEVMEM_OK);
    EXPECT_EQ(devmem_budget_held(budget.get()), 2U * 4096);
    EXPECT_EQ(devmem_budget_refusals(budget.get()), 0U);
}

TEST_F(CBudgetTest, MayBeFreedBeforeItsReceiver) {
    auto budget = budget_of(4096);
    const auto receiver = make_with(*budget);
    budget.reset();
    kernel_.queue.push_back({{}, {{0, 10, 1}, {4096, 10, 1}}});
    std::unique_ptr<devmem_frag, Freed> frag(
        devmem_receiver_take(receiver.get(), devmem_receiver_receive(receiver.get(), 0)->pieces));
    const devmem_received* got = devmem_receiver_receive(receiver.get(), 0);
    EXPECT_EQ(got->state, DEVMEM_STARVED);
    EXPECT_FALSE(readable(got->budget_fd));
    frag.reset();
    EXPECT_TRUE(readable(got->budget_fd));
}

}  // namespace
}  // namespace devmem
