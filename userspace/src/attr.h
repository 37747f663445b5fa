// SPDX-License-Identifier: MIT
// Netlink attributes as pure functions of bytes. Nothing here trusts a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace devmem {

struct Attr {
    std::uint16_t type = 0;  // without the nested and byte-order flags
    std::span<const std::byte> data;

    // An unsigned number of 1, 2, 4 or 8 bytes in host order; the kernel's "uint" is 4 or 8.
    [[nodiscard]] std::optional<std::uint64_t> number() const noexcept;
    // Up to the first NUL or the end.
    [[nodiscard]] std::string_view string() const noexcept;
};

// Takes the first attribute off rest. Nothing once rest is empty or makes no sense.
std::optional<Attr> next_attr(std::span<const std::byte>& rest) noexcept;

// The first attribute of that type.
std::optional<Attr> find_attr(std::span<const std::byte> attrs, std::uint16_t type) noexcept;

// The number in the first attribute of that type, cut to 32 bits; 0 if there is none.
std::uint32_t u32_or_0(std::span<const std::byte> attrs, std::uint16_t type) noexcept;

}  // namespace devmem
