// SPDX-License-Identifier: MIT
#include "genl_family.h"

#include <linux/genetlink.h>

#include <algorithm>
#include <cerrno>

#include "attr.h"
#include "devmem/error.h"

namespace devmem {
namespace {

using View = std::span<const std::byte>;

// What is inside the attribute of that type; nothing at all if there is none.
View inside(View attrs, std::uint32_t type) {
    const auto attr = find_attr(attrs, static_cast<std::uint16_t>(type));
    return attr ? attr->data : View();
}

}  // namespace

std::vector<GenlCommand> decode_commands(View attrs) {
    std::vector<GenlCommand> commands;
    View rest = inside(attrs, CTRL_ATTR_OPS);
    while (auto command = next_attr(rest))
        commands.push_back({u32_or_0(command->data, CTRL_ATTR_OP_ID),
                            u32_or_0(command->data, CTRL_ATTR_OP_FLAGS)});
    return commands;
}

std::optional<std::uint32_t> decode_request_policy(View attrs, std::uint32_t command) {
    const auto policy =
        find_attr(inside(inside(attrs, CTRL_ATTR_OP_POLICY), command), CTRL_ATTR_POLICY_DO);
    if (!policy || !policy->number()) return std::nullopt;
    return static_cast<std::uint32_t>(*policy->number());
}

bool decode_policy_takes(View attrs, std::uint32_t policy, std::uint16_t attribute) {
    View rest = inside(attrs, CTRL_ATTR_POLICY);
    while (auto nest = next_attr(rest))
        if (nest->type == policy && find_attr(nest->data, attribute)) return true;
    return false;
}

std::vector<GenlCommand> genl_commands(NetlinkSocket& socket, const std::string& family) {
    NetlinkRequest ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
    ask.string(CTRL_ATTR_FAMILY_NAME, family);
    try {
        const auto replies = socket.request("netlink family " + family, ask);
        return replies.empty() ? std::vector<GenlCommand>() : decode_commands(replies[0]);
    } catch (const Error& error) {
        if (error.code().value() != ENOENT) throw;
        return {};
    }
}

std::optional<bool> genl_takes(NetlinkSocket& socket, const std::string& family,
                               std::uint32_t command, std::uint16_t attribute) {
    NetlinkRequest ask(GENL_ID_CTRL, CTRL_CMD_GETPOLICY, 1, NetlinkRequest::Kind::dump);
    ask.string(CTRL_ATTR_FAMILY_NAME, family).u32(CTRL_ATTR_OP, command);
    std::vector<Bytes> replies;
    try {
        replies = socket.request("policy of netlink family " + family, ask);
    } catch (const Error& error) {
        if (error.code().value() != EOPNOTSUPP && error.code().value() != ENODATA) throw;
    }
    std::optional<std::uint32_t> policy;
    for (const Bytes& reply : replies)
        if (auto number = decode_request_policy(reply, command)) policy = number;
    if (!policy) return std::nullopt;
    return std::ranges::any_of(replies, [&](const Bytes& reply) {
        return decode_policy_takes(reply, *policy, attribute);
    });
}

}  // namespace devmem
