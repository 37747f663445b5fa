// SPDX-License-Identifier: MIT
#include "netlink.h"

#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "attr.h"
#include "devmem/error.h"

namespace devmem {
namespace {

using View = std::span<const std::byte>;

constexpr std::size_t request_size = 16384;
constexpr std::size_t reply_size = 65536;  // the kernel's dumps use up to 32 KiB
constexpr int dump_attempts = 8;
static_assert(generic_header == GENL_HDRLEN);

// Takes the first message off; nothing if what is left makes no sense.
std::optional<View> next_message(View& rest) {
    nlmsghdr header;
    if (rest.size() < sizeof(header)) return std::nullopt;
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) return std::nullopt;
    const View message = rest.first(header.nlmsg_len);
    rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    return message;
}

nlmsghdr header_of(View message) {
    nlmsghdr header;
    std::memcpy(&header, message.data(), sizeof(header));
    return header;
}

// The kernel says -errno or 0; anything else is not an answer.
int positive_errno(int error) {
    return error > 0 || error < -4095 ? EPROTO : -error;
}

// The type of the attribute that lies at an offset of the request, nested or not.
std::uint16_t attr_at(View request, std::size_t offset) {
    nlattr header;
    if (offset > request.size() || request.size() - offset < sizeof(header)) return 0;
    std::memcpy(&header, request.data() + offset, sizeof(header));
    return header.nla_type & NLA_TYPE_MASK;
}

Extack parse_extack(View attrs, View request) {
    Extack extack;
    if (auto message = find_attr(attrs, NLMSGERR_ATTR_MSG)) extack.message = message->string();
    if (auto offset = find_attr(attrs, NLMSGERR_ATTR_OFFS))
        extack.bad_attr = attr_at(request, offset->number().value_or(0));
    extack.missing_attr = static_cast<std::uint16_t>(u32_or_0(attrs, NLMSGERR_ATTR_MISS_TYPE));
    return extack;
}

// NLMSG_ERROR: an errno, the request's header, the rest of the request unless capped, attributes.
void parse_error(View message, View request, Replies& replies) {
    const nlmsghdr header = header_of(message);
    nlmsgerr error;
    replies.done = true;
    replies.error = EPROTO;
    if (message.size() < NLMSG_HDRLEN + sizeof(error)) return;
    std::memcpy(&error, message.data() + NLMSG_HDRLEN, sizeof(error));
    replies.error = positive_errno(error.error);
    if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return;

    std::size_t skip = NLMSG_HDRLEN + sizeof(error);
    if (!(header.nlmsg_flags & NLM_F_CAPPED) && error.msg.nlmsg_len > sizeof(nlmsghdr))
        skip += NLMSG_ALIGN(error.msg.nlmsg_len - sizeof(nlmsghdr));
    if (skip <= message.size()) replies.extack = parse_extack(message.subspan(skip), request);
}

// NLMSG_DONE of a dump: an errno, attributes.
void parse_done(View message, View request, Replies& replies) {
    int error = 0;
    replies.done = true;
    if (message.size() < NLMSG_HDRLEN + sizeof(error)) return;
    std::memcpy(&error, message.data() + NLMSG_HDRLEN, sizeof(error));
    replies.error = positive_errno(error);
    if (header_of(message).nlmsg_flags & NLM_F_ACK_TLVS)
        replies.extack = parse_extack(message.subspan(NLMSG_HDRLEN + sizeof(error)), request);
}

}  // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, View fixed, Kind kind) : buffer_(request_size) {
    nlmsghdr* header = mnl_nlmsg_put_header(buffer_.data());
    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | (kind == Kind::dump ? NLM_F_DUMP : NLM_F_ACK);
    std::memcpy(mnl_nlmsg_put_extra_header(header, fixed.size()), fixed.data(), fixed.size());
}

NetlinkRequest::NetlinkRequest(std::uint16_t family, std::uint8_t command, std::uint8_t version,
                               Kind kind)
    : NetlinkRequest(
          family,
          std::as_bytes(std::span<const genlmsghdr>(std::array{genlmsghdr{command, version, 0}})),
          kind) {}

nlmsghdr* NetlinkRequest::header() noexcept {
    return reinterpret_cast<nlmsghdr*>(buffer_.data());
}

NetlinkRequest& NetlinkRequest::check(bool fits) {
    if (!fits) throw_netlink(EMSGSIZE, "build netlink request", "");
    return *this;
}

NetlinkRequest& NetlinkRequest::u8(std::uint16_t type, std::uint8_t value) {
    return check(mnl_attr_put_u8_check(header(), buffer_.size(), type, value));
}

NetlinkRequest& NetlinkRequest::u32(std::uint16_t type, std::uint32_t value) {
    return check(mnl_attr_put_u32_check(header(), buffer_.size(), type, value));
}

