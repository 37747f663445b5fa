// SPDX-License-Identifier: MIT
// A network interface as rtnetlink describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "devmem/netdev.h"

namespace devmem {

struct Link {
    bool up = false;
    bool xdp = false;       // an XDP program is attached
    std::string kind = {};  // "veth", "vlan" ...; empty for hardware
    Counts counts = {};
};

/// Pure: reads what follows the netlink header of an RTM_NEWLINK message.
Link decode_link(std::span<const std::byte> message);

/// Throws Error.
Link link_of(std::uint32_t ifindex);

}  // namespace devmem
