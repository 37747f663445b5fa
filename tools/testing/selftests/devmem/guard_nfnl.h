// SPDX-License-Identifier: GPL-2.0
// Packets that netfilter hands to a program: to log them (NFLOG), or to judge them (NFQUEUE).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "devmem/fd.h"

namespace nfnl {

struct Packet {
    std::uint32_t id = 0;              ///< for a verdict
    std::span<const std::byte> bytes;  ///< from the IP header on, as much as was handed out
    std::size_t length = 0;            ///< of the packet, where that is more and is told
};
using Look = std::function<void(const Packet&)>;

struct Attribute {
    std::uint16_t type;
    std::span<const std::byte> value;
};

/// One end of a conversation with nfnetlink, about one group or queue.
class Socket {
  public:
    explicit Socket(std::uint16_t resource);
    /// Throws unless it is acknowledged.
    void configure(std::uint16_t type, std::span<const Attribute> attributes) const;
    /// The same, without waiting.
    void send(std::uint16_t type, std::span<const Attribute> attributes) const;
    /// The next message, attributes only; empty if none comes for so long.
    [[nodiscard]] std::span<const std::byte> next(int milliseconds);

  private:
    void send(std::uint16_t type, std::uint16_t flags, std::span<const Attribute> attributes) const;

    devmem::Fd fd_;
    std::uint16_t resource_;
    std::vector<std::byte> buffer_;
};

/// All of what is logged to a group.
class Log {
  public:
    explicit Log(std::uint16_t group);
    /// What there is, until nothing comes for a while.
    void drain(const Look& look);

  private:
    Socket socket_;
};

/// A queue whose packets are all accepted.
class Queue {
  public:
    enum class Gso { whole, segments };

    Queue(std::uint16_t number, Gso gso);
    /// Accepts the next packet, if one comes soon.
    void step(const Look& look);

  private:
    Socket socket_;
};

}  // namespace nfnl
