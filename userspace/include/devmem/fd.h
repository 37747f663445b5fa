// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "devmem/export.h"

namespace devmem {

/// A file descriptor with one owner.
///
/// Not usable as a bool: descriptor 0 is valid, so ask is_open().
class DEVMEM_API Fd {
  public:
    Fd() noexcept = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    // By way of a temporary: what this held is closed exactly once, also in a self-move.
    Fd& operator=(Fd&& other) noexcept {
        Fd old(std::exchange(fd_, std::exchange(other.fd_, -1)));
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    /// Closes; an error is lost. Call close() where it matters.
    ~Fd();

    operator bool() const = delete;

    /// A second descriptor for the same open file, close-on-exec. Throws Error.
    static Fd duplicate(int fd);

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
    /// Gives up ownership without closing.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// Closes now. Throws Error if the kernel reports one; the descriptor is gone either way.
    void close();

  private:
    int fd_ = -1;
};

}  // namespace devmem
