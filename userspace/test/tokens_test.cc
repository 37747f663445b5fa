// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/tokens.cc"  // NOLINT(bugprone-suspicious-include)

#include <gtest/gtest.h>

namespace devmem {
namespace {

class TokenBatchTest : public testing::Test {
  protected:
    TokenBatchTest() { test::fake_kernel = &kernel_; }

    void mint(std::uint32_t first, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) kernel_.tokens.insert(first + i);
    }

    test::FakeKernel kernel_;
    TokenBatch batch_{-1};
};

TEST_F(TokenBatchTest, EmptyMakesNoCall) {
    EXPECT_FALSE(batch_.flush());
    batch_.add(0);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.return_calls, 0U);
}

TEST_F(TokenBatchTest, NeighboursBecomeOneRange) {
    mint(5, 100);
    for (std::uint32_t token = 5; token < 105; ++token) batch_.add(token);
    EXPECT_EQ(batch_.size(), 100U);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.ranges_per_call, std::vector<std::size_t>{1});
    EXPECT_TRUE(kernel_.tokens.empty());
    EXPECT_EQ(batch_.returned(), 100U);
    EXPECT_EQ(batch_.size(), 0U);
}

TEST_F(TokenBatchTest, NeighboursInReverseToo) {
    mint(1, 50);
    for (std::uint32_t token = 50; token > 0; --token) batch_.add(token);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.ranges_per_call, std::vector<std::size_t>{1});
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(TokenBatchTest, EndsOfTheNumbersDoNotJoin) {
    mint(UINT32_MAX, 1);
    mint(1, 1);
    batch_.add(UINT32_MAX);
    batch_.add(1);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.ranges_per_call, std::vector<std::size_t>{2});
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(TokenBatchTest, GapsAreNeverReturned) {
    mint(1, 300);
    for (std::uint32_t token = 1; token <= 300; token += 2) batch_.add(token);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.tokens.size(), 150U);
    EXPECT_TRUE(kernel_.tokens.contains(2));
    for (const std::size_t ranges : kernel_.ranges_per_call) EXPECT_LE(ranges, 128U);
}

TEST_F(TokenBatchTest, NoCallCarriesMoreThanTheKernelTakes) {
    mint(1, 3000);
    for (std::uint32_t token = 1; token <= 3000; ++token) batch_.add(token);
    EXPECT_FALSE(batch_.flush());
    EXPECT_TRUE(kernel_.tokens.empty());
    EXPECT_EQ(kernel_.return_calls, 3U);
}

TEST_F(TokenBatchTest, DestructorReturns) {
    mint(7, 3);
    {
        TokenBatch batch(-1);
        for (std::uint32_t token : {7U, 8U, 9U}) batch.add(token);
    }
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(TokenBatchTest, ShortCountSendsTheRestAgain) {
    kernel_.frag_limit = 10;
    mint(1, 66);
    for (std::uint32_t token = 1; token <= 66; token += 3) {
        batch_.add(token);
        batch_.add(token + 1);
    }
    const std::size_t added = batch_.size();
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(batch_.returned(), added);
    EXPECT_EQ(batch_.unknown(), 0U);
    EXPECT_EQ(kernel_.tokens.size(), 66 - added);
    EXPECT_EQ(kernel_.return_calls, (added + 9) / 10);
}

TEST_F(TokenBatchTest, UnknownTokensEnd) {
    mint(1, 5);
    for (std::uint32_t token = 1; token <= 12; ++token) batch_.add(token);
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(batch_.returned(), 5U);
    EXPECT_EQ(batch_.unknown(), 7U);
    EXPECT_EQ(batch_.size(), 0U);
    EXPECT_LE(kernel_.return_calls, 3U);
}

TEST_F(TokenBatchTest, ErrorKeepsTheTokens) {
    mint(1, 5);
    for (std::uint32_t token = 1; token <= 5; ++token) batch_.add(token);
    kernel_.return_error = ENOMEM;
    EXPECT_EQ(batch_.flush(), std::errc::not_enough_memory);
    EXPECT_EQ(batch_.size(), 5U);
    kernel_.return_error = 0;
    EXPECT_FALSE(batch_.flush());
    EXPECT_TRUE(kernel_.tokens.empty());
}

TEST_F(TokenBatchTest, FullBatchThatIsRefusedCountsWhatItDrops) {
    kernel_.return_error = ENOMEM;
    mint(1, 1200);
    for (std::uint32_t token = 1; token <= 1200; ++token) batch_.add(token);
    EXPECT_EQ(batch_.size(), 1024U);
    EXPECT_EQ(batch_.lost(), 176U);
    kernel_.return_error = 0;
    EXPECT_FALSE(batch_.flush());
    EXPECT_EQ(kernel_.tokens.size(), 176U);
}

}  // namespace
}  // namespace devmem
