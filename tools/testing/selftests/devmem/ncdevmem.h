// SPDX-License-Identifier: GPL-2.0
// What ncdevmem's two directions share.
#pragma once

#include <devmem/dmabuf.h>
#include <devmem/fd.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

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
    std::string memory = "udmabuf";
    std::uint64_t size = 16000 * 4096ULL;  // just below udmabuf's usual limit of 64 MiB
};

// What the user must know; the rest is devmem::Error.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Signals only get through inside wait_for(), so destructors put the NIC back and no wait misses
// one.
void hold_signals();
// Whether one has come.
bool interrupted();
// Waits for these events of poll(), and POLLERR. Throws Failure when a signal comes.
void wait_for(int fd, short events);

devmem::DmaBuf make_memory(const Options& options);

devmem::Fd listen_on(const std::string& address, std::uint16_t port);
// A connection to the server, by way of the interface.
devmem::Fd connect_to(const Options& options);

// "12345 bytes in 1.000 s (0.099 Gbit/s)"
std::string amount(std::uint64_t bytes, double seconds);

// Sends standard input from device memory.
int send_input(const Options& options);
