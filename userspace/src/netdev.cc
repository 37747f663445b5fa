// SPDX-License-Identifier: MIT
#include "devmem/netdev.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "attr.h"
#include "devmem/error.h"
#include "netdev_decode.h"
#include "netlink.h"
#include "uapi.h"

namespace devmem {
namespace {

using View = std::span<const std::byte>;

std::optional<std::uint64_t> u64(View attrs, std::uint16_t type) {
    const auto attr = find_attr(attrs, type);
    return attr ? attr->number() : std::nullopt;
}

std::uint64_t u64_or_0(View attrs, std::uint16_t type) {
    return u64(attrs, type).value_or(0);
}

}  // namespace

std::uint32_t interface_index(const std::string& name) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) throw_errno("find interface " + name);
    return index;
}

std::string interface_name(std::uint32_t ifindex) {
    std::array<char, IF_NAMESIZE> name{};
    if (!::if_indextoname(ifindex, name.data())) {
        if (errno == ENXIO) errno = ENODEV;  // as netlink says it: one error to expect
        throw_errno("find interface number " + std::to_string(ifindex));
    }
    return name.data();
}

std::vector<std::uint32_t> interfaces() {
    const std::unique_ptr<struct if_nameindex[], void (*)(struct if_nameindex*)> list(
        ::if_nameindex(), ::if_freenameindex);
    if (!list) throw_errno("list interfaces");
    std::vector<std::uint32_t> all;
    for (const auto* each = list.get(); each->if_index != 0; ++each)
        if (std::string_view(each->if_name) != "lo") all.push_back(each->if_index);
    std::ranges::sort(all);
    return all;
}

Queue decode_queue(View attrs) {
    Queue queue;
    queue.ifindex = u32_or_0(attrs, NETDEV_A_QUEUE_IFINDEX);
    if (u32_or_0(attrs, NETDEV_A_QUEUE_TYPE) == NETDEV_QUEUE_TYPE_TX) queue.type = Queue::Type::tx;
    queue.id = u32_or_0(attrs, NETDEV_A_QUEUE_ID);
    queue.napi_id = u32_or_0(attrs, NETDEV_A_QUEUE_NAPI_ID);
    queue.dmabuf_id = u32_or_0(attrs, NETDEV_A_QUEUE_DMABUF);
    queue.io_uring = find_attr(attrs, NETDEV_A_QUEUE_IO_URING).has_value();
    queue.xsk = find_attr(attrs, NETDEV_A_QUEUE_XSK).has_value();
    return queue;
}

QueueStats decode_queue_stats(View attrs) {
    QueueStats stats;
    const bool tx = u32_or_0(attrs, NETDEV_A_QSTATS_QUEUE_TYPE) == NETDEV_QUEUE_TYPE_TX;
    if (tx) stats.type = Queue::Type::tx;
    stats.id = u32_or_0(attrs, NETDEV_A_QSTATS_QUEUE_ID);
    stats.packets = u64(attrs, tx ? NETDEV_A_QSTATS_TX_PACKETS : NETDEV_A_QSTATS_RX_PACKETS);
    stats.bytes = u64(attrs, tx ? NETDEV_A_QSTATS_TX_BYTES : NETDEV_A_QSTATS_RX_BYTES);
    stats.alloc_fail = u64(attrs, NETDEV_A_QSTATS_RX_ALLOC_FAIL);
    stats.hw_drops = u64(attrs, tx ? NETDEV_A_QSTATS_TX_HW_DROPS : NETDEV_A_QSTATS_RX_HW_DROPS);
    return stats;
}

PagePool decode_page_pool(View attrs) {
    PagePool pool;
    pool.id = u64_or_0(attrs, NETDEV_A_PAGE_POOL_ID);
    pool.ifindex = u32_or_0(attrs, NETDEV_A_PAGE_POOL_IFINDEX);
    pool.napi_id = u64_or_0(attrs, NETDEV_A_PAGE_POOL_NAPI_ID);
    pool.inflight = u64_or_0(attrs, NETDEV_A_PAGE_POOL_INFLIGHT);
    pool.inflight_bytes = u64_or_0(attrs, NETDEV_A_PAGE_POOL_INFLIGHT_MEM);
    pool.detach_time = u64(attrs, NETDEV_A_PAGE_POOL_DETACH_TIME);
    pool.dmabuf_id = u32_or_0(attrs, NETDEV_A_PAGE_POOL_DMABUF);
    return pool;
}

std::uint32_t decode_binding(View attrs) {
    return u32_or_0(attrs, NETDEV_A_DMABUF_ID);
}

std::vector<Queue> queues(std::uint32_t ifindex) {
    NetlinkSocket socket;
    NetlinkRequest ask(socket.family(NETDEV_FAMILY_NAME), NETDEV_CMD_QUEUE_GET,
                       NETDEV_FAMILY_VERSION, NetlinkRequest::Kind::dump);
    ask.u32(NETDEV_A_QUEUE_IFINDEX, ifindex);

    std::vector<Queue> queues;
    for (const Bytes& reply : socket.request("list queues", ask))
        queues.push_back(decode_queue(reply));
    return queues;
}

std::vector<QueueStats> queue_stats(std::uint32_t ifindex) {
    NetlinkSocket socket;
    NetlinkRequest ask(socket.family(NETDEV_FAMILY_NAME), NETDEV_CMD_QSTATS_GET,
                       NETDEV_FAMILY_VERSION, NetlinkRequest::Kind::dump);
    ask.u32(NETDEV_A_QSTATS_IFINDEX, ifindex);
    ask.u32(NETDEV_A_QSTATS_SCOPE, NETDEV_QSTATS_SCOPE_QUEUE);

    std::vector<QueueStats> all;
    try {
        for (const Bytes& reply : socket.request("list queue statistics", ask))
            all.push_back(decode_queue_stats(reply));
    } catch (const Error& error) {
        if (error.code().value() != EOPNOTSUPP) throw;  // the driver has none
    }
    return all;
}

std::vector<PagePool> page_pools(std::uint32_t ifindex) {
    NetlinkSocket socket;
    NetlinkRequest ask(socket.family(NETDEV_FAMILY_NAME), NETDEV_CMD_PAGE_POOL_GET,
                       NETDEV_FAMILY_VERSION, NetlinkRequest::Kind::dump);

    std::vector<PagePool> pools;
    for (const Bytes& reply : socket.request("list page pools", ask)) {
        const PagePool pool = decode_page_pool(reply);
        if (ifindex == 0 || pool.ifindex == ifindex) pools.push_back(pool);
    }
    return pools;
}

}  // namespace devmem
