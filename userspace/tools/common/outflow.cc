// SPDX-License-Identifier: MIT
#include "outflow.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "devmem/error.h"
#include "endpoint.h"

namespace {

using State = devmem::Sender::State;

constexpr std::size_t most_slots = 64;
constexpr std::size_t largest_slot = 1 << 20;

void reset_on_close(int socket, bool reset) {
    const linger value{reset ? 1 : 0, 0};
    if (::setsockopt(socket, SOL_SOCKET, SO_LINGER, &value, sizeof(value)) < 0)
        devmem::throw_errno("set SO_LINGER");
}

devmem::Extent part_of(const devmem::DmaBuf& memory, devmem::Extent part) {
    return part.length == 0 ? devmem::Extent{0, memory.size()} : part;
}

}  // namespace

Outflow::Outflow(devmem::Fd connection, const devmem::TxBinding& binding, const Waiter& waiter,
                 const Options& options)
    : sender_(std::move(connection)),
      binding_(binding),
      waiter_(waiter),
      part_(part_of(binding.dmabuf(), options.part)),
      chunk_(options.chunk),
      slot_size_(std::clamp<std::size_t>(part_.length / 4, 1, largest_slot)),
      slots_(std::min(part_.length / slot_size_, most_slots)) {
    reset_on_close(sender_.fd(), true);
}

void Outflow::send(const Filler& fill) {
    for (;; next_slot_ = (next_slot_ + 1) % slots_.size()) {
        auto& ticket = slots_[next_slot_];
        while (!sender_.done(ticket)) wait_for_room(0);
        const devmem::Extent slot{part_.offset + next_slot_ * slot_size_, slot_size_};
        const std::size_t filled = fill(slot);
        if (filled == 0) return;
        send_range(ticket, {slot.offset, filled});
    }
}

void Outflow::send_range(devmem::Sender::Ticket& ticket, devmem::Extent range) {
    const std::size_t most = chunk_ > 0 ? std::min(chunk_, range.length) : range.length;
    extents_.clear();
    for (std::size_t at = 0; at < range.length; at += most)
        extents_.push_back({range.offset + at, std::min(most, range.length - at)});
    for (std::span<devmem::Extent> left = extents_; !left.empty();) {
        const auto sent = sender_.send(binding_.id(), left);
        ++counts_.calls;
        if (sent.state != State::sent) {
            wait_after(sent);
            continue;
        }
        ticket = sent.ticket;
        counts_.bytes += sent.bytes;
        left = devmem::drop_front(left, sent.bytes);
        waiter_.check();
    }
}

void Outflow::wait_after(const devmem::Sender::Result& sent) {
    if (sent.state == State::would_block) return wait_for_room(POLLOUT);
    if (sent.state == State::no_memory) return wait_for_room(0);
    throw std::system_error(sent.error, "send from device memory");
}

// Completions that are there to be read would end every wait, so they are read first. A broken
// connection ends it all the time, also while a NIC still holds the last packets.
void Outflow::wait_for_room(short events) {
    if (sender_.complete() > 0) return;
    waiter_.wait(sender_.fd(), events);
    if (events == 0 && sender_.complete() == 0) waiter_.sleep(std::chrono::milliseconds(1));
}

void Outflow::finish() {
    if (::shutdown(fd(), SHUT_WR) < 0) devmem::throw_errno("shutdown");
    while (pending() > 0) wait_for_room(0);
    // The kernel is done with memory also where the connection broke.
    if (const int error = error_of(fd()))
        throw std::system_error(error, std::system_category(), "send from device memory");
    reset_on_close(fd(), false);
}
