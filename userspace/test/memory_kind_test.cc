// SPDX-License-Identifier: MIT
#include "devmem/memory_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "devmem/error.h"

namespace devmem {
namespace {

using testing::HasSubstr;

TEST(MemoryKindTest, NamesThatThereAre) {
    for (const char* name : {"accelmem", "accelmem:1", "udmabuf", "heap", "heap:reserved", "cuda",
                             "cuda:1", "cuda:0000:3b:00.0", "rocm", "rocm:0"})
        EXPECT_EQ(MemoryKind(name).name(), name);
}

TEST(MemoryKindTest, NamesThatThereAreNot) {
    for (const char* name : {"", ":", "gpu", "CUDA", "cuda:", "heap:", "heap:../udmabuf",
                             "udmabuf:1", "accelmem:", "cuda "}) {
        try {
            const MemoryKind kind(name);
            ADD_FAILURE() << name;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), std::errc::invalid_argument);
            EXPECT_THAT(error.what(), HasSubstr("memory " + std::string(name) + ":"));
            EXPECT_THAT(error.what(), HasSubstr("heap[:NAME]"));
        }
    }
}

// What fails for want of the device; where it is named, the kind's name has led to the right place.
TEST(MemoryKindTest, LeadsToTheKind) {
    constexpr struct {
        const char *kind, *device, *call;
    } kinds[] = {{"accelmem", "/dev/accelmem", "open /dev/accelmem"},
                 {"udmabuf", "/dev/udmabuf", "open /dev/udmabuf"},
                 {"heap", "/dev/dma_heap/system", "open /dev/dma_heap/system"},
                 {"heap:nonesuch", "/dev/dma_heap/nonesuch", "open /dev/dma_heap/nonesuch"},
                 {"cuda:7", "/dev/nvidiactl", "libcuda.so.1"},
                 {"rocm:7", "/dev/kfd", "libhsa-runtime64.so.1"}};
    for (const auto& [kind, device, call] : kinds) {
        if (::access(device, F_OK) == 0) continue;
        try {
            const DmaBuf memory = MemoryKind(kind).allocate(4096);
            ADD_FAILURE() << kind;
        } catch (const Error& error) {
            EXPECT_THAT(error.call(), HasSubstr(call));
        }
    }
}

}  // namespace
}  // namespace devmem
