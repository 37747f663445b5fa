// SPDX-License-Identifier: MIT
#include "outcome.h"

#include <fmt/core.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "command.h"
#include "waiter.h"

namespace {

using End = Outcome::End;

const char* name_of(End end) {
    switch (end) {
        case End::complete:
            return "complete";
        case End::interrupted:
            return "interrupted";
        case End::failed:
            break;
    }
    return "failed";
}

const char* name_of_signal(int signal) {
    if (signal == SIGINT) return "SIGINT";
    return signal == SIGTERM ? "SIGTERM" : "SIGHUP";
}

// The kernel, the driver or a device lacks it.
int status_of(const std::system_error& error) {
    const int value = error.code().value();
    return value == EOPNOTSUPP || value == ENOENT ? exit_missing : exit_failed;
}

}  // namespace

void Outcome::print(nlohmann::ordered_json summary) const {
    summary["ended"] = name_of(end);
    summary["error"] = error.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(error);
    fmt::print("{}\n", summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Outcome::complain() const {
    if (!error.empty()) fmt::print(stderr, "devmem: {}\n", error);
}

Outcome outcome_of(const std::function<void()>& transfer) {
    try {
        transfer();
        return {};
    } catch (const Interrupted& interrupted) {
        return {End::interrupted,
                fmt::format("interrupted by {}", name_of_signal(interrupted.signal())),
                exit_signal + interrupted.signal()};
    } catch (const CLI::Error&) {
        throw;
    } catch (const std::system_error& error) {
        return {End::failed, error.what(), status_of(error)};
    } catch (const std::exception& error) {
        return {End::failed, error.what(), exit_failed};
    }
}
