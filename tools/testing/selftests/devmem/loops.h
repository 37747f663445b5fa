// SPDX-License-Identifier: GPL-2.0
// Each way to run many connections in one thread, as libdevmem's user would write it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "devmem/sender.h"
#include "reader.h"

/// What is to be sent from device memory on one connection.
struct Outgoing {
    Outgoing(devmem::Sender& on, std::uint32_t from, std::vector<devmem::Extent> what)
        : sender(&on), binding(from), extents(std::move(what)), left(extents) {}

    devmem::Sender* sender;
    std::uint32_t binding;
    std::vector<devmem::Extent> extents;
    std::span<devmem::Extent> left;  ///< of extents
    std::error_code error;           ///< what ended it early
};

struct Engine {
    const char* name;
    /// Reads each to its end. Throws if a wait fails. nullptr: this program was built without it.
    void (*read)(std::span<Reader> readers);
    /// Sends all, or until it fails, and waits until all that was sent is done.
    void (*send)(std::span<Outgoing> all);
};

/// In the order epoll, coroutines on it, coroutines on io_uring, Asio.
std::span<const Engine> engines();
