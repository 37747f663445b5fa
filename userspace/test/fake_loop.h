// SPDX-License-Identifier: MIT
// An event loop in which the test says what is ready.
#pragma once

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "devmem/poller.h"

namespace devmem::test {

class FakeLoop final : public Poller {
  public:
    // What a test sets.
    std::error_code refusal;  // of each start()
    // What it looks at afterwards.
    std::vector<Wait*> waits;
    std::size_t starts = 0, cancels = 0;

    std::error_code start(Wait& wait) noexcept override {
        ++starts;
        if (refusal) return refusal;
        waits.push_back(&wait);
        return {};
    }
    void cancel(Wait& wait) noexcept override {
        ++cancels;
        std::erase(waits, &wait);
        std::erase(ready_, &wait);
    }

    // The event is there, for all who wait for it.
    void happen(Event event) {
        const auto others = std::stable_partition(
            waits.begin(), waits.end(), [&](const Wait* wait) { return wait->event != event; });
        ready_.assign(others, waits.end());
        waits.erase(others, waits.end());
        while (!ready_.empty()) {
            Wait* const wait = ready_.front();
            ready_.erase(ready_.begin());
            wait->ready();
        }
    }

  private:
    std::vector<Wait*> ready_;
};

}  // namespace devmem::test
