// SPDX-License-Identifier: MIT
// devmem: device memory TCP from the command line.
#include <fmt/core.h>

#include <cstdint>
#include <exception>
#include <string>

#include "command.h"
#include "devmem/version.h"

namespace {

// Of the library that runs, which may be newer than this program.
std::string version() {
    const std::uint32_t number = devmem_version();
    return fmt::format("devmem {}.{}.{}", number / 10'000, number / 100 % 100, number % 100);
}

int run(int argc, char** argv) {
    int status = exit_fine;
    CLI::App app("Device memory TCP: tells what this machine can do, and does it.", "devmem");
    app.footer(
        "Exit status: 0 fine, 1 something needed is missing, 2 wrong usage, 3 failed, 128 and the\n"
        "number of the signal that ended a transfer.\n"
        "devmem COMMAND --help tells about one command.");
    app.set_version_flag("--version", version);
    app.require_subcommand(1);
    add_doctor(app, status);
    add_status(app, status);
    add_recv(app, status);
    add_send(app, status);
    add_bench(app, status);
    add_restore(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? exit_fine : exit_usage;
    }
    return status;
}

}  // namespace

int main(int argc, char** argv) try {
    return run(argc, argv);
} catch (const std::exception& error) {
    fmt::print(stderr, "devmem: {}\n", error.what());
    return exit_failed;
}
