// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "devmem/fd.h"
#include "stream.h"

/// Where a stream goes, and by which way.
struct SenderPlan {
    std::string netns;      ///< network namespace to send from
    std::string interface;  ///< there: send from device memory by this one; empty: from host memory
    std::string memory;     ///< kind of that device memory
    std::string address;
    std::uint16_t port = 0;
};

/// A process in a network namespace of its own that sends a stream: with plain sockets, as any host
/// would, or from device memory.
class Sender {
  public:
    struct Report {
        std::uint64_t host_bytes = 0;  ///< that the CPU copied into the kernel
        std::uint64_t device_bytes = 0;
        std::uint32_t retransmissions = 0;
    };

    /// Starts it. It connects to where the plan says; somebody listens there already.
    Sender(const Stream& stream, const SenderPlan& plan);
    /// Kills it if it still runs.
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    /// Waits for its end. Throws devmem::Error if it failed.
    Report wait();

  private:
    pid_t pid_ = -1;
    devmem::Fd report_;
};
