// SPDX-License-Identifier: MIT
#include "nic_identity.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>

#include "devmem/error.h"
#include "devmem/fd.h"
#include "ethtool_ioctl.h"

namespace devmem {
namespace {

std::string text(std::span<const std::uint8_t> address) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : address) {
        if (!text.empty()) text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

// struct ethtool_perm_addr ends in the address, so it lives in words: command, size, bytes. They
// are all zero where the NIC has none.
std::string permanent_address(std::uint32_t ifindex) {
    constexpr std::size_t head = sizeof(ethtool_perm_addr);
    constexpr std::uint32_t room = 32;  // the kernel's MAX_ADDR_LEN
    std::array<std::uint32_t, (head + room) / sizeof(std::uint32_t)> words{ETHTOOL_GPERMADDR, room};
    if (try_ethtool_ioctl(ifindex, words.data()) != 0) return {};

    std::array<std::uint8_t, room> bytes{};
    std::memcpy(bytes.data(), words.data() + head / sizeof(words[0]), room);
    const auto address = std::span(bytes).first(std::min(words[1], room));
    const bool none = std::ranges::all_of(address, [](std::uint8_t byte) { return byte == 0; });
    return none ? std::string() : text(address);
}

std::string present_address(const std::string& name) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) throw_errno("socket");
    ifreq request{};
    name.copy(request.ifr_name, sizeof(request.ifr_name) - 1);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) < 0) throw_errno("get address of " + name);
    std::array<std::uint8_t, 6> address{};
    std::memcpy(address.data(), request.ifr_hwaddr.sa_data, address.size());
    return text(address);
}

}  // namespace

bool same_nic(const NicIdentity& a, const NicIdentity& b) {
    return a.boot == b.boot && a.netns == b.netns && a.ifindex == b.ifindex &&
           a.address == b.address;
}

std::string boot_id() {
    std::string id;
    errno = ENOENT;
    if (!(std::ifstream("/proc/sys/kernel/random/boot_id") >> id)) throw_errno("read boot id");
    return id;
}

std::uint64_t netns_inode() {
    struct stat info {};
    if (::stat("/proc/thread-self/ns/net", &info) < 0) throw_errno("find network namespace");
    return info.st_ino;
}

std::optional<NicIdentity> nic_identity(std::uint32_t ifindex) {
    std::array<char, IF_NAMESIZE> name{};
    if (!::if_indextoname(ifindex, name.data())) {
        if (errno == ENXIO || errno == ENODEV) return std::nullopt;
        throw_errno("find interface number " + std::to_string(ifindex));
    }
    NicIdentity nic{boot_id(), netns_inode(), ifindex, name.data(), permanent_address(ifindex)};
    if (nic.address.empty()) nic.address = present_address(nic.name);
    return nic;
}

}  // namespace devmem
