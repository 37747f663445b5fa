// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

/// How a transfer ended.
struct Outcome {
    enum class End { complete, interrupted, failed };

    End end = End::complete;
    std::string error = {};  ///< what to tell the user; empty if it is complete
    int status = 0;          ///< the command's

    /// Prints a summary with "ended" and "error" at its end.
    void print(nlohmann::ordered_json summary) const;
    /// Says the error, if there is one, on standard error.
    void complain() const;
};

/// Runs it and tells what became of it. Wrong usage, which CLI11 reports, passes through.
Outcome outcome_of(const std::function<void()>& transfer);
