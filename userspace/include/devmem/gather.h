// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

#include "devmem/binding.h"
#include "devmem/cmsg.h"
#include "devmem/copy_engine.h"
#include "devmem/dmabuf.h"
#include "devmem/export.h"
#include "devmem/receiver.h"

namespace devmem {

/// Makes what was received contiguous in another DmaBuf, and gives the memory where it landed back.
///
///     Gather gather(binding, result);
///     ...
///     if (auto error = gather(receiver, got.pieces, used)) ...
///     used += got.bytes;
///
/// One thread at a time may call it; the bindings' dmabufs and to must outlive it. Nothing throws
/// or allocates but the constructors.
class DEVMEM_API Gather {
  public:
    /// Where pieces of a binding lie.
    struct Source {
        std::uint32_t dmabuf_id;
        const DmaBuf* memory;
    };

    Gather(const RxBinding& binding, const DmaBuf& to)
        : Gather({{binding.id(), &binding.dmabuf()}}, to) {}
    /// For a socket that receives by way of several bindings.
    Gather(std::vector<Source> sources, const DmaBuf& to);

    /// Copies pieces one after the other to offset at, those in host memory too, and when that is
    /// complete gives them back, those taken excepted. pieces: some or all of from's last
    /// receive(), in any order; a part of one may be copied as a Piece without a token.
    ///
    /// Errors are those of DmaBuf's copies, and invalid_argument for a piece of no source or too
    /// little room, with nothing copied then. After an error nothing has been given back.
    std::error_code operator()(Receiver& from, std::span<const Piece> pieces,
                               std::uint64_t at) noexcept;

  private:
    [[nodiscard]] const DmaBuf* memory_of(const Piece& piece) const noexcept;
    [[nodiscard]] bool fits(std::span<const Piece> pieces, std::uint64_t at) const noexcept;
    std::error_code copy(std::span<const Piece> pieces, std::uint64_t at) noexcept;
    std::error_code copy_gathered(const DmaBuf* from) noexcept;

    std::vector<Source> sources_;
    const DmaBuf* to_;
    std::vector<CopyRange> ranges_;  // of one source, not yet copied; its capacity is used up first
};

}  // namespace devmem
