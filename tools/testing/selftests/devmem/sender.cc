// SPDX-License-Identifier: GPL-2.0
#include "sender.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <stdexcept>
#include <vector>

namespace {

const std::vector<std::byte>& table() {
    static const std::vector<std::byte> bytes = [] {
        std::vector<std::byte> made(2 * Pattern::period);
        std::minstd_rand random(1);
        const auto middle = made.begin() + Pattern::period;
        std::generate(made.begin(), middle, [&] { return static_cast<std::byte>(random() >> 8); });
        std::copy(made.begin(), middle, middle);
        return made;
    }();
    return bytes;
}

struct Outgoing {
    int fd;
    Pattern pattern;
    std::uint64_t sent;
};

sockaddr_in6 address_of(const SendPlan& plan) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(plan.port);
    const bool v6 = plan.to.find(':') != std::string::npos;
    const std::string text = v6 ? plan.to : "::ffff:" + plan.to;
    if (::inet_pton(AF_INET6, text.c_str(), &to.sin6_addr) != 1)
        throw std::runtime_error("no address: " + plan.to);
    return to;
}

int dial(const SendPlan& plan, std::uint16_t from_port) {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sockaddr_in6 from{};
    from.sin6_family = AF_INET6;
    from.sin6_port = htons(from_port);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof(from)) != 0) throw_errno_of("bind");
    const sockaddr_in6 to = address_of(plan);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0)
        throw_errno_of("connect to " + plan.to);
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void finish(Outgoing& connection, SendPlan::End end) {
    if (end == SendPlan::End::close) {
        ::shutdown(connection.fd, SHUT_WR);
        return;
    }
    reset_on_close(connection.fd);
    ::close(connection.fd);
    connection.fd = -1;
}

// What else there is to wait for.
short step(Outgoing& connection, const SendPlan& plan) {
    if (connection.sent == plan.bytes) {
        std::byte nothing{};
        const ssize_t n = ::recv(connection.fd, &nothing, 1, 0);
        if (n < 0 && errno != EAGAIN) throw_errno_of("the other side does not close properly");
        if (n == 0) connection.fd = -1;
        return POLLIN;
    }
    const auto write = connection.sent == 0 ? plan.first_write : plan.write;
    const auto most = std::min<std::uint64_t>(write, plan.bytes - connection.sent);
    const auto bytes = connection.pattern.at(connection.sent, most);
    const ssize_t n = ::send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) throw_errno_of("send");
    if (n > 0) connection.sent += static_cast<std::uint64_t>(n);
    if (connection.sent < plan.bytes) return POLLOUT;
    finish(connection, plan.end);
    return POLLIN;
}

void send_all(const SendPlan& plan) {
    std::vector<Outgoing> connections;
    std::vector<pollfd> polls;
    for (unsigned i = 0; i < plan.connections; i++) {
        const auto port = static_cast<std::uint16_t>(plan.first_port + i);
        connections.push_back({dial(plan, port), Pattern(port), 0});
        polls.push_back({connections.back().fd, POLLOUT, 0});
    }
    for (unsigned open = plan.connections; open > 0;) {
        if (::poll(polls.data(), polls.size(), -1) < 0) throw_errno_of("poll");
        for (std::size_t i = 0; i < polls.size(); i++) {
            if (polls[i].fd < 0 || polls[i].revents == 0) continue;
            polls[i].events = step(connections[i], plan);
            polls[i].fd = connections[i].fd;
            open -= polls[i].fd < 0;
        }
    }
}

}  // namespace

std::span<const std::byte> Pattern::at(std::uint64_t position, std::size_t most) const {
    return std::span(table()).subspan((phase_ + position) % period, std::min(most, period));
}

std::int64_t Pattern::differs(std::span<const std::byte> bytes, std::uint64_t position) const {
    for (std::size_t done = 0; done < bytes.size();) {
        const auto wanted = at(position + done, bytes.size() - done);
        const auto seen = bytes.subspan(done, wanted.size());
        const auto [bad, expected] = std::ranges::mismatch(seen, wanted);
        if (bad != seen.end()) return static_cast<std::int64_t>(done) + (bad - seen.begin());
        done += wanted.size();
    }
    return -1;
}

Sender::Sender(int netns, const SendPlan& plan)
    : process_(netns, [&plan](int) {
          try {
              send_all(plan);
          } catch (const std::exception&) {
              if (plan.bytes != endless) throw;  // nobody will read that to its end
          }
      }) {}

void reset_on_close(int fd) {
    const linger now{1, 0};
    if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) != 0)
        throw_errno_of("setsockopt");
}
