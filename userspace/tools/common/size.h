// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

/// A number of bytes as people write it: 65536, 64k, 64KiB. A suffix is a power of 1024: K, M, G,
/// T, P or E in either case, with B or iB behind it or not; B alone will do too. Throws
/// std::invalid_argument, which says what is wrong, for anything else, and for 0.
std::uint64_t parse_size(const std::string& text);
