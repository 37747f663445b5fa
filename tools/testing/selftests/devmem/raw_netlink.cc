// SPDX-License-Identifier: GPL-2.0
#include "raw_netlink.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>

#include "process.h"

namespace {

constexpr std::size_t head_size = NLMSG_HDRLEN + GENL_HDRLEN;

template <class Header>
Header header_at(std::span<const std::uint8_t> bytes) {
    Header header{};
    if (bytes.size() >= sizeof(header)) std::memcpy(&header, bytes.data(), sizeof(header));
    return header;
}

// Calls with (type, payload) of each attribute.
template <class Call>
void each_attr(std::span<const std::uint8_t> bytes, Call call) {
    while (bytes.size() >= sizeof(nlattr)) {
        const auto attr = header_at<nlattr>(bytes);
        if (attr.nla_len < sizeof(attr) || attr.nla_len > bytes.size()) return;
        call(attr.nla_type & NLA_TYPE_MASK, bytes.subspan(NLA_HDRLEN, attr.nla_len - NLA_HDRLEN));
        bytes = bytes.subspan(std::min<std::size_t>(NLA_ALIGN(attr.nla_len), bytes.size()));
    }
}

void read_extack(RawReply& reply, std::span<const std::uint8_t> attributes) {
    each_attr(attributes, [&](int type, std::span<const std::uint8_t> value) {
        if (type == NLMSGERR_ATTR_MSG && !value.empty())
            reply.message.assign(value.begin(), value.end() - 1);
        if (type == NLMSGERR_ATTR_MISS_TYPE) reply.missing = header_at<std::uint32_t>(value);
    });
}

// Takes one message in. True if it is the last.
bool take(RawReply& reply, const nlmsghdr& header, std::span<const std::uint8_t> body) {
    if (header.nlmsg_type != NLMSG_ERROR && header.nlmsg_type != NLMSG_DONE) {
        body = body.subspan(std::min<std::size_t>(GENL_HDRLEN, body.size()));
        reply.answers.emplace_back(body.begin(), body.end());
        return false;
    }
    reply.error = -header_at<std::int32_t>(body);
    const std::size_t fixed =
        header.nlmsg_type == NLMSG_DONE ? sizeof(std::int32_t) : sizeof(nlmsgerr);
    if (body.size() >= fixed) read_extack(reply, body.subspan(fixed));
    return true;
}

}  // namespace

RawRequest::RawRequest(std::uint16_t family, std::uint8_t command, std::uint16_t more_flags)
    : bytes_(head_size) {
    nlmsghdr header{};
    header.nlmsg_type = family;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | more_flags;
    header.nlmsg_seq = 1;
    const genlmsghdr generic{command, 1, 0};
    std::memcpy(bytes_.data(), &header, sizeof(header));
    std::memcpy(bytes_.data() + NLMSG_HDRLEN, &generic, sizeof(generic));
}

RawRequest& RawRequest::attr(std::uint16_t type, const void* data, std::size_t size) {
    lie(type, static_cast<std::uint16_t>(NLA_HDRLEN + size));
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    return *this;
}

RawRequest& RawRequest::lie(std::uint16_t type, std::uint16_t length) {
    const nlattr header{length, type};
    const auto* from = reinterpret_cast<const std::uint8_t*>(&header);
    bytes_.insert(bytes_.end(), from, from + sizeof(header));
    return *this;
}

RawRequest& RawRequest::nest(std::uint16_t type, bool flagged) {
    nests_.push_back(bytes_.size());
    return lie(flagged ? type | NLA_F_NESTED : type, 0);
}

RawRequest& RawRequest::end() {
    const auto length = static_cast<std::uint16_t>(bytes_.size() - nests_.back());
    std::memcpy(&bytes_[nests_.back()], &length, sizeof(length));
    nests_.pop_back();
    return *this;
}

Octets RawRequest::finished() const {
    Octets message = bytes_;
    const auto length = static_cast<std::uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof(length));
    return message;
}

