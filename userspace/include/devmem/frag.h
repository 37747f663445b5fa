// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "devmem/cmsg.h"
#include "devmem/export.h"

namespace devmem {

class ReceiverCore;

/// Payload in a dmabuf, kept beyond the next receive(): get one with Receiver::take().
///
/// Destroying it gives the memory back to the NIC, soon: see Receiver::flush(). Until then the NIC
/// does not write there. A Frag keeps the socket open, so it may outlive its Receiver, and it may
/// be destroyed in any thread.
class DEVMEM_API Frag {
  public:
    Frag() noexcept = default;
    Frag(Frag&& other) noexcept
        : core_(std::move(other.core_)), piece_(std::exchange(other.piece_, {})) {}
    Frag& operator=(Frag&& other) noexcept {
        give_back();
        core_ = std::move(other.core_);
        piece_ = std::exchange(other.piece_, {});
        return *this;
    }
    Frag(const Frag&) = delete;
    Frag& operator=(const Frag&) = delete;
    ~Frag() { give_back(); }

    /// False after a move, give_back() or release().
    [[nodiscard]] bool held() const noexcept { return core_ != nullptr; }
    /// RxBinding::id() of the dmabuf.
    [[nodiscard]] std::uint32_t dmabuf_id() const noexcept { return piece_.dmabuf_id; }
    /// Bytes from the start of the dmabuf.
    [[nodiscard]] std::uint64_t offset() const noexcept { return piece_.offset; }
    /// Bytes.
    [[nodiscard]] std::uint32_t size() const noexcept { return piece_.size; }

    void give_back() noexcept;
    /// Gives up ownership: the token is now the caller's to return, with a TokenBatch of its own.
    /// 0 if nothing was held.
    [[nodiscard]] std::uint32_t release() noexcept;

  private:
    friend class Receiver;
    Frag(std::shared_ptr<ReceiverCore> core, const Piece& piece) noexcept
        : core_(std::move(core)), piece_(piece) {}

    std::shared_ptr<ReceiverCore> core_;
    Piece piece_;
};

}  // namespace devmem
