// SPDX-License-Identifier: GPL-2.0
// Ways to get what comes over TCP into device memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/fd.h"
#include "devmem/receiver.h"

/// One connection that is read.
class ReceiveWay {
  public:
    virtual ~ReceiveWay() = default;

    /// Reads some: how many bytes, 0 at the end, -1 if there is nothing now. Throws
    /// std::system_error.
    virtual ssize_t read(bool wait) = 0;
    /// Gives back what the last read() has kept from the NIC, before a sleep.
    virtual void rest() {}
    [[nodiscard]] virtual int fd() const = 0;
    /// Frags that have come.
    [[nodiscard]] virtual std::uint64_t frags() const { return 0; }
    /// Of them those whose tokens were out after the last read().
    [[nodiscard]] virtual std::uint64_t out() const { return 0; }
    /// For engines that make the calls in their own way.
    [[nodiscard]] virtual devmem::Receiver* receiver() { return nullptr; }
};

/// Where it goes, and what it lands in first; the binding is needed to gather.
struct ReceiveMemory {
    const devmem::DmaBuf* memory;
    const devmem::RxBinding* binding;
    std::uint64_t keep = 0;  ///< see Case
};

/// It receives into device memory.
bool uses_binding(const std::string& way);
/// It needs payload apart from headers.
bool uses_split(const std::string& way);
/// "discard", "copy", "map", "one by one", "batched", "library" or "gather".
std::unique_ptr<ReceiveWay> make_receive_way(const std::string& way, devmem::Fd connection,
                                             const ReceiveMemory& memory);
