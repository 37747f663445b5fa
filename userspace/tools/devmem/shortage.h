// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// How often some queues had no memory to receive into, as their driver counts it; absent: it does
/// not.
struct Shortage {
    std::optional<std::uint64_t> no_memory = {};  ///< none could be had for the ring
    std::optional<std::uint64_t> dropped = {};    ///< packets that the NIC had no room for

    [[nodiscard]] std::string text() const;
    /// "no_memory" and "dropped", null if absent.
    void add_to(nlohmann::ordered_json& json) const;
};

/// Counts from its construction on. Throws devmem::Error.
class ShortageCounter {
  public:
    ShortageCounter(std::uint32_t ifindex, std::span<const std::uint32_t> queues);
    [[nodiscard]] Shortage now() const;

  private:
    [[nodiscard]] Shortage total() const;

    std::uint32_t ifindex_;
    std::vector<std::uint32_t> queues_;
    Shortage before_;
};
