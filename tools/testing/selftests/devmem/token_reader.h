// SPDX-License-Identifier: GPL-2.0
// Device memory by plain system calls, as the kernel's documentation has it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devmem/fd.h"

/// A range of SO_DEVMEM_DONTNEED.
struct TokenRange {
    std::uint32_t start, count;
};

class TokenReader {
  public:
    explicit TokenReader(devmem::Fd connection);

    /// How many bytes, 0 at the end, -1 if there is nothing now; tokens() has what they came with.
    ssize_t read(bool wait);
    [[nodiscard]] std::span<const std::uint32_t> tokens() const { return tokens_; }
    /// Throws if the kernel does not know one of them.
    void give_back(std::span<const TokenRange> ranges) const;
    [[nodiscard]] int fd() const { return connection_.get(); }

  private:
    devmem::Fd connection_;
    std::vector<std::byte> host_, control_;
    std::vector<std::uint32_t> tokens_;
};
