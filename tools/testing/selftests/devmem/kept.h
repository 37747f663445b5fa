// SPDX-License-Identifier: GPL-2.0
// A connection whose frags are all kept, and how many niovs those hold.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "devmem/receiver.h"
#include "expect.h"
#include "leftovers.h"

class Kept {
  public:
    explicit Kept(devmem::Fd connection) : receiver_(std::move(connection)) {}

    /// Reads to the end of the stream.
    void read() {
        for (;;) {
            const auto got = receiver_.receive(devmem::Receiver::Wait::yes);
            for (const auto& piece : got.pieces) keep(receiver_.take(piece));
            if (got.state == devmem::Receiver::State::data) continue;
            EXPECT("an orderly end", got.state == devmem::Receiver::State::end,
                   got.error.message());
            return;
        }
    }
    /// Gives back all but so many frags, and sees to it that no skb keeps what those held.
    void let_go(std::size_t rest = 0) {
        frags_.resize(std::min(rest, frags_.size()));
        receiver_.flush();
        wake_every_stack();
    }
    [[nodiscard]] std::size_t frags() const { return frags_.size(); }
    /// A niov is a page.
    [[nodiscard]] std::size_t niovs() const {
        std::set<std::uint64_t> pages;
        for (const devmem::Frag& frag : frags_)
            for (auto at = frag.offset() / 4096; at * 4096 < frag.offset() + frag.size(); at++)
                pages.insert(at);
        return pages.size();
    }
    [[nodiscard]] int fd() const { return receiver_.fd(); }

  private:
    void keep(devmem::Frag frag) {
        EXPECT("a frag", frag.held(), "host memory");
        frags_.push_back(std::move(frag));
    }

    devmem::Receiver receiver_;
    std::vector<devmem::Frag> frags_;
};
