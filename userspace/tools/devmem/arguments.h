// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

constexpr std::uint16_t default_port = 5201;

// Arguments that several subcommands have. What they are stored in must outlive app.

void add_interface(CLI::App& app, std::string& interface);
CLI::Option* add_port(CLI::App& app, const std::string& name, std::uint16_t& port);
void add_queues(CLI::App& app, std::uint32_t& queues);

/// Accepts IPv4 and IPv6 addresses.
CLI::Validator is_address();
/// From a tenth of a second to a day.
CLI::Validator is_seconds();

/// Opens a file that option names. Throws CLI::ValidationError.
template <class File>
File open_named(const std::string& option, const std::string& path) {
    try {
        return File(path);
    } catch (const std::system_error& error) {
        throw CLI::ValidationError(option, error.what());
    }
}
