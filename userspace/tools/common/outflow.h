// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devmem/binding.h"
#include "devmem/sender.h"
#include "waiter.h"

/// Sends a stream on one connection from a dmabuf, a slot of it at a time: while some are on their
/// way, another is filled. A slot is used again when the kernel is done with it.
///
/// Unless finish() has returned the connection is reset when this is destroyed: the peer must not
/// take a part of the stream for all of it, nor the kernel keep the memory for a peer that is slow.
///
/// Throws std::system_error, and what its waiter and its filler throw. The binding must outlive it.
class Outflow {
  public:
    struct Options {
        devmem::Extent part = {};  ///< of the dmabuf; all of it if it has no length
        std::size_t chunk = 0;     ///< most bytes of an iovec; 0: as large as may be
    };
    struct Counts {
        std::uint64_t bytes = 0;  ///< handed to TCP
        std::uint64_t calls = 0;
    };
    /// Puts bytes at the start of a slot; returns how many, or 0 at the end of the stream.
    using Filler = std::function<std::size_t(devmem::Extent slot)>;

    Outflow(devmem::Fd connection, const devmem::TxBinding& binding, const Waiter& waiter)
        : Outflow(std::move(connection), binding, waiter, Options()) {}
    Outflow(devmem::Fd connection, const devmem::TxBinding& binding, const Waiter& waiter,
            const Options& options);

    /// Sends what fill puts into slots until that is nothing.
    void send(const Filler& fill);
    /// Ends the stream; returns when the peer's TCP has all of it, and the memory is free.
    void finish();

    [[nodiscard]] const Counts& counts() const { return counts_; }
    /// Sends that the kernel is not done with.
    [[nodiscard]] std::size_t pending() const { return sender_.pending(); }
    /// Sends that the kernel says it has copied; see devmem::Sender::copied().
    [[nodiscard]] std::uint64_t copied() const { return sender_.copied(); }
    [[nodiscard]] int fd() const { return sender_.fd(); }

  private:
    void send_range(devmem::Sender::Ticket& ticket, devmem::Extent range);
    void wait_after(const devmem::Sender::Result& sent);
    void wait_for_room(short events);

    devmem::Sender sender_;
    const devmem::TxBinding& binding_;
    const Waiter& waiter_;
    devmem::Extent part_;
    std::size_t chunk_;
    std::size_t slot_size_;
    std::vector<devmem::Sender::Ticket> slots_;  // the last send from each
    std::size_t next_slot_ = 0;
    std::vector<devmem::Extent> extents_;
    Counts counts_;
};
