// SPDX-License-Identifier: MIT
#include "rocm_memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>

#include "devmem/error.h"
#include "pages.h"

namespace devmem {
namespace {

using rocm::Agent;
using rocm::Signal;
using rocm::Status;

constexpr int less_than = 2;  // conditions of a signal
constexpr int wait_blocked = 0;
constexpr std::uint64_t for_ever = UINT64_MAX;
constexpr int allocated_by_hsa = 1;  // type of a pointer

/// Freed when this is destroyed, unless it is somebody else's.
class RocmBlock {
  public:
    static RocmBlock allocate(const RocmDriver& driver, Agent agent, std::uint64_t size) {
        void* address = nullptr;
        driver.check(driver.call().allocate(driver.memory_of(agent), size, 0, &address),
                     "allocate rocm memory of " + std::to_string(size) + " bytes");
        return {address, driver.call().free};
    }
    static RocmBlock borrowed(void* address) noexcept { return {address, nullptr}; }

    RocmBlock(const RocmBlock&) = delete;
    RocmBlock& operator=(const RocmBlock&) = delete;
    ~RocmBlock() {
        if (free_) free_(address_);
    }

    [[nodiscard]] std::byte* get() const noexcept { return static_cast<std::byte*>(address_); }

  private:
    RocmBlock(void* address, Status (*free)(void*)) noexcept : address_(address), free_(free) {}

    void* address_;
    Status (*free_)(void*);
};

/// Tells when a copy is done. Serves one at a time.
class RocmSignal {
  public:
    explicit RocmSignal(const RocmDriver& driver) : call_(driver.call()) {
        driver.check(call_.signal_create(0, 0, nullptr, &signal_), "create rocm signal");
    }
    RocmSignal(const RocmSignal&) = delete;
    RocmSignal& operator=(const RocmSignal&) = delete;
    ~RocmSignal() { call_.signal_destroy(signal_); }

    /// To be given to a copy, which takes it down to 0, or below if it fails.
    [[nodiscard]] Signal armed() const noexcept {
        call_.signal_store(signal_, 1);
        return signal_;
    }
    [[nodiscard]] Status wait() const noexcept {
        const auto value = call_.signal_wait(signal_, less_than, 1, for_ever, wait_blocked);
        return value < 0 ? rocm::failed : rocm::success;
    }

  private:
    const rocm::Calls& call_;
    Signal signal_;
};

// How many of the ranges may be copied at the same time: those that go to ever higher places.
std::size_t apart(std::span<const CopyRange> ranges) noexcept {
    const auto meets = [](const CopyRange& a, const CopyRange& b) { return b.dst < a.dst + a.len; };
    const auto last = std::ranges::adjacent_find(ranges, meets);
    if (last == ranges.end()) return ranges.size();
    return static_cast<std::size_t>(last - ranges.begin()) + 1;
}

class RocmEngine final : public CopyEngine {
  public:
    RocmEngine(const RocmDriver& driver, Agent agent, std::uint64_t size)
        : driver_(driver), agent_(agent), memory_(RocmBlock::allocate(driver, agent, size)) {}
    RocmEngine(const RocmDriver& driver, Agent agent, void* address)
        : driver_(driver), agent_(agent), memory_(RocmBlock::borrowed(address)) {}

    std::error_code to_device(std::uint64_t offset,
                              std::span<const std::byte> from) noexcept override {
        if (from.empty()) return {};
        return driver_.code(driver_.call().copy(memory_.get() + offset, from.data(), from.size()));
    }

    std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept override {
        if (to.empty()) return {};
        return driver_.code(driver_.call().copy(to.data(), memory_.get() + offset, to.size()));
    }

    std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept override {
        const auto* other = dynamic_cast<RocmEngine*>(&to);
        if (!other || other->agent_ != agent_) return CopyEngine::gather(ranges, to);
        const std::lock_guard lock(mutex_);
        while (!ranges.empty()) {
            // Within one memory a range may read what the one before it wrote.
            const std::size_t together = other == this ? 1 : apart(ranges);
            const auto part = ranges.first(std::min(together, signals_.size()));
            if (const Status status = copy_all(part, *other)) return driver_.code(status);
            ranges = ranges.subspan(part.size());
        }
        return {};
    }

