// SPDX-License-Identifier: MIT
// GPUs' memory as a program gets it, from the drivers' names to the bytes. The imitations go by
// those names too, and the dynamic linker takes what is loaded already.
#include <gtest/gtest.h>

#include "devmem/memory_kind.h"
#include "fake_cuda.h"
#include "fake_library.h"
#include "fake_rocm.h"

namespace devmem {
namespace {

void round_trip(const DmaBuf& memory, const DmaBuf& other) {
    EXPECT_EQ(memory.size(), 2U << 20);
    EXPECT_NE(memory.device_address(), nullptr);
    EXPECT_NE(memory.device_address(), other.device_address());
    const auto out = test::pattern(5000);
    std::vector<std::byte> in(out.size());
    EXPECT_FALSE(memory.to_device(77, out));
    EXPECT_FALSE(memory.gather(std::vector<CopyRange>{{77, 5000, 0}}, other));
    EXPECT_FALSE(other.to_host(0, in));
    EXPECT_EQ(in, out);
}

TEST(GpuMemoryTest, Cuda) {
    const test::FakeLibrary library(FAKE_CUDA);
    library.find<test::FakeCudaReset>("fake_cuda_reset")();
    auto& fake = library.find<test::FakeCudaState>("fake_cuda")();
    fake.devices.push_back({.pci_address = "0000:5e:00.0"});
    {
        const DmaBuf memory = DmaBuf::cuda(1);
        round_trip(memory, MemoryKind("cuda").allocate(1));
        round_trip(MemoryKind("cuda").allocate(1),
                   DmaBuf::import_cuda(memory.device_address(), memory.size()));
        EXPECT_EQ(fake.devices[1].retained, 0);
        const DmaBuf by_number = MemoryKind("cuda:1").allocate(1);
        const DmaBuf by_address = MemoryKind("cuda:0000:5e:00.0").allocate(1);
        EXPECT_EQ(fake.devices[1].retained, 2);
    }
    EXPECT_EQ(fake.allocations, 0U);
}

TEST(GpuMemoryTest, Rocm) {
    const test::FakeLibrary library(FAKE_ROCM);
    library.find<test::FakeRocmReset>("fake_rocm_reset")();
    auto& fake = library.find<test::FakeRocmState>("fake_rocm")();
    {
        const DmaBuf memory = DmaBuf::rocm(1);
        round_trip(memory, MemoryKind("rocm").allocate(1));
        round_trip(memory, MemoryKind("rocm:0001:3b:00.0").allocate(1));
        round_trip(MemoryKind("rocm:0").allocate(1),
                   DmaBuf::import_rocm(memory.device_address(), memory.size()));
    }
    EXPECT_EQ(fake.allocations, 0U);
}

}  // namespace
}  // namespace devmem
