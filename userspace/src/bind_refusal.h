// SPDX-License-Identifier: MIT
// What a driver can, told by how the kernel refuses a binding that can't be.
#pragma once

#include <cstdint>

namespace devmem {

enum class Answer { yes, no, untold };

/// The errno with which the kernel refuses to bind descriptor -1, which is no dmabuf and never will
/// be: so nothing is bound, whatever the driver can. Throws Error only if it can't ask.
int rx_refusal(std::uint32_t ifindex);
int tx_refusal(std::uint32_t ifindex);

/// Pure: whether a NIC can restart single queues. Some kernels look at the descriptor before they
/// look at the driver: these refuse the loopback device, which has nothing to restart, in the same
/// way, and tell nothing.
Answer can_restart_queues(int nic_refusal, int loopback_refusal);

/// Pure: whether a NIC can send device memory.
Answer can_send(int refusal);

}  // namespace devmem
