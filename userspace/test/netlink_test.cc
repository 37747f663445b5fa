// SPDX-License-Identifier: MIT
#include "netlink.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "attr.h"
#include "devmem/error.h"
#include "ethtool_decode.h"
#include "netdev_decode.h"
#include "uapi.h"

namespace devmem {
namespace {

using View = std::span<const std::byte>;

// The attributes of a request, after both headers.
View attrs_of(const NetlinkRequest& request) {
    return request.bytes().subspan(NLMSG_HDRLEN + GENL_HDRLEN);
}

Bytes bytes_of(View view) {
    return {view.begin(), view.end()};
}

NetlinkRequest bind_request() {
    NetlinkRequest request(30, NETDEV_CMD_BIND_RX, 1);
    request.u32(NETDEV_A_DMABUF_IFINDEX, 7);
    request.nest(NETDEV_A_DMABUF_QUEUES).u32(NETDEV_A_QUEUE_ID, 3).end();
    return request;
}

struct Answer {
    std::uint16_t type = NLMSG_ERROR;
    std::uint16_t flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
    std::uint32_t sequence = 5;
    int error = 0;
    std::uint32_t echoed = 0;  // bytes of the request that follow its header
    Bytes attrs = {};
};

Bytes datagram(const Answer& answer) {
    nlmsgerr error{};
    error.error = answer.error;
    error.msg.nlmsg_len = NLMSG_HDRLEN + answer.echoed;
    nlmsghdr header{};
    const std::size_t body = answer.type == NLMSG_DONE ? sizeof(int) : sizeof(error);
    header.nlmsg_len =
        static_cast<std::uint32_t>(NLMSG_HDRLEN + body + answer.echoed + answer.attrs.size());
    header.nlmsg_type = answer.type;
    header.nlmsg_flags = answer.flags;
    header.nlmsg_seq = answer.sequence;

    Bytes bytes(NLMSG_HDRLEN + body + answer.echoed);
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + NLMSG_HDRLEN, &error, body);
    bytes.insert(bytes.end(), answer.attrs.begin(), answer.attrs.end());
    return bytes;
}

Bytes extack(const std::function<void(NetlinkRequest&)>& fill) {
    NetlinkRequest attrs(0, 0, 0);
    fill(attrs);
    return bytes_of(attrs_of(attrs));
}

TEST(AttrTest, WalksAndStopsAtNonsense) {
    const auto request = bind_request();
    View rest = attrs_of(request);
    auto first = next_attr(rest);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->type, NETDEV_A_DMABUF_IFINDEX);
    EXPECT_EQ(first->number(), 7U);
    auto nest = next_attr(rest);
    ASSERT_TRUE(nest);
    EXPECT_EQ(nest->type, NETDEV_A_DMABUF_QUEUES);  // without the nested flag
    EXPECT_EQ(u32_or_0(nest->data, NETDEV_A_QUEUE_ID), 3U);
    EXPECT_FALSE(next_attr(rest));
}

TEST(AttrTest, HostileLengths) {
    for (unsigned length = 0; length < 70000; length += length < 20 ? 1 : 997) {
        nlattr header{static_cast<std::uint16_t>(length), 1};
        Bytes bytes(12);
        std::memcpy(bytes.data(), &header, sizeof(header));
        View rest = bytes;
        const auto attr = next_attr(rest);
        const std::uint16_t seen = header.nla_len;
        EXPECT_EQ(attr.has_value(), seen >= 4 && seen <= 12) << length;
        EXPECT_EQ(attr ? attr->data.size() + 4 : seen, seen);
    }
}

TEST(AttrTest, NumbersOfEverySize) {
    const Bytes bytes(16, std::byte{1});
    for (std::size_t size = 0; size <= 16; ++size) {
        const Attr attr{1, View(bytes).first(size)};
        EXPECT_EQ(attr.number().has_value(), size == 1 || size == 2 || size == 4 || size == 8);
    }
}

TEST(AttrTest, StringsNeedNoTerminator) {
    const char text[] = {'a', 'b', 'c'};
    EXPECT_EQ((Attr{1, std::as_bytes(std::span(text))}).string(), "abc");
    const char terminated[] = "ab\0c";
    EXPECT_EQ((Attr{1, std::as_bytes(std::span(terminated))}).string(), "ab");
}

TEST(NetlinkTest, RequestThatOutgrowsItsBufferThrows) {
    NetlinkRequest request(30, 1, 1);
    EXPECT_THROW(for (int i = 0; i < 10000; ++i) request.u32(1, 1), Error);
}

