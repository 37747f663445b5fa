// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <exception>
#include <functional>

#include "devmem/fd.h"

/// A signal that asks the program to end.
class Interrupted : public std::exception {
  public:
    explicit Interrupted(int signal) noexcept : signal_(signal) {}
    [[nodiscard]] int signal() const noexcept { return signal_; }
    [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }

  private:
    int signal_;
};

/// Waits on behalf of transfers. From its construction on, and until the program ends, SIGINT,
/// SIGTERM and SIGHUP are held back, in threads that are started later too. They become exceptions
/// where a transfer waits or checks, so that destructors put the NIC back; and as a signal stays,
/// every thread learns of it. Those that were ignored before stay so, and SIGPIPE becomes so.
///
/// Everything but the constructor and report_to() may be called in several threads.
class Waiter {
  public:
    /// Throws devmem::Error.
    Waiter();

    /// Until fd has one of these events of poll(), or POLLERR or POLLHUP. Throws Interrupted and
    /// devmem::Error.
    void wait(int fd, short events) const;
    /// Throws Interrupted and devmem::Error.
    void sleep(std::chrono::milliseconds time) const;
    /// For a transfer that never has to wait, now and then. Throws Interrupted.
    void check() const;

    /// report is called from within these functions, every 200 ms or so, in the thread that calls
    /// them. Only where one thread does.
    void report_to(std::function<void()> report);

  private:
    using Clock = std::chrono::steady_clock;

    bool poll_once(int fd, short events, int timeout) const;
    void report_if_due() const;

    devmem::Fd signals_;  // readable while a signal is there
    std::function<void()> report_;
    mutable Clock::time_point next_report_;
};
