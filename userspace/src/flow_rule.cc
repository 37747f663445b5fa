// SPDX-License-Identifier: MIT
#include "devmem/flow_rule.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "devmem/error.h"
#include "devmem/netdev.h"
#include "ethtool_ioctl.h"
#include "flow_spec.h"

namespace devmem {
namespace {

// Sets a field of the value and, wherever it counts, of the mask.
template <class Field>
void match(Field& value, Field& mask, const std::optional<IpAddress>& address) {
    if (!address) return;
    std::memcpy(&value, address->bytes().data(), address->bytes().size());
    std::memset(&mask, 0xff, sizeof(mask));
}

void match(__be16& value, __be16& mask, const std::optional<std::uint16_t>& port) {
    if (!port) return;
    value = htons(*port);
    mask = 0xffff;
}

// TCP and UDP share a structure in the kernel's union, so the TCP member serves both.
void fill_v4(ethtool_rx_flow_spec& spec, const Flow& flow) {
    auto& value = spec.h_u.tcp_ip4_spec;
    auto& mask = spec.m_u.tcp_ip4_spec;
    spec.flow_type = flow.protocol == Flow::Protocol::tcp ? TCP_V4_FLOW : UDP_V4_FLOW;
    match(value.ip4src, mask.ip4src, flow.source);
    match(value.ip4dst, mask.ip4dst, flow.destination);
    match(value.psrc, mask.psrc, flow.source_port);
    match(value.pdst, mask.pdst, flow.destination_port);
}

void fill_v6(ethtool_rx_flow_spec& spec, const Flow& flow) {
    auto& value = spec.h_u.tcp_ip6_spec;
    auto& mask = spec.m_u.tcp_ip6_spec;
    spec.flow_type = flow.protocol == Flow::Protocol::tcp ? TCP_V6_FLOW : UDP_V6_FLOW;
    match(value.ip6src, mask.ip6src, flow.source);
    match(value.ip6dst, mask.ip6dst, flow.destination);
    match(value.psrc, mask.psrc, flow.source_port);
    match(value.pdst, mask.pdst, flow.destination_port);
}

ethtool_rxnfc count_rules(std::uint32_t ifindex, std::string_view call) {
    ethtool_rxnfc request{};
    request.cmd = ETHTOOL_GRXCLSRLCNT;
    ethtool_ioctl(ifindex, &request, call);
    return request;
}

// The locations in use, and how many there are in all.
std::vector<std::uint32_t> taken_locations(std::uint32_t ifindex, std::uint32_t count,
                                           std::uint32_t& size) {
    constexpr std::size_t head = sizeof(ethtool_rxnfc);
    std::vector<std::byte> buffer(head + count * sizeof(std::uint32_t));
    ethtool_rxnfc request{};
    request.cmd = ETHTOOL_GRXCLSRLALL;
    request.rule_cnt = count;
    std::memcpy(buffer.data(), &request, head);
    ethtool_ioctl(ifindex, buffer.data(), "list flow rules");
    std::memcpy(&request, buffer.data(), head);

    std::vector<std::uint32_t> taken(std::min(request.rule_cnt, count));
    std::memcpy(taken.data(), buffer.data() + offsetof(ethtool_rxnfc, rule_locs),
                taken.size() * sizeof(std::uint32_t));
    size = static_cast<std::uint32_t>(request.data);
    return taken;
}

// Some drivers choose a place by themselves, the others must be told one.
std::uint32_t choose_location(std::uint32_t ifindex) {
    const ethtool_rxnfc rules = count_rules(ifindex, "add flow rule");
    if (rules.data & RX_CLS_LOC_SPECIAL) return RX_CLS_LOC_ANY;

    std::uint32_t size = 0;
    const auto taken = taken_locations(ifindex, rules.rule_cnt, size);
    const auto location = free_location(taken, size);
    if (!location) throw_netlink(ENOSPC, "add flow rule of " + interface_name(ifindex), "");
    return *location;
}

struct Endpoint {
    IpAddress address;
    std::uint16_t port;
};

using NameOf = int(int, sockaddr*, socklen_t*) noexcept;

Endpoint endpoint(int socket, NameOf* name_of, const char* call) {
    sockaddr_storage storage{};
    auto* name = reinterpret_cast<sockaddr*>(&storage);
    socklen_t size = sizeof(storage);
    if (name_of(socket, name, &size) < 0) throw_errno(call);

    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (::getnameinfo(name, size, host.data(), host.size(), port.data(), port.size(),
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        throw Error(EAFNOSUPPORT, call);
    const std::string address(host.data());  // a link-local one ends in %INTERFACE
    return {IpAddress(address.substr(0, address.find('%'))),
            static_cast<std::uint16_t>(std::stoul(port.data()))};
}

}  // namespace

std::optional<std::uint32_t> free_location(std::span<const std::uint32_t> taken,
                                           std::uint32_t size) {
    while (size-- > 0)
        if (std::ranges::find(taken, size) == taken.end()) return size;
    return std::nullopt;
}

ethtool_rx_flow_spec flow_spec(const Flow& flow, std::uint64_t queue_or_drop) {
    static_assert(FlowRule::drop == RX_CLS_FLOW_DISC);
    if (flow.source && flow.destination && flow.source->is_v6() != flow.destination->is_v6())
        throw_netlink(EINVAL, "add flow rule", "one address is IPv4, the other IPv6");

    const auto& address = flow.source ? flow.source : flow.destination;
    ethtool_rx_flow_spec spec{};
    spec.ring_cookie = queue_or_drop;
    if (address ? address->is_v6() : flow.v6) {
        fill_v6(spec, flow);
    } else {
        fill_v4(spec, flow);
    }
    return spec;
}

ethtool_rxnfc rule_request(const Flow& flow, const RuleTarget& target) {
    ethtool_rxnfc request{};
    request.fs = flow_spec(flow, target.queue_or_drop);
    if (target.rss_context == 0) return request;
    request.fs.flow_type |= FLOW_RSS;
    request.rss_context = target.rss_context;
    return request;
}

std::vector<std::uint32_t> flow_rules(std::uint32_t ifindex) {
    std::uint32_t size = 0;
    return taken_locations(ifindex, count_rules(ifindex, "list flow rules").rule_cnt, size);
}

bool is_flow_rule(std::uint32_t ifindex, std::uint32_t location, const ethtool_rxnfc& rule) {
    ethtool_rxnfc there{};
    there.cmd = ETHTOOL_GRXCLSRULE;
    there.fs.location = location;
    return try_ethtool_ioctl(ifindex, &there) == 0 && there.fs.flow_type == rule.fs.flow_type &&
           there.fs.ring_cookie == rule.fs.ring_cookie && there.rss_context == rule.rss_context &&
           std::ranges::equal(there.fs.h_u.hdata, rule.fs.h_u.hdata) &&
           std::ranges::equal(there.fs.m_u.hdata, rule.fs.m_u.hdata);
}

std::uint32_t add_flow_rule(std::uint32_t ifindex, ethtool_rxnfc rule,
                            std::optional<std::uint32_t> location) {
    rule.cmd = ETHTOOL_SRXCLSRLINS;
    rule.fs.location = location ? *location : choose_location(ifindex);
    ethtool_ioctl(ifindex, &rule, "add flow rule");
    return rule.fs.location;  // the driver wrote its choice back
}

void remove_flow_rule(std::uint32_t ifindex, std::uint32_t location) {
    ethtool_rxnfc request{};
    request.cmd = ETHTOOL_SRXCLSRLDEL;
    request.fs.location = location;
    ethtool_ioctl(ifindex, &request, "remove flow rule");
}

std::vector<Flow> flows_to_port(std::uint16_t port) {
    return {{.v6 = false, .destination_port = port}, {.v6 = true, .destination_port = port}};
}

Flow flow_of(int socket) {
    const Endpoint here = endpoint(socket, ::getsockname, "getsockname");
    const Endpoint there = endpoint(socket, ::getpeername, "getpeername");
    return {.v6 = here.address.is_v6(),
            .source = there.address,
            .destination = here.address,
            .source_port = there.port,
            .destination_port = here.port};
}

FlowRule::FlowRule(std::uint32_t ifindex, const Flow& flow, std::uint64_t queue_or_drop,
                   std::optional<std::uint32_t> location)
    : ifindex_(ifindex),
      location_(add_flow_rule(ifindex, rule_request(flow, {queue_or_drop}), location)) {}

FlowRule::FlowRule(FlowRule&& other) noexcept
    : ifindex_(other.ifindex_), location_(std::exchange(other.location_, {})) {}

FlowRule::~FlowRule() {
    try {
        remove();
    } catch (const std::exception&) {  // nobody left to tell
    }
}

void FlowRule::remove() {
    const auto location = std::exchange(location_, {});
    if (location) remove_flow_rule(ifindex_, *location);
}

}  // namespace devmem
