// SPDX-License-Identifier: GPL-2.0
// Child processes in network namespaces.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

[[noreturn]] void throw_errno_of(const std::string& what);

/// Calls done() every few milliseconds until it is true. False if it is not when the time is up,
/// however long this process was kept from looking.
bool within(double seconds, const std::function<bool()>& done);

/// A child that inherits no descriptor: what the parent closes is closed. It dies with its parent
/// and with this object.
class Process {
  public:
    /// What the child runs. It may write to `say`; the parent hears it. An exception ends it with
    /// status 1.
    using Body = std::function<void(int say)>;

    /// netns: a descriptor of a network namespace to enter; -1: stay.
    Process(int netns, const Body& body);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Its exit status, once; 128 + signal if one ended it, -1 if it still runs after so long.
    int wait(double seconds);
    /// kill -9, and the end has been seen.
    void kill();
    /// Reads what the child said. False if it ended or said nothing for so long.
    bool hear(void* to, std::size_t size, double seconds);

  private:
    pid_t pid_ = -1;
    int hear_ = -1;
};

/// Runs a shell command in a namespace. Throws if it fails.
void run_in(int netns, std::string_view command);