    [[nodiscard]] std::byte* address() const noexcept { return memory_.get(); }

  private:
    // Waits for all that were started, also for those before one that failed.
    Status copy_all(std::span<const CopyRange> ranges, const RocmEngine& to) noexcept {
        Status status = rocm::success;
        std::size_t started = 0;
        for (const CopyRange& r : ranges) {
            if (r.len == 0) continue;
            status =
                driver_.call().copy_async(to.memory_.get() + r.dst, agent_, memory_.get() + r.src,
                                          agent_, r.len, 0, nullptr, signals_[started].armed());
            if (status != rocm::success) break;
            ++started;
        }
        for (const RocmSignal& signal : std::span(signals_).first(started))
            if (const Status waited = signal.wait(); status == rocm::success) status = waited;
        return status;
    }

    const RocmDriver& driver_;
    Agent agent_;
    RocmBlock memory_;
    std::mutex mutex_;  // of the signals
    std::array<RocmSignal, 8> signals_{
        RocmSignal(driver_), RocmSignal(driver_), RocmSignal(driver_), RocmSignal(driver_),
        RocmSignal(driver_), RocmSignal(driver_), RocmSignal(driver_), RocmSignal(driver_)};
};

void require_export(const RocmDriver& driver, Agent agent) {
    const GpuFacts gpu = driver.facts(agent);
    if (!gpu.exports) throw Error(EOPNOTSUPP, "export rocm memory of " + gpu.name);
}

// A NIC is given all of a dmabuf, so what the driver exports must be this memory and no more.
void require_all(int fd, std::uint64_t offset, std::uint64_t size) {
    const ::off_t end = ::lseek(fd, 0, SEEK_END);
    if (end < 0) throw_errno("measure rocm dmabuf");
    if (offset == 0 && static_cast<std::uint64_t>(end) == size) return;
    throw Error(std::make_error_code(std::errc::invalid_argument), "export rocm memory",
                "its dmabuf has other memory too; export whole allocations");
}

GpuMemory exported(const RocmDriver& driver, std::unique_ptr<RocmEngine> engine,
                   std::uint64_t size) {
    int raw = -1;
    std::uint64_t offset = 0;
    driver.check(driver.call().export_dmabuf(engine->address(), size, &raw, &offset),
                 "export rocm memory of " + std::to_string(size) + " bytes");
    Fd fd(raw);
    require_all(fd.get(), offset, size);
    void* address = engine->address();
    return {size, address, std::move(engine), std::move(fd)};
}

// Whose memory it is; none if it is no GPU's.
Agent owner_of(const RocmDriver& driver, const void* address) {
    rocm::PointerInfo info{};
    info.size = sizeof(info);
    driver.check(driver.call().pointer_info(address, &info, nullptr, nullptr, nullptr),
                 "import rocm memory");
    if (info.type == allocated_by_hsa && std::ranges::count(driver.agents(), info.owner) > 0)
        return info.owner;
    throw Error(std::make_error_code(std::errc::invalid_argument), "import rocm memory",
                "it is not memory of a GPU");
}

}  // namespace

GpuMemory rocm_memory(const RocmDriver& driver, std::uint64_t size, const Gpu& gpu) {
    const Agent agent = driver.agent(gpu);
    require_export(driver, agent);
    size = round_up(size, gpu_granule);
    return exported(driver, std::make_unique<RocmEngine>(driver, agent, size), size);
}

GpuMemory import_rocm_memory(const RocmDriver& driver, void* address, std::uint64_t size) {
    require_pages("rocm", address, size);
    const Agent agent = owner_of(driver, address);
    require_export(driver, agent);
    return exported(driver, std::make_unique<RocmEngine>(driver, agent, address), size);
}

}  // namespace devmem
