// SPDX-License-Identifier: MIT
// Counts what the code under test allocates and throws, and not what a test or a fake does.
#pragma once

#include <cstddef>
#include <utility>

namespace devmem::test {

/// Of this thread. allocations.cc replaces operator new; the linker, with --wrap, __cxa_throw.
struct Counts {
    bool on = false;
    std::size_t allocations = 0;
    std::size_t throws = 0;
};
Counts& counts();

/// A part of the thread's life in which nothing is counted, or all is.
template <bool on>
class Counting {
  public:
    Counting() : before_(std::exchange(counts().on, on)) {}
    ~Counting() { counts().on = before_; }
    Counting(const Counting&) = delete;
    Counting& operator=(const Counting&) = delete;

  private:
    bool before_;
};
using Counted = Counting<true>;
using NotCounted = Counting<false>;

/// What a call gives, with what it does counted.
template <class Call>
auto counted(Call call) {
    const Counted on;
    return call();
}

}  // namespace devmem::test
