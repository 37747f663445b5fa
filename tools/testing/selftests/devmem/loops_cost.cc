// SPDX-License-Identifier: GPL-2.0
// What each way to run many connections costs in system calls, for each MiB that is received into
// or sent from device memory. It counts its own calls, so nothing slows it down as strace would.
//
//     ./lab vm -- loops_cost [receive | send]
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <functional>
#include <list>

#include "bound.h"
#include "devmem/binding.h"
#include "devmem/netdev.h"
#include "far_end.h"
#include "loops.h"
#include "process.h"
#include "tx_memory.h"
#include "tx_stream.h"

// ---- the calls --------------------------------------------------------------
// Instead of the C library's functions of these names, for all of this program that is not a shared
// library. Liburing makes its calls itself, so its functions are wrapped (see CMakeLists.txt).

namespace {

struct Calls {
    std::uint64_t receive, send, options, waits, interest, enters;

    [[nodiscard]] std::uint64_t all() const {
        return receive + send + options + waits + interest + enters;
    }
};
Calls calls;

// -1 and errno, as ever.
template <class... Arguments>
long make(std::uint64_t& count, long number, Arguments... arguments) {
    count++;
    return ::syscall(number, arguments...);
}

}  // namespace

extern "C" {
ssize_t recvmsg(int fd, msghdr* message, int flags) {
    return make(calls.receive, SYS_recvmsg, fd, message, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return make(calls.send, SYS_sendmsg, fd, message, flags);
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
    return static_cast<int>(make(calls.options, SYS_setsockopt, fd, level, name, value, size));
}
int epoll_wait(int fd, epoll_event* events, int count, int timeout) {
    return static_cast<int>(make(calls.waits, SYS_epoll_wait, fd, events, count, timeout));
}
int epoll_ctl(int fd, int operation, int which, epoll_event* event) noexcept {
    return static_cast<int>(make(calls.interest, SYS_epoll_ctl, fd, operation, which, event));
}
#ifdef WITH_URING
struct io_uring;
int __real_io_uring_submit_and_wait(io_uring* ring, unsigned count);
int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned count) {
    calls.enters++;
    return __real_io_uring_submit_and_wait(ring, count);
}
int __real_io_uring_submit_and_get_events(io_uring* ring);
int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
    calls.enters++;
    return __real_io_uring_submit_and_get_events(ring);
}
#endif
}

namespace {

void show(const char* what, unsigned connections, std::uint64_t bytes, const Calls& made) {
    const double mebibytes = static_cast<double>(bytes) / (1 << 20);
    const auto each = [&](std::uint64_t count) { return static_cast<double>(count) / mebibytes; };
    fmt::print(
        "{:<24} {:>4} {:>6.0f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f}\n",
        what, connections, mebibytes, each(made.all()), each(made.receive), each(made.send),
        each(made.options), each(made.waits), each(made.interest), each(made.enters));
    std::fflush(stdout);
}

void title(const char* what) {
    fmt::print("{:<24} {:>4} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n", what, "conn",
               "MiB", "all/MiB", "recvmsg", "sendmsg", "setsock", "wait", "ctl", "enter");
}

// In a process of its own, which takes the NIC with it.
void alone(const std::function<void()>& body) {
    Process process(-1, [&](int) { body(); });
    if (process.wait(600) != 0) throw std::runtime_error("it failed");
}

void cost_of_receiving(const Engine& by, unsigned connections, std::uint64_t bytes) {
    const Bound bound;
    Sender sender = bound.send({.connections = connections, .bytes = bytes});
    std::vector<Reader> readers;
    for (unsigned i = 0; i < connections; i++) readers.push_back(bound.accept());
    calls = {};
    by.read(readers);
    const Calls made = calls;
    for (const Reader& reader : readers)
        if (!reader.wrong().empty() || reader.bytes() != bytes)
            throw std::runtime_error("wrong: " + reader.wrong());
    show(by.name, connections, connections * bytes, made);
}

// Reads until all have closed.
void discard(std::uint16_t port, unsigned connections, int say) {
    const Listener listener(port);
    if (::write(say, "", 1) != 1) throw_errno_of("write");
    std::vector<devmem::Fd> open;
    std::vector<pollfd> polls;
    for (unsigned i = 0; i < connections; i++) {
        open.push_back(listener.accept(30));
        polls.push_back({open.back().get(), POLLIN, 0});
    }
    static std::array<std::byte, 1 << 20> buffer;
    for (unsigned left = connections; left > 0;) {
        if (::poll(polls.data(), polls.size(), -1) < 0) throw_errno_of("poll");
        for (pollfd& entry : polls) {
            if (entry.fd < 0 || entry.revents == 0) continue;
            if (::recv(entry.fd, buffer.data(), buffer.size(), 0) > 0) continue;
            entry.fd = -1;
            left--;
        }
    }
}

// Pieces of 64 KiB, from anywhere in 4 MiB.
std::vector<devmem::Extent> extents(std::uint64_t bytes) {
    std::vector<devmem::Extent> all;
    for (std::uint64_t at = 0; at < bytes; at += 64 << 10)
        all.push_back({at % (4 << 20), 64 << 10});
    return all;
}

void cost_of_sending(const Engine& by, unsigned connections, std::uint64_t bytes) {
    constexpr std::uint16_t port = 5301;
    const Topology topology;
    const auto memory = devmem::DmaBuf::accelmem(4 << 20);
    const devmem::TxBinding binding(devmem::interface_index("dm0"), memory);
    Process there(topology.there_fd(), [&](int say) { discard(port, connections, say); });
    char listens = 1;
    if (!there.hear(&listens, 1, 30)) throw std::runtime_error("the other end does not listen");
    std::list<devmem::Sender> senders;
    std::vector<Outgoing> all;
    for (unsigned i = 0; i < connections; i++) {
        senders.emplace_back(dial(Topology::v4_there, port));
        all.emplace_back(senders.back(), binding.id(), extents(bytes));
    }
    calls = {};
    by.send(all);
    const Calls made = calls;
    for (const Outgoing& out : all)
        if (out.error) throw std::system_error(out.error, "send");
    show(by.name, connections, connections * bytes, made);
}

void compare(void (*move)(const Engine&, unsigned, std::uint64_t)) {
    constexpr std::uint64_t bytes = 64 << 20;
    for (const unsigned connections : {1U, 4U, 16U, 64U})
        for (const Engine& by : engines())
            if (by.read) alone([&] { move(by, connections, bytes / connections); });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string direction = argc > 1 ? argv[1] : "receive";
    try {
        if (direction != "receive" && direction != "send")
            throw std::runtime_error("usage: loops_cost [receive | send]");
        if (const std::string why = why_no_sending(); direction == "send" && !why.empty())
            throw std::runtime_error(why);
        title(direction.c_str());
        compare(direction == "send" ? cost_of_sending : cost_of_receiving);
    } catch (const std::exception& error) {
        fmt::print(stderr, "loops_cost: {}\n", error.what());
        return 1;
    }
    return 0;
}
