// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// The bytes that are sent, and so the bytes that must arrive: both ends know them.
class Stream {
  public:
    /// size bytes that repeat with an odd, prime period, so that a piece in the wrong place shows.
    explicit Stream(std::uint64_t size);
    /// The contents of a file. Throws std::system_error.
    explicit Stream(const std::string& path);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    [[nodiscard]] std::uint64_t size() const { return size_; }
    /// Some bytes from position on, at least one and at most `most`; none at the end.
    [[nodiscard]] std::span<const std::byte> at(std::uint64_t position, std::size_t most) const;

  private:
    std::uint64_t size_;
    std::vector<std::byte> pattern_;
    std::span<std::byte> file_;  // mapped; empty if this is a pattern
};
