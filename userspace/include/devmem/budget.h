// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

#include "devmem/binding.h"
#include "devmem/export.h"
#include "devmem/fd.h"

namespace devmem {

/// How much of a binding's memory receivers keep from the NIC, and how much of it they may.
///
///     const auto budget = std::make_shared<Budget>(binding, 16 << 20);
///     Receiver one(std::move(first), {.budgets = {budget}});
///     Receiver two(std::move(second), {.budgets = {budget}});
///
/// The NIC drops what it has no memory for. Receivers that share a Budget stop before that: once
/// they hold back as much as the limit, receive() answers State::starved and reads nothing, TCP
/// closes the window, and the peer waits. They go on when memory goes back.
///
/// What lies unread in sockets is not counted, for SO_RCVBUF limits that, nor what the NIC's ring
/// holds. So the dmabuf must be larger than the limit: by a page for each of the ring's
/// descriptors, and by SO_RCVBUF, as getsockopt() tells it, for each connection.
///
/// Counted are whole niovs, of one page each: a piece of one byte keeps its niov from the NIC. One
/// that two pieces lie in counts twice.
///
/// Thread-safe. Receivers and their Frags share it. Nothing throws or allocates but the
/// constructors.
class DEVMEM_API Budget {
  public:
    static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

    /// limit: bytes; at least a page is allowed. Without one this only counts. Throws Error.
    explicit Budget(const RxBinding& binding, std::uint64_t limit = unlimited);
    /// The same for a binding that is not this program's: Piece::dmabuf_id.
    explicit Budget(std::uint32_t dmabuf_id, std::uint64_t limit = unlimited);

    [[nodiscard]] std::uint32_t dmabuf_id() const noexcept { return dmabuf_id_; }
    /// Bytes.
    [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }
    /// Bytes held back: in pieces that are lent or taken, or on their way to the kernel. For as
    /// long as a receive() lasts also what it may yet get.
    [[nodiscard]] std::uint64_t held() const noexcept;
    /// How often receive() has answered State::starved.
    [[nodiscard]] std::uint64_t refusals() const noexcept;

    /// For poll(): readable, unless a receive() was refused and nothing has gone back since. So
    /// whoever was refused waits for this, and not for the socket. Never read it.
    [[nodiscard]] int fd() const noexcept { return room_.get(); }

  private:
    friend class ReceiverCore;

    // At most so many bytes; 0 if nothing is left.
    std::uint64_t reserve(std::uint64_t most) noexcept;
    // Over half is used.
    [[nodiscard]] bool scarce() const noexcept { return held() > limit_ / 2; }
    // Of those reserved, or in use before, so many are in use.
    void settle(std::uint64_t reserved, std::uint64_t used) noexcept;

    std::uint32_t dmabuf_id_;
    std::uint64_t limit_;
    Fd room_;
    mutable std::mutex mutex_;
    std::uint64_t held_ = 0;
    std::uint64_t refusals_ = 0;
    bool open_ = true;  // what room_ says
};

}  // namespace devmem
