// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <vector>

#include "c_error.h"
#include "c_options.h"
#include "cut_front.h"
#include "devmem/sender.h"
#include "uapi.h"

struct devmem_sender {
    devmem::Sender sender;
    std::vector<devmem::Extent> extents;  // of the send that is being made
    devmem_sent sent;
};

namespace {

using devmem::Extent;
using devmem::Sender;

devmem_state state_of(Sender::State state) noexcept {
    switch (state) {
        case Sender::State::sent:
            return DEVMEM_OK;
        case Sender::State::would_block:
            return DEVMEM_WOULD_BLOCK;
        case Sender::State::no_memory:
            return DEVMEM_NO_MEMORY;
        case Sender::State::reset:
            return DEVMEM_RESET;
        case Sender::State::failed:
            break;
    }
    return DEVMEM_FAILED;
}

// A ticket is nothing but a number.
std::uint64_t number_of(Sender::Ticket ticket) noexcept {
    return std::bit_cast<std::uint64_t>(ticket);
}

const devmem_sent* note(devmem_sender* sender, const Sender::Result& result) noexcept {
    sender->sent = {state_of(result.state), result.error.value(), result.bytes,
                    number_of(result.ticket)};
    return &sender->sent;
}

Sender::Wait wait_of(unsigned flags) noexcept {
    return (flags & DEVMEM_WAIT) != 0 ? Sender::Wait::yes : Sender::Wait::no;
}

Sender::More more_of(unsigned flags) noexcept {
    return (flags & DEVMEM_MORE) != 0 ? Sender::More::yes : Sender::More::no;
}

Sender::Options options_of(const devmem_sender_options* given) {
    const devmem_sender_options known = devmem::read_options(given);
    Sender::Options options;
    if (known.in_flight > 0) options.in_flight = known.in_flight;
    options.next = static_cast<std::uint32_t>(known.next);
    return options;
}

}  // namespace

size_t devmem_drop_front(devmem_extent* extents, size_t count, size_t bytes) {
    return devmem::cut_front(std::span(extents, count), bytes);
}

int devmem_sender_new(int socket, const devmem_sender_options* options, devmem_sender** sender,
                      devmem_error** error) {
    return devmem::guarded(error, [&] {
        *sender = new devmem_sender{{devmem::Fd::duplicate(socket), options_of(options)},
                                    std::vector<Extent>(devmem::uapi::max_iovecs),
                                    {}};
    });
}

const devmem_sent* devmem_sender_send(devmem_sender* sender, uint32_t binding,
                                      const devmem_extent* extents, size_t count, unsigned flags) {
    const std::span some(extents, std::min(count, sender->extents.size()));
    std::ranges::transform(some, sender->extents.begin(), [](const devmem_extent& extent) {
        return Extent{extent.offset, extent.length};
    });
    const auto taken = std::span(sender->extents).first(some.size());
    return note(sender, sender->sender.send(binding, taken, wait_of(flags), more_of(flags)));
}

const devmem_sent* devmem_sender_send_bytes(devmem_sender* sender, const void* bytes, size_t size,
                                            unsigned flags) {
    const std::span all(static_cast<const std::byte*>(bytes), size);
    return note(sender, sender->sender.send(all, wait_of(flags), more_of(flags)));
}

size_t devmem_sender_complete(devmem_sender* sender, unsigned flags) {
    return sender->sender.complete(wait_of(flags));
}

bool devmem_sender_done(const devmem_sender* sender, uint64_t ticket) {
    return sender->sender.done(std::bit_cast<Sender::Ticket>(ticket));
}

size_t devmem_sender_pending(const devmem_sender* sender) {
    return sender->sender.pending();
}

uint64_t devmem_sender_unknown(const devmem_sender* sender) {
    return sender->sender.unknown();
}

int devmem_sender_fd(const devmem_sender* sender) {
    return sender->sender.fd();
}

void devmem_sender_free(devmem_sender* sender) {
    delete sender;
}
