// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "devmem/export.h"

namespace devmem {

/// An IPv4 or IPv6 address.
class DEVMEM_API IpAddress {
  public:
    /// From "192.0.2.1" or "2001:db8::1"; "::ffff:192.0.2.1" is the IPv4 address. Throws Error
    /// (EINVAL) for anything else.
    explicit IpAddress(const std::string& text);

    [[nodiscard]] bool is_v6() const noexcept { return size_ == 16; }
    /// 4 or 16 bytes, as on the wire.
    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
        return std::span(bytes_).first(size_);
    }
    [[nodiscard]] std::string text() const;
    bool operator==(const IpAddress&) const = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
    std::uint8_t size_ = 0;
};

}  // namespace devmem
