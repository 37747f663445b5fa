// SPDX-License-Identifier: MIT
#include "devmem/uring.h"

#include <cerrno>
#include <utility>

#include "uring_ring.h"

namespace devmem {

Uring::Uring(unsigned entries) : ring_(std::make_unique<UringRing>(entries)) {}
Uring::~Uring() = default;

std::error_code Uring::turn(Wait wait) {
    if (ring_->waiting() == 0 && !ring_->ready()) return {};
    const auto error = ring_->enter(wait == Wait::yes && !ring_->ready());
    while (UringWait* next = ring_->next_ready()) next->go_on();
    return error;
}

std::size_t Uring::waiting() const noexcept {
    return ring_->waiting();
}

int Uring::fd() const noexcept {
    return ring_->fd();
}

std::uint64_t Uring::calls() const noexcept {
    return ring_->calls();
}

void UringWait::stop() noexcept {
    ring_.cancel(*this);
}

void UringWait::go_on() {
    if (over() || !begin()) coroutine_.resume();
}

// With budgets, over() makes the calls.
bool UringReceive::begin() noexcept {
    if (!ring_.room(2)) {
        result_ = {
            Receiver::State::failed, 0, {}, std::make_error_code(std::errc::no_buffer_space)};
        return false;
    }
    if (call_.limited()) {
        ring_.readable(*this, fd_, std::exchange(nap_, true));
        return true;
    }
    if (const auto tokens = call_.tokens(); !tokens.empty()) {
        if (ring_.returns_tokens())
            ring_.return_tokens(*this, fd_, tokens);
        else
            answer(Part::tokens, -EOPNOTSUPP);
    }
    ring_.recvmsg(*this, fd_, call_.message());
    return true;
}

void UringReceive::answer(Part part, int result) noexcept {
    if (call_.limited()) return;
    if (part != Part::tokens) {
        result_ = call_.finish(result);
        return;
    }
    if (result < 0) ring_.count_call();  // an ordinary call, then
    if (result == -EOPNOTSUPP || result == -EINVAL) ring_.cannot_return_tokens();
    call_.tokens_arrived(result);
}

bool UringRoom::begin() noexcept {
    if (ring_.room(2)) {
        ring_.readable(*this, fd_, false);
        return true;
    }
    error_ = std::make_error_code(std::errc::no_buffer_space);
    return false;
}

void UringRoom::answer(Part /*part*/, int result) noexcept {
    if (result < 0) error_ = {-result, std::system_category()};
}

bool UringErrors::begin(UringRing& ring, UringWait& wait) noexcept {
    if (!ring.room(2)) return false;
    ring.read_errors(wait, fd_, call_.message(), nap_);
    return true;
}

// Poll() may report something else for a while: a connection that is broken, or half closed.
void UringErrors::read(int result) noexcept {
    nap_ = call_.finish(result) == 0 && !nap_;
}

bool UringSend::begin() noexcept {
    const auto failed = [&] {
        result_ = {Sender::State::failed, 0, {}, std::make_error_code(std::errc::no_buffer_space)};
        return false;
    };
    if (result_.state == Sender::State::would_block) {
        if (!ring_.room(1)) return failed();
        const auto early = call_.begin();
        if (!early) ring_.sendmsg(*this, fd_, call_);
        if (!early) return true;
        result_ = *early;
        if (over()) return false;
    }
    return errors_.begin(ring_, *this) || failed();
}

void UringSend::answer(Part part, int result) noexcept {
    if (part == Part::call) result_ = call_.finish(result);
    if (part != Part::errors) return;
    errors_.read(result);
    result_ = {};  // would_block: try again
}

bool UringCompleted::begin() noexcept {
    if (errors_.begin(ring_, *this)) return true;
    error_ = std::make_error_code(std::errc::no_buffer_space);
    return false;
}

void UringCompleted::answer(Part part, int result) noexcept {
    if (part == Part::errors) errors_.read(result);
}

}  // namespace devmem
