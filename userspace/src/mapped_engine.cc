// SPDX-License-Identifier: MIT
#include "mapped_engine.h"

#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "devmem/error.h"

namespace devmem {
namespace {

std::error_code sync(int dmabuf, std::uint64_t flags) noexcept {
    dma_buf_sync request{flags};
    while (::ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &request) < 0) {
        if (errno != EINTR && errno != EAGAIN) return {errno, std::system_category()};
    }
    return {};
}

// Runs copy between the start and the end of a CPU access.
template <class Copy>
std::error_code with_access(int dmabuf, std::uint64_t direction, Copy copy) noexcept {
    if (auto error = sync(dmabuf, DMA_BUF_SYNC_START | direction)) return error;
    copy();
    return sync(dmabuf, DMA_BUF_SYNC_END | direction);
}

class MappedEngine final : public CopyEngine {
  public:
    MappedEngine(std::byte* base, std::uint64_t size, int dmabuf) noexcept
        : base_(base), size_(size), dmabuf_(dmabuf) {}
    ~MappedEngine() override { ::munmap(base_, size_); }
    MappedEngine(const MappedEngine&) = delete;
    MappedEngine& operator=(const MappedEngine&) = delete;

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        if (from.empty()) return {};
        return with_access(dmabuf_, DMA_BUF_SYNC_WRITE,
                           [&] { std::memcpy(base_ + offset, from.data(), from.size()); });
    }

    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        if (to.empty()) return {};
        return with_access(dmabuf_, DMA_BUF_SYNC_READ,
                           [&] { std::memcpy(to.data(), base_ + offset, to.size()); });
    }

    std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept override {
        auto* other = dynamic_cast<MappedEngine*>(&to);
        if (!other) return CopyEngine::gather(ranges, to);
        std::error_code inner;
        auto outer = with_access(dmabuf_, DMA_BUF_SYNC_READ, [&] {
            inner = with_access(other->dmabuf_, DMA_BUF_SYNC_WRITE, [&] {
                for (const CopyRange& r : ranges)
                    std::memmove(other->base_ + r.dst, base_ + r.src, r.len);
            });
        });
        return inner ? inner : outer;
    }

  private:
    std::byte* base_;
    std::uint64_t size_;
    int dmabuf_;
};

}  // namespace

std::unique_ptr<CopyEngine> map_engine(int map_fd, int dmabuf_fd, std::uint64_t size) {
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (base == MAP_FAILED) throw_errno("map dmabuf");
    return std::make_unique<MappedEngine>(static_cast<std::byte*>(base), size, dmabuf_fd);
}

}  // namespace devmem
