// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "devmem/cmsg.h"

namespace devmem {

/// Which of a socket's MSG_ZEROCOPY sends the kernel is not done with. Numbers here have 64 bits
/// and never wrap; the kernel says the lower 32. That is enough to tell them apart, because only
/// `room` of them are open at a time. Nothing allocates after construction.
class InFlight {
  public:
    /// next: the number of the next send.
    InFlight(std::size_t room, std::uint64_t next)
        : early_(std::clamp<std::size_t>(room, 1, std::size_t{1} << 30)),
          oldest_(next),
          next_(next) {}

    [[nodiscard]] bool full() const noexcept { return next_ - oldest_ == early_.size(); }
    /// The number of the send that the kernel is about to take. Not when full().
    std::uint64_t add() noexcept { return next_++; }
    /// The kernel has not taken the last one after all.
    void take_back() noexcept { --next_; }

    /// How many sends that completes; none if not all of the run is open.
    std::size_t complete(const Completion& run) noexcept {
        const std::uint64_t skip = run.first - static_cast<std::uint32_t>(oldest_);
        const std::uint64_t size = std::uint64_t{run.last - run.first} + 1;
        if (skip + size > next_ - oldest_) return 0;
        const std::size_t before = early_count_;
        for (std::uint64_t i = 0; i < size; ++i) mark(oldest_ + skip + i);
        const std::size_t completed = early_count_ - before;
        advance();
        return completed;
    }

    [[nodiscard]] bool done(std::uint64_t number) const noexcept {
        return number < oldest_ || (number < next_ && early_[number % early_.size()]);
    }
    [[nodiscard]] std::size_t pending() const noexcept { return next_ - oldest_ - early_count_; }

  private:
    void mark(std::uint64_t number) noexcept {
        if (early_[number % early_.size()]) return;
        early_[number % early_.size()] = true;
        ++early_count_;
    }

    void advance() noexcept {
        while (oldest_ != next_ && early_[oldest_ % early_.size()]) {
            early_[oldest_++ % early_.size()] = false;
            --early_count_;
        }
    }

    std::vector<bool> early_;  // by number modulo size: complete, while an older one is not
    std::size_t early_count_ = 0;
    std::uint64_t oldest_;  // all below are complete, it is not
    std::uint64_t next_;
};

}  // namespace devmem
