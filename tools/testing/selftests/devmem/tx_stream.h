// SPDX-License-Identifier: GPL-2.0
// Sending from device memory with the kernel's bare interface, and reading at the other end what
// ordinary sockets make of it.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devmem/fd.h"
#include "far_end.h"
#include "raw_netlink.h"
#include "topology.h"
#include "tx_memory.h"

#ifndef SO_DEVMEM_DMABUF
#define SO_DEVMEM_DMABUF 79
#endif
#ifndef SCM_DEVMEM_DMABUF
#define SCM_DEVMEM_DMABUF SO_DEVMEM_DMABUF
#endif

/// What a bind-tx was answered. The binding lasts as long as this.
class RawTxBinding {
  public:
    RawTxBinding(std::uint32_t ifindex, int dmabuf_fd);

    [[nodiscard]] std::uint32_t id() const { return id_; }
    [[nodiscard]] int error() const { return error_; }
    [[nodiscard]] const std::string& message() const { return message_; }

  private:
    RawSocket socket_;
    std::uint32_t id_ = 0;
    int error_ = 0;
    std::string message_;
};

/// Why device memory can't be sent here; empty if it can.
std::string why_no_sending();

/// What a system call returned.
struct Result {
    ssize_t value;
    int error;  ///< errno if value is -1
};

/// One sendmsg(): `id` goes with it in a control message, if there is one.
Result send_extents(int fd, std::span<const iovec> extents, std::optional<std::uint32_t> id,
                    int flags);
iovec extent_to_iovec(const Extent& extent);

/// What the kernel says of zerocopy sends on the socket's error queue. It may do so in another
/// order than they were made: the NIC may still have what was sent again and is acknowledged.
struct Completions {
    std::uint64_t count = 0;  ///< of sends
    bool copied = false;      ///< some were said to be
    bool twice = false;       ///< some were said to be complete more than once
    std::vector<bool> known;  ///< by number

    /// Reads what there is.
    void read(int fd);

  private:
    void take(std::uint32_t first, std::uint32_t last);
};

/// A connection whose both ends are this process's: one sends from here, the other is an ordinary
/// socket there.
class TxStream {
  public:
    TxStream(const Topology& topology, const TxMemory& memory, std::uint32_t id,
             const TxRoute& route = {});

    /// Sends all of it, reading at the other end where there is no room.
    void send(std::span<const Extent> extents, int flags = 0);
    void send(const Extent& extent, int flags = 0) { send(std::span(&extent, 1), flags); }
    void send_plain(std::span<const std::byte> bytes, int flags = 0);
    /// The same through a pipe, in one page.
    void splice(std::span<const std::byte> bytes);
    /// One call. What was sent is expected at the other end.
    Result try_send(std::span<const Extent> extents, int flags = 0);

    /// Reads what there is, comparing.
    void read() { far_.read(); }
    /// Reads at both ends until there may be room for more.
    void wait_for_room();
    /// All that was sent has arrived, and all sends are complete. Empty if so and nothing was
    /// wrong.
    std::string finish(double seconds = 120);

    [[nodiscard]] int fd() const { return here_.get(); }
    [[nodiscard]] int far_fd() const { return far_.fd(); }
    [[nodiscard]] std::uint64_t sent() const { return far_.expected(); }
    [[nodiscard]] std::uint64_t received() const { return far_.received(); }
    [[nodiscard]] const Completions& completions() const { return completions_; }
    [[nodiscard]] std::uint64_t sends() const { return sends_; }
    /// From now on, what is sent is another binding's, of the same memory.
    void use(std::uint32_t id) { id_ = id; }
    void close_here() { here_.close(); }
    void accept();

  private:
    const TxMemory& memory_;
    std::uint32_t id_;
    FarEnd far_;
    devmem::Fd here_;
    std::uint64_t sends_ = 0;
    Completions completions_;
};
