// SPDX-License-Identifier: MIT
#pragma once

#include <sys/resource.h>

#include <chrono>

/// Time since construction: wall clock, and what the CPU spent on this process, its threads and
/// its system calls. What the kernel does in interrupts is nobody's, so it is not in there.
class Stopwatch {
  public:
    struct Times {
        double wall = 0, user = 0, system = 0;  ///< seconds
    };

    Stopwatch() { ::getrusage(RUSAGE_SELF, &before_); }

    [[nodiscard]] Times read() const {
        rusage now{};
        ::getrusage(RUSAGE_SELF, &now);
        const std::chrono::duration<double> wall = Clock::now() - start_;
        return {wall.count(), between(before_.ru_utime, now.ru_utime),
                between(before_.ru_stime, now.ru_stime)};
    }

  private:
    using Clock = std::chrono::steady_clock;

    static double between(const timeval& from, const timeval& to) {
        return static_cast<double>(to.tv_sec - from.tv_sec) +
               static_cast<double>(to.tv_usec - from.tv_usec) * 1e-6;
    }

    rusage before_{};
    Clock::time_point start_ = Clock::now();
};
