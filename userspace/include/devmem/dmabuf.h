// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>

#include "devmem/copy_engine.h"
#include "devmem/export.h"
#include "devmem/fd.h"

namespace devmem {

/// Memory that a NIC can receive into: a dmabuf, and the means to copy in and out of it.
///
/// The constructors throw Error. Copies return their error: invalid_argument if a range is not
/// inside the dmabuf (nothing was copied then), else what the device said.
///
/// The kernel keeps its own references to a dmabuf, so this may be destroyed while it is bound; the
/// bytes are then out of your reach. Copies of disjoint ranges may run in several threads.
class DEVMEM_API DmaBuf {
  public:
    /// Host memory behind /dev/udmabuf, size bytes rounded up to whole pages. For tests and for
    /// kernels without a device; the kernel's default limit is 64 MiB.
    static DmaBuf udmabuf(std::uint64_t size);

    /// Memory of /dev/accelmem, which the CPU cannot touch; size is rounded up to whole pages.
    static DmaBuf accelmem(std::uint64_t size);

    /// A dmabuf that somebody else exported, size bytes of it. The CPU must be able to map it;
    /// where it is not, throws Error: pass an engine.
    static DmaBuf import(Fd fd, std::uint64_t size);
    /// The same, copied by an engine of yours.
    static DmaBuf import(Fd fd, std::uint64_t size, std::unique_ptr<CopyEngine> engine);

    /// Bytes.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// The dmabuf's descriptor; still owned by this.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

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
        : fd_(std::move(fd)), size_(size), engine_(std::move(engine)) {}
    [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t len) const noexcept {
        return offset <= size_ && len <= size_ - offset;
    }
    std::error_code bounce(const CopyRange& range, const DmaBuf& dst) const noexcept;

    Fd fd_;
    std::uint64_t size_;
    std::unique_ptr<CopyEngine> engine_;
};

}  // namespace devmem
