// SPDX-License-Identifier: GPL-2.0
// The other end of a connection that device memory is sent on: an ordinary socket there, which this
// process has too, and what is expected to arrive at it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devmem/fd.h"
#include "sender.h"
#include "topology.h"

/// Where a stream goes to, and how.
struct TxRoute {
    std::string to = Topology::v4_there;
    int rcvbuf = 0;
    bool fastopen = false;  ///< not connected yet: the first send does it
};

class FarEnd {
  public:
    static constexpr std::uint16_t port = 5301;

    /// Listens.
    FarEnd(const Topology& topology, const TxRoute& route);
    /// A connection to it, which it has accepted, and which does not block; or with fast open one
    /// that is to be accepted after the first bytes, and blocks.
    devmem::Fd connect();
    void accept();

    /// These bytes are to arrive next.
    void expect(std::span<const std::byte> bytes);
    /// Reads what there is, comparing.
    void read();
    [[nodiscard]] bool has_all() const { return received_ == expected_.size(); }
    [[nodiscard]] std::uint64_t expected() const { return expected_.size(); }
    [[nodiscard]] std::uint64_t received() const { return received_; }
    /// The first thing that was not as it must be; empty if there was none.
    [[nodiscard]] const std::string& wrong() const { return wrong_; }

    [[nodiscard]] int fd() const { return there_.get(); }
    /// Closes with a reset.
    void reset();

  private:
    TxRoute route_;
    devmem::Fd listener_, there_;
    std::vector<std::byte> expected_;
    std::uint64_t received_ = 0;
    std::string wrong_;
};

/// What leaves dm0 meets with this, said in netem's words. Skips the test where there is no netem.
void impair(const Topology& topology, std::string_view how);

/// Polls for so long. False if nothing of that came.
bool ready(int fd, short events, int milliseconds);

/// A TCP socket that is connected to IPv4 or IPv6 address `to`.
devmem::Fd dial(const std::string& to, std::uint16_t port, bool fastopen = false);
