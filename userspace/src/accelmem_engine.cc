// SPDX-License-Identifier: MIT
#include "accelmem_engine.h"

#include <linux/accelmem.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace devmem {
namespace {

static_assert(sizeof(CopyRange) == sizeof(accelmem_range));

class AccelmemEngine final : public CopyEngine {
  public:
    AccelmemEngine(Fd device, int dmabuf) noexcept : device_(std::move(device)), dmabuf_(dmabuf) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        return copy(ACCELMEM_IOC_TO_DEVICE, offset, from.data(), from.size());
    }

    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        return copy(ACCELMEM_IOC_TO_HOST, offset, to.data(), to.size());
    }

    std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept override {
        const auto* other = dynamic_cast<AccelmemEngine*>(&to);
        if (!other) return CopyEngine::gather(ranges, to);
        while (!ranges.empty()) {
            const auto part =
                ranges.first(std::min<std::size_t>(ranges.size(), ACCELMEM_MAX_RANGES));
            accelmem_gather request{};
            request.ranges = reinterpret_cast<std::uintptr_t>(part.data());
            request.count = static_cast<std::uint32_t>(part.size());
            request.src_fd = dmabuf_;
            request.dst_fd = other->dmabuf_;
            if (auto error = call(ACCELMEM_IOC_GATHER, &request)) return error;
            ranges = ranges.subspan(part.size());
        }
        return {};
    }

  private:
    std::error_code copy(unsigned long code, std::uint64_t offset, const void* host,
                         std::size_t size) noexcept {
        accelmem_copy request{};
        request.addr = reinterpret_cast<std::uintptr_t>(host);
        request.offset = offset;
        request.len = size;
        request.fd = dmabuf_;
        return call(code, &request);
    }

    // A copy may be repeated, so a signal that is not fatal does not show.
    std::error_code call(unsigned long code, void* request) noexcept {
        while (::ioctl(device_.get(), code, request) < 0)
            if (errno != EINTR) return {errno, std::system_category()};
        return {};
    }

    Fd device_;
    int dmabuf_;
};

}  // namespace

std::unique_ptr<CopyEngine> accelmem_engine(Fd device, int dmabuf_fd) {
    return std::make_unique<AccelmemEngine>(std::move(device), dmabuf_fd);
}

}  // namespace devmem
