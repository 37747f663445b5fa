// SPDX-License-Identifier: GPL-2.0
// What the tests of the kernel's guards share: a stream whose payload is in device memory meets
// something that would like to read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>

#include "bound.h"
#include "devmem/flow_rule.h"
#include "expect.h"
#include "stock.h"
#include "visit.h"

constexpr std::uint64_t kibibyte = 1 << 10;

/// The connection from this port goes to the bound queue; see in_host_memory() for the other.
constexpr std::uint16_t device_port = 6000, host_port = 6001;

/// Payload from this port lands in host memory for as long as the result lives.
[[nodiscard]] devmem::FlowRule in_host_memory(const Bound& bound, std::uint16_t port = host_port,
                                              bool v6 = false);

/// The first word that a shell command prints, in this namespace; empty if it prints none.
[[nodiscard]] std::string first_word(const std::string& command);
/// The number that it prints; throws if that is none.
[[nodiscard]] std::uint64_t number(const std::string& command);
/// What an interface in this namespace has dropped.
[[nodiscard]] std::uint64_t rx_dropped(const std::string& interface);
[[nodiscard]] std::uint64_t tx_dropped(const std::string& interface);
/// A count in /proc/net/snmp or /proc/net/netstat, such as "Ip" and "FragFails".
[[nodiscard]] std::uint64_t snmp(const std::string& protocol, const std::string& name);

/// The stream is over, complete and exact; this many of its bytes came by way of host memory.
inline void expect_whole(const Reader& reader, std::uint64_t bytes, std::uint64_t host_bytes = 0) {
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", bytes, reader.bytes());
    EXPECT_EQUAL("bytes in host memory", host_bytes, reader.host_bytes());
    EXPECT("an orderly end", reader.ended(), reader.reset() ? "a reset" : "none");
}

/// Sends a stream and reads it to the end: exact, all of it on the device.
inline void expect_stream(const Bound& bound, const SendPlan& plan = {.bytes = 256 * kibibyte}) {
    Sender sender = bound.send(plan);
    {
        Reader reader = bound.accept();
        EXPECT("the stream does not stall", reader.read(), reader.bytes());
        expect_whole(reader, plan.bytes);
    }
    EXPECT("the sender is content", sender.done(), "that it is not");
}

/// The same by way of host memory, from host_port.
inline void expect_host_stream(const Bound& bound, SendPlan plan = {.bytes = 256 * kibibyte}) {
    const auto rule = in_host_memory(bound, host_port, plan.to.find(':') != std::string::npos);
    plan.first_port = host_port;
    Sender sender = bound.send(plan);
    Reader reader = bound.accept();
    EXPECT("the stream in host memory does not stall", reader.read(), reader.bytes());
    expect_whole(reader, plan.bytes, plan.bytes);
}

/// Skips the test without this module (config says how to build it) or program.
inline void need_module(const std::string& name, const std::string& config) {
    if (std::system(("modprobe -q " + name).c_str()) != 0)
        ktap_skip("no module %s (%s)", name.c_str(), config.c_str());
}

inline void need_program(const std::string& name) {
    if (first_word("command -v " + name).empty()) ktap_skip("no %s", name.c_str());
}

/// A TCP packet, seen from its IP header on; what is not TCP is nothing.
struct TcpHeaders {
    std::size_t size;   ///< of the IP and TCP headers
    std::size_t total;  ///< of the packet, as its IP header has it
    std::uint16_t from, to;

    [[nodiscard]] bool has_payload() const { return total > size; }
};
[[nodiscard]] std::optional<TcpHeaders> parse_tcp(std::span<const std::byte> packet);
