// SPDX-License-Identifier: MIT
#include "devmem/binding.h"

#include <cerrno>
#include <numeric>

#include "devmem/error.h"
#include "devmem/netdev.h"
#include "netdev_decode.h"
#include "netlink.h"
#include "uapi.h"

namespace devmem {
namespace {

NetlinkRequest bind_request(NetlinkSocket& socket, std::uint8_t command, std::uint32_t ifindex,
                            const DmaBuf& dmabuf) {
    NetlinkRequest ask(socket.family(NETDEV_FAMILY_NAME), command, NETDEV_FAMILY_VERSION);
    ask.u32(NETDEV_A_DMABUF_IFINDEX, ifindex);
    ask.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(dmabuf.fd()));
    return ask;
}

// The number that the kernel gives the binding.
std::uint32_t bind(NetlinkSocket& socket, const std::string& call, NetlinkRequest& ask) {
    const auto replies = socket.request(call, ask);
    const std::uint32_t id = replies.empty() ? 0 : decode_binding(replies[0]);
    if (id == 0) throw_netlink(EPROTO, call, "the kernel named no binding");
    return id;
}

}  // namespace

RxBinding::RxBinding(std::uint32_t ifindex, std::span<const std::uint32_t> queues,
                     const DmaBuf& dmabuf)
    : socket_(std::make_unique<NetlinkSocket>()),
      ifindex_(ifindex),
      queues_(queues.begin(), queues.end()),
      dmabuf_(&dmabuf) {
    const std::string call = "bind-rx " + interface_name(ifindex);
    // The kernel says only that an attribute is missing.
    if (queues_.empty()) throw_netlink(EINVAL, call, "no queue was named");

    NetlinkRequest ask = bind_request(*socket_, NETDEV_CMD_BIND_RX, ifindex, dmabuf);
    for (const std::uint32_t queue : queues_) {
        ask.nest(NETDEV_A_DMABUF_QUEUES)
            .u32(NETDEV_A_QUEUE_ID, queue)
            .u32(NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX)
            .end();
    }
    id_ = bind(*socket_, call, ask);
}

RxBinding::~RxBinding() = default;
RxBinding::RxBinding(RxBinding&&) noexcept = default;
RxBinding& RxBinding::operator=(RxBinding&&) noexcept = default;

TxBinding::TxBinding(std::uint32_t ifindex, const DmaBuf& dmabuf)
    : socket_(std::make_unique<NetlinkSocket>()), ifindex_(ifindex), dmabuf_(&dmabuf) {
    const std::string call = "bind-tx " + interface_name(ifindex);
    NetlinkRequest ask = bind_request(*socket_, NETDEV_CMD_BIND_TX, ifindex, dmabuf);
    id_ = bind(*socket_, call, ask);
}

TxBinding::~TxBinding() = default;
TxBinding::TxBinding(TxBinding&&) noexcept = default;
TxBinding& TxBinding::operator=(TxBinding&&) noexcept = default;

std::vector<std::uint32_t> queue_range(std::uint32_t first, std::uint32_t count) {
    std::vector<std::uint32_t> queues(count);
    std::iota(queues.begin(), queues.end(), first);
    return queues;
}

}  // namespace devmem
