// SPDX-License-Identifier: MIT
#include "link.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "attr.h"
#include "devmem/error.h"
#include "netlink.h"

namespace devmem {
namespace {

Counts counts_of(std::span<const std::byte> bytes) {
    rtnl_link_stats64 stats{};
    std::memcpy(&stats, bytes.data(), std::min(bytes.size(), sizeof(stats)));
    return {.rx_packets = stats.rx_packets,
            .rx_bytes = stats.rx_bytes,
            .rx_dropped = stats.rx_dropped,
            .rx_missed = stats.rx_missed_errors,
            .rx_errors = stats.rx_errors,
            .tx_packets = stats.tx_packets,
            .tx_bytes = stats.tx_bytes,
            .tx_dropped = stats.tx_dropped};
}

}  // namespace

Link decode_link(std::span<const std::byte> message) {
    Link link;
    ifinfomsg fixed;
    if (message.size() < sizeof(fixed)) return link;
    std::memcpy(&fixed, message.data(), sizeof(fixed));
    link.up = (fixed.ifi_flags & IFF_UP) != 0;

    const auto attrs = message.subspan(sizeof(fixed));
    if (auto xdp = find_attr(attrs, IFLA_XDP))
        link.xdp = u32_or_0(xdp->data, IFLA_XDP_ATTACHED) != XDP_ATTACHED_NONE;
    const auto info = find_attr(attrs, IFLA_LINKINFO);
    if (auto kind = info ? find_attr(info->data, IFLA_INFO_KIND) : info) link.kind = kind->string();
    if (auto stats = find_attr(attrs, IFLA_STATS64)) link.counts = counts_of(stats->data);
    return link;
}

Counts counts(std::uint32_t ifindex) {
    return link_of(ifindex).counts;
}

Link link_of(std::uint32_t ifindex) {
    NetlinkSocket socket(NetlinkSocket::Protocol::route);
    ifinfomsg fixed{};
    fixed.ifi_index = static_cast<int>(ifindex);
    NetlinkRequest ask(RTM_GETLINK, std::as_bytes(std::span(&fixed, 1)));
    const auto replies = socket.request("get link", ask);
    if (replies.empty()) throw_netlink(EPROTO, "get link", "the kernel gave no answer");
    return decode_link(replies[0]);
}

}  // namespace devmem
