// SPDX-License-Identifier: MIT
// A stream whose bytes follow from their place, through a FakeKernel. For a test that has included
// fake_kernel_calls.h and what is under test.
#pragma once

#include <gtest/gtest.h>

#include "devmem/receiver.h"
#include "fake_kernel_calls.h"

namespace devmem::test {

inline constexpr std::size_t device_size = 1 << 20;

class ReceiverTest : public testing::Test {
  protected:
    ReceiverTest() : device_(device_size) { fake_kernel = &kernel_; }

    // Appends the next bytes of the stream: linear ones, then frags of the given sizes.
    void send(std::size_t linear, const std::vector<std::uint32_t>& frags,
              std::uint32_t dmabuf_id = 1) {
        FakePacket packet;
        for (std::size_t i = 0; i < linear; ++i) packet.linear.push_back(stream_byte(sent_++));
        for (const std::uint32_t size : frags) {
            place_ = (place_ + align_ - 1) / align_ * align_;
            if (place_ + size > device_size) place_ = 0;
            packet.frags.push_back({place_, size, dmabuf_id});
            for (std::uint32_t i = 0; i < size; ++i) device_[place_++] = stream_byte(sent_++);
        }
        kernel_.queue.push_back(std::move(packet));
    }

    // The bytes of a piece must be those of the stream.
    void check(const Piece& piece) {
        const auto bytes = piece.on_device() ? std::span<const std::byte>(device_).subspan(
                                                   piece.offset, piece.size)
                                             : piece.host;
        ASSERT_EQ(bytes.size(), piece.size);
        for (const std::byte byte : bytes) ASSERT_EQ(byte, stream_byte(received_++));
    }

    // Receives until there is nothing more.
    void drain(Receiver& receiver) {
        for (;;) {
            const auto got = receiver.receive();
            if (got.state != Receiver::State::data) break;
            std::size_t sum = 0;
            for (const Piece& piece : got.pieces) {
                check(piece);
                sum += piece.size;
            }
            ASSERT_EQ(sum, got.bytes);
        }
        EXPECT_EQ(received_, sent_);
    }

    FakeKernel kernel_;
    std::vector<std::byte> device_;
    std::uint64_t align_ = 1;  // of frags
    std::uint64_t place_ = 0, sent_ = 0, received_ = 0;
};

}  // namespace devmem::test
