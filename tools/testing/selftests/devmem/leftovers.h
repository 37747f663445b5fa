// SPDX-License-Identifier: GPL-2.0
// The check that nothing is left of a binding.
#pragma once

#include <cstdint>
#include <string>

#include "expect.h"

class Leftovers {
  public:
    /// Remembers how much accelmem is in use.
    Leftovers();
    /// What is left after all has been closed: accelmem in use that was not before, a page pool in
    /// this namespace that waits for its buffers. Empty if nothing is, at the latest after so long.
    [[nodiscard]] std::string find(double seconds = 60) const;

  private:
    std::uint64_t before_;
};

/// Bytes of all accelmem in use by anybody; 0 without the module.
std::uint64_t accelmem_used();

/// Makes each CPU's network stack run once: it frees the skbs that other CPUs are done with only
/// then, and those hold frags. Needs lo.
void wake_every_stack();

template <void (*Body)()>
void body_and_leftovers() {
    const Leftovers leftovers;
    Body();
    EXPECT_EQUAL("left over", std::string(), leftovers.find());
}

/// A test for ktap_main() that must leave nothing when it returns.
template <void (*Body)()>
void clean() {
    caught<body_and_leftovers<Body>>();
}
