// SPDX-License-Identifier: MIT
#include "devmem/budget.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

#include "devmem/error.h"
#include "niov.h"

namespace devmem {

Budget::Budget(const RxBinding& binding, std::uint64_t limit) : Budget(binding.id(), limit) {}

Budget::Budget(std::uint32_t dmabuf_id, std::uint64_t limit)
    : dmabuf_id_(dmabuf_id),
      limit_(std::max(limit, niov_size())),
      room_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!room_.is_open()) throw_errno("eventfd");
}

std::uint64_t Budget::held() const noexcept {
    const std::lock_guard lock(mutex_);
    return held_;
}

std::uint64_t Budget::refusals() const noexcept {
    const std::lock_guard lock(mutex_);
    return refusals_;
}

// Half of what is left at most: another thread is not refused for what this one may not even use.
std::uint64_t Budget::reserve(std::uint64_t most) noexcept {
    const std::lock_guard lock(mutex_);
    const std::uint64_t left = limit_ - std::min(held_, limit_);
    if (left < niov_size()) {
        ++refusals_;
        eventfd_t count;
        if (std::exchange(open_, false)) ::eventfd_read(fd(), &count);
        return 0;
    }
    const std::uint64_t bytes = std::min(most, std::max(left / 2, niov_size()));
    held_ += bytes;
    return bytes;
}

void Budget::settle(std::uint64_t reserved, std::uint64_t used) noexcept {
    const std::lock_guard lock(mutex_);
    held_ += used - reserved;
    if (open_ || held_ > limit_ - niov_size()) return;
    open_ = true;
    ::eventfd_write(fd(), 1);
}

}  // namespace devmem
