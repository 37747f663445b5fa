// SPDX-License-Identifier: GPL-2.0
#include "hoard.h"

#include <stdexcept>

bool Hoard::read(std::uint64_t frags, std::uint64_t keep) {
    while (last_ < frags) {
        if (reader_.read(true) <= 0) return false;
        if (out() + reader_.tokens().size() > tokens_.size())
            throw std::runtime_error("more tokens than there is room for");
        for (const std::uint32_t one : reader_.tokens()) token(last_++) = one;
        while (out() >= keep + batch) give_back(take_oldest(batch));
    }
    return true;
}

std::vector<TokenRange> Hoard::take_oldest(std::size_t count) {
    std::vector<TokenRange> ranges;
    for (; count > 0; count--) {
        const std::uint32_t one = token(first_++);
        if (!ranges.empty() && ranges.back().start + ranges.back().count == one)
            ranges.back().count++;
        else
            ranges.push_back({one, 1});
    }
    return ranges;
}
