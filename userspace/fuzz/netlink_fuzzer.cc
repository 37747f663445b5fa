// SPDX-License-Identifier: MIT
// Datagrams from a netlink socket may hold anything.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "ethtool_decode.h"
#include "genl_family.h"
#include "link.h"
#include "netdev_decode.h"
#include "netlink.h"
#include "uapi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto replies = devmem::parse_replies(bytes, size > 8 ? data[8] : 0, bytes);
    if (replies.error < 0) std::abort();
    (void)replies.extack.text();

    devmem::decode_queue(bytes);
    devmem::decode_page_pool(bytes);
    devmem::decode_binding(bytes);
    devmem::decode_rings(bytes);
    devmem::decode_channels(bytes);
    devmem::decode_feature(bytes, "rx-gro");
    devmem::decode_feature_available(bytes, "rx-gro");
    devmem::decode_queue_stats(bytes);
    devmem::decode_link(bytes);
    for (const auto& [id, flags] : devmem::decode_commands(bytes))
        if (const auto policy = devmem::decode_request_policy(bytes, id))
            devmem::decode_policy_takes(bytes, *policy, static_cast<std::uint16_t>(flags));
    devmem::decode_request_policy(bytes, NETDEV_CMD_BIND_RX);
    devmem::decode_policy_takes(bytes, 0, NETDEV_A_DMABUF_RX_PAGE_SIZE);
    return 0;
}
