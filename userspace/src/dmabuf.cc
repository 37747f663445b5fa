// SPDX-License-Identifier: MIT
#include "devmem/dmabuf.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "accelmem_engine.h"
#include "cuda_memory.h"
#include "devmem/error.h"
#include "gpu_memory.h"
#include "mapped_engine.h"
#include "pages.h"
#include "rocm_memory.h"
#include "uapi.h"

namespace devmem {
namespace {

Fd open_device(const std::string& path) {
    Fd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!device.is_open()) throw_errno("open " + path);
    return device;
}

// udmabuf insists on a memfd that can't shrink under it.
Fd sealed_memfd(std::uint64_t size) {
    Fd memory(::memfd_create("devmem", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    if (!memory.is_open()) throw_errno("memfd_create");
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) < 0) throw_errno("ftruncate memfd");
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK) < 0) throw_errno("seal memfd");
    return memory;
}

std::error_code out_of_range() noexcept {
    return std::make_error_code(std::errc::invalid_argument);
}

}  // namespace

std::error_code CopyEngine::gather(std::span<const CopyRange> /*ranges*/,
                                   CopyEngine& /*to*/) noexcept {
    return std::make_error_code(std::errc::operation_not_supported);
}

DmaBuf::DmaBuf(GpuMemory memory) noexcept
    : size_(memory.size),
      address_(memory.address),
      engine_(std::move(memory.engine)),
      fd_(std::move(memory.fd)) {}

DmaBuf DmaBuf::udmabuf(std::uint64_t size) {
    size = round_up(size, page_size());

    const Fd device = open_device("/dev/udmabuf");
    const Fd memory = sealed_memfd(size);
    udmabuf_create request{};
    request.memfd = static_cast<std::uint32_t>(memory.get());
    request.flags = UDMABUF_FLAGS_CLOEXEC;
    request.size = size;
    Fd fd(::ioctl(device.get(), UDMABUF_CREATE, &request));
    if (!fd.is_open()) throw_errno("create udmabuf of " + std::to_string(size) + " bytes");

    auto engine = map_engine(memory.get(), fd.get(), size);
    return {std::move(fd), size, std::move(engine)};
}

DmaBuf DmaBuf::accelmem(std::uint64_t size) {
    return accelmem(size, 0);
}

DmaBuf DmaBuf::accelmem(std::uint64_t size, unsigned int number) {
    Fd device = open_device(ACCELMEM_DEVICE + (number ? std::to_string(number) : ""));
    accelmem_alloc request{};
    request.size = size;
    if (::ioctl(device.get(), ACCELMEM_IOC_ALLOC, &request) < 0)
        throw_errno("allocate accelmem of " + std::to_string(size) + " bytes");

    Fd fd(request.fd);
    auto engine = accelmem_engine(std::move(device), fd.get());
    return {std::move(fd), request.size, std::move(engine)};
}

DmaBuf DmaBuf::heap(std::uint64_t size, const std::string& name) {
    size = round_up(size, page_size());
    const Fd device = open_device("/dev/dma_heap/" + name);
    dma_heap_allocation_data request{};
    request.len = size;
    request.fd_flags = O_RDWR | O_CLOEXEC;
    if (::ioctl(device.get(), DMA_HEAP_IOCTL_ALLOC, &request) < 0)
        throw_errno("allocate " + std::to_string(size) + " bytes of heap " + name);

    Fd fd(static_cast<int>(request.fd));
    auto engine = map_engine(fd.get(), fd.get(), size);
    return {std::move(fd), size, std::move(engine)};
}

DmaBuf DmaBuf::cuda(std::uint64_t size, const Gpu& gpu) {
    return DmaBuf(cuda_memory(cuda_driver(), size, gpu));
}

DmaBuf DmaBuf::import_cuda(void* address, std::uint64_t size) {
    return DmaBuf(import_cuda_memory(cuda_driver(), address, size));
}

DmaBuf DmaBuf::rocm(std::uint64_t size, const Gpu& gpu) {
    return DmaBuf(rocm_memory(rocm_driver(), size, gpu));
}

DmaBuf DmaBuf::import_rocm(void* address, std::uint64_t size) {
    return DmaBuf(import_rocm_memory(rocm_driver(), address, size));
}

DmaBuf DmaBuf::import(Fd fd, std::uint64_t size) {
    auto engine = map_engine(fd.get(), fd.get(), size);
    return {std::move(fd), size, std::move(engine)};
}

DmaBuf DmaBuf::import(Fd fd, std::uint64_t size, std::unique_ptr<CopyEngine> engine) {
    return {std::move(fd), size, std::move(engine)};
}

std::error_code DmaBuf::to_device(std::uint64_t offset,
                                  std::span<const std::byte> from) const noexcept {
    if (!contains(offset, from.size())) return out_of_range();
    return engine_->to_device(offset, from);
}

std::error_code DmaBuf::to_host(std::uint64_t offset, std::span<std::byte> to) const noexcept {
    if (!contains(offset, to.size())) return out_of_range();
    return engine_->to_host(offset, to);
}

std::error_code DmaBuf::gather(std::span<const CopyRange> ranges,
                               const DmaBuf& dst) const noexcept {
    for (const CopyRange& r : ranges)
        if (!contains(r.src, r.len) || !dst.contains(r.dst, r.len)) return out_of_range();

    const auto error = engine_->gather(ranges, *dst.engine_);
    if (error != std::errc::operation_not_supported) return error;
    for (const CopyRange& r : ranges)
        if (auto failed = bounce(r, dst)) return failed;
    return {};
}

std::error_code DmaBuf::bounce(const CopyRange& range, const DmaBuf& dst) const noexcept {
    std::array<std::byte, 16384> buffer;
    for (std::uint64_t done = 0; done < range.len;) {
        const auto part = std::span(buffer).first(std::min(range.len - done, buffer.size()));
        if (auto error = to_host(range.src + done, part)) return error;
        if (auto error = dst.to_device(range.dst + done, part)) return error;
        done += part.size();
    }
    return {};
}

}  // namespace devmem
