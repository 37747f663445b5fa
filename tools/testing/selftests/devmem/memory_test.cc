// SPDX-License-Identifier: GPL-2.0
// The kinds of memory that the kernel gives out: bytes in, out, and from each to each.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "devmem/error.h"
#include "devmem/memory_kind.h"
#include "expect.h"

namespace {

constexpr std::uint64_t size = 1 << 20;

struct Kind {
    const char *name, *device;
};
constexpr Kind kinds[] = {{"accelmem", "/dev/accelmem"},
                          {"udmabuf", "/dev/udmabuf"},
                          {"heap", "/dev/dma_heap/system"},
                          {"accelmem:1", "/dev/accelmem1"}};

bool is_there(const Kind& kind) {
    return ::access(kind.device, R_OK | W_OK) == 0;
}

devmem::DmaBuf make(const Kind& kind) {
    return devmem::MemoryKind(kind.name).allocate(size);
}

std::vector<std::byte> pattern(std::size_t length) {
    std::vector<std::byte> bytes(length);
    for (std::size_t i = 0; i < length; i++) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
    return bytes;
}

template <int which>
void in_and_out() {
    const Kind& kind = kinds[which];
    if (!is_there(kind)) ktap_skip("no %s", kind.device);
    const auto memory = make(kind);
    const auto out = pattern(size - 77);
    std::vector<std::byte> in(out.size());
    EXPECT_EQUAL("size", size, memory.size());
    EXPECT_EQUAL("rounded up", 4096U, devmem::MemoryKind(kind.name).allocate(1).size());
    EXPECT_EQUAL("error in", 0, memory.to_device(77, out).value());
    EXPECT_EQUAL("error out", 0, memory.to_host(77, in).value());
    EXPECT("every byte", in == out, kind.name);
}

void from_each_to_each() {
    const auto out = pattern(300000);
    std::vector<std::byte> in(out.size());
    for (const Kind& a : kinds)
        for (const Kind& b : kinds) {
            if (!is_there(a) || !is_there(b)) continue;
            const auto from = make(a);
            const auto to = make(b);
            const std::vector<devmem::CopyRange> ranges{{100, 200000, 100000}, {200100, 100000, 0}};
            EXPECT_EQUAL("error in", 0, from.to_device(100, out).value());
            EXPECT_EQUAL("error of the gather", 0, from.gather(ranges, to).value());
            EXPECT_EQUAL("error out", 0, to.to_host(0, in).value());
            std::rotate(in.begin(), in.begin() + 100000, in.end());
            EXPECT("every byte", in == out, fmt::format("{} to {}", a.name, b.name));
        }
}

void no_such_heap() {
    try {
        devmem::DmaBuf::heap(4096, "nonesuch");
        EXPECT("a heap that is not there is refused", false, "none");
    } catch (const devmem::Error& error) {
        EXPECT_EQUAL("errno", ENOENT, error.code().value());
        EXPECT("it says which", error.call().ends_with("/dev/dma_heap/nonesuch"), error.call());
    }
}

const ktap_test tests[] = {
    {"accelmem: in and out, exact", caught<in_and_out<0>>},
    {"udmabuf: in and out, exact", caught<in_and_out<1>>},
    {"the system heap: in and out, exact", caught<in_and_out<2>>},
    {"the BAR of a PCI device: in and out, exact", caught<in_and_out<3>>},
    {"gathered from each kind into each: exact", caught<from_each_to_each>},
    {"no such heap: it says which", caught<no_such_heap>},
};

}  // namespace

int main(int argc, char** argv) {
    return run_tests(tests, argc, argv);
}
