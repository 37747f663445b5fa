// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace devmem {

/// Which NIC of all that there ever are on a machine: enough never to take another one for it.
struct NicIdentity {
    std::string boot;         // the kernel's id of this boot
    std::uint64_t netns = 0;  // inode of the network namespace
    std::uint32_t ifindex = 0;
    std::string name;     // for people; it may change
    std::string address;  // the permanent one, else the present one: "02:00:5e:10:00:01"

    bool operator==(const NicIdentity&) const = default;
};

/// The same NIC, whatever it is called.
bool same_nic(const NicIdentity& a, const NicIdentity& b);

/// Of this boot. Throws Error.
std::string boot_id();
/// Of the calling thread. Throws Error.
std::uint64_t netns_inode();
/// Nothing if the calling thread's network namespace has no such interface. Throws Error.
std::optional<NicIdentity> nic_identity(std::uint32_t ifindex);

}  // namespace devmem
