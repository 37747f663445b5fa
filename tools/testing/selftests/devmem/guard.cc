// SPDX-License-Identifier: GPL-2.0
#include "guard.h"


#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>

devmem::FlowRule in_host_memory(const Bound& bound, std::uint16_t port, bool v6) {
    devmem::Flow flow;
    flow.v6 = v6;
    flow.source_port = port;
    return {bound.ifindex, flow, 0};
}

std::string first_word(const std::string& command) {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    if (!pipe) throw_errno_of("popen");
    std::string text;
    std::array<char, 4096> buffer{};
    while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
        text.append(buffer.data(), got);
    std::istringstream words(text);
    std::string word;
    words >> word;
    return word;
}

std::uint64_t number(const std::string& command) {
    const std::string word = first_word(command);
    if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos)
        throw std::runtime_error("'" + word + "' is no number, from: " + command);
    return std::stoull(word);
}

namespace {

// A column of /proc/net/dev; /sys/class/net may be another namespace's.
std::uint64_t interface_count(const std::string& interface, int column) {
    return number(fmt::format("sed -n 's/^ *{}://p' /proc/net/dev | awk '{{ print ${} }}'",
                              interface, column));
}

}  // namespace

std::uint64_t rx_dropped(const std::string& interface) {
    return interface_count(interface, 4);
}

std::uint64_t tx_dropped(const std::string& interface) {
    return interface_count(interface, 12);
}

// Two lines for each protocol: names, then numbers.
std::uint64_t snmp(const std::string& protocol, const std::string& name) {
    for (const char* path : {"/proc/net/snmp", "/proc/net/netstat"}) {
        std::ifstream file(path);
        std::string names_line, numbers_line;
        while (std::getline(file, names_line) && std::getline(file, numbers_line)) {
            if (!names_line.starts_with(protocol + ":")) continue;
            std::istringstream names(names_line), numbers(numbers_line);
            for (std::string key, value; names >> key && numbers >> value;)
                if (key == name) return std::stoull(value);
        }
    }
    throw std::runtime_error("no count " + protocol + " " + name);
}

namespace {

std::size_t octet(std::span<const std::byte> bytes, std::size_t at) {
    return std::to_integer<std::size_t>(bytes[at]);
}

std::size_t big_endian(std::span<const std::byte> bytes, std::size_t at) {
    return octet(bytes, at) << 8 | octet(bytes, at + 1);
}

constexpr std::size_t ip6_header = 40;

}  // namespace

std::optional<TcpHeaders> parse_tcp(std::span<const std::byte> packet) {
    constexpr std::size_t tcp_header = 20;
    if (packet.size() < ip6_header) return {};
    const bool v6 = octet(packet, 0) >> 4 == 6;
    const std::size_t ip = v6 ? ip6_header : (octet(packet, 0) & 15) * 4;
    const std::size_t protocol = octet(packet, v6 ? 6 : 9);
    if (protocol != 6 || packet.size() < ip + tcp_header) return {};
    const std::size_t total = v6 ? ip6_header + big_endian(packet, 4) : big_endian(packet, 2);
    return TcpHeaders{.size = ip + (octet(packet, ip + 12) >> 4) * 4,
                      .total = total,
                      .from = static_cast<std::uint16_t>(big_endian(packet, ip)),
                      .to = static_cast<std::uint16_t>(big_endian(packet, ip + 2))};
}
