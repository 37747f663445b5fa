// SPDX-License-Identifier: MIT
#include "devmem/receiver.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "devmem/receive_call.h"
#include "receiver_core.h"
#include "sys.h"
#include "uapi.h"

namespace devmem {
namespace {

constexpr std::size_t message_space = CMSG_SPACE(sizeof(uapi::dmabuf_cmsg));

bool too_small(int error) noexcept {
    return error == EMSGSIZE || error == uapi::error_too_small;
}

// False if the socket is non-blocking, or a signal came. What a Sender has to hear shows as POLLERR
// all the time: then look again after a moment.
bool wait_readable(int fd, bool again) noexcept {
    pollfd waiting{fd, POLLIN, 0};
    if (DEVMEM_SYS(fcntl)(fd, F_GETFL) & O_NONBLOCK) return false;
    if (again && DEVMEM_SYS(poll)(nullptr, 0, 1) < 0) return false;
    return DEVMEM_SYS(poll)(&waiting, 1, -1) >= 0;
}

Receiver::Result failed(int error) noexcept {
    using State = Receiver::State;
    const std::error_code code(error, std::system_category());
    switch (error) {
        case EAGAIN:
        case EINTR:
        case ECANCELED:  // an engine's word: the call was not made
            return {State::would_block, 0, {}, {}};
        case ECONNRESET:
        case EPIPE:
            return {State::reset, 0, {}, code};
        default:
            return {State::failed, 0, {}, code};
    }
}

}  // namespace

Receiver::Receiver(Fd socket, const Options& options)
    : core_(std::make_shared<ReceiverCore>(std::move(socket), options.flush_at, options.budgets)),
      host_size_(std::max<std::size_t>(options.host_bytes, 1)),
      host_(new std::byte[host_size_]),  // not zeroed: most of it is never touched
      control_(options.pieces * message_space),
      pieces_(options.pieces + 1) {}

Receiver::Receiver(Receiver&&) noexcept = default;

Receiver& Receiver::operator=(Receiver&& other) noexcept {
    if (this != &other) {
        kept_.reset();
        if (core_) give_back();
        core_ = std::move(other.core_);
        host_size_ = other.host_size_;
        host_ = std::move(other.host_);
        control_ = std::move(other.control_);
        pieces_ = std::move(other.pieces_);
        lent_ = std::exchange(other.lent_, 0);
        next_find_ = other.next_find_;
        kept_ = std::exchange(other.kept_, {});
    }
    return *this;
}

Receiver::~Receiver() {
    kept_.reset();
    if (core_) give_back();
}

Receiver::Result Receiver::receive(Wait wait) noexcept {
    if (kept_) return *std::exchange(kept_, {});
    give_back();  // what the kernel will not take now stays queued for the next time
    // Nobody may sleep on what others could use: with a budget, the waiting is done apart.
    const bool blocks = wait == Wait::yes && !core_->limited();
    for (bool again = false;;) {
        const auto room = core_->reserve(most_room());
        if (room.lacking) return {State::starved, 0, {}, {}, room.lacking};
        const auto got = read(room.bytes, MSG_SOCK_DEVMEM | (blocks ? 0 : MSG_DONTWAIT));
        if (got > 0) return received(static_cast<std::size_t>(got));

        int error = errno;
        core_->minted({});
        if (got == 0) return {State::end, 0, {}, {}};
        if (too_small(error) && grow(error)) continue;
        const bool waits = error == EAGAIN && wait == Wait::yes && !blocks;
        if (!waits || !wait_readable(fd(), again)) return failed(error);
        again = true;
    }
}

// At most half of the room in bytes, and in messages for the other half: a frag may end with a part
// of a niov.
std::ptrdiff_t Receiver::read(std::uint64_t room, int flags) noexcept {
    const std::uint64_t messages = std::max<std::uint64_t>(room / 2 / niov_size(), 1);
    iovec iov{host_.get(), std::min<std::uint64_t>(host_size_, std::max(room / 2, niov_size()))};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control_.data();
    message.msg_controllen =
        std::min<std::uint64_t>(control_.size() / message_space, messages) * message_space;
    const ssize_t got = DEVMEM_SYS(recvmsg)(fd(), &message, flags);
    control_used_ = message.msg_controllen;
    return got;
}

Receiver::Result Receiver::received(std::size_t bytes) noexcept {
    const auto parsed = parse_pieces(std::span(control_).first(control_used_), bytes,
                                     {host_.get(), host_size_}, pieces_);
    lent_ = parsed.count;
    next_find_ = 0;
    const auto pieces = std::span<const Piece>(pieces_).first(lent_);
    core_->minted(pieces);
    if (parsed.complete) return {State::data, bytes, pieces, {}};
    return {State::failed, bytes, pieces, {EBADMSG, std::system_category()}};
}

// What the largest read may need; see read().
std::uint64_t Receiver::most_room() const noexcept {
    return 2 * std::max<std::uint64_t>(host_size_, control_.size() / message_space * niov_size());
}

// Nothing was consumed, so a larger buffer and the same call again lose nothing. The room for
// pieces grows first: it is never the lesser.
bool Receiver::grow(int& error) noexcept {
    const std::size_t count = std::max<std::size_t>(control_.size() / message_space, 1) * 2;
    if (count > max_grown_pieces) return false;
    try {
        pieces_.resize(count + 1);
        control_.resize(count * message_space);
    } catch (const std::bad_alloc&) {
        error = ENOMEM;
        return false;
    }
    return true;
}

// A lent piece, by its token; null if there is none, or no longer.
Piece* Receiver::find(const Piece& piece) noexcept {
    if (next_find_ < lent_ && piece.token != 0 && pieces_[next_find_].token == piece.token)
        return &pieces_[next_find_++];
    for (std::size_t i = 0; piece.token != 0 && i < lent_; ++i) {
        const std::size_t at = (next_find_ + i) % lent_;  // they are mostly asked for in order
        if (pieces_[at].token != piece.token) continue;
        next_find_ = at + 1;
        return &pieces_[at];
    }
    return nullptr;
}

Frag Receiver::take(const Piece& piece) noexcept {
    Piece* lent = find(piece);
    if (!lent) return {};
    Frag frag(core_, *lent);
    lent->token = 0;
    return frag;
}

std::error_code Receiver::give_back() noexcept {
    return core_->give_back(take_lent());
}

// Not those that the caller has yet to see.
std::span<const Piece> Receiver::take_lent() noexcept {
    if (kept_) return {};
    return std::span<const Piece>(pieces_).first(std::exchange(lent_, 0));
}

std::error_code Receiver::give_back(std::span<const Piece> pieces) noexcept {
    for (const Piece& piece : pieces) {
        Piece* lent = find(piece);
        if (!lent) continue;
        core_->queue(*lent);
        lent->token = 0;
    }
    return flush();
}

std::error_code Receiver::flush() noexcept {
    return core_->give_back(std::span<const Piece>());
}

std::size_t Receiver::outstanding() const noexcept {
    return core_->outstanding();
}

std::uint64_t Receiver::held(std::uint32_t dmabuf_id) const noexcept {
    return core_->held(dmabuf_id);
}

int Receiver::fd() const noexcept {
    return core_->fd();
}

bool ReceiveCall::limited() const noexcept {
    return receiver_.core_->limited();
}

// A call that waits in the kernel would keep what others of the budget could use.
std::optional<Receiver::Result> ReceiveCall::kept() noexcept {
    if (limited()) return failed(EOPNOTSUPP);
    return std::exchange(receiver_.kept_, {});
}

std::span<const std::byte> ReceiveCall::tokens() noexcept {
    return receiver_.core_->leave(receiver_.take_lent());
}

void ReceiveCall::tokens_arrived(int answer) noexcept {
    receiver_.core_->arrived(answer);
}

msghdr& ReceiveCall::message() noexcept {
    iov_ = {receiver_.host_.get(), receiver_.host_size_};
    message_ = {};
    message_.msg_iov = &iov_;
    message_.msg_iovlen = 1;
    message_.msg_control = receiver_.control_.data();
    message_.msg_controllen = receiver_.control_.size();
    return message_;
}

std::optional<Receiver::Result> ReceiveCall::finish(ssize_t answer) noexcept {
    if (answer == 0) return Receiver::Result{Receiver::State::end, 0, {}, {}};
    if (answer > 0) {
        receiver_.control_used_ = message_.msg_controllen;
        return receiver_.received(static_cast<std::size_t>(answer));
    }
    auto error = static_cast<int>(-answer);
    if (too_small(error) && receiver_.grow(error)) return std::nullopt;
    return failed(error);
}

void ReceiveCall::keep(const Receiver::Result& result) noexcept {
    if (result.state != Receiver::State::would_block) receiver_.kept_ = result;
}

}  // namespace devmem
