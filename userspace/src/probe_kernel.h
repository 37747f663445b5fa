// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>

#include "finding.h"
#include "genl_family.h"

namespace devmem {

/// What the kernel offers to programs.
struct KernelFacts {
    bool netdev_family = false;
    bool bind_rx = false, bind_tx = false, queue_get = false, page_pool_get = false;
    bool bind_rx_in_user_namespace = false;  // CAP_NET_ADMIN of the NIC's namespace will do
    bool token_option = false;               // TCP sockets take SO_DEVMEM_DONTNEED
    std::optional<bool> rx_page_size = {};   // bind-rx has that attribute; nothing: not told
};

/// Pure: fills in what the netdev family's commands tell.
void note_commands(KernelFacts& facts, std::span<const GenlCommand> commands);

KernelFacts look_at_kernel();

/// Pure.
Findings judge_kernel(const KernelFacts& facts);

}  // namespace devmem
