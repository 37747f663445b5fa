// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devmem/export.h"

namespace devmem {

/// A run of bytes of the stream, all in one place: in a dmabuf or in host memory.
struct Piece {
    std::span<const std::byte> host;  ///< the bytes themselves; empty if they are in a dmabuf
    std::uint64_t offset = 0;         ///< bytes from the start of the dmabuf
    std::uint32_t size = 0;           ///< bytes
    std::uint32_t token = 0;          ///< 0: none, or taken (see Receiver::take)
    std::uint32_t dmabuf_id = 0;  ///< RxBinding::id(); 0 for host bytes, the kernel's start at 1

    [[nodiscard]] bool on_device() const noexcept { return dmabuf_id != 0; }
};

/// What one recvmsg() said.
struct ParsedPieces {
    std::size_t count = 0;  ///< pieces written
    /// False if the pieces do not add up to what was received: the kernel cut a control message
    /// (before it learned not to; look for MSG_CTRUNC), and bytes are missing.
    bool complete = true;
};

/// Turns what recvmsg(MSG_SOCK_DEVMEM) returned into pieces in stream order. For programs that make
/// that call themselves, with io_uring say; Receiver does it all.
///
/// control: msg_control, exactly as long as msg_controllen after the call. Any alignment and
/// content.
/// received: what recvmsg() returned.
/// host: the buffer that the iovec described.
/// out: at least control.size() / 40 + 1 pieces, or complete is false.
///
/// The rules it knows (net/ipv4/tcp.c, tcp_recvmsg_dmabuf): messages are in stream order; linear
/// bytes lie one after the other in the host buffer; bytes in a dmabuf use up none of it; a call
/// with no devmem message at all received ordinary bytes. Messages of other kinds are skipped.
DEVMEM_API ParsedPieces parse_pieces(std::span<const std::byte> control, std::size_t received,
                                     std::span<const std::byte> host,
                                     std::span<Piece> out) noexcept;

/// What the error queue of a socket says about a run of MSG_ZEROCOPY sends. The kernel numbers the
/// sends of a socket from 0, with 32 bits that wrap around.
struct Completion {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    /// The kernel made a copy after all. It joins runs and keeps the word of the first, so this may
    /// be said of too many sends or of too few.
    bool copied = false;
};

/// Turns what recvmsg(MSG_ERRQUEUE) returned into the completion it reports; nothing if it reports
/// something else, or makes no sense. For programs that make that call themselves; Sender does it
/// all.
///
/// control: msg_control, exactly as long as msg_controllen after the call. Any alignment and
/// content.
DEVMEM_API std::optional<Completion> parse_completion(std::span<const std::byte> control) noexcept;

}  // namespace devmem
