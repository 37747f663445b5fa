// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devmem/cmsg.h"
#include "devmem/copy_engine.h"
#include "devmem/dmabuf.h"
#include "stream.h"

/// Where a program wants the stream: contiguous in device memory. Pieces are gathered there by the
/// device's copy engine, as a kernel on a GPU would, and every byte is checked.
class Landing {
  public:
    struct Counts {
        std::uint64_t bytes = 0;
        std::uint64_t device_bytes = 0;  ///< landed in device memory
        std::uint64_t frags = 0;
    };

    /// Pieces are in source; they are gathered in target, as much as it holds before they are
    /// checked.
    Landing(const Stream& expected, const devmem::DmaBuf& source, devmem::DmaBuf target);

    /// Takes pieces in. Throws devmem::Error, also for a byte that is not as expected.
    void add(std::span<const devmem::Piece> pieces);
    /// Checks what has not been checked yet.
    void check();

    [[nodiscard]] const Counts& counts() const { return counts_; }

  private:
    void add(const devmem::Piece& piece);
    void gather();

    const Stream& expected_;
    const devmem::DmaBuf& source_;
    devmem::DmaBuf target_;
    std::vector<devmem::CopyRange> ranges_;
    std::vector<std::byte> host_;
    std::uint64_t filled_ = 0;   // bytes in target_, or on their way by ranges_
    std::uint64_t checked_ = 0;  // bytes of the stream before target_'s first
    Counts counts_;
};
