// SPDX-License-Identifier: MIT
#include "amount.h"

#include <fmt/core.h>

double gigabits(std::uint64_t bytes, double seconds) {
    return seconds > 0 ? static_cast<double>(bytes) * 8e-9 / seconds : 0;
}

std::string amount(std::uint64_t bytes, double seconds) {
    return fmt::format("{} bytes in {:.3f} s ({:.3f} Gbit/s)", bytes, seconds,
                       gigabits(bytes, seconds));
}
