// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "devmem/dmabuf.h"
#include "devmem/fd.h"
#include "outflow.h"
#include "waiter.h"

/// Where a stream of bytes comes from: a file or standard input.
class Input {
  public:
    /// path: "-" is standard input. Throws devmem::Error.
    explicit Input(const std::string& path);

    /// Waits for some bytes; returns how many, 0 at the end. Throws devmem::Error, and what waiter
    /// throws.
    std::size_t read(std::span<std::byte> into, const Waiter& waiter) const;

  private:
    std::string name_;
    devmem::Fd file_;
};

/// Fills slots of memory with what comes in. All three must outlive it.
Outflow::Filler from_input(const Input& input, const devmem::DmaBuf& memory, const Waiter& waiter);
