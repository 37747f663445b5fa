// SPDX-License-Identifier: MIT
// What devmem bench measures: connections that run side by side, each with a part of the memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/fd.h"
#include "devmem/sender.h"
#include "waiter.h"

/// One connection's share of a measurement.
struct Lane {
    int socket = -1;  ///< not owned
    devmem::Extent part = {};
    std::uint64_t bytes = 0;         ///< that went through
    std::uint64_t device_bytes = 0;  ///< of these, by device memory
};

/// When a sender has sent enough: at the first that is reached.
struct Limit {
    std::optional<std::uint64_t> bytes = {};
    std::optional<std::chrono::steady_clock::time_point> time = {};

    /// How much of `most` may still be sent after `sent` bytes.
    [[nodiscard]] std::size_t room(std::uint64_t sent, std::size_t most) const;
};

/// A lane for each connection; they share out size bytes of memory.
std::vector<Lane> lanes_for(const std::vector<devmem::Fd>& connections, std::uint64_t size);

/// Runs work for each lane, in a thread each. Throws what the first lane that failed has thrown,
/// when all have ended.
void run_side_by_side(std::vector<Lane>& lanes, const std::function<void(Lane&)>& work);

// Work for one lane. All throw std::system_error, and what waiter throws.

/// Receives into device memory until the stream ends. No CPU touches the payload.
void receive_into_device(Lane& lane, const devmem::RxBinding& binding, const Waiter& waiter);
/// The same without devmem TCP: into host memory, and copied to the device.
void receive_and_copy(Lane& lane, const devmem::DmaBuf& memory, const Waiter& waiter);
/// Sends what lies in device memory; returns when the peer has it.
void send_from_device(Lane& lane, const devmem::TxBinding& binding, const Limit& limit,
                      const Waiter& waiter);
/// The same without devmem TCP: copied to host memory, and sent from there.
void copy_and_send(Lane& lane, const devmem::DmaBuf& memory, const Limit& limit,
                   const Waiter& waiter);
