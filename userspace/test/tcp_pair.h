// SPDX-License-Identifier: MIT
// Two ends of a TCP connection on this machine, for what no fake can stand for.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string_view>

#include "devmem/error.h"
#include "devmem/fd.h"

namespace devmem::test {

struct TcpPair {
    Fd here, there;

    TcpPair() {
        const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        here = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof(at);
        auto* address = reinterpret_cast<sockaddr*>(&at);
        if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1) != 0 ||
            ::getsockname(listener.get(), address, &size) != 0 ||
            ::connect(here.get(), address, size) != 0)
            throw_errno("a connection to myself");
        there = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }

    void say(std::string_view text) const {
        if (::send(there.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(text.size()))
            throw_errno("send");
    }
    void reset() {
        const linger now{1, 0};
        ::setsockopt(there.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        there.close();
    }
};

}  // namespace devmem::test
