// SPDX-License-Identifier: GPL-2.0
// What is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devmem/dmabuf.h"
#include "devmem/sender.h"

using devmem::Extent;

/// Memory of random bytes, which are known here too.
class TxMemory {
  public:
    /// Of device_memory().
    explicit TxMemory(std::uint64_t size);
    explicit TxMemory(devmem::DmaBuf memory);

    [[nodiscard]] const devmem::DmaBuf& dmabuf() const { return *memory_; }
    [[nodiscard]] int fd() const { return memory_->fd(); }
    [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }
    [[nodiscard]] std::span<const std::byte> at(const Extent& extent) const {
        return std::span(bytes_).subspan(extent.offset, extent.length);
    }
    /// Other bytes there than before, of the same length.
    void rewrite(const Extent& extent);
    /// Closes the dmabuf. Its bytes are known for as long as this lives.
    void close() { memory_.reset(); }

  private:
    std::optional<devmem::DmaBuf> memory_;
    std::vector<std::byte> bytes_;
    std::uint32_t seed_;
};
