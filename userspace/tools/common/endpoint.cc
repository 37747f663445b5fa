// SPDX-License-Identifier: MIT
#include "endpoint.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "devmem/error.h"

namespace {

constexpr int most_waiting = 128;  // connections that nobody has accepted

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    SocketAddress(const devmem::IpAddress& address, std::uint16_t port) {
        const auto bytes = address.bytes();
        storage.ss_family = address.is_v6() ? AF_INET6 : AF_INET;
        if (address.is_v6()) {
            auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
            v6->sin6_port = htons(port);
            std::memcpy(&v6->sin6_addr, bytes.data(), bytes.size());
            size = sizeof(*v6);
        } else {
            auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
            v4->sin_port = htons(port);
            std::memcpy(&v4->sin_addr, bytes.data(), bytes.size());
            size = sizeof(*v4);
        }
    }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
};

std::string text_of(const devmem::IpAddress& address, std::uint16_t port) {
    return address.text() + " port " + std::to_string(port);
}

devmem::Fd socket_for(const SocketAddress& address) {
    devmem::Fd socket(
        ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) devmem::throw_errno("socket");
    return socket;
}

void set(const devmem::Fd& socket, int level, int option, int value, const char* what) {
    if (::setsockopt(socket.get(), level, option, &value, sizeof(value)) < 0)
        devmem::throw_errno(what);
}

// For the way out, and for the scope of a link-local address.
void bind_to_interface(const devmem::Fd& socket, const std::string& name) {
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                     static_cast<socklen_t>(name.size())) < 0)
        devmem::throw_errno("bind socket to " + name);
}

}  // namespace

devmem::Fd listen_on(const devmem::IpAddress& address, std::uint16_t port) {
    const SocketAddress at(address, port);
    devmem::Fd socket = socket_for(at);
    set(socket, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR");
    if (address.is_v6()) set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0, "set IPV6_V6ONLY");
    if (::bind(socket.get(), at.get(), at.size) < 0)
        devmem::throw_errno("bind " + text_of(address, port));
    if (::listen(socket.get(), most_waiting) < 0)
        devmem::throw_errno("listen on " + text_of(address, port));
    return socket;
}

devmem::Fd listen_on_all(std::uint16_t port) {
    try {
        return listen_on(devmem::IpAddress("::"), port);
    } catch (const devmem::Error& error) {
        if (error.code().value() != EAFNOSUPPORT) throw;
        return listen_on(devmem::IpAddress("0.0.0.0"), port);
    }
}

devmem::Fd accept_from(const devmem::Fd& listener, const Waiter& waiter) {
    for (;;) {
        waiter.wait(listener.get(), POLLIN);
        devmem::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection.is_open()) return connection;
        // It was there, and went away again.
        if (errno != EAGAIN && errno != ECONNABORTED) devmem::throw_errno("accept");
    }
}

devmem::Fd connect_to(const Peer& peer, const Waiter& waiter) {
    const SocketAddress to(peer.address, peer.port);
    devmem::Fd socket = socket_for(to);
    bind_to_interface(socket, peer.interface);
    if (peer.own_address) {
        const SocketAddress from(*peer.own_address, 0);
        if (::bind(socket.get(), from.get(), from.size) < 0)
            devmem::throw_errno("bind " + peer.own_address->text());
    }
    const std::string call = "connect to " + text_of(peer.address, peer.port);
    if (::connect(socket.get(), to.get(), to.size) == 0) return socket;
    if (errno != EINPROGRESS) devmem::throw_errno(call);
    waiter.wait(socket.get(), POLLOUT);
    if (const int error = error_of(socket.get())) throw devmem::Error(error, call);
    return socket;
}

int error_of(int socket) {
    int error = 0;
    socklen_t size = sizeof(error);
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
    return error;
}
