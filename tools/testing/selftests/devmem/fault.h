// SPDX-License-Identifier: GPL-2.0
// Allocations that fail because the kernel was told so (CONFIG_FAULT_INJECTION).
#pragma once

#include <map>
#include <string>

#include "devmem/fd.h"

/// Why this kernel can't be made to fail, empty if it can.
std::string why_no_faults();

/// Keeps the kernel from writing a stack trace for each failure, and lets any allocation fail. Puts
/// all settings back at its end; one at a time.
class FaultSettings {
  public:
    FaultSettings();
    ~FaultSettings();
    FaultSettings(const FaultSettings&) = delete;
    FaultSettings& operator=(const FaultSettings&) = delete;

    /// A file below /sys/kernel/debug.
    void set(const std::string& file, const std::string& value);

  private:
    std::map<std::string, std::string> before_;
};

/// While it lives, the nth allocation that this thread makes in the kernel fails, once.
class TaskFault {
  public:
    explicit TaskFault(unsigned nth);
    ~TaskFault();
    TaskFault(const TaskFault&) = delete;
    TaskFault& operator=(const TaskFault&) = delete;

    /// Ends it, and tells whether it has happened.
    bool fired();

  private:
    devmem::Fd file_;
};

/// While it lives, the nth allocation that may not sleep fails, once, whoever makes it: packets on
/// their way up the stack, the NIC, timers.
class AtomicFault {
  public:
    enum class Kind { slab, page };

    AtomicFault(FaultSettings& settings, Kind kind, unsigned nth);
    ~AtomicFault();
    AtomicFault(const AtomicFault&) = delete;
    AtomicFault& operator=(const AtomicFault&) = delete;

    [[nodiscard]] bool fired() const;

  private:
    FaultSettings& settings_;
    std::string folder_;
};
