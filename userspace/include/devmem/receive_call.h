// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <optional>
#include <span>

#include "devmem/export.h"
#include "devmem/receiver.h"

namespace devmem {

/// The two system calls of one Receiver::receive(), for an engine that makes them in its own way:
///
///     ReceiveCall call(receiver);
///     if (const auto kept = call.kept()) return *kept;
///     if (const auto tokens = call.tokens(); !tokens.empty())
///         call.tokens_arrived(setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, tokens) or -errno);
///     for (;;) {
///         const auto answer = recvmsg(fd, &call.message(), ReceiveCall::flags) or -errno;
///         if (const auto result = call.finish(answer)) return *result;
///     }
///
/// Uring (devmem/uring.h) is such an engine. Receiver::receive() is built of the same pieces, so
/// both may be used in turn, but one at a time: this must stay where it is, and the Receiver too,
/// until both answers are there. The calls may be made in any order, also at the same time.
/// Nothing here throws; only finish() may allocate, to make room for more pieces.
///
/// Not for a Receiver with budgets: kept() says EOPNOTSUPP of it, for a call that waits in the
/// kernel would keep what others of the budget could use. There the engine waits until the socket
/// is readable, and has Receiver::receive() make the calls.
class DEVMEM_API ReceiveCall {
  public:
    /// For recvmsg(): MSG_SOCK_DEVMEM.
    static constexpr int flags = 0x2000000;

    explicit ReceiveCall(Receiver& receiver) noexcept : receiver_(receiver) {}
    ReceiveCall(const ReceiveCall&) = delete;
    ReceiveCall& operator=(const ReceiveCall&) = delete;

    /// Whether it is one with budgets.
    [[nodiscard]] bool limited() const noexcept;

    /// What keep() has kept, or why not to go on; ask before tokens(), which gives its pieces back.
    std::optional<Receiver::Result> kept() noexcept;

    /// Gives back the last pieces, those taken excepted: the value of SO_DEVMEM_DONTNEED, empty if
    /// there is nothing to return.
    std::span<const std::byte> tokens() noexcept;
    /// answer: what setsockopt() returned, or -errno. What it has not returned goes back by an
    /// ordinary call.
    void tokens_arrived(int answer) noexcept;

    /// For each recvmsg() anew.
    msghdr& message() noexcept;
    /// answer: what recvmsg() returned, or -errno; ECANCELED: it was not made, which is
    /// would_block. Nothing if the call must be made again, with more room.
    std::optional<Receiver::Result> finish(ssize_t answer) noexcept;

    /// For a result that nobody waits for any more: the next receive() begins with it.
    void keep(const Receiver::Result& result) noexcept;

  private:
    Receiver& receiver_;
    msghdr message_{};
    iovec iov_{};
};

}  // namespace devmem
