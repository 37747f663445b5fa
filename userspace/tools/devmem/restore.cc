// SPDX-License-Identifier: MIT
// devmem restore: puts back what programs left in NICs that ended without doing so.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>

#include "command.h"
#include "devmem/nic_session.h"

namespace {

using Reports = std::vector<devmem::Restored>;

void print(const Reports& reports) {
    if (reports.empty()) fmt::print("Nothing was left behind.\n");
    for (const auto& report : reports) {
        fmt::print("{}\n", report.interface.empty() ? report.journal : report.interface);
        for (const auto& what : report.done) fmt::print("  put back: {}\n", what);
        for (const auto& why : report.failed) fmt::print("  FAILED: {}\n", why);
    }
}

int restore(const std::string& journals) {
    const auto reports = devmem::restore_abandoned(journals);
    print(reports);
    const bool failed =
        std::ranges::any_of(reports, [](const auto& report) { return !report.failed.empty(); });
    return failed ? exit_failed : exit_fine;
}

}  // namespace

void add_restore(CLI::App& app, int& status) {
    const auto journals = std::make_shared<std::string>(devmem::default_journals);
    CLI::App* command = app.add_subcommand(
        "restore", "Put NICs back that programs left as they needed them when they were killed");
    command->add_option("--journals", *journals, "folder in which the programs noted it")
        ->capture_default_str();
    command->footer(
        "Leaves alone what running programs use. Exit status 3 if anything was not put "
        "back; it can be tried again.");
    command->callback([journals, &status] { status = restore(*journals); });
}
