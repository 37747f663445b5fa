// SPDX-License-Identifier: MIT
// What a generic netlink family can do, by the kernel's own account of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netlink.h"

namespace devmem {

/// A command that a family has, with its GENL_* flags.
struct GenlCommand {
    std::uint32_t id = 0;
    std::uint32_t flags = 0;
};

/// Pure: the commands in a reply to CTRL_CMD_GETFAMILY.
std::vector<GenlCommand> decode_commands(std::span<const std::byte> attrs);

/// Pure: the number of the policy that a command's requests must keep to, if a reply to
/// CTRL_CMD_GETPOLICY tells.
std::optional<std::uint32_t> decode_request_policy(std::span<const std::byte> attrs,
                                                   std::uint32_t command);

/// Pure: whether such a reply says that this policy takes that attribute.
bool decode_policy_takes(std::span<const std::byte> attrs, std::uint32_t policy,
                         std::uint16_t attribute);

/// The commands of a family; none if there is no such family. Throws Error.
std::vector<GenlCommand> genl_commands(NetlinkSocket& socket, const std::string& family);

/// Whether a command takes an attribute; nothing where the kernel doesn't tell. Throws Error.
std::optional<bool> genl_takes(NetlinkSocket& socket, const std::string& family,
                               std::uint32_t command, std::uint16_t attribute);

}  // namespace devmem
