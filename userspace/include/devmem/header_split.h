// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "devmem/ethtool.h"
#include "devmem/export.h"

namespace devmem {

/// Pure: what is to be set for devmem; what is absent is right already.
DEVMEM_API RingsChange wanted_rings(const Rings& now);

/// Header split, on for as long as this lives: tcp-data-split on, and hds-thresh 0 where there is
/// one. What it changed it puts back; it changes nothing that is right already.
///
/// The kernel refuses to turn it off while a queue is bound, so make this before the RxBinding.
class DEVMEM_API HeaderSplit {
  public:
    /// Throws Error; EOPNOTSUPP if the driver can't.
    explicit HeaderSplit(std::uint32_t ifindex);
    /// Restores; an error is lost, restore() tells.
    ~HeaderSplit();
    HeaderSplit(HeaderSplit&& other) noexcept;
    HeaderSplit& operator=(HeaderSplit&&) = delete;

    /// Puts the settings back now. Throws Error.
    void restore();

  private:
    std::uint32_t ifindex_;
    RingsChange before_;  // empty: nothing to put back
};

}  // namespace devmem
