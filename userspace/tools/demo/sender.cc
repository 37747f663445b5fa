// SPDX-License-Identifier: MIT
#include "sender.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>

#include "devmem/error.h"
#include "devmem/memory_kind.h"
#include "devmem/netdev.h"
#include "takeoff.h"

namespace {

constexpr std::uint64_t device_size = 64 << 20;

void enter_netns(const std::string& name) {
    const std::string path = "/run/netns/" + name;
    const devmem::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.is_open()) devmem::throw_errno("open " + path);
    if (::setns(fd.get(), CLONE_NEWNET) != 0) devmem::throw_errno("setns " + path);
}

devmem::Fd connect_to(const std::string& address, std::uint16_t port) {
    devmem::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) devmem::throw_errno("socket");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0)
        devmem::throw_errno("connect " + address);
    return fd;
}

std::uint64_t send_all(int fd, const Stream& stream) {
    std::uint64_t sent = 0;
    while (sent < stream.size()) {
        const auto bytes = stream.at(sent, 1 << 18);
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0) devmem::throw_errno("send");
        sent += static_cast<std::uint64_t>(n);
    }
    return sent;
}

/// Returns when the other side has closed too, so that all was acknowledged.
std::uint32_t finish(int fd) {
    ::shutdown(fd, SHUT_WR);
    std::byte nothing{};
    while (::recv(fd, &nothing, 1, 0) > 0) {
    }
    tcp_info info{};
    socklen_t len = sizeof(info);
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        devmem::throw_errno("getsockopt TCP_INFO");
    return info.tcpi_total_retrans;
}

Sender::Report run(const Stream& stream, const SenderPlan& plan) {
    enter_netns(plan.netns);
    const devmem::Fd fd = connect_to(plan.address, plan.port);
    Sender::Report report;
    if (plan.interface.empty()) {
        report.host_bytes = send_all(fd.get(), stream);
    } else {
        Takeoff takeoff(stream, devmem::interface_index(plan.interface),
                        devmem::MemoryKind(plan.memory).allocate(device_size));
        takeoff.send_all(devmem::Fd::duplicate(fd.get()));
        report.device_bytes = takeoff.bytes();
    }
    report.retransmissions = finish(fd.get());
    return report;
}

}  // namespace

Sender::Sender(const Stream& stream, const SenderPlan& plan) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) devmem::throw_errno("pipe");
    report_ = devmem::Fd(ends[0]);
    const devmem::Fd out(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) devmem::throw_errno("fork");
    if (pid_ > 0) return;
    try {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const Report report = run(stream, plan);
        ::_exit(::write(out.get(), &report, sizeof(report)) == sizeof(report) ? 0 : 1);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sender: %s\n", error.what());
        ::_exit(1);
    }
}

Sender::~Sender() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

Sender::Report Sender::wait() {
    Report report;
    if (::read(report_.get(), &report, sizeof(report)) != sizeof(report))
        throw devmem::Error(EPIPE, "sender", "it ended before its time");
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
    return report;
}
