// SPDX-License-Identifier: MIT
#include "devmem/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>

#include "devmem/error.h"

namespace devmem {
namespace {

static_assert(!std::is_copy_constructible_v<Fd> && std::is_nothrow_move_constructible_v<Fd>);
static_assert(!std::is_convertible_v<Fd, bool> && !std::is_constructible_v<bool, Fd>);

Fd open_null() {
    return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(FdTest, ClosesOnce) {
    int number = -1;
    {
        Fd fd = open_null();
        number = fd.get();
        EXPECT_TRUE(is_open(number));
        Fd moved(std::move(fd));
        // A moved-from Fd is empty. NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-*)
        EXPECT_FALSE(fd.is_open());
        EXPECT_EQ(moved.get(), number);
    }
    EXPECT_FALSE(is_open(number));
}

TEST(FdTest, AssignmentClosesTheOldOne) {
    Fd fd = open_null();
    const int old = fd.get();
    Fd other = open_null();
    const int kept = other.get();
    fd = std::move(other);
    EXPECT_FALSE(is_open(old));
    EXPECT_EQ(fd.get(), kept);
    Fd& self = fd;
    fd = std::move(self);
    EXPECT_TRUE(is_open(kept));
}

TEST(FdTest, ReleaseDoesNotClose) {
    Fd fd = open_null();
    const int number = fd.release();
    EXPECT_FALSE(fd.is_open());
    EXPECT_TRUE(is_open(number));
    ::close(number);
}

TEST(FdTest, CloseReportsAndIsFinal) {
    Fd fd = open_null();
    fd.close();
    EXPECT_FALSE(fd.is_open());
    fd.close();  // nothing left to do
    Fd bad(9999);
    EXPECT_THROW(bad.close(), Error);
    EXPECT_FALSE(bad.is_open());
}

TEST(FdTest, Duplicate) {
    const Fd fd = open_null();
    const Fd copy = Fd::duplicate(fd.get());
    EXPECT_NE(copy.get(), fd.get());
    EXPECT_TRUE(::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC);
    EXPECT_THROW(Fd::duplicate(9999), Error);
}

}  // namespace
}  // namespace devmem
