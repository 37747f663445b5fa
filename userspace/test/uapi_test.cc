// SPDX-License-Identifier: MIT
// The numbers that programs built for upstream rely on.
#include "uapi.h"

#include <gtest/gtest.h>

namespace devmem {
namespace {

TEST(UapiTest, SocketNumbers) {
    EXPECT_EQ(MSG_SOCK_DEVMEM, 0x2000000);
    EXPECT_EQ(MSG_ZEROCOPY, 0x4000000);
#if defined(__x86_64__) || defined(__aarch64__)
    EXPECT_EQ(SO_DEVMEM_LINEAR, 78);
    EXPECT_EQ(SO_DEVMEM_DMABUF, 79);
    EXPECT_EQ(SO_DEVMEM_DONTNEED, 80);
#endif
    EXPECT_EQ(sizeof(uapi::dmabuf_cmsg), 24U);
    EXPECT_EQ(sizeof(uapi::dmabuf_token), 8U);
}

TEST(UapiTest, NetdevNumbers) {
    EXPECT_EQ(NETDEV_CMD_PAGE_POOL_GET, 5);
    EXPECT_EQ(NETDEV_CMD_QUEUE_GET, 10);
    EXPECT_EQ(NETDEV_CMD_BIND_RX, 13);
    EXPECT_EQ(NETDEV_CMD_BIND_TX, 15);
    EXPECT_EQ(NETDEV_A_DMABUF_ID, 4);
    EXPECT_EQ(NETDEV_A_QUEUE_DMABUF, 5);
    EXPECT_EQ(NETDEV_A_PAGE_POOL_DMABUF, 7);
}

TEST(UapiTest, EthtoolNumbers) {
    EXPECT_EQ(ETHTOOL_A_RINGS_TCP_DATA_SPLIT, 11);
    EXPECT_EQ(uapi::rings_hds_thresh, 17);
}

}  // namespace
}  // namespace devmem
