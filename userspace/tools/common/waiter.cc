// SPDX-License-Identifier: MIT
#include "waiter.h"

#include <poll.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "devmem/error.h"

namespace {

constexpr std::array ending{SIGINT, SIGTERM, SIGHUP};
constexpr std::chrono::milliseconds between_reports{200};

// Those that somebody has the program ignore, as nohup does, are not for it.
sigset_t ending_set() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : ending) {
        struct sigaction now {};
        ::sigaction(signal, nullptr, &now);
        if (now.sa_handler != SIG_IGN) sigaddset(&set, signal);
    }
    return set;
}

}  // namespace

Waiter::Waiter() {
    const sigset_t set = ending_set();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    signals_ = devmem::Fd(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!signals_.is_open()) devmem::throw_errno("signalfd");
}

void Waiter::wait(int fd, short events) const {
    const int timeout = report_ ? static_cast<int>(between_reports.count()) : -1;
    while (!poll_once(fd, events, timeout)) {
    }
}

void Waiter::sleep(std::chrono::milliseconds time) const {
    poll_once(-1, 0, static_cast<int>(time.count()));
}

// Whether fd has something to say.
bool Waiter::poll_once(int fd, short events, int timeout) const {
    std::array<pollfd, 2> waiting{{{signals_.get(), POLLIN, 0}, {fd, events, 0}}};
    if (::poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR)
        devmem::throw_errno("poll");
    check();
    return waiting[1].revents != 0;
}

void Waiter::check() const {
    sigset_t pending;
    ::sigpending(&pending);
    for (const int signal : ending)
        if (sigismember(&pending, signal) == 1) throw Interrupted(signal);
    report_if_due();
}

void Waiter::report_to(std::function<void()> report) {
    report_ = std::move(report);
    next_report_ = Clock::now() + between_reports;
}

void Waiter::report_if_due() const {
    if (!report_ || Clock::now() < next_report_) return;
    next_report_ = Clock::now() + between_reports;
    report_();
}