TEST(NetlinkTest, RepliesUpToTheAcknowledgement) {
    auto reply = bytes_of(bind_request().bytes());
    const std::uint32_t sequence = 5;
    std::memcpy(reply.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof(sequence));
    const auto ack = datagram({});
    reply.insert(reply.end(), ack.begin(), ack.end());
    const auto replies = parse_replies(reply, 5, {});
    EXPECT_TRUE(replies.done);
    EXPECT_EQ(replies.error, 0);
    ASSERT_EQ(replies.payloads.size(), 1U);
    EXPECT_EQ(u32_or_0(replies.payloads[0], 1), 7U);
}

TEST(NetlinkTest, RepliesWithoutASecondHeader) {
    const auto request = bind_request();
    const auto replies = parse_replies(request.bytes(), 0, {}, 0);
    ASSERT_EQ(replies.payloads.size(), 1U);
    EXPECT_EQ(replies.payloads[0].size(), request.bytes().size() - NLMSG_HDRLEN);
}

TEST(NetlinkTest, AnswersToOthersAreIgnored) {
    const auto replies = parse_replies(datagram({.sequence = 4, .error = -EINVAL}), 5, {});
    EXPECT_FALSE(replies.done);
}

TEST(NetlinkTest, ExtackMessageAndAttribute) {
    const auto request = bind_request();
    const Bytes attrs = extack([](NetlinkRequest& fill) {
        fill.string(NLMSGERR_ATTR_MSG, "tcp-data-split is disabled");
        fill.u32(NLMSGERR_ATTR_OFFS, NLMSG_HDRLEN + GENL_HDRLEN + 8);  // the second attribute
    });
    const auto replies =
        parse_replies(datagram({.error = -EINVAL, .attrs = attrs}), 5, request.bytes());
    EXPECT_EQ(replies.error, EINVAL);
    EXPECT_EQ(replies.extack.message, "tcp-data-split is disabled");
    EXPECT_EQ(replies.extack.bad_attr, NETDEV_A_DMABUF_QUEUES);
    EXPECT_EQ(replies.extack.text(), "tcp-data-split is disabled; objects to attribute 2");
}

TEST(NetlinkTest, ExtackAfterAnEchoedRequest) {
    const Bytes attrs = extack([](NetlinkRequest& fill) { fill.u32(NLMSGERR_ATTR_MISS_TYPE, 3); });
    const auto replies = parse_replies(
        datagram({.flags = NLM_F_ACK_TLVS, .error = -EINVAL, .echoed = 20, .attrs = attrs}), 5, {});
    EXPECT_EQ(replies.extack.missing_attr, 3U);
    EXPECT_EQ(replies.extack.text(), "misses attribute 3");
}

TEST(NetlinkTest, DumpThatFailsAtItsEnd) {
    const auto replies = parse_replies(
        datagram({.type = NLMSG_DONE, .flags = NLM_F_MULTI, .error = -ENODEV}), 5, {});
    EXPECT_TRUE(replies.done);
    EXPECT_EQ(replies.error, ENODEV);
}

TEST(NetlinkTest, DumpThatWasInterrupted) {
    const auto replies = parse_replies(
        datagram({.type = NLMSG_DONE, .flags = NLM_F_MULTI | NLM_F_DUMP_INTR}), 5, {});
    EXPECT_TRUE(replies.interrupted);
}

TEST(NetlinkTest, ErrnosThatAreNone) {
    for (const int error : {1, INT32_MIN, INT32_MAX, -5000})
        EXPECT_EQ(parse_replies(datagram({.error = error}), 5, {}).error, EPROTO) << error;
}

TEST(NetlinkTest, EveryTruncation) {
    const Bytes attrs = extack([](NetlinkRequest& fill) { fill.string(NLMSGERR_ATTR_MSG, "no"); });
    const Bytes whole = datagram({.error = -EINVAL, .attrs = attrs});
    for (std::size_t length = 0; length < whole.size(); ++length) {
        Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_FALSE(parse_replies(cut, 5, {}).done);
        if (length < sizeof(std::uint32_t)) continue;
        const auto claimed = static_cast<std::uint32_t>(length);  // now it claims to be whole
        std::memcpy(cut.data(), &claimed, sizeof(claimed));
        parse_replies(cut, 5, {});
    }
}

TEST(NetdevTest, Queue) {
    NetlinkRequest reply(0, 0, 0);
    reply.u32(NETDEV_A_QUEUE_ID, 4).u32(NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_TX);
    reply.u32(NETDEV_A_QUEUE_IFINDEX, 2).u32(NETDEV_A_QUEUE_DMABUF, 11);
    const Queue queue = decode_queue(attrs_of(reply));
    EXPECT_EQ(queue.id, 4U);
    EXPECT_EQ(queue.type, Queue::Type::tx);
    EXPECT_EQ(queue.ifindex, 2U);
    EXPECT_EQ(queue.napi_id, 0U);
    EXPECT_EQ(queue.dmabuf_id, 11U);
    EXPECT_FALSE(queue.is_free());
}

