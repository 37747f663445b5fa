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
#include "devmem/send_call.h"
#include "in_flight.h"
#include "sys.h"
#include "uapi.h"

namespace devmem {
namespace {

// The control message that makes sendmsg() take addresses for offsets.
void say_binding(std::span<std::byte> control, std::uint32_t binding) noexcept {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof(binding));
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_DEVMEM_DMABUF;
    std::memcpy(control.data(), &header, sizeof(header));
    std::memcpy(control.data() + CMSG_LEN(0), &binding, sizeof(binding));
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
    SendCall call(*this, binding, extents, more);
    return send(call, wait);
}

Sender::Result Sender::send(std::span<const std::byte> bytes, Wait wait, More more) noexcept {
    SendCall call(*this, bytes, more);
    return send(call, wait);
}

// Completions that nobody has read count against the kernel's limit, so read them and try again.
Sender::Result Sender::send(SendCall& call, Wait wait) noexcept {
    for (;;) {
        auto result = call.begin();
        if (!result) {
            const int flags = call.flags() | (wait == Wait::no ? MSG_DONTWAIT : 0);
            const ssize_t sent = DEVMEM_SYS(sendmsg)(fd(), &call.message(), flags);
            result = call.finish(sent < 0 ? -errno : sent);
        }
        if (result->error.value() != ENOBUFS || complete() == 0) return *result;
    }
}

Sender::Result Sender::send_failed(int error) const noexcept {
    const std::error_code code(error, std::system_category());
    switch (error) {
        case EAGAIN:
        case EINTR:
        case ECANCELED:  // an engine's word: the call was not made
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
    CompletionCall call(*this);
    for (std::size_t completed = 0;;) {
        const ssize_t got =
            DEVMEM_SYS(recvmsg)(fd(), &call.message(), CompletionCall::flags | MSG_DONTWAIT);
        if (got < 0) return completed;
        completed += call.finish(got);
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

SendCall::SendCall(Sender& sender, std::uint32_t binding, std::span<const Extent> extents,
                   Sender::More more) noexcept
    : sender_(sender),
      extents_(extents.first(std::min(extents.size(), sender.iovecs_.size()))),
      binding_(binding),
      device_(true),
      flags_(MSG_NOSIGNAL | MSG_ZEROCOPY | (more == Sender::More::yes ? MSG_MORE : 0)) {}

SendCall::SendCall(Sender& sender, std::span<const std::byte> bytes, Sender::More more) noexcept
    : sender_(sender),
      bytes_(bytes),
      device_(false),
      flags_(MSG_NOSIGNAL | (more == Sender::More::yes ? MSG_MORE : 0)) {}

std::optional<Sender::Result> SendCall::begin() noexcept {
    message_ = {};
    if (!device_) {
        iov_ = {const_cast<std::byte*>(bytes_.data()), bytes_.size()};
        message_.msg_iov = &iov_;
        message_.msg_iovlen = 1;
        return {};
    }
    if (!say_extents()) return Sender::Result{Sender::State::sent, 0, {}, {}};
    if (sender_.in_flight_->full()) return sender_.send_failed(ENOBUFS);
    say_binding(control_, binding_);
    message_.msg_control = control_.data();
    message_.msg_controllen = control_.size();
    number_ = sender_.in_flight_->add();
    return {};
}

// False if there are no bytes: the kernel would give that send no number.
bool SendCall::say_extents() noexcept {
    std::size_t bytes = 0;
    std::ranges::transform(extents_, sender_.iovecs_.begin(), [&](const Extent& extent) {
        bytes |= extent.length;
        return iovec{std::bit_cast<void*>(extent.offset), extent.length};
    });
    message_.msg_iov = sender_.iovecs_.data();
    message_.msg_iovlen = extents_.size();
    return bytes != 0;
}

Sender::Result SendCall::finish(ssize_t answer) noexcept {
    if (answer < 0) {
        if (device_) sender_.in_flight_->take_back();
        return sender_.send_failed(static_cast<int>(-answer));
    }
    return {Sender::State::sent,
            static_cast<std::size_t>(answer),
            device_ ? Sender::Ticket(number_ + 1) : Sender::Ticket(),
            {}};
}

msghdr& CompletionCall::message() noexcept {
    message_ = {};
    message_.msg_control = control_.data();
    message_.msg_controllen = control_.size();
    return message_;
}

std::size_t CompletionCall::finish(ssize_t answer) noexcept {
    if (answer < 0) return 0;
    return sender_.take_in(std::span(control_).first(message_.msg_controllen));
}

}  // namespace devmem
