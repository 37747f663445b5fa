// SPDX-License-Identifier: GPL-2.0
#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>

void throw_errno_of(const std::string& what) {
    throw std::system_error(errno, std::system_category(), what);
}

bool within(double seconds, const std::function<bool()>& done) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    for (;;) {
        const bool last = Clock::now() > end;
        if (done()) return true;
        if (last) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

namespace {

void enter(int netns) {
    if (netns >= 0 && ::setns(netns, CLONE_NEWNET) != 0) throw_errno_of("setns");
}

// Everything but the standard streams and `say`, which moves to number 3.
void drop_descriptors(int say) {
    if (say != 3 && ::dup2(say, 3) < 0) throw_errno_of("dup2");
    if (::close_range(4, ~0U, 0) != 0) throw_errno_of("close_range");
}

[[noreturn]] void run_child(pid_t parent, int netns, int say, const Process::Body& body) {
    try {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);  // it died before it could be said
        enter(netns);
        drop_descriptors(say);
        body(3);
    } catch (const std::exception& error) {
        std::printf("# a child process: %s\n", error.what());
        std::fflush(stdout);
        ::_exit(1);
    }
    std::fflush(stdout);
    ::_exit(0);
}

int status_of(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Process::Process(int netns, const Body& body) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno_of("pipe");
    hear_ = ends[0];
    std::fflush(stdout);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) run_child(parent, netns, ends[1], body);
    ::close(ends[1]);
    if (pid_ < 0) throw_errno_of("fork");
}

Process::~Process() {
    kill();
    ::close(hear_);
}

int Process::wait(double seconds) {
    int status = 0;
    if (pid_ <= 0) return -1;
    const bool ended = within(seconds, [&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended) return -1;
    pid_ = -1;
    return status_of(status);
}

void Process::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

bool Process::hear(void* to, std::size_t size, double seconds) {
    auto* at = static_cast<std::byte*>(to);
    while (size > 0) {
        pollfd ready{hear_, POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(seconds * 1000)) <= 0) return false;
        const ssize_t n = ::read(hear_, at, size);
        if (n <= 0) return false;
        at += n;
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

void run_in(int netns, std::string_view command) {
    const std::string text(command);
    Process shell(netns, [&](int) {
        ::execl("/bin/sh", "sh", "-c", text.c_str(), nullptr);
        throw_errno_of("exec /bin/sh");
    });
    const int status = shell.wait(120);
    if (status != 0) throw std::runtime_error("status " + std::to_string(status) + " of: " + text);
}
