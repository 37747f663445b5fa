// SPDX-License-Identifier: MIT
// The parts of NIC setup that are functions of their arguments.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "devmem/binding.h"
#include "devmem/error.h"
#include "devmem/ip_address.h"
#include "devmem/netdev.h"
#include "devmem/rss_table.h"
#include "flow_spec.h"

namespace devmem {
namespace {

using Table = std::vector<std::uint32_t>;

TEST(RssTableTest, EntriesOfExcludedQueuesSpreadOverTheOthers) {
    const Table table{0, 1, 2, 3, 0, 1, 2, 3};
    EXPECT_EQ(rss_without(table, Table{3}, 4), (Table{0, 1, 2, 0, 0, 1, 2, 1}));
    EXPECT_EQ(rss_without(table, Table{2, 3}, 4), (Table{0, 1, 0, 1, 0, 1, 0, 1}));
    EXPECT_EQ(rss_without(table, Table{}, 4), table);
}

TEST(RssTableTest, NoQueueLeft) {
    EXPECT_TRUE(rss_without(Table{0, 0}, Table{0}, 1).empty());
    EXPECT_TRUE(rss_without(Table{0, 1}, Table{0, 1}, 2).empty());
}

TEST(IpAddressTest, BothVersions) {
    EXPECT_FALSE(IpAddress("192.0.2.1").is_v6());
    EXPECT_EQ(IpAddress("192.0.2.1").bytes()[3], 1);
    EXPECT_TRUE(IpAddress("2001:db8::1").is_v6());
    EXPECT_EQ(IpAddress("2001:db8::1").text(), "2001:db8::1");
    EXPECT_EQ(IpAddress("::ffff:192.0.2.1"), IpAddress("192.0.2.1"));
    for (const char* text : {"", "192.0.2", "eth0", "1.2.3.4.5"})
        EXPECT_THROW(IpAddress{text}, Error) << text;
}

TEST(FlowRuleTest, FourTupleOverV4) {
    const Flow flow{.source = IpAddress("192.0.2.1"),
                    .destination = IpAddress("192.0.2.2"),
                    .source_port = 1,
                    .destination_port = 5201};
    const auto spec = flow_spec(flow, 3);
    EXPECT_EQ(spec.flow_type, static_cast<std::uint32_t>(TCP_V4_FLOW));
    EXPECT_EQ(spec.ring_cookie, 3U);
    EXPECT_EQ(ntohl(spec.h_u.tcp_ip4_spec.ip4src), 0xc0000201U);
    EXPECT_EQ(ntohl(spec.h_u.tcp_ip4_spec.ip4dst), 0xc0000202U);
    EXPECT_EQ(ntohs(spec.h_u.tcp_ip4_spec.pdst), 5201);
    EXPECT_EQ(spec.m_u.tcp_ip4_spec.ip4src, UINT32_MAX);
    EXPECT_EQ(spec.m_u.tcp_ip4_spec.psrc, UINT16_MAX);
    EXPECT_EQ(spec.m_u.tcp_ip4_spec.tos, 0);
}

TEST(FlowRuleTest, WhatIsNotSetDoesNotCount) {
    const auto spec =
        flow_spec({.protocol = Flow::Protocol::udp, .destination_port = 53}, FlowRule::drop);
    EXPECT_EQ(spec.flow_type, static_cast<std::uint32_t>(UDP_V4_FLOW));
    EXPECT_EQ(spec.ring_cookie, RX_CLS_FLOW_DISC);
    EXPECT_EQ(spec.m_u.udp_ip4_spec.ip4src, 0U);
    EXPECT_EQ(spec.m_u.udp_ip4_spec.psrc, 0);
    EXPECT_EQ(spec.m_u.udp_ip4_spec.pdst, UINT16_MAX);
}

TEST(FlowRuleTest, V6) {
    const auto spec = flow_spec({.destination = IpAddress("2001:db8::1")}, 0);
    EXPECT_EQ(spec.flow_type, static_cast<std::uint32_t>(TCP_V6_FLOW));
    EXPECT_EQ(ntohl(spec.h_u.tcp_ip6_spec.ip6dst[0]), 0x20010db8U);
    EXPECT_EQ(spec.m_u.tcp_ip6_spec.ip6dst[3], UINT32_MAX);
    EXPECT_EQ(spec.m_u.tcp_ip6_spec.ip6src[0], 0U);
    EXPECT_EQ(flow_spec({.v6 = true}, 0).flow_type, static_cast<std::uint32_t>(TCP_V6_FLOW));
}

TEST(FlowRuleTest, TwoVersionsInOneRule) {
    const Flow flow{.source = IpAddress("192.0.2.1"), .destination = IpAddress("::1")};
    EXPECT_THROW(flow_spec(flow, 0), Error);
}

TEST(FlowRuleTest, ToAnRssContext) {
    const Flow flow{.destination_port = 80};
    const auto rule = rule_request(flow, {.rss_context = 2});
    EXPECT_EQ(rule.rss_context, 2U);
    EXPECT_EQ(rule.fs.flow_type, static_cast<std::uint32_t>(TCP_V4_FLOW) | FLOW_RSS);
    EXPECT_EQ(rule.fs.ring_cookie, 0U);
    EXPECT_EQ(rule_request(flow, {3}).rss_context, 0U);
    EXPECT_EQ(rule_request(flow, {3}).fs.flow_type, static_cast<std::uint32_t>(TCP_V4_FLOW));
}

TEST(FlowRuleTest, HighestFreeLocation) {
    EXPECT_EQ(free_location(Table{}, 8), 7U);
    EXPECT_EQ(free_location(Table{7, 5, 6}, 8), 4U);
    EXPECT_FALSE(free_location(Table{0, 1}, 2));
    EXPECT_FALSE(free_location(Table{}, 0));
}

TEST(BindingTest, QueueRange) {
    EXPECT_EQ(queue_range(3, 2), (Table{3, 4}));
    EXPECT_TRUE(queue_range(3, 0).empty());
}

TEST(NetdevTest, InterfaceNames) {
    EXPECT_EQ(interface_name(interface_index("lo")), "lo");
    EXPECT_THROW(interface_index("no-such-nic"), Error);
    EXPECT_THROW(interface_name(0x7fffffff), Error);
}

}  // namespace
}  // namespace devmem
