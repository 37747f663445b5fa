// SPDX-License-Identifier: MIT
#include "devmem/tokens.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "sys.h"
#include "uapi.h"

namespace devmem {

void TokenBatch::add(std::uint32_t token) noexcept {
    static_assert(sizeof(Range) == sizeof(uapi::dmabuf_token));
    static_assert(max_ranges <= uapi::max_dontneed_ranges);
    static_assert(max_tokens <= uapi::max_dontneed_frags);

    if (token == 0) return;
    if (tokens_ == max_tokens) flush();
    if (tokens_ < max_tokens && join(token)) return;
    if (used_ == max_ranges) flush();
    if (full()) {
        ++lost_;
        return;
    }
    ranges_[used_++] = {token, 1};
    ++tokens_;
}

void TokenBatch::add_run(std::uint32_t first, std::size_t count) noexcept {
    while (count > 0) {
        add(first++);
        --count;
        Range& last = ranges_[used_ - 1];
        if (last.start + last.count != first) continue;  // that one was lost
        const std::size_t more = std::min(count, max_tokens - tokens_);
        last.count += static_cast<std::uint32_t>(more);
        tokens_ += more;
        first += static_cast<std::uint32_t>(more);
        count -= more;
    }
}

// The kernel hands out the lowest free numbers, so neighbours come up one after the other; a
// program that frees in reverse gets the other end.
bool TokenBatch::join(std::uint32_t token) noexcept {
    if (used_ == 0) return false;
    Range& last = ranges_[used_ - 1];
    if (token - last.start == last.count && token > last.start) {
        ++last.count;
    } else if (token + 1 == last.start) {
        --last.start;
        ++last.count;
    } else {
        return false;
    }
    ++tokens_;
    return true;
}

// The kernel walks the ranges in order and answers how many tokens it freed. It skips unknown ones
// without counting them, and stops early only past its limit, which no batch exceeds. So a short
// count means either a limit lower than any kernel's today, or unknown tokens. Taking the first N
// as freed and sending the rest again is right in the first case, and in the second ends with a
// count of zero.
std::error_code TokenBatch::flush() noexcept {
    while (used_ > 0) {
        ++calls_;
        const int freed = DEVMEM_SYS(setsockopt)(socket_, SOL_SOCKET, SO_DEVMEM_DONTNEED,
                                                 ranges_.data(), used_ * sizeof(Range));
        if (const auto error = settle(freed < 0 ? -errno : freed)) return error;
    }
    return {};
}

std::error_code TokenBatch::settle(int answer) noexcept {
    if (answer < 0) return {-answer, std::system_category()};
    const std::size_t taken =
        answer == 0 ? tokens_ : std::min(static_cast<std::size_t>(answer), tokens_);
    (answer == 0 ? unknown_ : returned_) += taken;
    drop_front(taken);
    return {};
}

void TokenBatch::take(TokenBatch& other) noexcept {
    std::copy_n(other.ranges_.begin(), other.used_, ranges_.begin());
    used_ = std::exchange(other.used_, 0);
    tokens_ = std::exchange(other.tokens_, 0);
}

void TokenBatch::drop_front(std::size_t tokens) noexcept {
    std::size_t whole = 0;
    tokens_ -= tokens;
    while (whole < used_ && ranges_[whole].count <= tokens) tokens -= ranges_[whole++].count;
    std::copy(ranges_.begin() + whole, ranges_.begin() + used_, ranges_.begin());
    used_ -= whole;
    if (tokens > 0) {
        ranges_[0].start += static_cast<std::uint32_t>(tokens);
        ranges_[0].count -= static_cast<std::uint32_t>(tokens);
    }
}

}  // namespace devmem
