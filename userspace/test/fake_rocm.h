// SPDX-License-Identifier: MIT
// An imitation of the HSA runtime, in a library of its own, over host memory. Copies that were
// started happen when one is waited for, the last one first. fake_rocm() of the library gives its
// state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace devmem::test {

struct FakeRocm {
    std::mutex mutex = {};
    std::vector<std::uint32_t> gpus = {0x3b00};  // by PCI bus, device and function
    bool exports = true;
    std::string failing = {};              // the call that fails
    int failure = 0x1000;                  // and how
    int failing_after = 0;                 // so many that do not fail
    bool copies_fail = false;              // after they were started
    std::uint64_t export_offset = 0;       // where the memory begins in its dmabuf
    std::uint64_t export_more = 0;         // bytes of others after it
    std::map<std::string, int> made = {};  // calls, by name
    int started = 0;                       // hsa_init() less hsa_shut_down()
    std::size_t allocations = 0, signals = 0, under_way = 0, most_under_way = 0;
    int freed_while_exported = 0;
};

using FakeRocmState = FakeRocm& (*)();  // fake_rocm()
using FakeRocmReset = void (*)();       // fake_rocm_reset()

}  // namespace devmem::test
