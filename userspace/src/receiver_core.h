// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "devmem/budget.h"
#include "devmem/cmsg.h"
#include "devmem/fd.h"
#include "devmem/tokens.h"
#include "niov.h"

namespace devmem {

/// A Receiver whose Options::pieces is less grows to at most so many, and one.
inline constexpr std::size_t max_grown_pieces = 1 << 16;

/// What a Receiver and its Frags share: the socket, the tokens on their way back to it, and what is
/// held back of each binding that has a Budget. Thread-safe.
class ReceiverCore {
  public:
    struct Room {
        std::uint64_t bytes;  ///< Budget::unlimited if there is no budget
        const Budget* lacking;
    };

    ReceiverCore(Fd socket, std::size_t flush_at, std::span<const std::shared_ptr<Budget>> budgets)
        : socket_(std::move(socket)),
          flush_at_(flush_at),
          batch_(socket_.get()),
          leaving_(socket_.get()) {
        for (const auto& budget : budgets)
            if (budget) accounts_.push_back({budget});
    }
    ~ReceiverCore() {
        flush();
        for (Account& account : accounts_) account.budget->settle(account.held, 0);
    }
    ReceiverCore(const ReceiverCore&) = delete;
    ReceiverCore& operator=(const ReceiverCore&) = delete;

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    [[nodiscard]] bool limited() const noexcept { return !accounts_.empty(); }

    // Room for what the next read may bring, in every budget: which it will need, nobody knows.
    // minted() must follow, unless a budget lacks it.
    Room reserve(std::uint64_t most) noexcept {
        if (!limited()) return {Budget::unlimited, nullptr};
        const std::lock_guard lock(mutex_);
        Room room{Budget::unlimited, nullptr};
        for (Account& account : accounts_) {
            account.reserved = account.budget->reserve(most);
            room.bytes = std::min(room.bytes, account.reserved);
            if (account.reserved > 0) continue;
            settle_reserved();
            return {0, account.budget.get()};
        }
        return room;
    }

    // That is what the read brought.
    void minted(std::span<const Piece> pieces) noexcept {
        const std::lock_guard lock(mutex_);
        minted_ += static_cast<std::uint64_t>(
            std::ranges::count_if(pieces, [](const Piece& piece) { return piece.token != 0; }));
        if (accounts_.empty()) return;
        for (const Piece& piece : pieces) {
            if (piece.token == 0) continue;
            if (Account* account = account_of(piece.dmabuf_id)) account->fresh += held_by(piece);
        }
        settle_reserved();
    }

    // The token is somebody else's to return now.
    void released(const Piece& piece) noexcept {
        const std::lock_guard lock(mutex_);
        --minted_;
        if (Account* account = account_of(piece.dmabuf_id)) account->release(held_by(piece));
    }

    // One that comes back alone waits for others, but not where memory is scarce: whoever was
    // refused some must not wait for what lies here.
    void give_back(const Piece& piece) noexcept {
        const std::lock_guard lock(mutex_);
        add(piece);
        const Account* account = account_of(piece.dmabuf_id);
        if (batch_.size() >= flush_at_ || (account && account->budget->scarce())) flush();
    }

    // give_back(), for the next flush.
    void queue(const Piece& piece) noexcept {
        const std::lock_guard lock(mutex_);
        add(piece);
    }

    std::error_code give_back(std::span<const Piece> pieces) noexcept {
        const std::lock_guard lock(mutex_);
        add(pieces);
        return flush();
    }

    // The same by a call that somebody else makes, where there are no budgets: the value of
    // SO_DEVMEM_DONTNEED, which stays where it is until arrived(). Empty if there is nothing to
    // return.
    std::span<const std::byte> leave(std::span<const Piece> pieces) noexcept {
        const std::lock_guard lock(mutex_);
        add(pieces);
        if (leaving_.size() == 0) leaving_.take(batch_);
        away_ = leaving_.size() > 0;
        return leaving_.value();
    }

    void arrived(int answer) noexcept {
        const std::lock_guard lock(mutex_);
        away_ = false;
        leaving_.settle(answer);
        if (leaving_.size() > 0) leaving_.flush();
    }

    [[nodiscard]] std::size_t outstanding() const noexcept {
        const std::lock_guard lock(mutex_);
        return minted_ - gone(batch_) - gone(leaving_);
    }

    [[nodiscard]] std::uint64_t held(std::uint32_t dmabuf_id) const noexcept {
        const std::lock_guard lock(mutex_);
        for (const Account& account : accounts_)
            if (account.budget->dmabuf_id() == dmabuf_id) return account.held;
        return 0;
    }

  private:
    // A token that is lost on the way is out for good.
    static std::uint64_t gone(const TokenBatch& batch) noexcept {
        return batch.returned() + batch.unknown();
    }

    // Bytes of one binding.
    struct Account {
        std::shared_ptr<Budget> budget;
        std::uint64_t reserved = 0;  // for the read that is going on
        std::uint64_t fresh = 0;     // of those in use
        std::uint64_t held = 0;
        std::uint64_t leaving = 0;  // of those held: what the batch has

        void release(std::uint64_t bytes) noexcept {
            held -= bytes;
            budget->settle(bytes, 0);
        }
    };

    Account* account_of(std::uint32_t dmabuf_id) noexcept {
        for (Account& account : accounts_)
            if (account.budget->dmabuf_id() == dmabuf_id) return &account;
        return nullptr;
    }

    void settle_reserved() noexcept {
        for (Account& account : accounts_) {
            const std::uint64_t fresh = std::exchange(account.fresh, 0);
            account.held += fresh;
            account.budget->settle(std::exchange(account.reserved, 0), fresh);
        }
    }

    // A token that is lost on the way stays on the account.
    void add(const Piece& piece) noexcept {
        if (piece.token == 0) return;
        if (batch_.full()) flush();
        const std::uint64_t lost = batch_.lost();
        batch_.add(piece.token);
        Account* account = account_of(piece.dmabuf_id);
        if (account && batch_.lost() == lost) account->leaving += held_by(piece);
    }

    static bool follows(std::uint32_t token, std::uint32_t first, std::size_t count) noexcept {
        return token - first == count && token > first;
    }

    // The tokens of one read mostly follow each other.
    void add(std::span<const Piece> pieces) noexcept {
        if (!accounts_.empty()) {
            for (const Piece& piece : pieces) add(piece);
            return;
        }
        for (std::size_t count = 1; !pieces.empty(); pieces = pieces.subspan(count), count = 1) {
            const std::uint32_t first = pieces[0].token;
            if (first == 0) continue;
            while (count < pieces.size() && follows(pieces[count].token, first, count)) ++count;
            if (batch_.full()) flush();
            batch_.add_run(first, count);
        }
    }

    // Which tokens the kernel has taken shows only when it has taken all.
    std::error_code flush() noexcept {
        if (!away_ && leaving_.size() > 0)
            if (const auto error = leaving_.flush()) return error;
        const std::error_code error = batch_.flush();
        if (batch_.size() > 0) return error;
        for (Account& account : accounts_) account.release(std::exchange(account.leaving, 0));
        return error;
    }

    mutable std::mutex mutex_;
    Fd socket_;
    std::size_t flush_at_;
    std::vector<Account> accounts_;  // as many as there were at first
    std::uint64_t minted_ = 0;
    bool away_ = false;  // leaving_ is the value of a call that is being made
    // After socket_: they still need the socket when they are destroyed.
    TokenBatch batch_;
    TokenBatch leaving_;
};

}  // namespace devmem
