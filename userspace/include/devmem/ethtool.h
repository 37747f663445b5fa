// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "devmem/export.h"

namespace devmem {

// A NIC's settings, as `ethtool -g`, `-l` and `-k` show them. All throw Error; changes need
// CAP_NET_ADMIN. May be called from any thread.

/// Whether TCP payload is kept apart from headers in memory; devmem needs it on.
enum class DataSplit { unknown = 0, off = 1, on = 2 };

struct Rings {
    std::uint32_t rx = 0, rx_max = 0;  ///< descriptors
    std::uint32_t tx = 0, tx_max = 0;
    std::optional<DataSplit> data_split = {};  ///< absent: the driver has no such thing
    /// Bytes of payload below which a packet is not split; absent before Linux 6.14. devmem needs
    /// 0.
    std::optional<std::uint32_t> hds_thresh = {}, hds_thresh_max = {};
};

struct Channels {
    std::uint32_t rx = 0, rx_max = 0;  ///< queues of their own
    std::uint32_t tx = 0, tx_max = 0;
    std::uint32_t combined = 0, combined_max = 0;

    /// Queues that receive.
    [[nodiscard]] std::uint32_t receiving() const noexcept { return rx + combined; }
};

DEVMEM_API Rings rings(std::uint32_t ifindex);

/// What to change; the rest stays.
struct RingsChange {
    std::optional<std::uint32_t> rx = {}, tx = {};
    std::optional<DataSplit> data_split = {};  ///< unknown: back to the driver's own choice
    std::optional<std::uint32_t> hds_thresh = {};

    bool operator==(const RingsChange&) const = default;
};
DEVMEM_API void set_rings(std::uint32_t ifindex, const RingsChange& change);

DEVMEM_API Channels channels(std::uint32_t ifindex);

/// What to change; the rest stays. The kernel refuses to remove a bound queue.
struct ChannelsChange {
    std::optional<std::uint32_t> rx = {}, tx = {}, combined = {};

    bool operator==(const ChannelsChange&) const = default;
};
DEVMEM_API void set_channels(std::uint32_t ifindex, const ChannelsChange& change);

/// A feature by the kernel's name, "rx-ntuple-filter" for instance.
DEVMEM_API bool feature(std::uint32_t ifindex, std::string_view name);
/// Whether the driver lets it be turned on and off.
DEVMEM_API bool feature_available(std::uint32_t ifindex, std::string_view name);
/// Throws Error (EOPNOTSUPP) if the feature does not change.
DEVMEM_API void set_feature(std::uint32_t ifindex, std::string_view name, bool on);

}  // namespace devmem
