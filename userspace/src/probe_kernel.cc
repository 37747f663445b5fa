// SPDX-License-Identifier: MIT
#include "probe_kernel.h"

#include "devmem/error.h"
#include "devmem/fd.h"
#include "uapi.h"

namespace devmem {
namespace {

constexpr std::uint32_t needs_host_admin = GENL_ADMIN_PERM;

constexpr const char* get_kernel =
    "Boot Linux 6.12 or later with CONFIG_NET_DEVMEM, or a 6.1 with this project's patches";

// Gives back no token, of a socket that has none: what counts is whether the option is known.
bool has_token_option() {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) throw_errno("socket");
    const uapi::dmabuf_token none{1, 0};
    return ::setsockopt(socket.get(), SOL_SOCKET, SO_DEVMEM_DONTNEED, &none, sizeof(none)) >= 0;
}

Finding judge_receive(const KernelFacts& facts) {
    const Thing thing{"kernel", "receive", Finding::Use::receive};
    if (!facts.netdev_family) return thing.missing("no netdev netlink family", get_kernel);
    if (!facts.bind_rx) return thing.missing("netdev family without bind-rx", get_kernel);
    if (!facts.token_option)
        return thing.missing("bind-rx, but sockets without SO_DEVMEM_DONTNEED",
                             "Build this kernel with CONFIG_NET_DEVMEM");
    return thing.ok("bind-rx, SO_DEVMEM_DONTNEED");
}

Finding judge_send(const KernelFacts& facts) {
    const Thing thing{"kernel", "send", Finding::Use::send};
    if (facts.bind_tx) return thing.ok("bind-tx");
    return thing.missing(
        facts.netdev_family ? "netdev family without bind-tx" : "no netdev netlink family",
        "Boot Linux 6.16 or later with CONFIG_NET_DEVMEM, or a 6.1 with this project's patches and "
        "CONFIG_NET_DEVMEM_TX");
}

Finding judge_page_size(const KernelFacts& facts) {
    const Thing thing{"kernel", "rx-page-size", Finding::Use::extra};
    const bool has = facts.rx_page_size.value_or(false);
    if (has) return thing.ok("bind-rx takes rx-page-size");
    if (facts.bind_rx && !facts.rx_page_size)
        return thing.unknown("the kernel does not tell its policies",
                             "Bind with a larger page: it is refused where there is no such thing");
    return thing.missing("bind-rx has no such attribute",
                         "Only larger niovs need it: Linux 7.3, or a 6.1 with this project's "
                         "patches");
}

Finding judge_listing(const KernelFacts& facts) {
    const Thing thing{"kernel", "listing", Finding::Use::extra};
    if (facts.queue_get && facts.page_pool_get) return thing.ok("queue-get, page-pool-get");
    if (!facts.queue_get) return thing.missing("no queue-get", get_kernel);
    return thing.missing("no page-pool-get", "Build this kernel with CONFIG_PAGE_POOL");
}

}  // namespace

void note_commands(KernelFacts& facts, std::span<const GenlCommand> commands) {
    facts.netdev_family = !commands.empty();
    for (const auto& [id, flags] : commands) {
        facts.bind_rx |= id == NETDEV_CMD_BIND_RX;
        facts.bind_tx |= id == NETDEV_CMD_BIND_TX;
        facts.queue_get |= id == NETDEV_CMD_QUEUE_GET;
        facts.page_pool_get |= id == NETDEV_CMD_PAGE_POOL_GET;
        if (id == NETDEV_CMD_BIND_RX)
            facts.bind_rx_in_user_namespace = (flags & needs_host_admin) == 0;
    }
}

KernelFacts look_at_kernel() {
    KernelFacts facts;
    NetlinkSocket socket;
    note_commands(facts, genl_commands(socket, NETDEV_FAMILY_NAME));
    facts.token_option = has_token_option();
    if (facts.bind_rx)
        facts.rx_page_size = genl_takes(socket, NETDEV_FAMILY_NAME, NETDEV_CMD_BIND_RX,
                                        NETDEV_A_DMABUF_RX_PAGE_SIZE);
    return facts;
}

Findings judge_kernel(const KernelFacts& facts) {
    return {judge_receive(facts), judge_send(facts), judge_page_size(facts), judge_listing(facts)};
}

}  // namespace devmem
