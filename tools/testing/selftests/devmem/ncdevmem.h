// SPDX-License-Identifier: GPL-2.0
// What ncdevmem's two directions share.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "memory.h"
#include "waiter.h"

struct Options {
    std::string interface, server, client;
    std::uint16_t port = 5201;
    bool listen = false;
    std::optional<std::uint32_t> first_queue;
    std::uint32_t queues = 1;
    std::uint32_t validate = 0;
    std::uint64_t chunk = 0;
    bool no_host_bytes = false;
    bool leave_nic = false;
    MemoryOptions memory;
};

// What the user must know; the rest is devmem::Error.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Sends standard input from device memory.
int send_input(const Options& options, const Waiter& waiter);
