// SPDX-License-Identifier: MIT
// The frame of the devmem command: a file for each subcommand, which adds itself to the command
// line and leaves its exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

/// What scripts can rely on; devmem(1) says the same.
enum ExitStatus {
    exit_fine = 0,
    exit_missing = 1,   ///< something that is needed is not there
    exit_usage = 2,     ///< also: a file that was named cannot be opened
    exit_failed = 3,    ///< the kernel, the NIC or the peer refused, or there is no such interface
    exit_signal = 128,  ///< and the signal's number: a transfer ended by it
};

/// status is written when the subcommand runs and must outlive app.
void add_bench(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_recv(CLI::App& app, int& status);
void add_restore(CLI::App& app, int& status);
void add_send(CLI::App& app, int& status);
void add_status(CLI::App& app, int& status);
