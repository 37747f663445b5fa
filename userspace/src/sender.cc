// SPDX-License-Identifier: MIT
#include "devmem/sender.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "cut_front.h"
#include "devmem/cmsg.h"
#include "devmem/error.h"
#include "in_flight.h"
#include "sys.h"
#include "uapi.h"

namespace devmem {
namespace {

using Control = std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))>;

// The control message that makes sendmsg() take addresses for offsets.
void say_binding(Control& control, std::uint32_t binding) noexcept {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof(binding));
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_DEVMEM_DMABUF;
    std::memcpy(control.data(), &header, sizeof(header));
    std::memcpy(control.data() + CMSG_LEN(0), &binding, sizeof(binding));
}

int flags_of(Sender::Wait wait, Sender::More more) noexcept {
    return MSG_NOSIGNAL | (wait == Sender::Wait::no ? MSG_DONTWAIT : 0) |
           (more == Sender::More::yes ? MSG_MORE : 0);
}

// False if a signal cut it short. A broken connection reports POLLERR and POLLHUP all the time,
// also while a NIC still holds the last packets: then look again after a moment.
bool wait_for_error_queue(int fd, bool again) noexcept {
    pollfd waiting{fd, 0, 0};
    if (again && DEVMEM_SYS(poll)(nullptr, 0, 1) < 0) return false;
    return DEVMEM_SYS(poll)(&waiting, 1, -1) >= 0;
}

}  // namespace

std::span<Extent> drop_front(std::span<Extent> extents, std::size_t bytes) noexcept {
    return extents.subspan(cut_front(extents, bytes));
}

Sender::Sender(Fd socket, const Options& options)
    : socket_(std::move(socket)),
      in_flight_(std::make_unique<InFlight>(options.in_flight, options.next)),
      iovecs_(uapi::max_iovecs) {
    const int on = 1;
    if (DEVMEM_SYS(setsockopt)(fd(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) < 0)
        throw_errno("set SO_ZEROCOPY");
}

Sender::~Sender() = default;
Sender::Sender(Sender&&) noexcept = default;
Sender& Sender::operator=(Sender&&) noexcept = default;

Sender::Result Sender::send(std::uint32_t binding, std::span<const Extent> extents, Wait wait,
                            More more) noexcept {
    extents = extents.first(std::min(extents.size(), iovecs_.size()));
    std::size_t bytes = 0;
    std::ranges::transform(extents, iovecs_.begin(), [&](const Extent& extent) {
        bytes |= extent.length;
        return iovec{std::bit_cast<void*>(extent.offset), extent.length};
    });
    if (bytes == 0) return {State::sent, 0, {}, {}};  // the kernel would give it no number

    alignas(cmsghdr) Control control{};
    say_binding(control, binding);
    msghdr message{};
    message.msg_iov = iovecs_.data();
    message.msg_iovlen = extents.size();
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    return send_device(message, flags_of(wait, more) | MSG_ZEROCOPY);
}

// Completions that nobody has read count against the kernel's limit, so read them and try again.
Sender::Result Sender::send_device(const msghdr& message, int flags) noexcept {
    for (;;) {
        int error = ENOBUFS;
        if (!in_flight_->full()) {
            const ssize_t sent = DEVMEM_SYS(sendmsg)(fd(), &message, flags);
            if (sent >= 0)
                return {
                    State::sent, static_cast<std::size_t>(sent), Ticket(in_flight_->add() + 1), {}};
            error = errno;
        }
        if (error != ENOBUFS || complete() == 0) return send_failed(error);
    }
}

Sender::Result Sender::send(std::span<const std::byte> bytes, Wait wait, More more) noexcept {
    iovec iov{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    const ssize_t sent = DEVMEM_SYS(sendmsg)(fd(), &message, flags_of(wait, more));
    if (sent < 0) return send_failed(errno);
    return {State::sent, static_cast<std::size_t>(sent), {}, {}};
}

Sender::Result Sender::send_failed(int error) const noexcept {
    const std::error_code code(error, std::system_category());
    switch (error) {
        case EAGAIN:
        case EINTR:
            return {State::would_block, 0, {}, {}};
        case ENOBUFS:  // with nothing in flight there is nothing to wait for
            return {pending() > 0 ? State::no_memory : State::failed, 0, {}, code};
        case ECONNRESET:
        case EPIPE:
            return {State::reset, 0, {}, code};
        default:
            return {State::failed, 0, {}, code};
    }
}

std::size_t Sender::complete(Wait wait) noexcept {
    for (bool again = false;; again = true) {
        const std::size_t completed = read_completions();
        if (completed > 0 || wait == Wait::no || pending() == 0) return completed;
        if (!wait_for_error_queue(fd(), again)) return 0;
    }
}

std::size_t Sender::read_completions() noexcept {
    alignas(cmsghdr) std::array<std::byte, 512> control;
    for (std::size_t completed = 0;;) {
        msghdr message{};
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t got = DEVMEM_SYS(recvmsg)(fd(), &message, MSG_ERRQUEUE | MSG_DONTWAIT);
        if (got < 0) return completed;
        completed += take_in(std::span(control).first(message.msg_controllen));
    }
}

std::size_t Sender::take_in(std::span<const std::byte> control) noexcept {
    const auto run = parse_completion(control);
    if (!run) return 0;
    const std::size_t completed = in_flight_->complete(*run);
    if (completed == 0) ++unknown_;
    if (run->copied) copied_ += completed;
    return completed;
}

bool Sender::done(Ticket ticket) const noexcept {
    return ticket.end_ == 0 || in_flight_->done(ticket.end_ - 1);
}

std::size_t Sender::pending() const noexcept {
    return in_flight_->pending();
}

}  // namespace devmem
