// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/sender.h"
#include "stream.h"

/// Where a program has the stream: in device memory. The device's copy engine puts it there, a half
/// of the memory at a time, as a kernel on a GPU would; the other half is on its way meanwhile.
class Takeoff {
  public:
    /// Sends by way of this interface, from this memory. Throws devmem::Error.
    Takeoff(const Stream& stream, std::uint32_t ifindex, devmem::DmaBuf memory);

    /// Sends all of it; returns when the peer has it. Throws devmem::Error.
    void send_all(devmem::Fd connection);

    /// Bytes sent from device memory; none was sent otherwise.
    [[nodiscard]] std::uint64_t bytes() const { return sent_; }

  private:
    std::size_t fill(std::size_t half);
    devmem::Sender::Ticket send(devmem::Sender& tx, devmem::Extent extent);

    const Stream& stream_;
    devmem::DmaBuf memory_;
    devmem::TxBinding binding_;
    std::uint64_t sent_ = 0;
};
