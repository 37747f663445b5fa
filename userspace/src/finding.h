// SPDX-License-Identifier: MIT
// What the parts of the probe make findings with.
#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "devmem/probe.h"

namespace devmem {

using Findings = std::vector<Finding>;

/// The thing that a finding is about.
struct Thing {
    std::string subject, name;
    Finding::Use use;

    [[nodiscard]] Finding ok(std::string seen) const {
        return {subject, name, use, Finding::State::ok, std::move(seen), {}};
    }
    [[nodiscard]] Finding missing(std::string seen, std::string remedy) const {
        return {subject, name, use, Finding::State::missing, std::move(seen), std::move(remedy)};
    }
    [[nodiscard]] Finding unknown(std::string seen, std::string remedy) const {
        return {subject, name, use, Finding::State::unknown, std::move(seen), std::move(remedy)};
    }
};

inline void append(Findings& to, Findings from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace devmem
