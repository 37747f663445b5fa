// SPDX-License-Identifier: MIT
#include "devmem/dmabuf.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "devmem/error.h"

namespace devmem {
namespace {

// A device that is a vector.
class VectorEngine : public CopyEngine {
  public:
    explicit VectorEngine(std::vector<std::byte>& memory) : memory_(memory) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        std::copy(from.begin(), from.end(), memory_.begin() + static_cast<std::ptrdiff_t>(offset));
        return {};
    }
    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        std::copy_n(memory_.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
        return {};
    }

  private:
    std::vector<std::byte>& memory_;
};

class DmaBufTest : public testing::Test {
  protected:
    static constexpr std::size_t size = 100000;

    DmaBufTest() {
        for (std::size_t i = 0; i < size; ++i) a_[i] = static_cast<std::byte>(i * 7);
    }
    static DmaBuf over(std::vector<std::byte>& memory) {
        return DmaBuf::import(Fd(), memory.size(), std::make_unique<VectorEngine>(memory));
    }

    std::vector<std::byte> a_ = std::vector<std::byte>(size);
    std::vector<std::byte> b_ = std::vector<std::byte>(size);
};

TEST_F(DmaBufTest, RangesOutsideAreRefused) {
    const DmaBuf dmabuf = over(a_);
    std::vector<std::byte> host(2);
    EXPECT_FALSE(dmabuf.to_host(size - 2, host));
    for (const std::uint64_t offset :
         {std::uint64_t{size - 1}, std::uint64_t{size} + 1, UINT64_MAX}) {
        EXPECT_EQ(dmabuf.to_host(offset, host), std::errc::invalid_argument);
        EXPECT_EQ(dmabuf.to_device(offset, host), std::errc::invalid_argument);
    }
}

TEST_F(DmaBufTest, GatherByWayOfTheHost) {
    const DmaBuf from = over(a_);
    const DmaBuf to = over(b_);
    const std::vector<CopyRange> ranges{{10, 50000, 0}, {0, 0, size}, {99999, 1, 50000}};
    ASSERT_FALSE(from.gather(ranges, to));
    EXPECT_TRUE(std::equal(b_.begin(), b_.begin() + 50000, a_.begin() + 10));
    EXPECT_EQ(b_[50000], a_[99999]);
}

TEST_F(DmaBufTest, GatherChecksEverythingFirst) {
    const DmaBuf from = over(a_);
    const DmaBuf to = over(b_);
    const std::vector<CopyRange> ranges{{0, 10, 0}, {0, UINT64_MAX, 1}};
    EXPECT_EQ(from.gather(ranges, to), std::errc::invalid_argument);
    EXPECT_EQ(b_[1], std::byte{0});
}

TEST_F(DmaBufTest, ImportOfWhatCannotBeMapped) {
    EXPECT_THROW(DmaBuf::import(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), 4096), Error);
}

void round_trip(const DmaBuf& dmabuf, const DmaBuf& other) {
    std::vector<std::byte> out(10000), in(10000);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 31);
    ASSERT_FALSE(dmabuf.to_device(77, out));
    ASSERT_FALSE(dmabuf.to_host(77, in));
    EXPECT_EQ(in, out);
    const std::vector<CopyRange> ranges{{77 + 5000, 5000, 0}, {77, 5000, 5000}};
    ASSERT_FALSE(dmabuf.gather(ranges, other));
    ASSERT_FALSE(other.to_host(0, in));
    EXPECT_TRUE(std::equal(in.begin(), in.begin() + 5000, out.begin() + 5000));
    EXPECT_TRUE(std::equal(in.begin() + 5000, in.end(), out.begin()));
}

TEST(UdmabufTest, RoundTrip) {
    if (::access("/dev/udmabuf", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/udmabuf";
    const DmaBuf dmabuf = DmaBuf::udmabuf(20000);
    EXPECT_EQ(dmabuf.size() % 4096, 0U);
    round_trip(dmabuf, DmaBuf::udmabuf(20000));
    EXPECT_THROW(DmaBuf::udmabuf(0), Error);
}

TEST(AccelmemTest, RoundTrip) {
    if (::access("/dev/accelmem", R_OK | W_OK) != 0) GTEST_SKIP() << "no /dev/accelmem";
    const DmaBuf dmabuf = DmaBuf::accelmem(20000);
    round_trip(dmabuf, DmaBuf::accelmem(20000));
    EXPECT_THROW(DmaBuf::accelmem(0), Error);
    EXPECT_THROW(DmaBuf::import(Fd::duplicate(dmabuf.fd()), dmabuf.size()), Error);
}

}  // namespace
}  // namespace devmem
