// SPDX-License-Identifier: GPL-2.0
// A connection whose newest frags are kept: their tokens go back in the order they came, as ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "token_reader.h"

class Hoard {
  public:
    /// There will be at most so many tokens out.
    Hoard(devmem::Fd connection, std::size_t most)
        : reader_(std::move(connection)), tokens_(most) {}

    /// Reads until so many frags have come in all, keeping about `keep`. False at the end.
    bool read(std::uint64_t frags, std::uint64_t keep);
    /// They are the caller's to give back now.
    [[nodiscard]] std::vector<TokenRange> take_oldest(std::size_t count);
    void give_back(std::span<const TokenRange> ranges) const { reader_.give_back(ranges); }

    [[nodiscard]] std::uint64_t frags() const { return last_; }
    [[nodiscard]] std::uint64_t out() const { return last_ - first_; }

  private:
    static constexpr std::size_t batch = 128;

    std::uint32_t& token(std::uint64_t number) { return tokens_[number % tokens_.size()]; }

    TokenReader reader_;
    std::vector<std::uint32_t> tokens_;   // round and round
    std::uint64_t first_ = 0, last_ = 0;  // of those that are out
};
