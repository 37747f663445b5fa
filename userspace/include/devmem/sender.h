// SPDX-License-Identifier: MIT
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>
#include <vector>

#include "devmem/export.h"
#include "devmem/fd.h"

namespace devmem {

class CompletionCall;
class InFlight;
class SendCall;

/// Some bytes of a dmabuf.
struct Extent {
    std::size_t offset = 0;  ///< bytes from the start of the dmabuf
    std::size_t length = 0;  ///< bytes
};

/// What is left of extents once the first so many of their bytes have been sent; the first one left
/// is cut where it must be.
DEVMEM_API std::span<Extent> drop_front(std::span<Extent> extents, std::size_t bytes) noexcept;

/// Sends on a TCP connection what lies in device memory, and in between what lies in host memory.
///
///     const TxBinding from(ifindex, memory);
///     Sender tx(std::move(connection));
///     std::array<Extent, 1> all{{{0, memory.size()}}};
///     for (std::span<Extent> left = all; !left.empty();) {
///         const auto sent = tx.send(from.id(), left, Sender::Wait::yes);
///         if (sent.state == Sender::State::no_memory) tx.complete(Sender::Wait::yes);
///         else if (sent.state == Sender::State::sent) left = drop_front(left, sent.bytes);
///         else ...
///     }
///     while (tx.pending() > 0) tx.complete(Sender::Wait::yes);
///
/// The stream has the bytes of all calls in the order of the calls. Bytes in a dmabuf are not
/// copied: the NIC fetches them when it transmits, and again when TCP retransmits. So they must
/// stay as they are until done() says so of their Ticket. That means that the kernel needs them no
/// longer: the peer has acknowledged them, or the connection is broken.
///
/// Nothing here copies device memory to send it in another way; where the kernel refuses, the error
/// says so, and DmaBuf::to_host() with the other send() is the caller's choice.
///
/// Closing the socket, which the destructor does, does not wait: TCP goes on to send, and the
/// kernel keeps the memory for that, whatever becomes of the TxBinding, the DmaBuf and the process.
/// But nobody can tell any more when that is over, so wait for pending() to be 0 if the memory is
/// to be used again.
///
/// This reads the socket's error queue, and what it finds there besides completions (timestamps,
/// say) is lost. Nobody else may send with MSG_ZEROCOPY on the socket. To receive as well, give a
/// Receiver a second descriptor: Fd::duplicate().
///
/// One thread at a time may call these functions; it may be another than the Receiver's. After
/// construction nothing here throws or allocates, and nothing blocks but what is given Wait::yes.
class DEVMEM_API Sender {
  public:
    enum class Wait { no, yes };

    /// Whether more is to follow at once, so that TCP may wait for it (MSG_MORE).
    enum class More { no, yes };

    enum class State {
        sent,         ///< all, or the first bytes of it
        would_block,  ///< no room now: poll() for POLLOUT; also when a signal cut a wait short
        no_memory,    ///< too many sends in flight: complete() first
        reset,        ///< the connection is broken
        failed,       ///< see error; nothing was sent
    };

    /// Names a send. Those of one Sender are ordered as the sends were.
    class Ticket {
      public:
        /// Of a send that needs no waiting.
        Ticket() noexcept = default;
        bool operator==(const Ticket&) const noexcept = default;
        bool operator<(const Ticket& other) const noexcept { return end_ < other.end_; }

      private:
        friend class SendCall;
        friend class Sender;
        explicit Ticket(std::uint64_t end) noexcept : end_(end) {}
        std::uint64_t end_ = 0;  // the number of the send, and 1
    };

    struct Result {
        State state = State::would_block;
        std::size_t bytes = 0;  ///< how many were sent, from the front
        Ticket ticket;          ///< done() with these bytes?
        /// Set for no_memory, reset and failed. For device memory: EINVAL (no such binding, or
        /// another user's), EFAULT (not within the dmabuf), ENODEV (the route leaves by another
        /// interface), EHOSTUNREACH (no route), EOPNOTSUPP (the CPU would have to read the payload:
        /// no checksums in the NIC, IPsec, TCP-MD5, kTLS).
        std::error_code error;
    };

    struct Options {
        /// Most sends in flight; the kernel has a limit of its own, net.core.optmem_max.
        std::size_t in_flight = 16384;
        /// The number of the socket's next MSG_ZEROCOPY send: how many it has seen before.
        std::uint32_t next = 0;
    };

    /// Owns the socket, which is TCP, and turns SO_ZEROCOPY on. Throws Error, std::bad_alloc.
    explicit Sender(Fd socket) : Sender(std::move(socket), Options()) {}
    Sender(Fd socket, const Options& options);
    ~Sender();
    Sender(Sender&&) noexcept;
    Sender& operator=(Sender&&) noexcept;

    /// Sends from a dmabuf. binding: TxBinding::id(), also one of another process of this user.
    /// Wait::no never blocks, whatever the socket's own mode; Wait::yes waits for room in the send
    /// buffer unless the socket is non-blocking. Takes at most the first 1024 extents, which is the
    /// kernel's limit of one call; those of no bytes do no harm.
    Result send(std::uint32_t binding, std::span<const Extent> extents, Wait wait = Wait::no,
                More more = More::no) noexcept;

    /// Sends from host memory, by an ordinary copy: the bytes are free again at once.
    Result send(std::span<const std::byte> bytes, Wait wait = Wait::no,
                More more = More::no) noexcept;

    /// Reads what the kernel says of sends that are complete; returns how many it newly says that
    /// of. Wait::yes waits for at least one, if any is pending; 0 then means that a signal came.
    /// To wait otherwise: poll() reports POLLERR.
    std::size_t complete(Wait wait = Wait::no) noexcept;

    /// Whether complete() has heard that the kernel is done with a send. Sends may be done in
    /// another order than they were made.
    [[nodiscard]] bool done(Ticket ticket) const noexcept;
    /// Sends from a dmabuf that are not done.
    [[nodiscard]] std::size_t pending() const noexcept;
    /// Sends that the kernel says it has copied after all; see Completion::copied. 0, for the CPU
    /// can't read device memory: anything else is a bug of the kernel.
    [[nodiscard]] std::uint64_t copied() const noexcept { return copied_; }
    /// Completions of sends that were not made here: if not 0, somebody else sends with
    /// MSG_ZEROCOPY on this socket, or Options::next was wrong, and done() can't be relied on.
    [[nodiscard]] std::uint64_t unknown() const noexcept { return unknown_; }

    /// The socket, for poll(), shutdown() and the like.
    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

  private:
    friend class CompletionCall;
    friend class SendCall;
    Result send(SendCall& call, Wait wait) noexcept;
    Result send_failed(int error) const noexcept;
    std::size_t read_completions() noexcept;
    std::size_t take_in(std::span<const std::byte> control) noexcept;

    Fd socket_;
    std::unique_ptr<InFlight> in_flight_;
    std::vector<iovec> iovecs_;
    std::uint64_t copied_ = 0;
    std::uint64_t unknown_ = 0;
};

}  // namespace devmem
