// SPDX-License-Identifier: GPL-2.0
// A stay in another network namespace.
#pragma once

#include <fcntl.h>
#include <sched.h>

#include "devmem/fd.h"
#include "process.h"

/// This thread is there for as long as this lives. A socket that it opens meanwhile stays there.
class Visit {
  public:
    /// Throws std::system_error.
    explicit Visit(int netns) : home_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        if (!home_.is_open() || ::setns(netns, CLONE_NEWNET) != 0) throw_errno_of("setns");
    }
    ~Visit() { ::setns(home_.get(), CLONE_NEWNET); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

  private:
    devmem::Fd home_;
};

/// What a call gives when it is made there.
template <class Call>
auto inside(int netns, const Call& call) {
    const Visit visit(netns);
    return call();
}
