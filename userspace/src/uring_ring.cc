// SPDX-License-Identifier: MIT
#include "uring_ring.h"

#include <poll.h>

#include <array>
#include <bit>
#include <cerrno>
#include <utility>

#include "devmem/error.h"
#include "uapi.h"

namespace devmem {
namespace {

using Part = UringWait::Part;

constexpr std::uint64_t part_mask = 7;
constexpr __u32 setsockopt_command = 3;  // SOCKET_URING_OP_SETSOCKOPT, 6.7

// What an answer comes back with; 0 is nobody's.
std::uint64_t tag_of(const UringWait& wait, Part part) noexcept {
    static_assert(alignof(UringWait) > part_mask);
    return reinterpret_cast<std::uintptr_t>(&wait) | static_cast<std::uint64_t>(part);
}

}  // namespace

// The kernel does its work when it is asked for answers, in one go, if it can do that (6.1).
UringRing::UringRing(unsigned entries) {
    const unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int answer = io_uring_queue_init(entries, &ring_, flags);
    if (answer == -EINVAL) answer = io_uring_queue_init(entries, &ring_, 0);
    if (answer < 0) throw Error(-answer, "io_uring_setup");
}

bool UringRing::room(unsigned count) noexcept {
    if (io_uring_sq_space_left(&ring_) < count) enter(false);
    return io_uring_sq_space_left(&ring_) >= count;
}

void UringRing::begun(UringWait& wait, io_uring_sqe* call, Part part) noexcept {
    io_uring_sqe_set_data64(call, tag_of(wait, part));
    wait.open_ |= 1U << static_cast<unsigned>(part);
    ++waiting_;
}

void UringRing::recvmsg(UringWait& wait, int fd, msghdr& message) noexcept {
    io_uring_sqe* call = io_uring_get_sqe(&ring_);
    io_uring_prep_recvmsg(call, fd, &message, ReceiveCall::flags);
    begun(wait, call, Part::call);
}

void UringRing::sendmsg(UringWait& wait, int fd, const SendCall& send) noexcept {
    io_uring_sqe* call = io_uring_get_sqe(&ring_);
    io_uring_prep_sendmsg(call, fd, &send.message(), static_cast<unsigned>(send.flags()));
    begun(wait, call, Part::call);
}

// The host's headers may lack this: level and option lie where an address would.
void UringRing::return_tokens(UringWait& wait, int fd, std::span<const std::byte> tokens) noexcept {
    io_uring_sqe* call = io_uring_get_sqe(&ring_);
    io_uring_prep_rw(IORING_OP_URING_CMD, call, fd, nullptr, 0, 0);
    call->cmd_op = setsockopt_command;
    call->addr = std::bit_cast<__u64>(std::array<__u32, 2>{SOL_SOCKET, SO_DEVMEM_DONTNEED});
    call->file_index = static_cast<__u32>(tokens.size());
    call->addr3 = reinterpret_cast<std::uintptr_t>(tokens.data());
    begun(wait, call, Part::tokens);
}

void UringRing::read_errors(UringWait& wait, int fd, msghdr& message, bool nap) noexcept {
    if (nap) {
        this->nap(wait);
    } else {
        io_uring_sqe* first = io_uring_get_sqe(&ring_);
        io_uring_prep_poll_add(first, fd, 0);
        first->flags |= IOSQE_IO_LINK;
        begun(wait, first, Part::poll);
    }
    io_uring_sqe* second = io_uring_get_sqe(&ring_);
    io_uring_prep_recvmsg(second, fd, &message, CompletionCall::flags | MSG_DONTWAIT);
    begun(wait, second, Part::errors);
}

void UringRing::readable(UringWait& wait, int fd, bool nap) noexcept {
    if (nap) this->nap(wait);
    io_uring_sqe* call = io_uring_get_sqe(&ring_);
    io_uring_prep_poll_add(call, fd, POLLIN);
    begun(wait, call, Part::call);
}

// Before the next call.
void UringRing::nap(UringWait& wait) noexcept {
    io_uring_sqe* call = io_uring_get_sqe(&ring_);
    io_uring_prep_timeout(call, &nap_, 0, 0);
    call->flags |= IOSQE_IO_HARDLINK;  // time is up: an error, but not for what follows
    begun(wait, call, Part::poll);
}

std::error_code UringRing::enter(bool wait) noexcept {
    ++calls_;
    const int answer =
        wait ? io_uring_submit_and_wait(&ring_, 1) : io_uring_submit_and_get_events(&ring_);
    reap();
    if (answer < 0) return {-answer, std::system_category()};
    return {};
}

void UringRing::reap() noexcept {
    io_uring_cqe* cqe = nullptr;
    unsigned head = 0, seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
        ++seen;
        if (cqe->user_data == 0) continue;
        auto* wait = std::bit_cast<UringWait*>(cqe->user_data & ~part_mask);
        answered(*wait, static_cast<Part>(cqe->user_data & part_mask), cqe->res);
    }
    io_uring_cq_advance(&ring_, seen);
}

void UringRing::answered(UringWait& wait, Part part, int result) noexcept {
    --waiting_;
    wait.open_ &= ~(1U << static_cast<unsigned>(part));
    wait.answer(part, result);
    if (wait.open_ != 0) return;
    wait.next_ = ready_;
    wait.link_ = &ready_;
    if (ready_) ready_->link_ = &wait.next_;
    ready_ = &wait;
}

UringWait* UringRing::next_ready() noexcept {
    UringWait* const wait = ready_;
    if (wait) unlink(*wait);
    return wait;
}

void UringRing::unlink(UringWait& wait) noexcept {
    *wait.link_ = wait.next_;
    if (wait.next_) wait.next_->link_ = wait.link_;
    wait.link_ = nullptr;
}

// What is taken out of a chain may let the next one begin, so this goes on until all is answered.
void UringRing::cancel(UringWait& wait) noexcept {
    while (wait.open_ != 0) {
        for (const Part part : {Part::call, Part::tokens, Part::poll, Part::errors}) {
            if ((wait.open_ & (1U << static_cast<unsigned>(part))) == 0 || !room(1)) continue;
            io_uring_sqe* call = io_uring_get_sqe(&ring_);
            io_uring_prep_cancel64(call, tag_of(wait, part), 0);
            io_uring_sqe_set_data64(call, 0);
        }
        enter(true);
    }
    if (wait.link_) unlink(wait);
}

}  // namespace devmem
