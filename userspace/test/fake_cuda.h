// SPDX-License-Identifier: MIT
// An imitation of NVIDIA's driver, in a library of its own, over host memory. Copies happen only
// when their stream is waited for, memory is known only in the context it was allocated in, and any
// call can be made to fail. fake_cuda() of the library gives its state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace devmem::test {

struct FakeCuda {
    struct Device {
        std::string name = "Fake GPU";
        std::string pci_address = "0000:3b:00.0";
        int dma_buf = 1;
        int ordering = 100;
        int flush_options = 1;
        int retained = 0;  // how often its primary context is
    };

    std::mutex mutex = {};
    std::vector<Device> devices = {Device{}};
    std::string failing = {};              // the call that fails
    int failure = 999;                     // and how
    int failing_after = 0;                 // so many that do not fail
    std::map<std::string, int> made = {};  // calls, by name
    std::size_t allocations = 0, streams = 0;
    int freed_while_exported = 0;
    int pushes = 0, pops = 0;
    bool memory_without_context = false;  // as if it had only been mapped
};

using FakeCudaState = FakeCuda& (*)();    // fake_cuda()
using FakeCudaReset = void (*)();         // fake_cuda_reset()
using FakeCudaDepth = std::size_t (*)();  // fake_cuda_depth(): of this thread's contexts

}  // namespace devmem::test
