// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "devmem/fd.h"
#include "devmem/ip_address.h"
#include "waiter.h"

// TCP connections, as any program makes them. The sockets that listen and those that connect are
// non-blocking. Everything throws devmem::Error; what waits throws Interrupted too.

/// Where to connect to, and by which way.
struct Peer {
    devmem::IpAddress address;
    std::uint16_t port;
    std::string interface;
    std::optional<devmem::IpAddress> own_address = {};
};

/// On one own address; "::" means all, of IPv4 too.
devmem::Fd listen_on(const devmem::IpAddress& address, std::uint16_t port);
/// On all own addresses, also where the kernel has no IPv6.
devmem::Fd listen_on_all(std::uint16_t port);
/// The next connection.
devmem::Fd accept_from(const devmem::Fd& listener, const Waiter& waiter);
devmem::Fd connect_to(const Peer& peer, const Waiter& waiter);

/// What went wrong with a connection that nobody has been told of: an errno, or 0.
int error_of(int socket);
