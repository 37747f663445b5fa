// SPDX-License-Identifier: MIT
// The error queue may say anything: what was never sent must not be done, and nothing that is done
// may be done again.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>

#include "devmem/cmsg.h"
#include "in_flight.h"

namespace {

constexpr std::size_t room = 8;

// By the simplest means: the numbers that are open.
class Model {
  public:
    explicit Model(std::uint64_t next) : next_(next) {}

    void add() { open_.insert(next_++); }

    // All of a run's numbers must be of the last few sends, from the oldest that is open.
    std::size_t complete(const devmem::Completion& run) {
        const std::uint64_t oldest = open_.empty() ? next_ : *open_.begin();
        std::set<std::uint64_t> hit;
        std::uint32_t number = run.first;
        for (std::size_t i = 0; i <= room; ++i, ++number) {
            std::uint64_t wide = oldest;
            while (wide != next_ && static_cast<std::uint32_t>(wide) != number) ++wide;
            if (wide == next_) return 0;
            hit.insert(wide);
            if (number == run.last) break;
        }
        std::size_t completed = 0;
        for (const std::uint64_t wide : hit) completed += open_.erase(wide);
        return completed;
    }

    [[nodiscard]] bool done(std::uint64_t number) const {
        return number < next_ && !open_.contains(number);
    }
    [[nodiscard]] std::size_t pending() const { return open_.size(); }

  private:
    std::set<std::uint64_t> open_;
    std::uint64_t next_;
};

// Something the parser finds in any bytes, and else the bytes as they are.
devmem::Completion completion_of(std::span<const std::byte> bytes, std::uint64_t near) {
    if (const auto run = devmem::parse_completion(bytes)) return *run;
    const auto low = static_cast<std::uint32_t>(near);
    return {low + std::to_integer<std::uint32_t>(bytes[0]) % 16 - 8,
            low + std::to_integer<std::uint32_t>(bytes[1]) % 16 - 8, false};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    (void)devmem::parse_completion(bytes);

    std::uint64_t next = UINT32_MAX - std::uint64_t{4};
    const std::uint64_t first = next;
    devmem::InFlight in_flight(room, next);
    Model model(next);
    for (std::size_t at = 0; at + 2 <= size; at += 2) {
        if (!in_flight.full()) {
            if (in_flight.add() != next++) std::abort();
            model.add();
        }
        const auto run = completion_of(bytes.subspan(at), next);
        if (in_flight.complete(run) != model.complete(run)) std::abort();
        if (in_flight.pending() != model.pending()) std::abort();
        for (std::uint64_t number = first; number <= next; ++number)
            if (in_flight.done(number) != model.done(number)) std::abort();
    }
    return 0;
}
