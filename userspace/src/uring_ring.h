// SPDX-License-Identifier: MIT
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "devmem/uring.h"

namespace devmem {

/// The ring of a Uring, and who waits for what of it.
class UringRing {
  public:
    using Part = UringWait::Part;

    explicit UringRing(unsigned entries);
    ~UringRing() { io_uring_queue_exit(&ring_); }
    UringRing(const UringRing&) = delete;
    UringRing& operator=(const UringRing&) = delete;

    /// Makes room for so many calls, which are then handed over together. False if the kernel does
    /// not take what stands in the way.
    bool room(unsigned count) noexcept;

    // Each of these needs room for one call, the last two for two. What they are given must stay
    // where it is until wait.answer().
    void recvmsg(UringWait& wait, int fd, msghdr& message) noexcept;
    void sendmsg(UringWait& wait, int fd, const SendCall& send) noexcept;
    void return_tokens(UringWait& wait, int fd, std::span<const std::byte> tokens) noexcept;
    /// Reads the error queue when poll() has something to report, or after a nap of 1 ms.
    void read_errors(UringWait& wait, int fd, msghdr& message, bool nap) noexcept;
    /// Waits until a descriptor is readable, or has something else to report; naps first if told
    /// to.
    void readable(UringWait& wait, int fd, bool nap) noexcept;

    /// Whether return_tokens() works, as far as is known.
    [[nodiscard]] bool returns_tokens() const noexcept { return returns_tokens_; }
    void cannot_return_tokens() noexcept { returns_tokens_ = false; }
    void count_call() noexcept { ++calls_; }

    /// One io_uring_enter(), and all answers that are there.
    std::error_code enter(bool wait) noexcept;
    /// The next whose calls are all answered, and who then counts as told; nullptr if there is
    /// none.
    UringWait* next_ready() noexcept;
    /// Takes all calls back. They are answered when this returns.
    void cancel(UringWait& wait) noexcept;

    [[nodiscard]] bool ready() const noexcept { return ready_ != nullptr; }
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    [[nodiscard]] int fd() const noexcept { return ring_.ring_fd; }

  private:
    void begun(UringWait& wait, io_uring_sqe* call, Part part) noexcept;
    void nap(UringWait& wait) noexcept;
    void answered(UringWait& wait, Part part, int result) noexcept;
    void reap() noexcept;
    static void unlink(UringWait& wait) noexcept;

    io_uring ring_{};
    __kernel_timespec nap_{0, 1'000'000};  // 1 ms
    UringWait* ready_ = nullptr;
    std::size_t waiting_ = 0;
    std::uint64_t calls_ = 0;
    bool returns_tokens_ = true;  // until the kernel says no
};

}  // namespace devmem
