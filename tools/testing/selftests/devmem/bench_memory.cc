// SPDX-License-Identifier: GPL-2.0
#include "bench_memory.h"

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "devmem/error.h"
#include "process.h"

namespace {

constexpr std::uint64_t mebi = 1 << 20, once = 64 * mebi;

void raise_limit(std::uint64_t size) {
    std::ofstream limit("/sys/module/udmabuf/parameters/size_limit_mb");
    limit << std::max<std::uint64_t>((size + mebi - 1) / mebi, 64) << std::flush;
    if (!limit) throw_errno_of("udmabuf's size_limit_mb");
}

devmem::Fd real_memory(std::uint64_t size) {
    devmem::Fd file(::memfd_create("bench", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    if (!file.is_open() || ::ftruncate(file.get(), static_cast<off_t>(size)) < 0 ||
        ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) < 0)
        throw_errno_of("memfd");
    return file;
}

// udmabuf_create_list and its entries.
std::vector<std::uint64_t> list_of(int file, std::uint64_t size) {
    const std::uint64_t count = (size + once - 1) / once;
    std::vector<std::uint64_t> words(1 + count * sizeof(udmabuf_create_item) / 8);
    auto* list = reinterpret_cast<udmabuf_create_list*>(words.data());
    list->flags = UDMABUF_FLAGS_CLOEXEC;
    list->count = static_cast<std::uint32_t>(count);
    for (std::uint64_t i = 0; i < count; i++)
        list->list[i] = {static_cast<std::uint32_t>(file), 0, 0, std::min(once, size - i * once)};
    return words;
}

}  // namespace

void lock_memory() {
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) throw_errno_of("mlockall");
}

devmem::DmaBuf repeated_memory(std::uint64_t size) {
    raise_limit(size);
    const devmem::Fd file = real_memory(std::min(size, once));
    const devmem::Fd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    if (!device.is_open()) throw_errno_of("/dev/udmabuf");
    std::vector<std::uint64_t> list = list_of(file.get(), size);
    devmem::Fd dmabuf(::ioctl(device.get(), UDMABUF_CREATE_LIST, list.data()));
    if (!dmabuf.is_open()) throw_errno_of("udmabuf of this size");
    return devmem::DmaBuf::import(std::move(dmabuf), size);
}
