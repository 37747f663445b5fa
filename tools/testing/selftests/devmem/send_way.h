// SPDX-License-Identifier: GPL-2.0
// Ways to send over TCP what lies in device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/fd.h"

/// One connection that is written to.
class SendWay {
  public:
    virtual ~SendWay() = default;

    /// Hands some of `size` bytes to TCP; how many, 0 if there is no room now. Throws
    /// std::system_error.
    virtual std::size_t write(std::size_t size, bool wait) = 0;
    /// Waits until the kernel needs no memory any more.
    virtual void finish() {}
    [[nodiscard]] virtual int fd() const = 0;
};

/// Where it comes from, and how much of it a copy, or a call, takes at a time; binding: there only
/// if way is "library".
struct SendMemory {
    const devmem::DmaBuf* memory;
    const devmem::TxBinding* binding;
    std::size_t piece;
};

/// "host" (which is in no device), "copy", "zerocopy" or "library".
std::unique_ptr<SendWay> make_send_way(const std::string& way, devmem::Fd connection,
                                       const SendMemory& memory);
