// SPDX-License-Identifier: MIT
// What comes in on a FakeConnection: a stream in packets of every kind, at random from a seed.
#pragma once

#include <functional>
#include <random>
#include <vector>

#include "devmem/cmsg.h"
#include "fake_connection.h"
#include "fake_memory.h"

namespace devmem::test {

class FakeTraffic {
  public:
    /// drops: where no niov is free nothing comes; else it comes by way of host memory.
    FakeTraffic(FakeConnection& to, std::vector<FakeMemory*> memories, std::uint32_t seed,
                std::uint64_t bytes, bool drops)
        : to_(to), memories_(std::move(memories)), random_(seed), bytes_(bytes), drops_(drops) {
        to_.arrive = [this] { arrive(); };
        to_.in.use = [this](const FakeFrag& frag, int change) {
            memory(frag.dmabuf_id).use(frag, change);
        };
    }

    /// Whether a piece has the bytes of that place of the stream.
    [[nodiscard]] bool is_right(const Piece& piece, std::uint64_t at) const {
        const auto bytes =
            piece.on_device() ? memory(piece.dmabuf_id).at(piece.offset, piece.size) : piece.host;
        if (bytes.size() != piece.size) return false;
        return std::ranges::all_of(bytes, [&](std::byte b) { return b == stream_byte(at++); });
    }

  private:
    FakeMemory& memory(std::uint32_t id) const {
        return **std::ranges::find(memories_, id, [](const auto* m) { return m->id(); });
    }

    void arrive() {
        while (to_.in.queue.size() < 4 && sent_ < bytes_) {
            FakePacket packet;
            if (random_() % 4 == 0)
                packet.linear = next(1 + random_() % 3000);
            else
                land(packet);
            if (packet.empty() && drops_) break;
            if (packet.empty()) packet.linear = next(500);
            to_.in.queue.push_back(std::move(packet));
        }
        to_.in.peer_closed = sent_ == bytes_;
    }

    // Some bytes in front of the frags, but never those alone: they would be ordinary.
    void land(FakePacket& packet) {
        const std::uint64_t begin = sent_;
        if (random_() % 2) packet.linear = next(1 + random_() % 200);
        for (std::size_t frags = 1 + random_() % 6; frags > 0 && sent_ < bytes_; --frags) {
            const std::uint64_t before = sent_;
            const auto payload = next(1 + random_() % FakeMemory::page);
            const std::size_t at = random_() % (FakeMemory::page - payload.size() + 1);
            const auto frag = memories_[random_() % memories_.size()]->land(payload, at);
            if (!frag) {
                sent_ = before;
                break;
            }
            packet.frags.push_back(*frag);
        }
        if (!packet.frags.empty()) return;
        packet.linear.clear();
        sent_ = begin;
    }

    std::vector<std::byte> next(std::uint64_t most) {
        std::vector<std::byte> bytes(std::min(most, bytes_ - sent_));
        for (std::byte& byte : bytes) byte = stream_byte(sent_++);
        return bytes;
    }

    FakeConnection& to_;
    std::vector<FakeMemory*> memories_;
    std::mt19937 random_;
    std::uint64_t bytes_, sent_ = 0;
    bool drops_;
};

}  // namespace devmem::test
