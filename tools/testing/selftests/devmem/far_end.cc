// SPDX-License-Identifier: GPL-2.0
#include "far_end.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "ktap.h"
#include "process.h"
#include "visit.h"

namespace {

void set_option(int fd, int level, int name, int value) {
    if (::setsockopt(fd, level, name, &value, sizeof(value)) != 0) throw_errno_of("setsockopt");
}

sockaddr_in6 address_of(const std::string& text, std::uint16_t port) {
    const bool v6 = text.find(':') != std::string::npos;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, (v6 ? text : "::ffff:" + text).c_str(), &address.sin6_addr) != 1)
        throw std::runtime_error("no address: " + text);
    return address;
}

devmem::Fd new_socket() {
    devmem::Fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) throw_errno_of("socket");
    return fd;
}

// A socket stays in the namespace it was made in.
devmem::Fd listen_in(int netns, int rcvbuf) {
    devmem::Fd fd = inside(netns, new_socket);
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd.get(), IPPROTO_TCP, TCP_FASTOPEN, 16);
    if (rcvbuf != 0) set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, rcvbuf);
    const sockaddr_in6 at = address_of("::", FarEnd::port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
        ::listen(fd.get(), 16) != 0)
        throw_errno_of("listen");
    return fd;
}

}  // namespace

void impair(const Topology& topology, std::string_view how) {
    if (std::system("modprobe -q sch_netem") != 0) ktap_skip("no sch_netem");
    topology.here(fmt::format("tc qdisc replace dev dm0 root netem {}", how));
}

bool ready(int fd, short events, int milliseconds) {
    pollfd entry{fd, events, 0};
    return ::poll(&entry, 1, milliseconds) > 0;
}

devmem::Fd dial(const std::string& to, std::uint16_t port, bool fastopen) {
    const sockaddr_in6 address = address_of(to, port);
    devmem::Fd fd = new_socket();
    if (fastopen) set_option(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        throw_errno_of("connect to " + to);
    return fd;
}

FarEnd::FarEnd(const Topology& topology, const TxRoute& route)
    : route_(route), listener_(listen_in(topology.there_fd(), route.rcvbuf)) {}

devmem::Fd FarEnd::connect() {
    devmem::Fd here = dial(route_.to, port, route_.fastopen);
    if (route_.fastopen) return here;
    accept();
    ::fcntl(here.get(), F_SETFL, O_NONBLOCK);
    return here;
}

void FarEnd::accept() {
    if (!ready(listener_.get(), POLLIN, 60000)) throw std::runtime_error("nobody connects");
    there_ = devmem::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!there_.is_open()) throw_errno_of("accept");
}

void FarEnd::reset() {
    reset_on_close(there_.get());
    there_.close();
}

void FarEnd::expect(std::span<const std::byte> bytes) {
    expected_.insert(expected_.end(), bytes.begin(), bytes.end());
}

void FarEnd::read() {
    std::vector<std::byte> buffer(1 << 16);
    for (;;) {
        const ssize_t n = ::recv(there_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) return;
        const auto got = std::span(buffer).first(static_cast<std::size_t>(n));
        if (received_ + got.size() > expected_.size()) {
            wrong_ = fmt::format("{} bytes more than were sent",
                                 received_ + got.size() - expected_.size());
            return;
        }
        const auto want = std::span(expected_).subspan(received_, got.size());
        const auto at = std::mismatch(got.begin(), got.end(), want.begin()).first;
        if (at != got.end() && wrong_.empty())
            wrong_ = fmt::format("byte {} is wrong", received_ + (at - got.begin()));
        received_ += got.size();
    }
}
