// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "devmem/export.h"

namespace devmem {

class ReceiverCore;

/// Tokens on their way back to the kernel.
///
/// A token is the right to give one frag's memory back to the NIC. It belongs to the socket that
/// reported it. Returning tokens one by one costs a system call each; a TokenBatch gathers them,
/// joins neighbours into ranges, and returns up to 1024 with one call (both limits are the
/// kernel's: net/core/sock.c, sock_devmem_dontneed).
///
/// Until it is returned, the memory behind a token is lost to the NIC: flush() before you sleep.
///
/// Not thread-safe, but any number of batches may serve one socket: the kernel takes no socket lock
/// for this. Nothing here throws or allocates.
class DEVMEM_API TokenBatch {
  public:
    static constexpr std::size_t max_ranges = 128;
    static constexpr std::size_t max_tokens = 1024;

    /// socket is not owned and must stay open for as long as this lives.
    explicit TokenBatch(int socket) noexcept : socket_(socket) {}
    /// Returns what is left; an error is lost. The kernel takes every token back when the socket
    /// is closed for good.
    ~TokenBatch() { flush(); }
    TokenBatch(const TokenBatch&) = delete;
    TokenBatch& operator=(const TokenBatch&) = delete;

    /// Adds one token; calls flush() first if the batch is full. token 0 does nothing: the
    /// kernel's start at 1.
    void add(std::uint32_t token) noexcept;

    /// Returns everything to the kernel. On an error (ENOMEM is the only one a live TCP socket
    /// gives) all that was not returned stays in the batch, to be tried again.
    std::error_code flush() noexcept;

    /// No room for a token that adjoins none here.
    [[nodiscard]] bool full() const noexcept {
        return used_ == max_ranges || tokens_ == max_tokens;
    }

    /// For those who make the call in another way: the value of SO_DEVMEM_DONTNEED that returns all
    /// of it. Nothing may be added before settle() has the answer.
    [[nodiscard]] std::span<const std::byte> value() const noexcept {
        return std::as_bytes(std::span(ranges_).first(used_));
    }
    /// answer: what that call returned, or -errno. What it has not returned stays in the batch.
    std::error_code settle(int answer) noexcept;
    /// Takes everything that another batch of the same socket holds; this one must be empty.
    void take(TokenBatch& other) noexcept;

    /// Tokens waiting in this batch.
    [[nodiscard]] std::size_t size() const noexcept { return tokens_; }
    /// System calls made.
    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
    /// Tokens the kernel took back.
    [[nodiscard]] std::uint64_t returned() const noexcept { return returned_; }
    /// Tokens the kernel did not know: somebody returned them before, by other means.
    [[nodiscard]] std::uint64_t unknown() const noexcept { return unknown_; }
    /// Tokens dropped because the kernel refused a full batch; they come back when the socket
    /// closes.
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

  private:
    struct Range {
        std::uint32_t start;
        std::uint32_t count;
    };

    friend class ReceiverCore;
    // add() of so many tokens that follow each other, for those who see them come so.
    [[gnu::visibility("hidden")]] void add_run(std::uint32_t first, std::size_t count) noexcept;
    bool join(std::uint32_t token) noexcept;
    void drop_front(std::size_t tokens) noexcept;

    int socket_;
    std::size_t used_ = 0;    // ranges
    std::size_t tokens_ = 0;  // tokens in them
    std::uint64_t calls_ = 0;
    std::uint64_t returned_ = 0;
    std::uint64_t unknown_ = 0;
    std::uint64_t lost_ = 0;
    std::array<Range, max_ranges> ranges_;
};

}  // namespace devmem
