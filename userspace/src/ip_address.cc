// SPDX-License-Identifier: MIT
#include "devmem/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>

#include "devmem/error.h"

namespace devmem {

IpAddress::IpAddress(const std::string& text) {
    if (::inet_pton(AF_INET, text.c_str(), bytes_.data()) == 1) {
        size_ = 4;
    } else if (::inet_pton(AF_INET6, text.c_str(), bytes_.data()) == 1) {
        size_ = 16;
        constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        if (!std::equal(mapped.begin(), mapped.end(), bytes_.begin())) return;
        std::copy(bytes_.begin() + 12, bytes_.end(), bytes_.begin());
        std::fill(bytes_.begin() + 4, bytes_.end(), 0);
        size_ = 4;
    } else {
        throw_netlink(EINVAL, "read IP address '" + text + "'", "");
    }
}

std::string IpAddress::text() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(is_v6() ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
    return text.data();
}

}  // namespace devmem
