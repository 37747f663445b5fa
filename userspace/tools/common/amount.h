// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

/// Rate in Gbit/s; 0 if no time has passed.
double gigabits(std::uint64_t bytes, double seconds);
/// "12345 bytes in 1.000 s (0.099 Gbit/s)"
std::string amount(std::uint64_t bytes, double seconds);
