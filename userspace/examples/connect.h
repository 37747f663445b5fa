// SPDX-License-Identifier: MIT
// What every client does, and no concern of devmem: a connection to a port.
#pragma once

#include <arpa/inet.h>
#include <devmem/error.h>
#include <devmem/fd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

// address: IPv6, or IPv4.
inline devmem::Fd connect_to(const std::string& address, std::uint16_t port) {
    const bool v6 = address.find(':') != std::string::npos;
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, (v6 ? address : "::ffff:" + address).c_str(), &to.sin6_addr) != 1)
        throw devmem::Error(EINVAL, "address " + address);

    devmem::Fd connection(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!connection.is_open()) devmem::throw_errno("socket");
    if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) < 0)
        devmem::throw_errno("connect to " + address);
    return connection;
}
