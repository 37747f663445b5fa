// SPDX-License-Identifier: MIT
#include "attr.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

namespace devmem {
namespace {

template <class T>
std::uint64_t load(std::span<const std::byte> bytes) noexcept {
    T value;
    std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
}

}  // namespace

std::optional<std::uint64_t> Attr::number() const noexcept {
    switch (data.size()) {
        case 1:
            return load<std::uint8_t>(data);
        case 2:
            return load<std::uint16_t>(data);
        case 4:
            return load<std::uint32_t>(data);
        case 8:
            return load<std::uint64_t>(data);
        default:
            return std::nullopt;
    }
}

std::string_view Attr::string() const noexcept {
    const std::string_view all(reinterpret_cast<const char*>(data.data()), data.size());
    return all.substr(0, all.find('\0'));
}

std::optional<Attr> next_attr(std::span<const std::byte>& rest) noexcept {
    nlattr header;
    if (rest.size() < sizeof(header)) return std::nullopt;
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > rest.size()) return std::nullopt;

    const Attr attr{static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                    rest.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN)};
    rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), rest.size()));
    return attr;
}

std::optional<Attr> find_attr(std::span<const std::byte> attrs, std::uint16_t type) noexcept {
    while (auto attr = next_attr(attrs))
        if (attr->type == type) return attr;
    return std::nullopt;
}

std::uint32_t u32_or_0(std::span<const std::byte> attrs, std::uint16_t type) noexcept {
    const auto attr = find_attr(attrs, type);
    return attr ? static_cast<std::uint32_t>(attr->number().value_or(0)) : 0;
}

}  // namespace devmem
