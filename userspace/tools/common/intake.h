// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devmem/binding.h"
#include "devmem/receiver.h"
#include "waiter.h"

/// Receives one connection whose payload lands in a dmabuf, and counts what landed where.
///
///     while (!intake.next().empty()) write(intake.to_host());
///
/// Throws std::system_error (of ECONNRESET if the peer broke the connection), and what its waiter
/// throws. The binding must outlive it.
class Intake {
  public:
    struct Counts {
        std::uint64_t bytes = 0;
        std::uint64_t device_bytes = 0;  ///< landed in the dmabuf, the rest in host memory
        std::uint64_t frags = 0;         ///< of device_bytes
        std::uint64_t page_frags = 0;    ///< those of whole pages
        std::uint64_t calls = 0;         ///< that brought bytes
    };

    Intake(devmem::Fd connection, const devmem::RxBinding& binding, const Waiter& waiter);

    /// Gives the last pieces back to the NIC and waits for more of the stream; none at its end.
    std::span<const devmem::Piece> next();
    /// Copies what next() has brought to the host, and gives the pieces back to the NIC, so that it
    /// does not go short while the bytes are used. They are valid until the next call.
    std::span<const std::byte> to_host();

    [[nodiscard]] const Counts& counts() const { return counts_; }
    /// Frags that the NIC has not got back.
    [[nodiscard]] std::size_t outstanding() const { return receiver_.outstanding(); }
    [[nodiscard]] int fd() const { return receiver_.fd(); }

  private:
    void count(const devmem::Receiver::Result& got);

    devmem::Receiver receiver_;
    const devmem::RxBinding& binding_;
    const Waiter& waiter_;
    std::span<const devmem::Piece> pieces_;
    std::vector<std::byte> bytes_;
    Counts counts_;
};
