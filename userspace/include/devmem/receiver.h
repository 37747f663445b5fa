// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

#include "devmem/cmsg.h"
#include "devmem/export.h"
#include "devmem/fd.h"
#include "devmem/frag.h"

namespace devmem {

class Budget;
class ReceiveCall;
class ReceiverCore;

/// Reads a TCP connection whose payload may land in device memory.
///
///     Receiver rx(std::move(connection));
///     for (;;) {
///         const auto got = rx.receive(Receiver::Wait::yes);
///         if (got.state != Receiver::State::data) break;
///         for (const Piece& piece : got.pieces) { ... }   // in stream order
///     }                                                   // receive() gives the memory back
///
/// Every byte of the stream comes out exactly once and in order, wherever it landed: in a dmabuf,
/// in host memory because the NIC left it in front of the split, or in host memory because it went
/// by way of another queue. On a kernel without devmem TCP all of them are host bytes.
///
/// Pieces are lent: the next receive(), give_back() or the destructor takes them back. take() keeps
/// one longer.
///
/// Memory that is kept is missed by the NIC. Options::budgets limits how much that may be; who is
/// refused some, gets State::starved at once, also with Wait::yes.
///
/// When the peer has closed, or half of the connection is closed, or a reset broke it, what came
/// before is read first (after a reset, what the kernel has not thrown away). Frags keep their
/// bytes and their right to be given back, whatever becomes of the connection.
///
/// One thread at a time may call these functions; Frags may be destroyed in any. After
/// construction nothing here throws or allocates, and nothing blocks but receive(Wait::yes).
class DEVMEM_API Receiver {
  public:
    enum class Wait { no, yes };

    enum class State {
        data,         ///< pieces has at least one
        would_block,  ///< nothing to read now; also when a signal cut a wait short
        starved,      ///< nothing was read, for a Budget is used up: give memory back; see budget
        end,          ///< the peer has sent everything
        reset,        ///< the peer broke the connection
        failed,       ///< see error
    };

    struct Result {
        State state = State::would_block;
        std::size_t bytes = 0;          ///< sum of the pieces
        std::span<const Piece> pieces;  ///< in stream order
        /// Set for reset and failed. ENOMEM and EBUSY pass (the kernel had no room for tokens) and
        /// consumed nothing. EBADMSG: the kernel cut a control message and bytes are missing; the
        /// pieces are those it did report.
        std::error_code error;
        /// Set for starved: whose memory it was. Its fd() says when to try again.
        const Budget* budget = nullptr;
    };

    struct Options {
        /// Most bytes per call, also of those in a dmabuf: the kernel counts them against the host
        /// buffer without touching it. Pages that are never used cost no memory.
        std::size_t host_bytes = 1 << 20;
        /// Most pieces per call. 0 does, but then the first in a dmabuf needs an allocation.
        std::size_t pieces = 1024;
        /// Destroyed Frags gather to this many before they go back on their own; at once, if over
        /// half of their Budget is used.
        std::size_t flush_at = 64;
        /// At most one for each binding whose memory may come on this socket, in any order. Pieces
        /// of other bindings are neither counted in bytes nor limited. With any, a call reads at
        /// most what half of the room left can hold, and Wait::yes heeds no SO_RCVTIMEO.
        std::vector<std::shared_ptr<Budget>> budgets = {};
    };

    /// Owns the socket; any open Frag keeps it open too. To go on using a descriptor of your own,
    /// pass Fd::duplicate(it). Throws std::bad_alloc.
    explicit Receiver(Fd socket) : Receiver(std::move(socket), Options()) {}
    Receiver(Fd socket, const Options& options);
    ~Receiver();
    Receiver(Receiver&&) noexcept;
    Receiver& operator=(Receiver&&) noexcept;

    /// Gives back the previous pieces and reads what is there. Wait::no never blocks, whatever the
    /// socket's own mode; Wait::yes blocks unless the socket is non-blocking.
    Result receive(Wait wait = Wait::no) noexcept;

    /// Keeps a piece of the last receive() beyond the next. An empty Frag if it is not on the
    /// device or was taken before.
    [[nodiscard]] Frag take(const Piece& piece) noexcept;

    /// Gives the last pieces back now, those taken excepted, and flushes.
    std::error_code give_back() noexcept;

    /// The same for some of the last pieces; those taken do no harm.
    std::error_code give_back(std::span<const Piece> pieces) noexcept;

    /// Sends the tokens of destroyed Frags to the kernel. receive() does so as well; a program that
    /// destroys Frags between two sleeps calls this before it sleeps, lest the NIC run dry.
    std::error_code flush() noexcept;

    /// Frags that the kernel has not got back: lent, taken, and destroyed but not flushed.
    [[nodiscard]] std::size_t outstanding() const noexcept;

    /// Bytes of a binding's memory that they keep from the NIC, as Budget counts them; 0 for a
    /// binding without one.
    [[nodiscard]] std::uint64_t held(std::uint32_t dmabuf_id) const noexcept;

    /// The socket, for poll(), getsockname() and the like.
    [[nodiscard]] int fd() const noexcept;

  private:
    friend class ReceiveCall;
    std::ptrdiff_t read(std::uint64_t room, int flags) noexcept;
    Result received(std::size_t bytes) noexcept;
    std::span<const Piece> take_lent() noexcept;
    bool grow(int& error) noexcept;
    Piece* find(const Piece& piece) noexcept;
    [[nodiscard]] std::uint64_t most_room() const noexcept;

    std::shared_ptr<ReceiverCore> core_;
    std::size_t host_size_;
    std::unique_ptr<std::byte[]> host_;
    std::vector<std::byte> control_;
    std::size_t control_used_ = 0;
    std::vector<Piece> pieces_;
    std::size_t lent_ = 0;  // pieces_[0, lent_) are the caller's to look at
    std::size_t next_find_ = 0;
    std::optional<Result> kept_;  // of a ReceiveCall that nobody waits for any more
};

}  // namespace devmem
