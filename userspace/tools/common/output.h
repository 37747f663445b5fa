// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "devmem/fd.h"
#include "waiter.h"

/// Where a stream of bytes goes to: a file, standard output, or nowhere.
class Output {
  public:
    /// Nowhere.
    Output() = default;
    /// path: "-" is standard output; a file is made, or emptied. Throws devmem::Error.
    explicit Output(const std::string& path);

    /// All of it, however slow the reader is. Throws devmem::Error, and what waiter throws.
    void write(std::span<const std::byte> bytes, const Waiter& waiter) const;
    /// Closes it. Throws devmem::Error: a disk that is full may say so only now.
    void close();

  private:
    std::string name_;
    devmem::Fd file_;
};
