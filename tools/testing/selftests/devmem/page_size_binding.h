// SPDX-License-Identifier: GPL-2.0
// A binding of a queue of dm0 whose niovs have another size than a page.
#pragma once

#include <linux/netdev.h>
#include <net/if.h>

#include <cstdint>
#include <stdexcept>

#include "devmem/dmabuf.h"
#include "raw_netlink.h"

/// One binding, for as long as this lives, or the reason why there is none.
class PageSizeBinding {
  public:
    PageSizeBinding(const devmem::DmaBuf& memory, std::uint32_t queue, std::uint32_t size) {
        RawRequest request(socket_.family(NETDEV_FAMILY_NAME), NETDEV_CMD_BIND_RX);
        request.u32(NETDEV_A_DMABUF_IFINDEX, ::if_nametoindex("dm0"));
        request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(memory.fd()));
        request.nest(NETDEV_A_DMABUF_QUEUES).u32(NETDEV_A_QUEUE_ID, queue);
        request.u32(NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX).end();
        reply_ = socket_.ask(request.u32(NETDEV_A_DMABUF_RX_PAGE_SIZE, size));
    }
    [[nodiscard]] const RawReply& reply() const { return reply_; }
    [[nodiscard]] std::uint32_t id() const {
        if (reply_.answers.size() != 1) throw std::runtime_error("no binding: " + reply_.message);
        return find_u32(reply_.answers[0], NETDEV_A_DMABUF_ID).value();
    }

  private:
    RawSocket socket_;
    RawReply reply_;
};
