// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

/// How far a transfer is: one line on the terminal that standard error is, written over and over.
/// Nothing where standard error is no terminal.
class Progress {
  public:
    Progress();
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    [[nodiscard]] bool is_shown() const { return terminal_; }
    /// bytes: so far; the rate is that since the last call. rest: what else there is to say.
    void show(std::uint64_t bytes, const std::string& rest);
    /// Makes room for other lines.
    void clear();

  private:
    using Clock = std::chrono::steady_clock;

    bool terminal_;
    bool drawn_ = false;
    std::uint64_t last_bytes_ = 0;
    Clock::time_point last_ = Clock::now();
};
