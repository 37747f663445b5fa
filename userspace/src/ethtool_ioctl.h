// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

namespace devmem {

/// SIOCETHTOOL, for what ethtool's netlink family can't do: RSS tables and n-tuple rules. command
/// is one of the kernel's structures, whose first member is the command's number. Returns 0 or a
/// positive errno.
int try_ethtool_ioctl(std::uint32_t ifindex, void* command);

/// The same; throws Error, naming call and the interface.
void ethtool_ioctl(std::uint32_t ifindex, void* command, std::string_view call);

}  // namespace devmem
