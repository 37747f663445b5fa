// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "devmem/export.h"

namespace devmem {

/// One thing that device memory TCP needs or can use, and whether it is there.
struct Finding {
    enum class State { ok, missing, unknown };
    /// What cannot be done without it.
    enum class Use { both, receive, send, extra };

    /// "kernel", "process", "memory", "limits"; an interface's name, or "any nic" and "nic" for
    /// all.
    std::string subject;
    std::string name;  ///< of the thing, one word; one finding of a subject has it
    Use use = Use::extra;
    State state = State::unknown;
    std::string seen = {};    ///< what tells so
    std::string remedy = {};  ///< what to do about it, or how to find out; empty if it is ok
};

/// Whether this stands in the way of a use; both: of either.
[[nodiscard]] DEVMEM_API bool stands_in_way(const Finding& finding, Finding::Use use) noexcept;

/// What this kernel, this process and this machine can do, and one line for each NIC of the calling
/// thread's network namespace.
///
/// Looks for features, never for versions, and changes nothing: no setting, no binding, no memory.
/// Needs no privilege; what the kernel tells only to CAP_NET_ADMIN is unknown without it. Where
/// there are GPUs it loads their drivers, which stay until the process ends, and asks them. May be
/// called from any thread; throws Error only if the process is short of descriptors or memory.
DEVMEM_API std::vector<Finding> probe();

/// The same, but all about this one NIC instead. Throws Error if there is no such interface.
DEVMEM_API std::vector<Finding> probe(const std::string& interface);

}  // namespace devmem
