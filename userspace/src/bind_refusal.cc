// SPDX-License-Identifier: MIT
#include "bind_refusal.h"

#include <cerrno>

#include "devmem/error.h"
#include "netlink.h"
#include "uapi.h"

namespace devmem {
namespace {

constexpr std::uint32_t no_descriptor = UINT32_MAX;

int refusal(NetlinkSocket& socket, NetlinkRequest& ask) {
    try {
        socket.request("ask about binding", ask);
        return 0;
    } catch (const Error& error) {
        return error.code().value();
    }
}

NetlinkRequest hopeless(NetlinkSocket& socket, std::uint8_t command, std::uint32_t ifindex) {
    NetlinkRequest ask(socket.family(NETDEV_FAMILY_NAME), command, NETDEV_FAMILY_VERSION);
    ask.u32(NETDEV_A_DMABUF_IFINDEX, ifindex).u32(NETDEV_A_DMABUF_FD, no_descriptor);
    return ask;
}

}  // namespace

int rx_refusal(std::uint32_t ifindex) {
    NetlinkSocket socket;
    NetlinkRequest ask = hopeless(socket, NETDEV_CMD_BIND_RX, ifindex);
    ask.nest(NETDEV_A_DMABUF_QUEUES)
        .u32(NETDEV_A_QUEUE_ID, 0)
        .u32(NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX)
        .end();
    return refusal(socket, ask);
}

int tx_refusal(std::uint32_t ifindex) {
    NetlinkSocket socket;
    NetlinkRequest ask = hopeless(socket, NETDEV_CMD_BIND_TX, ifindex);
    return refusal(socket, ask);
}

Answer can_restart_queues(int nic_refusal, int loopback_refusal) {
    if (nic_refusal == EOPNOTSUPP) return Answer::no;
    if (nic_refusal == EPERM || loopback_refusal != EOPNOTSUPP) return Answer::untold;
    return Answer::yes;
}

Answer can_send(int refusal) {
    if (refusal == EOPNOTSUPP) return Answer::no;
    return refusal == EBADF ? Answer::yes : Answer::untold;
}

}  // namespace devmem
