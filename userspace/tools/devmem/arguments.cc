// SPDX-License-Identifier: MIT
#include "arguments.h"

#include <charconv>

#include "devmem/error.h"
#include "devmem/ip_address.h"

void add_interface(CLI::App& app, std::string& interface) {
    app.add_option("INTERFACE", interface, "the NIC")->required();
}

CLI::Option* add_port(CLI::App& app, const std::string& name, std::uint16_t& port) {
    return app.add_option(name, port, "TCP port")
        ->capture_default_str()
        ->check(CLI::Range(1, 65535));
}

void add_queues(CLI::App& app, std::uint32_t& queues) {
    app.add_option("-q,--queues", queues, "receive queues to bind; one must be left for others")
        ->capture_default_str()
        ->check(CLI::Range(1, 4096));
}

CLI::Validator is_address() {
    return {[](const std::string& text) -> std::string {
                try {
                    devmem::IpAddress{text};
                    return {};
                } catch (const devmem::Error&) {
                    return "'" + text + "' is no IPv4 or IPv6 address";
                }
            },
            "IP", "address"};
}

// CLI11's own ranges have nan in them.
CLI::Validator is_seconds() {
    return {[](const std::string& text) -> std::string {
                double seconds = 0;
                const char* const end = text.data() + text.size();
                const auto [stop, error] = std::from_chars(text.data(), end, seconds);
                if (error == std::errc() && stop == end && seconds >= 0.1 && seconds <= 86400)
                    return {};
                return "'" + text + "' is no number of seconds from 0.1 to 86400";
            },
            "FLOAT in [0.1 - 86400]", "seconds"};
}
