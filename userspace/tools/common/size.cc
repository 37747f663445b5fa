// SPDX-License-Identifier: MIT
#include "size.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace {

[[noreturn]] void refuse(const std::string& text, const char* why) {
    throw std::invalid_argument("'" + text + "' is " + why);
}

// How far a suffix shifts; nothing if there is no such suffix.
std::optional<unsigned> shift_of(std::string suffix) {
    constexpr std::string_view powers = "kmgtpe";
    std::ranges::transform(suffix, suffix.begin(), [](unsigned char c) { return std::tolower(c); });
    if (suffix.empty() || suffix == "b") return 0;
    const std::size_t power = powers.find(suffix[0]);
    const auto rest = std::string_view(suffix).substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib"))
        return {};
    return static_cast<unsigned>(power + 1) * 10;
}

}  // namespace

std::uint64_t parse_size(const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc::invalid_argument) refuse(text, "no number of bytes");
    const auto shift = shift_of({stop, end});
    if (!shift) refuse(text, "no number of bytes: only K, M, G, T, P or E may follow the digits");
    if (error != std::errc() || number > std::numeric_limits<std::uint64_t>::max() >> *shift)
        refuse(text, "more bytes than can be counted");
    if (number == 0) refuse(text, "not above 0");
    return number << *shift;
}