TEST(NetdevTest, QueueThatOthersHave) {
    NetlinkRequest reply(0, 0, 0);
    EXPECT_TRUE(decode_queue(attrs_of(reply)).is_free());
    reply.nest(NETDEV_A_QUEUE_IO_URING).end();
    EXPECT_TRUE(decode_queue(attrs_of(reply)).io_uring);
    reply.nest(NETDEV_A_QUEUE_XSK).end();
    EXPECT_TRUE(decode_queue(attrs_of(reply)).xsk);
    EXPECT_FALSE(decode_queue(attrs_of(reply)).is_free());
}

TEST(NetdevTest, QueueStats) {
    NetlinkRequest reply(0, 0, 0);
    reply.u32(NETDEV_A_QSTATS_QUEUE_ID, 4).u32(NETDEV_A_QSTATS_RX_PACKETS, 9);
    reply.u32(NETDEV_A_QSTATS_TX_PACKETS, 7).u32(NETDEV_A_QSTATS_RX_ALLOC_FAIL, 0);
    QueueStats stats = decode_queue_stats(attrs_of(reply));
    EXPECT_EQ(stats.id, 4U);
    EXPECT_EQ(stats.packets, 9U);
    EXPECT_EQ(stats.alloc_fail, 0U);
    EXPECT_FALSE(stats.hw_drops);
    reply.u32(NETDEV_A_QSTATS_QUEUE_TYPE, NETDEV_QUEUE_TYPE_TX);
    stats = decode_queue_stats(attrs_of(reply));
    EXPECT_EQ(stats.type, Queue::Type::tx);
    EXPECT_EQ(stats.packets, 7U);
}

TEST(NetdevTest, PagePool) {
    NetlinkRequest reply(0, 0, 0);
    reply.u32(NETDEV_A_PAGE_POOL_ID, 1).u32(NETDEV_A_PAGE_POOL_INFLIGHT, 9);
    EXPECT_FALSE(decode_page_pool(attrs_of(reply)).detach_time);
    reply.u32(NETDEV_A_PAGE_POOL_DETACH_TIME, 77);
    const PagePool pool = decode_page_pool(attrs_of(reply));
    EXPECT_EQ(pool.inflight, 9U);
    EXPECT_EQ(pool.detach_time, 77U);
}

TEST(EthtoolTest, Rings) {
    NetlinkRequest reply(0, 0, 0);
    reply.u32(ETHTOOL_A_RINGS_RX, 512).u8(ETHTOOL_A_RINGS_TCP_DATA_SPLIT, 1);
    Rings rings = decode_rings(attrs_of(reply));
    EXPECT_EQ(rings.rx, 512U);
    EXPECT_EQ(rings.data_split, DataSplit::off);
    EXPECT_FALSE(rings.hds_thresh);
    reply.u32(uapi::rings_hds_thresh, 0).u8(ETHTOOL_A_RINGS_TCP_DATA_SPLIT, 77);
    EXPECT_EQ(decode_rings(attrs_of(reply)).hds_thresh, 0U);
}

TEST(EthtoolTest, Feature) {
    NetlinkRequest reply(0, 0, 0);
    reply.nest(ETHTOOL_A_FEATURES_ACTIVE).flag(ETHTOOL_A_BITSET_NOMASK).nest(ETHTOOL_A_BITSET_BITS);
    for (const char* name : {"rx-gro", "rx-ntuple-filter"})
        reply.nest(ETHTOOL_A_BITSET_BITS_BIT).string(ETHTOOL_A_BITSET_BIT_NAME, name).end();
    reply.end().end();
    EXPECT_TRUE(decode_feature(attrs_of(reply), "rx-ntuple-filter"));
    EXPECT_FALSE(decode_feature(attrs_of(reply), "rx-ntuple"));
    EXPECT_FALSE(decode_feature({}, "rx-gro"));
    EXPECT_FALSE(decode_feature_available(attrs_of(reply), "rx-gro"));
    reply.nest(ETHTOOL_A_FEATURES_HW).nest(ETHTOOL_A_BITSET_BITS).nest(ETHTOOL_A_BITSET_BITS_BIT);
    reply.string(ETHTOOL_A_BITSET_BIT_NAME, "rx-gro").end().end().end();
    EXPECT_TRUE(decode_feature_available(attrs_of(reply), "rx-gro"));
}

}  // namespace
}  // namespace devmem