NetlinkRequest& NetlinkRequest::string(std::uint16_t type, std::string_view value) {
    return check(
        mnl_attr_put_strz_check(header(), buffer_.size(), type, std::string(value).c_str()));
}

NetlinkRequest& NetlinkRequest::flag(std::uint16_t type) {
    return check(mnl_attr_put_check(header(), buffer_.size(), type, 0, nullptr));
}

NetlinkRequest& NetlinkRequest::nest(std::uint16_t type) {
    nests_.push_back(header()->nlmsg_len);
    return check(mnl_attr_nest_start_check(header(), buffer_.size(), type) != nullptr);
}

NetlinkRequest& NetlinkRequest::end() {
    auto* start = reinterpret_cast<nlattr*>(buffer_.data() + nests_.back());
    mnl_attr_nest_end(header(), start);
    nests_.pop_back();
    return *this;
}

std::span<const std::byte> NetlinkRequest::bytes() const noexcept {
    return View(buffer_).first(header_of(buffer_).nlmsg_len);
}

void NetlinkRequest::set_sequence(std::uint32_t sequence) noexcept {
    header()->nlmsg_seq = sequence;
}

std::string Extack::text() const {
    std::string text = message;
    const auto add = [&text](const char* what, std::uint16_t type) {
        if (type == 0) return;
        if (!text.empty()) text += "; ";
        text += what + std::to_string(type);
    };
    add("objects to attribute ", bad_attr);
    add("misses attribute ", missing_attr);
    return text;
}

Replies parse_replies(View datagram, std::uint32_t sequence, View request,
                      std::size_t second_header) {
    Replies replies;
    while (auto message = next_message(datagram)) {
        const nlmsghdr header = header_of(*message);
        if (header.nlmsg_seq != sequence || replies.done) continue;
        replies.interrupted |= (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header.nlmsg_type == NLMSG_ERROR) {
            parse_error(*message, request, replies);
        } else if (header.nlmsg_type == NLMSG_DONE) {
            parse_done(*message, request, replies);
        } else if (header.nlmsg_type >= NLMSG_MIN_TYPE &&
                   message->size() >= NLMSG_HDRLEN + second_header) {
            const View payload = message->subspan(NLMSG_HDRLEN + second_header);
            replies.payloads.emplace_back(payload.begin(), payload.end());
        }
    }
    return replies;
}

void NetlinkSocket::Close::operator()(mnl_socket* socket) const noexcept {
    mnl_socket_close(socket);
}

NetlinkSocket::NetlinkSocket(Protocol protocol)
    : socket_(mnl_socket_open2(protocol == Protocol::route ? NETLINK_ROUTE : NETLINK_GENERIC,
                               SOCK_CLOEXEC)),
      second_header_(protocol == Protocol::route ? 0 : generic_header),
      buffer_(reply_size) {
    if (!socket_) throw_errno("open netlink socket");
    if (mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) throw_errno("bind netlink");
    // Old kernels may lack these; then an error is just shorter.
    for (int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
        int on = 1;
        mnl_socket_setsockopt(socket_.get(), option, &on, sizeof(on));
    }
}

NetlinkSocket::~NetlinkSocket() = default;

std::uint16_t NetlinkSocket::family(const std::string& name) {
    NetlinkRequest ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
    ask.string(CTRL_ATTR_FAMILY_NAME, name);
    const auto replies = request("netlink family " + name, ask);
    const auto id = replies.empty() ? 0 : u32_or_0(replies[0], CTRL_ATTR_FAMILY_ID);
    if (id == 0) throw_netlink(ENOENT, "netlink family " + name, "");
    return static_cast<std::uint16_t>(id);
}

std::vector<Bytes> NetlinkSocket::request(std::string_view call, NetlinkRequest& request) {
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        request.set_sequence(++sequence_);
        const View bytes = request.bytes();
        if (mnl_socket_sendto(socket_.get(), bytes.data(), bytes.size()) < 0) throw_errno(call);
        bool interrupted = false;
        auto replies = collect(call, request, interrupted);
        if (!interrupted) return replies;
    }
    throw_netlink(EAGAIN, call, "the state kept changing while it was read");
}

std::vector<Bytes> NetlinkSocket::collect(std::string_view call, const NetlinkRequest& request,
                                          bool& interrupted) {
    std::vector<Bytes> all;
    for (;;) {
        const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw_errno(call);
        Replies replies = parse_replies(View(buffer_).first(static_cast<std::size_t>(got)),
                                        sequence_, request.bytes(), second_header_);
        std::ranges::move(replies.payloads, std::back_inserter(all));
        interrupted |= replies.interrupted;
        if (!replies.done) continue;
        if (replies.error != 0) throw_netlink(replies.error, call, replies.extack.text());
        return all;
    }
}

}  // namespace devmem
