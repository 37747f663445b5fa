// SPDX-License-Identifier: MIT
// The netdev family's replies, as pure functions of attribute bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devmem/netdev.h"

namespace devmem {

Queue decode_queue(std::span<const std::byte> attrs);
QueueStats decode_queue_stats(std::span<const std::byte> attrs);
PagePool decode_page_pool(std::span<const std::byte> attrs);
// The id in a reply to bind-rx; 0 if it has none.
std::uint32_t decode_binding(std::span<const std::byte> attrs);

}  // namespace devmem
