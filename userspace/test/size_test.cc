// SPDX-License-Identifier: MIT
#include "../tools/common/size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string why_not(const std::string& text) {
    try {
        return "it is " + std::to_string(parse_size(text));
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
}

TEST(SizeTest, NumbersAndSuffixes) {
    EXPECT_EQ(parse_size("1"), 1U);
    EXPECT_EQ(parse_size("007"), 7U);
    EXPECT_EQ(parse_size("12b"), 12U);
    for (const char* text : {"3m", "3M", "3MB", "3mb", "3MiB", "3mIb"})
        EXPECT_EQ(parse_size(text), 3U << 20);
    EXPECT_EQ(parse_size("64k"), 1U << 16);
    EXPECT_EQ(parse_size("2G"), 1ULL << 31);
    EXPECT_EQ(parse_size("1T"), 1ULL << 40);
    EXPECT_EQ(parse_size("1P"), 1ULL << 50);
    EXPECT_EQ(parse_size("15E"), 15ULL << 60);
    EXPECT_EQ(parse_size("18446744073709551615"), UINT64_MAX);
    EXPECT_EQ(parse_size("18014398509481983K"), UINT64_MAX - 1023);
}

TEST(SizeTest, WhatIsNoNumber) {
    for (const char* text :
         {"",   " ",   "-1",  "-1b", " -1", "+1",   "-0",  "M",   "k5",    "1.5", "1.5M",
          "5X", "5 M", "5M ", "5i",  "5bk", "0x10", "1e3", "5\n", "1,000", "5KK"}) {
        EXPECT_THAT(why_not(text), StartsWith("'" + std::string(text) + "' is no number of bytes"));
    }
    EXPECT_THAT(why_not("1.5M"), HasSubstr("only K, M, G"));
}

TEST(SizeTest, WhatIsNone) {
    for (const char* text : {"0", "00", "0k", "0EiB"})
        EXPECT_EQ(why_not(text), "'" + std::string(text) + "' is not above 0");
}

TEST(SizeTest, TooMuch) {
    for (const char* text : {"18446744073709551616", "18014398509481984K", "16E", "99999999999999G",
                             "1000000000000000000000000000000000000000b"})
        EXPECT_EQ(why_not(text), "'" + std::string(text) + "' is more bytes than can be counted");
}

}  // namespace
