// SPDX-License-Identifier: GPL-2.0
// Generic netlink byte by byte: what no library would send can be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using Octets = std::vector<std::uint8_t>;

/// A request; everything about it may be changed before it is sent.
class RawRequest {
  public:
    RawRequest(std::uint16_t family, std::uint8_t command, std::uint16_t more_flags = 0);

    RawRequest& attr(std::uint16_t type, const void* data, std::size_t size);
    RawRequest& u8(std::uint16_t type, std::uint8_t value) { return attr(type, &value, 1); }
    RawRequest& u16(std::uint16_t type, std::uint16_t value) { return attr(type, &value, 2); }
    RawRequest& u32(std::uint16_t type, std::uint32_t value) { return attr(type, &value, 4); }
    RawRequest& u64(std::uint16_t type, std::uint64_t value) { return attr(type, &value, 8); }
    /// What follows goes inside, until end().
    RawRequest& nest(std::uint16_t type, bool flagged = true);
    RawRequest& end();
    /// A header that claims to be of an attribute that long.
    RawRequest& lie(std::uint16_t type, std::uint16_t length);

    /// The message with its true length in its header.
    [[nodiscard]] Octets finished() const;

  private:
    Octets bytes_;
    std::vector<std::size_t> nests_;
};

struct RawReply {
    int error = 0;  ///< errno, 0 for an ACK or the end of a dump
    std::string message;
    std::optional<std::uint32_t> missing;  ///< type of the attribute that is missing
    std::vector<Octets> answers;           ///< attributes of each
    unsigned parts = 0;                    ///< in so many they came
};

/// What a family tells a group.
struct RawNews {
    std::uint8_t command;
    Octets attributes;
};

/// The bytes of an attribute, in `attributes`; none if it is not there.
std::span<const std::uint8_t> find_bytes(const Octets& attributes, std::uint16_t type);
/// The u32 of an attribute.
std::optional<std::uint32_t> find_u32(const Octets& attributes, std::uint16_t type);

class RawSocket {
  public:
    /// Reads at most so many bytes at once: the kernel makes parts of a dump as large as that, or
    /// as a page.
    explicit RawSocket(std::size_t room = 1 << 16);
    ~RawSocket();
    RawSocket(const RawSocket&) = delete;
    RawSocket& operator=(const RawSocket&) = delete;

    [[nodiscard]] int fd() const { return fd_; }
    /// Sends and waits for the ACK or the error. Throws if there is none.
    RawReply ask(const RawRequest& request) { return ask(request.finished()); }
    RawReply ask(const Octets& message);
    void send(const Octets& message) const;
    /// Waits for the ACK or the error of what was sent.
    RawReply answer() const;
    /// The number of a family. Throws if there is none.
    std::uint16_t family(std::string_view name);

    /// From now on, what a family tells this group of listeners can be heard. Throws if there is no
    /// such group.
    void join(std::string_view family, std::string_view group);
    /// What has come since the last call.
    [[nodiscard]] std::vector<RawNews> hear() const;

  private:
    RawReply describe(std::string_view family);

    int fd_;
    std::size_t room_;
};
