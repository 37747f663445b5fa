// SPDX-License-Identifier: MIT
#include "devmem/memory_kind.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "devmem/error.h"

namespace devmem {
namespace {

// Empty is the first; what is not a number is taken for an address, which the driver judges.
Gpu gpu_of(const std::string& which) {
    Gpu gpu;
    const char* end = which.data() + which.size();
    const auto [stop, error] = std::from_chars(which.data(), end, gpu.ordinal);
    if (stop != end || error != std::errc()) gpu.pci_address = which;
    return gpu;
}

DmaBuf make_accelmem(std::uint64_t size, const std::string& which) {
    if (which.empty()) return DmaBuf::accelmem(size);
    unsigned int device = 0;
    const char* end = which.data() + which.size();
    const auto [stop, error] = std::from_chars(which.data(), end, device);
    if (stop != end || error != std::errc())
        throw Error(std::make_error_code(std::errc::invalid_argument), "memory accelmem:" + which,
                    "what stands after the colon is the number in /dev/accelmem1");
    return DmaBuf::accelmem(size, device);
}

DmaBuf make_udmabuf(std::uint64_t size, const std::string& /*which*/) {
    return DmaBuf::udmabuf(size);
}

DmaBuf make_heap(std::uint64_t size, const std::string& which) {
    return which.empty() ? DmaBuf::heap(size) : DmaBuf::heap(size, which);
}

DmaBuf make_cuda(std::uint64_t size, const std::string& which) {
    return DmaBuf::cuda(size, gpu_of(which));
}

DmaBuf make_rocm(std::uint64_t size, const std::string& which) {
    return DmaBuf::rocm(size, gpu_of(which));
}

struct Kind {
    std::string_view name;
    bool takes_which;
    DmaBuf (*make)(std::uint64_t size, const std::string& which);
};

constexpr Kind kinds[] = {
    {"accelmem", true, make_accelmem}, {"udmabuf", false, make_udmabuf}, {"heap", true, make_heap},
    {"cuda", true, make_cuda},         {"rocm", true, make_rocm},
};

// A heap is a name in a folder, and no way out of it.
bool fits(const Kind& kind, bool colon, std::string_view which) {
    if (!colon) return true;
    return kind.takes_which && !which.empty() && which.find('/') == std::string_view::npos;
}

}  // namespace

MemoryKind::MemoryKind(std::string_view name) : name_(name) {
    const std::size_t colon = std::min(name.find(':'), name.size());
    const auto* kind = std::ranges::find(kinds, name.substr(0, colon), &Kind::name);
    which_ = name.substr(std::min(colon + 1, name.size()));
    if (kind == std::end(kinds) || !fits(*kind, colon < name.size(), which_))
        throw Error(std::make_error_code(std::errc::invalid_argument), "memory " + name_,
                    "there is " + std::string(names));
    make_ = kind->make;
}

DmaBuf MemoryKind::allocate(std::uint64_t size) const {
    return make_(size, which_);
}

}  // namespace devmem
