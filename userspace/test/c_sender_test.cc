// SPDX-License-Identifier: MIT
#include "fake_send_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/sender.cc"  // NOLINT(bugprone-suspicious-include)
// And this is what is tested.
#include "../src/c_sender.cc"  // NOLINT(bugprone-suspicious-include)

#include <fcntl.h>
#include <gtest/gtest.h>

namespace devmem {
namespace {

struct Freed {
    void operator()(devmem_sender* sender) const { devmem_sender_free(sender); }
};

class CSenderTest : public testing::Test {
  protected:
    CSenderTest() {
        test::fake_send_kernel = &kernel_;
        for (std::size_t i = 0; i < 1 << 16; ++i)
            kernel_.device.push_back(static_cast<std::byte>((i * 2654435761U) >> 13));
    }

    std::unique_ptr<devmem_sender, Freed> make(const devmem_sender_options* options = {}) {
        const Fd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
        devmem_sender* sender = nullptr;
        EXPECT_EQ(devmem_sender_new(any.get(), options, &sender, nullptr), 0);
        return std::unique_ptr<devmem_sender, Freed>(sender);
    }

    // The ticket of one extent, all of which there is room for.
    static std::uint64_t send(devmem_sender* sender, const devmem_extent& extent = {0, 10}) {
        const devmem_sent* sent = devmem_sender_send(sender, 1, &extent, 1, 0);
        EXPECT_EQ(sent->state, DEVMEM_OK);
        EXPECT_EQ(sent->bytes, extent.length);
        return sent->ticket;
    }

    test::FakeSendKernel kernel_;
};

TEST_F(CSenderTest, SendsExtentsUntilNoneIsLeft) {
    const auto sender = make();
    std::vector<devmem_extent> extents;
    std::vector<std::byte> expected;
    for (std::size_t i = 0; i < 2500; ++i) {
        extents.push_back({i * 7, i % 4});
        expected.insert(expected.end(), &kernel_.device[i * 7], &kernel_.device[i * 7 + i % 4]);
    }
    for (std::span left(extents); !left.empty();) {
        kernel_.room = 1001;
        const devmem_sent* sent = devmem_sender_send(sender.get(), 1, left.data(), left.size(), 0);
        ASSERT_EQ(sent->state, DEVMEM_OK);
        left = left.subspan(devmem_drop_front(left.data(), left.size(), sent->bytes));
    }
    EXPECT_EQ(kernel_.stream, expected);
}

TEST_F(CSenderTest, TicketsAreDoneWhenTheKernelSaysSo) {
    const auto sender = make();
    const std::uint64_t first = send(sender.get()), second = send(sender.get());
    EXPECT_NE(first, 0U);
    EXPECT_LT(first, second);
    EXPECT_FALSE(devmem_sender_done(sender.get(), first));
    kernel_.finish(1);
    EXPECT_EQ(devmem_sender_complete(sender.get(), 0), 1U);
    EXPECT_TRUE(devmem_sender_done(sender.get(), second));
    EXPECT_FALSE(devmem_sender_done(sender.get(), first));
    EXPECT_EQ(devmem_sender_pending(sender.get()), 1U);
    EXPECT_EQ(devmem_sender_complete(sender.get(), DEVMEM_WAIT), 1U);
    EXPECT_TRUE(devmem_sender_done(sender.get(), first));
    EXPECT_FALSE(devmem_sender_done(sender.get(), UINT64_MAX));  // nobody has sent that
    EXPECT_EQ(devmem_sender_unknown(sender.get()), 0U);
}

TEST_F(CSenderTest, FlagsAreThoseAskedFor) {
    const auto sender = make();
    const devmem_extent some{0, 10};
    devmem_sender_send(sender.get(), 1, &some, 1, DEVMEM_WAIT | DEVMEM_MORE);
    EXPECT_EQ(kernel_.send_flags, MSG_ZEROCOPY | MSG_NOSIGNAL | MSG_MORE);
    devmem_sender_send_bytes(sender.get(), "abc", 3, 0);
    EXPECT_EQ(kernel_.send_flags, MSG_NOSIGNAL | MSG_DONTWAIT);
}

TEST_F(CSenderTest, StatesAndErrors) {
    const devmem_sender_options options{sizeof(options), 2, UINT32_MAX};
    kernel_.next = UINT32_MAX;
    const auto sender = make(&options);
    const devmem_extent some{0, 10}, outside{1 << 16, 1};
    kernel_.room = 0;
    const devmem_sent* sent = devmem_sender_send(sender.get(), 1, &some, 1, 0);
    EXPECT_EQ(sent->state, DEVMEM_WOULD_BLOCK);
    kernel_.room = 100;
    sent = devmem_sender_send(sender.get(), 1, &outside, 1, 0);
    EXPECT_EQ(sent->state, DEVMEM_FAILED);
    EXPECT_EQ(sent->error, EFAULT);
    kernel_.send_error = EPIPE;
    EXPECT_EQ(devmem_sender_send(sender.get(), 1, &some, 1, 0)->state, DEVMEM_RESET);
    send(sender.get());
    send(sender.get());
    sent = devmem_sender_send(sender.get(), 1, &some, 1, 0);
    EXPECT_EQ(sent->state, DEVMEM_NO_MEMORY);
    EXPECT_EQ(sent->error, ENOBUFS);
    kernel_.finish(UINT32_MAX);
    kernel_.finish(0);
    EXPECT_EQ(devmem_sender_complete(sender.get(), 0), 2U);
}

TEST_F(CSenderTest, SomebodyElsesCompletionsAreToldOf) {
    const auto sender = make();
    kernel_.finish(5);
    EXPECT_EQ(devmem_sender_complete(sender.get(), 0), 0U);
    EXPECT_EQ(devmem_sender_unknown(sender.get()), 1U);
}

}  // namespace
}  // namespace devmem
