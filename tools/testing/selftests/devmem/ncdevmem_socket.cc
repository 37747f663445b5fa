// SPDX-License-Identifier: GPL-2.0
// Signals, waiting, and the two ways to a connection.
#include <devmem/error.h>
#include <devmem/ip_address.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "ncdevmem.h"

namespace {

volatile std::sig_atomic_t stop = 0;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    SocketAddress(const devmem::IpAddress& address, std::uint16_t port) {
        storage.ss_family = address.is_v6() ? AF_INET6 : AF_INET;
        if (address.is_v6()) {
            auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
            v6->sin6_port = htons(port);
            std::memcpy(&v6->sin6_addr, address.bytes().data(), address.bytes().size());
            size = sizeof(*v6);
        } else {
            auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
            v4->sin_port = htons(port);
            std::memcpy(&v4->sin_addr, address.bytes().data(), address.bytes().size());
            size = sizeof(*v4);
        }
    }
    [[nodiscard]] const sockaddr* get() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
};

devmem::Fd socket_for(const SocketAddress& address) {
    devmem::Fd socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) devmem::throw_errno("socket");
    return socket;
}

}  // namespace

void hold_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    struct sigaction action {};
    action.sa_handler = [](int) { stop = 1; };
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        sigaddset(&signals, signal);
        sigaction(signal, &action, nullptr);
    }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() {
    return stop != 0;
}

void wait_for(int fd, short events) {
    pollfd waiting{fd, events, 0};
    sigset_t none;
    sigemptyset(&none);
    if (ppoll(&waiting, 1, nullptr, &none) < 0 && errno != EINTR) devmem::throw_errno("ppoll");
    if (stop) throw Failure("interrupted");
}

devmem::Fd listen_on(const std::string& address, std::uint16_t port) {
    const SocketAddress at(devmem::IpAddress(address), port);
    devmem::Fd socket = socket_for(at);
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const std::string where = fmt::format("{} port {}", address, port);
    if (bind(socket.get(), at.get(), at.size) < 0) devmem::throw_errno("bind " + where);
    if (listen(socket.get(), 1) < 0) devmem::throw_errno("listen on " + where);
    return socket;
}

devmem::Fd connect_to(const Options& options) {
    const SocketAddress to(devmem::IpAddress(options.server), options.port);
    devmem::Fd socket = socket_for(to);
    const std::string& name = options.interface;
    if (setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                   static_cast<socklen_t>(name.size())) < 0)
        devmem::throw_errno("bind socket to " + name);
    if (!options.client.empty()) {
        const SocketAddress from(devmem::IpAddress(options.client), 0);
        if (bind(socket.get(), from.get(), from.size) < 0)
            devmem::throw_errno("bind " + options.client);
    }
    if (connect(socket.get(), to.get(), to.size) < 0)
        devmem::throw_errno(fmt::format("connect to {} port {}", options.server, options.port));
    return socket;
}
