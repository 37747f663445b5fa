// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devmem/export.h"
#include "devmem/sender.h"

namespace devmem {

/// The system call of one Sender::send(), for an engine that makes it in its own way:
///
///     SendCall call(sender, binding, extents);
///     if (const auto result = call.begin()) return *result;
///     const auto answer = sendmsg(fd, &call.message(), call.flags()) or -errno;
///     return call.finish(answer);
///
/// With io_uring that is IORING_OP_SENDMSG, and never IORING_OP_SENDMSG_ZC: that brings
/// notifications of its own, and kernels then take the extents for addresses.
///
/// Of one Sender there may be one call at a time between begin() and finish(), beside one
/// CompletionCall. Both must stay where they are then, and the Sender, the extents and the bytes
/// too. Nothing here throws or allocates.
class DEVMEM_API SendCall {
  public:
    SendCall(Sender& sender, std::uint32_t binding, std::span<const Extent> extents,
             Sender::More more = Sender::More::no) noexcept;
    SendCall(Sender& sender, std::span<const std::byte> bytes,
             Sender::More more = Sender::More::no) noexcept;
    SendCall(const SendCall&) = delete;
    SendCall& operator=(const SendCall&) = delete;

    /// A result if there is no call to make: nothing to send, or too many sends in flight.
    std::optional<Sender::Result> begin() noexcept;
    [[nodiscard]] const msghdr& message() const noexcept { return message_; }
    /// Without MSG_DONTWAIT.
    [[nodiscard]] int flags() const noexcept { return flags_; }
    /// answer: what sendmsg() returned, or -errno; ECANCELED: it was not made, which is
    /// would_block. Reads no completions: no_memory asks for a CompletionCall.
    Sender::Result finish(ssize_t answer) noexcept;

  private:
    bool say_extents() noexcept;

    Sender& sender_;
    std::span<const Extent> extents_;
    std::span<const std::byte> bytes_;
    std::uint32_t binding_ = 0;
    bool device_;
    int flags_;
    std::uint64_t number_ = 0;
    msghdr message_{};
    iovec iov_{};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))> control_{};
};

/// One system call of Sender::complete(). There may be news when poll() reports POLLERR; each call
/// reads one message, and EAGAIN says that there is none left.
class DEVMEM_API CompletionCall {
  public:
    /// For recvmsg(), which never blocks with it.
    static constexpr int flags = MSG_ERRQUEUE;

    explicit CompletionCall(Sender& sender) noexcept : sender_(sender) {}
    CompletionCall(const CompletionCall&) = delete;
    CompletionCall& operator=(const CompletionCall&) = delete;

    /// For each recvmsg() anew.
    msghdr& message() noexcept;
    /// answer: what recvmsg() returned, or -errno. Returns how many sends are newly done.
    std::size_t finish(ssize_t answer) noexcept;

  private:
    Sender& sender_;
    msghdr message_{};
    alignas(cmsghdr) std::array<std::byte, 512> control_;
};

}  // namespace devmem
