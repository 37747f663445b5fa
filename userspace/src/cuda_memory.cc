// SPDX-License-Identifier: MIT
#include "cuda_memory.h"

#include <cerrno>

#include "cuda_context.h"
#include "devmem/error.h"
#include "pages.h"

namespace devmem {
namespace {

using cuda::Address;
using cuda::Result;
using cuda::Stream;

constexpr unsigned stream_non_blocking = 1;  // does not wait for the context's default stream
constexpr int range_as_dma_buf = 1;
constexpr int flush_current_context = 0;
constexpr int flush_to_owner = 100;
constexpr int context_attribute = 1;  // of a pointer
constexpr int ordinal_attribute = 9;

CudaOwned<Stream> make_stream(const CudaContext& context) {
    const auto& call = context.driver().call();
    Stream stream = nullptr;
    context.driver().check(
        context.with([&] { return call.stream_create(&stream, stream_non_blocking); }),
        "create cuda stream");
    return {context, stream, call.stream_destroy};
}

CudaOwned<Address> allocate(const CudaContext& context, std::uint64_t size) {
    const auto& call = context.driver().call();
    Address address = 0;
    context.driver().check(context.with([&] { return call.allocate(&address, size); }),
                           "allocate cuda memory of " + std::to_string(size) + " bytes");
    return {context, address, call.free};
}

Fd export_memory(const CudaContext& context, Address address, std::uint64_t size) {
    const auto& call = context.driver().call();
    int fd = -1;
    context.driver().check(
        context.with([&] { return call.export_range(&fd, address, size, range_as_dma_buf, 0); }),
        "export cuda memory of " + std::to_string(size) + " bytes");
    return Fd(fd);
}

class CudaEngine final : public CopyEngine {
  public:
    CudaEngine(CudaContext context, bool flush, std::uint64_t size)
        : context_(std::move(context)), flush_(flush), memory_(allocate(context_, size)) {}
    CudaEngine(CudaContext context, bool flush, void* address)
        : context_(std::move(context)),
          flush_(flush),
          memory_(context_, reinterpret_cast<Address>(address), nullptr) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        if (from.empty()) return {};
        return complete([&] {
            return call().copy_to_device(memory_.get() + offset, from.data(), from.size(),
                                         stream_.get());
        });
    }

    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        if (to.empty()) return {};
        return complete([&] {
            if (const auto failed = flush()) return failed;
            return call().copy_to_host(to.data(), memory_.get() + offset, to.size(), stream_.get());
        });
    }

    std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept override {
        const auto* other = dynamic_cast<CudaEngine*>(&to);
        if (!other || other->context_ != context_) return CopyEngine::gather(ranges, to);
        return complete([&] {
            Result result = flush();
            for (const CopyRange& r : ranges) {
                if (result != cuda::success) break;
                if (r.len == 0) continue;
                result = call().copy_on_device(other->memory_.get() + r.dst, memory_.get() + r.src,
                                               r.len, stream_.get());
            }
            return result;
        });
    }

    [[nodiscard]] const CudaContext& context() const noexcept { return context_; }
    [[nodiscard]] Address address() const noexcept { return memory_.get(); }

  private:
    [[nodiscard]] const cuda::Calls& call() const noexcept { return context_.driver().call(); }

    [[nodiscard]] Result flush() const noexcept {
        return flush_ ? call().flush_writes(flush_current_context, flush_to_owner) : cuda::success;
    }

    // Starts copies on the stream and waits for them, also for those before one that failed. The
    // driver's plain copies would not do: they may return before the bytes are there.
    template <class Copies>
    std::error_code complete(Copies start) noexcept {
        return context_.driver().code(context_.with([&] {
            const Result started = start();
            const Result waited = call().stream_synchronize(stream_.get());
            return started != cuda::success ? started : waited;
        }));
    }

    CudaContext context_;
    bool flush_;
    CudaOwned<Address> memory_;
    CudaOwned<Stream> stream_ = make_stream(context_);
};

void require_export(const CudaDriver& driver, cuda::Device device) {
    const GpuFacts gpu = driver.facts(device);
    if (!gpu.exports) throw Error(EOPNOTSUPP, "export cuda memory of " + gpu.name);
}

GpuMemory exported(std::unique_ptr<CudaEngine> engine, std::uint64_t size) {
    Fd fd = export_memory(engine->context(), engine->address(), size);
    // The driver's addresses are integers. NOLINTNEXTLINE(performance-no-int-to-ptr)
    auto* address = reinterpret_cast<void*>(engine->address());
    return {size, address, std::move(engine), std::move(fd)};
}

// The one that memory was allocated in. Memory that was only mapped has none; any of its device do.
CudaContext context_of(const CudaDriver& driver, Address address, cuda::Device device) {
    cuda::Context context = nullptr;
    const Result told = driver.call().pointer_attribute(&context, context_attribute, address);
    if (told == cuda::success && context) return CudaContext::borrowed(driver, context);
    return CudaContext::primary(driver, device);
}

}  // namespace

GpuMemory cuda_memory(const CudaDriver& driver, std::uint64_t size, const Gpu& gpu) {
    const cuda::Device device = driver.device(gpu);
    require_export(driver, device);
    size = round_up(size, gpu_granule);
    return exported(std::make_unique<CudaEngine>(CudaContext::primary(driver, device),
                                                 driver.needs_flush(device), size),
                    size);
}

GpuMemory import_cuda_memory(const CudaDriver& driver, void* address, std::uint64_t size) {
    require_pages("cuda", address, size);
    const auto at = reinterpret_cast<Address>(address);
    unsigned ordinal = 0;
    driver.check(driver.call().pointer_attribute(&ordinal, ordinal_attribute, at),
                 "import cuda memory");
    const cuda::Device device = driver.device({.ordinal = ordinal});
    require_export(driver, device);
    return exported(std::make_unique<CudaEngine>(context_of(driver, at, device),
                                                 driver.needs_flush(device), address),
                    size);
}

}  // namespace devmem
