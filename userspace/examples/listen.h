// SPDX-License-Identifier: MIT
// What every server does, and no concern of devmem: connections to a port.
#pragma once

#include <devmem/error.h>
#include <devmem/fd.h>
#include <netinet/in.h>
#include <sys/socket.h>

inline devmem::Fd listen_on(std::uint16_t port) {
    devmem::Fd listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener.is_open()) devmem::throw_errno("socket");
    const int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)) < 0)
        devmem::throw_errno("bind");
    if (::listen(listener.get(), SOMAXCONN) < 0) devmem::throw_errno("listen");
    return listener;
}

inline devmem::Fd accept_from(const devmem::Fd& listener) {
    devmem::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.is_open()) devmem::throw_errno("accept");
    return connection;
}

inline devmem::Fd accept_one(std::uint16_t port) {
    return accept_from(listen_on(port));
}
