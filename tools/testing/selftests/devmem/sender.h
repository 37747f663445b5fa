// SPDX-License-Identifier: GPL-2.0
// Streams whose every byte follows from a number, and a process that sends them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "process.h"

/// The bytes of stream number `seed`. They repeat with a prime period, so that a piece in the wrong
/// place shows, and so does a piece of another stream.
class Pattern {
  public:
    static constexpr std::size_t period = 65521;

    explicit Pattern(std::uint32_t seed) : phase_(std::uint64_t{seed} * 7919 % period) {}
    /// Some bytes from position on, at least one and at most `most`.
    [[nodiscard]] std::span<const std::byte> at(std::uint64_t position, std::size_t most) const;
    /// Where these bytes differ from the stream's at position; -1 if nowhere.
    [[nodiscard]] std::int64_t differs(std::span<const std::byte> bytes,
                                       std::uint64_t position) const;

  private:
    std::uint64_t phase_;
};

/// What to send. Connection i comes from port first_port + i, and that is its stream's number.
struct SendPlan {
    enum class End { close, reset };

    std::string to = "10.9.0.1";
    std::uint16_t port = 5201;
    std::uint16_t first_port = 6000;
    unsigned connections = 1;
    std::uint64_t bytes = 1 << 20;  ///< of each connection
    End end = End::close;
    std::size_t write = 65536;  ///< most bytes of a write
    std::size_t first_write = write;
};

constexpr std::uint64_t endless = ~std::uint64_t{0};

/// Sends with plain sockets, as any host would.
class Sender {
  public:
    Sender(int netns, const SendPlan& plan);
    /// All was sent, and the other side has read to the end.
    [[nodiscard]] bool done(double seconds = 60) { return process_.wait(seconds) == 0; }
    void kill() { process_.kill(); }

  private:
    Process process_;
};

/// For when nobody is left to acknowledge: TCP would go on trying for minutes, and keep what came
/// out of order.
void reset_on_close(int fd);
