// SPDX-License-Identifier: GPL-2.0
// Questions to the netdev netlink family, whose numbers all fit 32 bits here.
#pragma once

#include <linux/netdev.h>
#include <linux/netlink.h>
#include <net/if.h>

#include <cstdint>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "expect.h"
#include "raw_netlink.h"

using Numbers = std::vector<std::pair<std::uint16_t, std::uint32_t>>;
using Ids = std::set<std::uint32_t>;

/// Throws if it is not there.
inline std::uint32_t value(const Octets& attributes, std::uint16_t type) {
    const auto found = find_u32(attributes, type);
    if (!found) throw std::runtime_error(fmt::format("no attribute {}", type));
    return *found;
}

inline bool has(const Octets& attributes, std::uint16_t type) {
    return find_bytes(attributes, type).data() != nullptr;
}

class NetdevFamily {
  public:
    /// room: see RawSocket.
    explicit NetdevFamily(std::size_t room = 1 << 16)
        : family_(RawSocket().family(NETDEV_FAMILY_NAME)), socket_(room) {}

    RawReply ask(std::uint8_t command, const Numbers& numbers = {}, std::uint16_t flags = 0) {
        RawRequest request(family_, command, flags);
        for (const auto& [type, number] : numbers) request.u32(type, number);
        return socket_.ask(request);
    }
    RawReply ask_all(std::uint8_t command, const Numbers& numbers = {}) {
        return ask(command, numbers, NLM_F_DUMP);
    }
    int error(std::uint8_t command, const Numbers& numbers = {}) {
        return ask(command, numbers).error;
    }
    /// The one answer; throws if there is none.
    Octets get(std::uint8_t command, const Numbers& numbers) {
        const RawReply reply = ask(command, numbers);
        EXPECT_EQUAL("answers", 1, reply.answers.size());
        if (reply.error != 0 || reply.answers.empty())
            throw std::runtime_error(fmt::format("command {}: errno {}", command, reply.error));
        return reply.answers[0];
    }
    std::vector<Octets> dump(std::uint8_t command, const Numbers& numbers = {}) {
        const RawReply reply = ask_all(command, numbers);
        EXPECT_EQUAL("errno of a dump", 0, reply.error);
        return reply.answers;
    }

    [[nodiscard]] std::uint16_t family() const { return family_; }
    RawSocket& socket() { return socket_; }

  private:
    std::uint16_t family_;
    RawSocket socket_;
};

/// An attribute of each answer, which must be another in each.
inline Ids distinct(const std::vector<Octets>& answers, std::uint16_t type) {
    Ids found;
    for (const Octets& answer : answers) {
        const auto number = value(answer, type);
        EXPECT("one answer for each", found.insert(number).second, number);
    }
    return found;
}

/// The page pools whose attribute is this number.
inline std::vector<Octets> pools_with(NetdevFamily& netdev, std::uint16_t type,
                                      std::uint32_t number) {
    auto pools = netdev.dump(NETDEV_CMD_PAGE_POOL_GET);
    std::erase_if(pools, [&](const Octets& pool) { return find_u32(pool, type) != number; });
    return pools;
}

inline std::vector<Octets> pools_of(NetdevFamily& netdev, std::uint32_t ifindex) {
    return pools_with(netdev, NETDEV_A_PAGE_POOL_IFINDEX, ifindex);
}

/// The one that draws on this binding; throws unless there is just one.
inline Octets pool_of_binding(NetdevFamily& netdev, std::uint32_t id) {
    const auto pools = pools_with(netdev, NETDEV_A_PAGE_POOL_DMABUF, id);
    if (pools.size() != 1) throw std::runtime_error(fmt::format("{} such pools", pools.size()));
    return pools[0];
}
