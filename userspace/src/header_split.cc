// SPDX-License-Identifier: MIT
#include "devmem/header_split.h"

#include <cerrno>
#include <utility>

#include "devmem/error.h"
#include "devmem/netdev.h"

namespace devmem {
RingsChange wanted_rings(const Rings& now) {
    RingsChange wanted;
    if (now.data_split != DataSplit::on) wanted.data_split = DataSplit::on;
    if (now.hds_thresh.value_or(0) != 0) wanted.hds_thresh = 0;
    return wanted;
}

HeaderSplit::HeaderSplit(std::uint32_t ifindex) : ifindex_(ifindex) {
    const Rings now = rings(ifindex);
    if (!now.data_split)
        throw_netlink(EOPNOTSUPP, "set rings of " + interface_name(ifindex), "no tcp-data-split");

    const RingsChange wanted = wanted_rings(now);
    if (wanted.data_split) before_.data_split = now.data_split;
    if (wanted.hds_thresh) before_.hds_thresh = now.hds_thresh;
    if (wanted != RingsChange{}) set_rings(ifindex, wanted);
}

HeaderSplit::HeaderSplit(HeaderSplit&& other) noexcept
    : ifindex_(other.ifindex_), before_(std::exchange(other.before_, {})) {}

HeaderSplit::~HeaderSplit() {
    try {
        restore();
    } catch (const std::exception&) {  // nobody left to tell
    }
}

void HeaderSplit::restore() {
    const RingsChange before = std::exchange(before_, {});
    if (before != RingsChange{}) set_rings(ifindex_, before);
}

}  // namespace devmem
