// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "devmem/copy_engine.h"
#include "devmem/export.h"
#include "devmem/fd.h"
#include "devmem/gpu.h"

namespace devmem {

struct GpuMemory;

/// Memory that a NIC can receive into: a dmabuf, and the means to copy in and out of it. MemoryKind
/// makes one of a kind that is named at run time.
///
/// The constructors throw Error. Copies return their error: invalid_argument if a range is not
/// inside the dmabuf (nothing was copied then), else what the device said.
///
/// The kernel keeps its own references to a dmabuf, so this may be destroyed while it is bound; the
/// bytes are then out of your reach. Copies of disjoint ranges may run in several threads.
///
/// A GPU's driver is loaded when the first memory of its kind is made, and stays until the process
/// ends. It does not survive fork(2): use the memory in the process that made it. CUDA and ROCm
/// memory have been tested with imitations of the drivers only, never on a GPU: libdevmem(7).
class DEVMEM_API DmaBuf {
  public:
    /// Host memory behind /dev/udmabuf, size bytes rounded up to whole pages. For tests and for
    /// kernels without a device; the kernel's default limit is 64 MiB.
    static DmaBuf udmabuf(std::uint64_t size);

    /// Memory of /dev/accelmem, which the CPU cannot touch; size is rounded up to whole pages.
    static DmaBuf accelmem(std::uint64_t size);
    /// Memory of /dev/accelmem1, with another number for each PCI device that has some: its BAR.
    static DmaBuf accelmem(std::uint64_t size, unsigned int number);

    /// Host memory of one of the kernel's heaps, /dev/dma_heap/NAME; size is rounded up to whole
    /// pages.
    static DmaBuf heap(std::uint64_t size, const std::string& name = "system");

    /// Memory of an NVIDIA GPU; size is rounded up to whole 2 MiB. It lies in the GPU's primary
    /// context, which the CUDA runtime uses too. Works in any thread, and leaves each thread's
    /// current context as it was.
    static DmaBuf cuda(std::uint64_t size, const Gpu& gpu = {});
    /// CUDA memory that the program has allocated: size bytes from address on, both whole pages.
    /// Not owned: it must stay allocated until this is gone and no longer bound.
    static DmaBuf import_cuda(void* address, std::uint64_t size);

    /// Memory of an AMD GPU; size is rounded up to whole 2 MiB.
    static DmaBuf rocm(std::uint64_t size, const Gpu& gpu = {});
    /// ROCm memory that the program has allocated, of hipMalloc() too: a whole allocation, whole
    /// pages. Not owned, as above.
    static DmaBuf import_rocm(void* address, std::uint64_t size);

    /// A dmabuf that somebody else exported, size bytes of it. The CPU must be able to map it;
    /// where it is not, throws Error: pass an engine.
    static DmaBuf import(Fd fd, std::uint64_t size);
    /// The same, copied by an engine of yours.
    static DmaBuf import(Fd fd, std::uint64_t size, std::unique_ptr<CopyEngine> engine);

    /// Closes the descriptor before it frees the memory, in a move too.
    ~DmaBuf() = default;
    DmaBuf(DmaBuf&&) noexcept = default;
    DmaBuf& operator=(DmaBuf&& other) noexcept {
        const DmaBuf old(std::move(*this));
        size_ = other.size_;
        address_ = other.address_;
        engine_ = std::move(other.engine_);
        fd_ = std::move(other.fd_);
        return *this;
    }
    DmaBuf(const DmaBuf&) = delete;
    DmaBuf& operator=(const DmaBuf&) = delete;

    /// Bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// The dmabuf's descriptor; still owned by this.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Where a GPU's memory lies for that GPU; null for other memory. Not for the CPU.
    [[nodiscard]] void* device_address() const noexcept { return address_; }

    [[nodiscard]] std::error_code to_device(std::uint64_t offset,
                                            std::span<const std::byte> from) const noexcept;
    [[nodiscard]] std::error_code to_host(std::uint64_t offset,
                                          std::span<std::byte> to) const noexcept;

    /// Copies ranges of this to dst, in order; all are checked before the first byte moves. Stays
    /// on the device where both dmabufs are on the same, else goes by way of the host. A range must
    /// not overlap where it goes.
    [[nodiscard]] std::error_code gather(std::span<const CopyRange> ranges,
                                         const DmaBuf& dst) const noexcept;

  private:
    DmaBuf(Fd fd, std::uint64_t size, std::unique_ptr<CopyEngine> engine) noexcept
        : size_(size), engine_(std::move(engine)), fd_(std::move(fd)) {}
    explicit DmaBuf(GpuMemory memory) noexcept;
    [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t len) const noexcept {
        return offset <= size_ && len <= size_ - offset;
    }
    std::error_code bounce(const CopyRange& range, const DmaBuf& dst) const noexcept;

    std::uint64_t size_;
    void* address_ = nullptr;
    std::unique_ptr<CopyEngine> engine_;
    Fd fd_;  // the last member: the first to go
};

}  // namespace devmem
