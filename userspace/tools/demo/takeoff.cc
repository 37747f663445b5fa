// SPDX-License-Identifier: MIT
#include "takeoff.h"

#include <algorithm>
#include <utility>

#include "devmem/error.h"

namespace {

using devmem::Sender;

void wait_for(Sender& tx, Sender::Ticket ticket) {
    while (!tx.done(ticket)) tx.complete(Sender::Wait::yes);
}

}  // namespace

Takeoff::Takeoff(const Stream& stream, std::uint32_t ifindex, devmem::DmaBuf memory)
    : stream_(stream), memory_(std::move(memory)), binding_(ifindex, memory_) {}

void Takeoff::send_all(devmem::Fd connection) {
    Sender tx(std::move(connection));
    std::array<Sender::Ticket, 2> last;
    for (std::size_t half = 0; sent_ < stream_.size(); half ^= 1) {
        wait_for(tx, last[half]);
        const auto filled = fill(half);
        last[half] = send(tx, {half * memory_.size() / 2, filled});
    }
    while (tx.pending() > 0) tx.complete(Sender::Wait::yes);
    if (tx.copied() > 0) throw devmem::Error(EBADMSG, "send", "the kernel copied device memory");
}

std::size_t Takeoff::fill(std::size_t half) {
    const auto room = memory_.size() / 2;
    const auto wanted = std::min<std::uint64_t>(room, stream_.size() - sent_);
    std::uint64_t filled = 0;
    while (filled < wanted) {
        const auto bytes = stream_.at(sent_ + filled, wanted - filled);
        if (const auto error = memory_.to_device(half * room + filled, bytes))
            throw devmem::Error(error, "copy to the device");
        filled += bytes.size();
    }
    return filled;
}

Sender::Ticket Takeoff::send(Sender& tx, devmem::Extent extent) {
    Sender::Ticket ticket;
    std::span<devmem::Extent> left(&extent, 1);
    while (!left.empty()) {
        const auto result = tx.send(binding_.id(), left, Sender::Wait::yes);
        switch (result.state) {
            case Sender::State::sent:
                sent_ += result.bytes;
                ticket = result.ticket;
                left = drop_front(left, result.bytes);
                break;
            case Sender::State::no_memory:
                tx.complete(Sender::Wait::yes);
                break;
            case Sender::State::would_block:
                break;
            default:
                throw devmem::Error(result.error.value(), "send from device memory");
        }
    }
    return ticket;
}
