// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devmem/dmabuf.h"
#include "devmem/export.h"

namespace devmem {

class NetlinkSocket;

/// A dmabuf bound to RX queues: what these queues receive over TCP lands in it.
///
/// Owns the netlink socket that made the binding, because the kernel unbinds when that socket
/// closes: destroying this (or the death of the process) gives the queues back to host memory.
/// The kernel keeps the dmabuf itself until the last frag is returned.
///
/// Bind a dmabuf once at a time: the kernel takes all of it for free memory, and does not see that
/// another binding, or a frag that an earlier one has handed out, is using some of it.
///
/// The interface needs header split, no XDP program, and queues nobody else has bound; each is one
/// type of this library (HeaderSplit) or one line of what() if it is missing.
class DEVMEM_API RxBinding {
  public:
    /// Needs CAP_NET_ADMIN. Throws Error; code() as in the kernel's bind-rx: EOPNOTSUPP (driver or
    /// kernel can't), EEXIST (bound already), EINVAL (header split is off), ERANGE or EINVAL (no
    /// such queue), EBUSY (AF_XDP). dmabuf must outlive this.
    RxBinding(std::uint32_t ifindex, std::span<const std::uint32_t> queues, const DmaBuf& dmabuf);
    ~RxBinding();
    RxBinding(RxBinding&&) noexcept;
    RxBinding& operator=(RxBinding&&) noexcept;

    /// The kernel's number for this binding, from 1; Piece::dmabuf_id says the same.
    [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
    [[nodiscard]] std::uint32_t ifindex() const noexcept { return ifindex_; }
    [[nodiscard]] std::span<const std::uint32_t> queues() const noexcept { return queues_; }
    [[nodiscard]] const DmaBuf& dmabuf() const noexcept { return *dmabuf_; }

  private:
    std::unique_ptr<NetlinkSocket> socket_;
    std::uint32_t id_ = 0;
    std::uint32_t ifindex_;
    std::vector<std::uint32_t> queues_;
    const DmaBuf* dmabuf_;
};

/// A dmabuf bound to an interface to send from: see Sender.
///
/// Owns the netlink socket that made the binding, because the kernel unbinds when that socket
/// closes: destroying this means that nothing more can be sent from it. What was sent before stays
/// mapped, and leaves, until the peer has it or the connection is over.
///
/// No queue is taken and the interface is not disturbed. One dmabuf may be bound any number of
/// times, for receiving too. Only the interface itself or a VLAN on it will do as the way out.
class DEVMEM_API TxBinding {
  public:
    /// Needs no privilege, but the binding works only for whoever has the effective user id of this
    /// thread, or CAP_NET_ADMIN. Throws Error; code() as in the kernel's bind-tx: EOPNOTSUPP
    /// (driver or kernel can't), ENODEV (no such interface), EINVAL (the dmabuf is not of whole
    /// pages). dmabuf must outlive this.
    TxBinding(std::uint32_t ifindex, const DmaBuf& dmabuf);
    ~TxBinding();
    TxBinding(TxBinding&&) noexcept;
    TxBinding& operator=(TxBinding&&) noexcept;

    /// The kernel's number for this binding, from 1: what Sender::send() wants.
    [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
    [[nodiscard]] std::uint32_t ifindex() const noexcept { return ifindex_; }
    [[nodiscard]] const DmaBuf& dmabuf() const noexcept { return *dmabuf_; }

  private:
    std::unique_ptr<NetlinkSocket> socket_;
    std::uint32_t id_ = 0;
    std::uint32_t ifindex_;
    const DmaBuf* dmabuf_;
};

/// first, first + 1, ... count numbers in all.
DEVMEM_API std::vector<std::uint32_t> queue_range(std::uint32_t first, std::uint32_t count);

}  // namespace devmem
