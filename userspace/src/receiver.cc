// SPDX-License-Identifier: MIT
#include "devmem/receiver.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "receiver_core.h"
#include "sys.h"
#include "uapi.h"

namespace devmem {
namespace {

constexpr std::size_t message_space = CMSG_SPACE(sizeof(uapi::dmabuf_cmsg));

bool too_small(int error) noexcept {
    return error == EMSGSIZE || error == uapi::error_too_small;
}

}  // namespace

Receiver::Receiver(Fd socket, const Options& options)
    : core_(std::make_shared<ReceiverCore>(std::move(socket), options.flush_at)),
      host_size_(std::max<std::size_t>(options.host_bytes, 1)),
      host_(new std::byte[host_size_]),  // not zeroed: most of it is never touched
      control_(options.pieces * message_space),
      pieces_(options.pieces + 1) {}

Receiver::Receiver(Receiver&&) noexcept = default;

Receiver& Receiver::operator=(Receiver&& other) noexcept {
    if (this != &other) {
        if (core_) give_back();
        core_ = std::move(other.core_);
        host_size_ = other.host_size_;
        host_ = std::move(other.host_);
        control_ = std::move(other.control_);
        pieces_ = std::move(other.pieces_);
        lent_ = std::exchange(other.lent_, 0);
        next_take_ = other.next_take_;
    }
    return *this;
}

Receiver::~Receiver() {
    if (core_) give_back();
}

Receiver::Result Receiver::receive(Wait wait) noexcept {
    give_back();  // what the kernel will not take now stays queued for the next time
    for (;;) {
        iovec iov{host_.get(), host_size_};
        msghdr message{};
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control_.data();
        message.msg_controllen = control_.size();
        const int flags = MSG_SOCK_DEVMEM | (wait == Wait::no ? MSG_DONTWAIT : 0);
        const ssize_t got = DEVMEM_SYS(recvmsg)(fd(), &message, flags);
        if (got < 0 && too_small(errno) && grow()) continue;
        if (got < 0) return receive_failed();
        if (got == 0) return {State::end, 0, {}, {}};

        const auto bytes = static_cast<std::size_t>(got);
        const auto parsed = parse_pieces(std::span(control_).first(message.msg_controllen), bytes,
                                         {host_.get(), host_size_}, pieces_);
        lent_ = parsed.count;
        next_take_ = 0;
        const auto pieces = std::span<const Piece>(pieces_).first(lent_);
        core_->minted(static_cast<std::size_t>(
            std::ranges::count_if(pieces, [](const Piece& p) { return p.token != 0; })));
        if (parsed.complete) return {State::data, bytes, pieces, {}};
        return {State::failed, bytes, pieces, {EBADMSG, std::system_category()}};
    }
}

Receiver::Result Receiver::receive_failed() noexcept {
    const std::error_code error(errno, std::system_category());
    switch (error.value()) {
        case EAGAIN:
        case EINTR:
            return {State::would_block, 0, {}, {}};
        case ECONNRESET:
        case EPIPE:
            return {State::reset, 0, {}, error};
        default:
            return {State::failed, 0, {}, error};
    }
}

// Nothing was consumed, so a larger buffer and the same call again lose nothing.
bool Receiver::grow() noexcept {
    const std::size_t count = pieces_.size() * 2;
    if (count > max_grown_pieces) return false;
    try {
        control_.resize(count * message_space);
        pieces_.resize(count + 1);
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

Frag Receiver::take(const Piece& piece) noexcept {
    if (piece.token == 0) return {};
    for (std::size_t i = 0; i < lent_; ++i) {
        const std::size_t at = (next_take_ + i) % lent_;  // pieces are mostly taken in order
        if (pieces_[at].token != piece.token) continue;
        Frag frag(core_, pieces_[at]);
        pieces_[at].token = 0;
        next_take_ = at + 1;
        return frag;
    }
    return {};
}

std::error_code Receiver::give_back() noexcept {
    return core_->give_back(std::span<const Piece>(pieces_).first(std::exchange(lent_, 0)));
}

std::error_code Receiver::flush() noexcept {
    return core_->give_back(std::span<const Piece>());
}

std::size_t Receiver::outstanding() const noexcept {
    return core_->outstanding();
}

int Receiver::fd() const noexcept {
    return core_->fd();
}

}  // namespace devmem
