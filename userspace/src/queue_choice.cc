// SPDX-License-Identifier: MIT
#include "queue_choice.h"

#include <algorithm>

namespace devmem {

std::vector<std::uint32_t> choose_queues(std::uint32_t count, std::span<const std::uint32_t> taken,
                                         std::uint32_t total, std::uint32_t most) {
    std::vector<std::uint32_t> free;
    for (std::uint32_t queue = 0; queue < most; ++queue) {
        if (std::ranges::find(taken, queue) == taken.end()) free.push_back(queue);
        if (queue + 1 < total || free.size() <= count) continue;
        return {free.end() - count, free.end()};
    }
    return {};
}

}  // namespace devmem
