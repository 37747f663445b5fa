// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <system_error>

#include "devmem/cmsg.h"
#include "devmem/fd.h"
#include "devmem/tokens.h"

namespace devmem {

/// A Receiver whose Options::pieces is less grows to at most so many, and one.
inline constexpr std::size_t max_grown_pieces = 1 << 16;

/// What a Receiver and its Frags share: the socket, and the tokens on their way back to it.
/// Thread-safe.
class ReceiverCore {
  public:
    ReceiverCore(Fd socket, std::size_t flush_at) noexcept
        : socket_(std::move(socket)), flush_at_(flush_at), batch_(socket_.get()) {}

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

    void minted(std::size_t tokens) noexcept {
        const std::lock_guard lock(mutex_);
        minted_ += tokens;
    }

    // The token is somebody else's to return now.
    void released() noexcept {
        const std::lock_guard lock(mutex_);
        --minted_;
    }

    void give_back(std::uint32_t token) noexcept {
        const std::lock_guard lock(mutex_);
        batch_.add(token);
        if (batch_.size() >= flush_at_) batch_.flush();
    }

    std::error_code give_back(std::span<const Piece> pieces) noexcept {
        const std::lock_guard lock(mutex_);
        for (const Piece& piece : pieces) batch_.add(piece.token);
        return batch_.flush();
    }

    [[nodiscard]] std::size_t outstanding() const noexcept {
        const std::lock_guard lock(mutex_);
        return minted_ - batch_.returned() - batch_.unknown() - batch_.lost();
    }

  private:
    mutable std::mutex mutex_;
    Fd socket_;
    std::size_t flush_at_;
    std::uint64_t minted_ = 0;
    TokenBatch batch_;  // after socket_: it still needs the socket when it is destroyed
};

}  // namespace devmem
