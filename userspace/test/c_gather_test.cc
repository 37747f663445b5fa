// SPDX-License-Identifier: MIT
#include "fake_kernel_calls.h"
// The system calls go to the fake kernel.
#include "../src/receiver.cc"  // NOLINT(bugprone-suspicious-include)
#include "../src/tokens.cc"    // NOLINT(bugprone-suspicious-include)
// And this is what is tested.
#include "../src/c_gather.cc"    // NOLINT(bugprone-suspicious-include)
#include "../src/c_receiver.cc"  // NOLINT(bugprone-suspicious-include)

#include <fcntl.h>
#include <gtest/gtest.h>

namespace devmem {
namespace {

using Bytes = std::vector<std::byte>;

struct Freed {
    void operator()(devmem_dmabuf* dmabuf) const { devmem_dmabuf_free(dmabuf); }
    void operator()(devmem_frag* frag) const { devmem_frag_free(frag); }
    void operator()(devmem_gather* gather) const { devmem_gather_free(gather); }
    void operator()(devmem_receiver* receiver) const { devmem_receiver_free(receiver); }
};
using Memory = std::unique_ptr<devmem_dmabuf, Freed>;

// A device that is an array; it breaks when it is empty.
int to_device(void* context, uint64_t offset, const void* from, size_t size) {
    auto& bytes = *static_cast<Bytes*>(context);
    if (bytes.empty()) return -EIO;
    std::memcpy(bytes.data() + offset, from, size);
    return 0;
}

int to_host(void* context, uint64_t offset, void* to, size_t size) {
    const auto& bytes = *static_cast<Bytes*>(context);
    if (bytes.empty()) return -EIO;
    std::memcpy(to, bytes.data() + offset, size);
    return 0;
}

Memory over(Bytes& bytes) {
    const Fd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const devmem_copy_engine engine{sizeof(engine), &bytes, to_device, to_host};
    devmem_dmabuf* memory = nullptr;
    EXPECT_EQ(devmem_dmabuf_import(any.get(), bytes.size(), &engine, &memory, nullptr), 0);
    return Memory(memory);
}

class CGatherTest : public testing::Test {
  protected:
    CGatherTest() {
        test::fake_kernel = &kernel_;
        for (std::size_t i = 0; i < first_.size(); ++i) first_[i] = static_cast<std::byte>(i * 7);
        for (std::size_t i = 0; i < second_.size(); ++i) second_[i] = static_cast<std::byte>(i ^ 5);
        const Memory one = over(first_), two = over(second_), to = over(result_);
        const devmem_gather_source sources[] = {{1, one.get()}, {2, two.get()}};
        devmem_gather* gather = nullptr;
        EXPECT_EQ(devmem_gather_new(sources, 2, to.get(), &gather, nullptr), 0);
        gather_.reset(gather);  // it keeps the dmabufs

        const Fd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
        devmem_receiver* receiver = nullptr;
        EXPECT_EQ(devmem_receiver_new(any.get(), nullptr, &receiver, nullptr), 0);
        receiver_.reset(receiver);
    }

    int gather(const devmem_received& got, std::size_t count, std::uint64_t at) {
        return devmem_gather_pieces(gather_.get(), receiver_.get(), got.pieces, count, at);
    }

    // What lies in the result, from so many bytes.
    [[nodiscard]] Bytes arrived(std::size_t at, std::size_t size) const {
        const auto begin = result_.begin() + static_cast<std::ptrdiff_t>(at);
        return {begin, begin + static_cast<std::ptrdiff_t>(size)};
    }

    test::FakeKernel kernel_;
    Bytes first_ = Bytes(10'000), second_ = Bytes(10'000), result_ = Bytes(20'000);
    std::unique_ptr<devmem_gather, Freed> gather_;
    std::unique_ptr<devmem_receiver, Freed> receiver_;
};

TEST_F(CGatherTest, AllKindsOfPiecesInOrderAndGivenBack) {
    kernel_.queue.push_back({{std::byte{9}, std::byte{8}}, {{5, 3, 1}, {77, 2, 2}}});
    const devmem_received* got = devmem_receiver_receive(receiver_.get(), 0);
    ASSERT_EQ(got->count, 3U);
    EXPECT_EQ(kernel_.tokens.size(), 2U);
    EXPECT_EQ(gather(*got, 3, 1000), 0);
    EXPECT_EQ(arrived(1000, 7), (Bytes{std::byte{9}, std::byte{8}, first_[5], first_[6], first_[7],
                                       second_[77], second_[78]}));
    EXPECT_TRUE(kernel_.tokens.empty());
    EXPECT_EQ(devmem_receiver_outstanding(receiver_.get()), 0U);
}

TEST_F(CGatherTest, WhatIsTakenStays) {
    kernel_.queue.push_back({{}, {{0, 10, 1}, {20, 10, 1}}});
    const devmem_received* got = devmem_receiver_receive(receiver_.get(), 0);
    const std::unique_ptr<devmem_frag, Freed> taken(
        devmem_receiver_take(receiver_.get(), &got->pieces[1]));
    ASSERT_TRUE(taken);
    EXPECT_EQ(gather(*got, 2, 0), 0);
    EXPECT_EQ(arrived(10, 10), Bytes(&first_[20], &first_[30]));
    EXPECT_EQ(kernel_.tokens, std::set{got->pieces[1].token});
}

TEST_F(CGatherTest, APartOfAPieceKeepsItLent) {
    kernel_.queue.push_back({{}, {{100, 10, 1}}});
    const devmem_received* got = devmem_receiver_receive(receiver_.get(), 0);
    devmem_piece part = got->pieces[0];
    part.offset += 4;
    part.size = 2;
    part.token = 0;
    EXPECT_EQ(devmem_gather_pieces(gather_.get(), receiver_.get(), &part, 1, 0), 0);
    EXPECT_EQ(arrived(0, 2), Bytes(&first_[104], &first_[106]));
    EXPECT_EQ(kernel_.tokens.size(), 1U);
}

TEST_F(CGatherTest, ErrorsGiveNothingBack) {
    kernel_.queue.push_back({{}, {{0, 10, 1}, {20, 10, 3}}});
    const devmem_received* got = devmem_receiver_receive(receiver_.get(), 0);
    EXPECT_EQ(gather(*got, 2, 0), -EINVAL);       // no source 3
    EXPECT_EQ(gather(*got, 1, 19'991), -EINVAL);  // no room
    EXPECT_EQ(result_, Bytes(20'000));
    first_.clear();
    EXPECT_EQ(gather(*got, 1, 0), -EIO);
    EXPECT_EQ(kernel_.tokens.size(), 2U);
}

}  // namespace
}  // namespace devmem
