// SPDX-License-Identifier: MIT
#include "progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include "amount.h"

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) != 0) {}

void Progress::show(std::uint64_t bytes, const std::string& rest) {
    if (!terminal_) return;
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    fmt::print(stderr, "\r\x1b[K{:.1f} MiB, {:.2f} Gbit/s, {}",
               static_cast<double>(bytes) / (1 << 20), gigabits(bytes - last_bytes_, seconds),
               rest);
    drawn_ = true;
    last_bytes_ = bytes;
    last_ = now;
}

void Progress::clear() {
    if (drawn_) std::fputs("\r\x1b[K", stderr);
    drawn_ = false;
}
