// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "devmem/copy_range.h"
#include "devmem/export.h"

namespace devmem {

/// One piece of a gather: len bytes at src of one dmabuf to dst of another. C programs have the
/// same.
using CopyRange = devmem_copy_range;

/// Moves bytes between host memory and one dmabuf's memory. The only thing a DmaBuf needs to know
/// about the device behind it; write one over your accelerator's memcpy calls to use its memory.
///
/// Offsets and lengths are bytes and were checked against the dmabuf's size. Copies are complete
/// when a function returns. Errors are returned, never thrown.
class DEVMEM_API CopyEngine {
  public:
    virtual ~CopyEngine() = default;

    virtual std::error_code to_device(std::uint64_t offset,
                                      std::span<const std::byte> from) noexcept = 0;
    virtual std::error_code to_host(std::uint64_t offset, std::span<std::byte> to) noexcept = 0;

    /// Copies within the device, in order. to is the engine of the other dmabuf, or this one. The
    /// default answers errc::operation_not_supported, and DmaBuf then copies by way of the host.
    virtual std::error_code gather(std::span<const CopyRange> ranges, CopyEngine& to) noexcept;
};

}  // namespace devmem
