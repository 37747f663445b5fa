// SPDX-License-Identifier: MIT
// Netlink, generic and route: one request, all its replies, and the kernel's explanation when it
// refuses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct mnl_socket;
struct nlmsghdr;

namespace devmem {

using Bytes = std::vector<std::byte>;

/// A request under construction. Throws Error (EMSGSIZE) when it outgrows its buffer.
class NetlinkRequest {
  public:
    enum class Kind { act, dump };
    NetlinkRequest(std::uint16_t family, std::uint8_t command, std::uint8_t version,
                   Kind kind = Kind::act);
    /// Of another protocol: fixed is what its messages of this type start with.
    NetlinkRequest(std::uint16_t type, std::span<const std::byte> fixed, Kind kind = Kind::act);

    NetlinkRequest& u8(std::uint16_t type, std::uint8_t value);
    NetlinkRequest& u32(std::uint16_t type, std::uint32_t value);
    NetlinkRequest& string(std::uint16_t type, std::string_view value);
    NetlinkRequest& flag(std::uint16_t type);
    /// Everything until the matching end() goes inside.
    NetlinkRequest& nest(std::uint16_t type);
    NetlinkRequest& end();

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept;
    void set_sequence(std::uint32_t sequence) noexcept;

  private:
    [[nodiscard]] nlmsghdr* header() noexcept;
    NetlinkRequest& check(bool fits);

    Bytes buffer_;
    std::vector<std::size_t> nests_;  // offsets of open ones
};

/// What the kernel said besides the errno.
struct Extack {
    std::string message;
    std::uint16_t bad_attr = 0;      // type of the attribute it objects to, 0 if none
    std::uint16_t missing_attr = 0;  // type of the attribute it misses, 0 if none

    [[nodiscard]] std::string text() const;
};

/// What one datagram held.
struct Replies {
    std::vector<Bytes> payloads;  // each reply, after the headers
    bool done = false;            // the last one
    int error = 0;                // positive errno of an NLMSG_ERROR or NLMSG_DONE
    bool interrupted = false;     // the dumped thing changed meanwhile
    Extack extack;
};

/// What follows the netlink header of a generic netlink message (GENL_HDRLEN).
inline constexpr std::size_t generic_header = 4;

/// Pure: reads the messages of a datagram that answer sequence. request is what was sent: a bad
/// attribute is reported by its offset there. second_header: size of what is between the netlink
/// header and a reply's payload.
Replies parse_replies(std::span<const std::byte> datagram, std::uint32_t sequence,
                      std::span<const std::byte> request,
                      std::size_t second_header = generic_header);

/// A netlink socket. Not thread-safe. Everything throws Error.
class NetlinkSocket {
  public:
    enum class Protocol { generic, route };
    explicit NetlinkSocket(Protocol protocol = Protocol::generic);
    ~NetlinkSocket();
    NetlinkSocket(const NetlinkSocket&) = delete;
    NetlinkSocket& operator=(const NetlinkSocket&) = delete;

    /// The number of a family, by name.
    std::uint16_t family(const std::string& name);
    /// Sends and collects the payload of every reply: its attributes, and before them, if not
    /// generic, what its type has there. call names the request in an Error.
    std::vector<Bytes> request(std::string_view call, NetlinkRequest& request);

  private:
    struct Close {
        void operator()(mnl_socket* socket) const noexcept;
    };

    std::vector<Bytes> collect(std::string_view call, const NetlinkRequest& request,
                               bool& interrupted);

    std::unique_ptr<mnl_socket, Close> socket_;
    std::size_t second_header_;
    std::uint32_t sequence_ = 0;
    Bytes buffer_;
};

}  // namespace devmem
