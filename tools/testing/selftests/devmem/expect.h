// SPDX-License-Identifier: GPL-2.0
// ktap.h for C++: checks that show both values, and tests that may throw.
#pragma once

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <exception>
#include <span>
#include <string>
#include <vector>

#include "ktap.h"

// Note a failure, with what was wanted and what was seen, and go on.
#define EXPECT_EQUAL(what, wanted, seen) expect_equal(__FILE__, __LINE__, what, wanted, seen)

// The same for a condition; seen is told if it does not hold, as it is then.
#define EXPECT(what, holds, seen)                               \
    [&] {                                                       \
        const bool holding = (holds);                           \
        return expect(__FILE__, __LINE__, what, holding, seen); \
    }()

template <class Seen>
bool expect(const char* file, int line, const std::string& what, bool holds, const Seen& seen) {
    if (holds) return true;
    errno = 0;
    ktap_note(file, line, fmt::format("{}: seen {}", what, seen).c_str());
    return false;
}

template <class Wanted, class Seen>
bool expect_equal(const char* file, int line, const std::string& what, const Wanted& wanted,
                  const Seen& seen) {
    return expect(file, line, fmt::format("{}: expected {}", what, wanted),
                  seen == static_cast<Seen>(wanted), seen);
}

// A test for ktap_main() whose exceptions are failures.
template <void (*Body)()>
void caught() {
    try {
        Body();
    } catch (const std::exception& error) {
        errno = 0;
        ktap_note(__FILE__, __LINE__, error.what());
    }
}

// All tests, or those whose name contains the program's argument.
inline int run_tests(std::span<const ktap_test> tests, int argc, char** argv) {
    std::vector<ktap_test> chosen;
    for (const ktap_test& test : tests)
        if (argc < 2 || std::string(test.name).find(argv[1]) != std::string::npos)
            chosen.push_back(test);
    return ktap_main(chosen.data(), static_cast<int>(chosen.size()));
}
