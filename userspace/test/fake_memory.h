// SPDX-License-Identifier: MIT
// The memory of a binding, as a NIC sees it: it writes only into niovs that nobody uses, and drops
// what finds none. Thread-safe; shared by the FakeKernels of several sockets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "fake_kernel.h"

namespace devmem::test {

class FakeMemory {
  public:
    static constexpr std::size_t page = 4096;

    FakeMemory(std::uint32_t id, std::size_t pages)
        : id_(id), bytes_(pages * page), users_(pages) {}

    [[nodiscard]] std::uint32_t id() const { return id_; }

    // Writes into a free niov, at so many bytes from its start; used once from now on.
    std::optional<FakeFrag> land(std::span<const std::byte> payload, std::size_t at) {
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < users_.size(); ++i, next_ = (next_ + 1) % users_.size()) {
            if (users_[next_] > 0) continue;
            ++users_[next_];
            const std::size_t offset = next_ * page + at;
            std::ranges::copy(payload, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
            return FakeFrag{offset, static_cast<std::uint32_t>(payload.size()), id_};
        }
        ++drops_;
        return std::nullopt;
    }

    // For FakeKernel::use.
    void use(const FakeFrag& frag, int change) {
        const std::lock_guard lock(mutex_);
        users_[frag.offset / page] += change;
    }

    // Not locked, as a device would not be: whoever holds the token may look.
    [[nodiscard]] std::span<const std::byte> at(std::uint64_t offset, std::size_t size) const {
        return std::span(bytes_).subspan(offset, size);
    }

    [[nodiscard]] std::size_t drops() const { return drops_; }
    [[nodiscard]] bool idle() const {
        return std::ranges::all_of(users_, [](int users) { return users == 0; });
    }

  private:
    std::mutex mutex_;
    std::uint32_t id_;
    std::vector<std::byte> bytes_;
    std::vector<int> users_;  // of each niov
    std::size_t next_ = 0;
    std::size_t drops_ = 0;
};

}  // namespace devmem::test