std::span<const std::uint8_t> find_bytes(const Octets& attributes, std::uint16_t wanted) {
    std::span<const std::uint8_t> found;
    each_attr(attributes, [&](int type, std::span<const std::uint8_t> value) {
        if (type == wanted) found = value;
    });
    return found;
}

std::optional<std::uint32_t> find_u32(const Octets& attributes, std::uint16_t wanted) {
    std::optional<std::uint32_t> found;
    each_attr(attributes, [&](int type, std::span<const std::uint8_t> value) {
        if (type == wanted && value.size() == 4) found = header_at<std::uint32_t>(value);
    });
    return found;
}

RawSocket::RawSocket(std::size_t room)
    : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)), room_(room) {
    const int one = 1;
    const timeval patience{10, 0};
    const sockaddr_nl at{AF_NETLINK, 0, 0, 0};
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
        ::setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) != 0 ||
        ::setsockopt(fd_, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)) != 0 ||
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
        throw_errno_of("netlink socket");
}

RawSocket::~RawSocket() {
    ::close(fd_);
}

void RawSocket::send(const Octets& message) const {
    const sockaddr_nl kernel{AF_NETLINK, 0, 0, 0};
    if (::sendto(fd_, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
                 sizeof(kernel)) < 0)
        throw_errno_of("send over netlink");
}

RawReply RawSocket::ask(const Octets& message) {
    send(message);
    return answer();
}

RawReply RawSocket::answer() const {
    RawReply reply;
    Octets buffer(room_);
    for (;;) {
        const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (got <= 0) throw_errno_of("no answer over netlink");
        auto rest = std::span<const std::uint8_t>(buffer).first(static_cast<std::size_t>(got));
        reply.parts += header_at<nlmsghdr>(rest).nlmsg_type >= NLMSG_MIN_TYPE;
        while (rest.size() >= sizeof(nlmsghdr)) {
            const auto header = header_at<nlmsghdr>(rest);
            if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest.size())
                throw std::runtime_error("a message of impossible length");
            if (take(reply, header, rest.first(header.nlmsg_len).subspan(NLMSG_HDRLEN)))
                return reply;
            rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
        }
    }
}

RawReply RawSocket::describe(std::string_view family) {
    const std::string text(family);
    RawRequest request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    request.attr(CTRL_ATTR_FAMILY_NAME, text.c_str(), text.size() + 1);
    RawReply reply = ask(request);
    if (reply.answers.empty()) throw std::runtime_error("no netlink family " + text);
    return reply;
}

std::uint16_t RawSocket::family(std::string_view name) {
    return header_at<std::uint16_t>(
        find_bytes(describe(name).answers.front(), CTRL_ATTR_FAMILY_ID));
}

void RawSocket::join(std::string_view family, std::string_view group) {
    const RawReply reply = describe(family);
    std::optional<std::uint32_t> id;
    each_attr(find_bytes(reply.answers.front(), CTRL_ATTR_MCAST_GROUPS),
              [&](int, std::span<const std::uint8_t> one) {
                  const Octets attributes(one.begin(), one.end());
                  const auto name = find_bytes(attributes, CTRL_ATTR_MCAST_GRP_NAME);
                  if (std::ranges::equal(name.first(std::min(name.size(), group.size())), group))
                      id = find_u32(attributes, CTRL_ATTR_MCAST_GRP_ID);
              });
    if (!id) throw std::runtime_error("no netlink group " + std::string(group));
    if (::setsockopt(fd_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &*id, sizeof(*id)) != 0)
        throw_errno_of("join a netlink group");
}

std::vector<RawNews> RawSocket::hear() const {
    std::vector<RawNews> news;
    Octets buffer(1 << 17);
    for (;;) {
        const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN) return news;
        if (got < static_cast<ssize_t>(head_size)) throw_errno_of("hear over netlink");
        const auto generic = header_at<genlmsghdr>(std::span(buffer).subspan(NLMSG_HDRLEN));
        news.push_back({generic.cmd, {buffer.begin() + head_size, buffer.begin() + got}});
    }
}
