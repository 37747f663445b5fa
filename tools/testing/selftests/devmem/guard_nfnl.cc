// SPDX-License-Identifier: GPL-2.0
#include "guard_nfnl.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "process.h"

namespace nfnl {

namespace {

constexpr std::size_t header_size = NLMSG_LENGTH(sizeof(nfgenmsg));

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

template <class T>
T read(std::span<const std::byte> bytes) {
    T value{};
    if (bytes.size() >= sizeof(value)) std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
}

std::size_t size_of(std::span<const Attribute> attributes) {
    std::size_t size = 0;
    for (const Attribute& one : attributes) size += NLA_ALIGN(NLA_HDRLEN + one.value.size());
    return size;
}

void put(std::byte* at, std::span<const Attribute> attributes) {
    for (const Attribute& one : attributes) {
        const auto length = static_cast<std::uint16_t>(NLA_HDRLEN + one.value.size());
        const nlattr header{.nla_len = length, .nla_type = one.type};
        std::memcpy(at, &header, sizeof(header));
        std::memcpy(at + NLA_HDRLEN, one.value.data(), one.value.size());
        at += NLA_ALIGN(length);
    }
}

std::span<const std::byte> find(std::span<const std::byte> attributes, std::uint16_t type) {
    while (attributes.size() >= NLA_HDRLEN) {
        const auto attr = read<nlattr>(attributes);
        if (attr.nla_len < NLA_HDRLEN || attr.nla_len > attributes.size()) break;
        if ((attr.nla_type & NLA_TYPE_MASK) == type)
            return attributes.subspan(NLA_HDRLEN, attr.nla_len - NLA_HDRLEN);
        attributes =
            attributes.subspan(std::min<std::size_t>(NLA_ALIGN(attr.nla_len), attributes.size()));
    }
    return {};
}

constexpr std::uint16_t log_message(int type) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_ULOG << 8 | type);
}

constexpr std::uint16_t queue_message(int type) {
    return static_cast<std::uint16_t>(NFNL_SUBSYS_QUEUE << 8 | type);
}

}  // namespace

Socket::Socket(std::uint16_t resource)
    : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)),
      resource_(resource),
      buffer_(1 << 17) {
    if (!fd_.is_open()) throw_errno_of("nfnetlink socket");
    const int room = 32 << 20;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
}

void Socket::send(std::uint16_t type, std::uint16_t flags,
                  std::span<const Attribute> attributes) const {
    std::vector<std::byte> bytes(header_size + size_of(attributes));
    const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(bytes.size()),
                          .nlmsg_type = type,
                          .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                          .nlmsg_seq = 0,
                          .nlmsg_pid = 0};
    const nfgenmsg what{.nfgen_family = AF_UNSPEC, .version = 0, .res_id = htons(resource_)};
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + NLMSG_HDRLEN, &what, sizeof(what));
    put(bytes.data() + header_size, attributes);
    if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) throw_errno_of("nfnetlink");
}

void Socket::send(std::uint16_t type, std::span<const Attribute> attributes) const {
    send(type, 0, attributes);
}

void Socket::configure(std::uint16_t type, std::span<const Attribute> attributes) const {
    struct {
        nlmsghdr header;
        nlmsgerr error;
    } answer{};
    send(type, NLM_F_ACK, attributes);
    if (::recv(fd_.get(), &answer, sizeof(answer), 0) < 0) throw_errno_of("nfnetlink");
    errno = -answer.error.error;
    if (answer.header.nlmsg_type != NLMSG_ERROR || errno != 0) throw_errno_of("nfnetlink request");
}

std::span<const std::byte> Socket::next(int milliseconds) {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, milliseconds) <= 0) return {};
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) throw_errno_of("receive from nfnetlink");
    const auto bytes = std::span(std::as_const(buffer_)).first(static_cast<std::size_t>(got));
    return bytes.subspan(std::min(header_size, bytes.size()));
}

Log::Log(std::uint16_t group) : socket_(group) {
    const nfulnl_msg_config_cmd bind{NFULNL_CFG_CMD_BIND};
    const nfulnl_msg_config_mode mode{htonl(0xffff), NFULNL_COPY_PACKET, 0};
    const std::uint32_t at_once = htonl(1);
    const std::array attributes{Attribute{NFULA_CFG_CMD, bytes_of(bind)},
                                Attribute{NFULA_CFG_MODE, bytes_of(mode)},
                                Attribute{NFULA_CFG_QTHRESH, bytes_of(at_once)}};
    socket_.configure(log_message(NFULNL_MSG_CONFIG), attributes);
}

void Log::drain(const Look& look) {
    for (;;) {
        const auto attributes = socket_.next(500);
        if (attributes.empty()) return;
        look({.bytes = find(attributes, NFULA_PAYLOAD)});
    }
}

Queue::Queue(std::uint16_t number, Gso gso) : socket_(number) {
    const nfqnl_msg_config_cmd bind{NFQNL_CFG_CMD_BIND, 0, 0};
    const nfqnl_msg_config_params mode{htonl(0xffff), NFQNL_COPY_PACKET};
    const std::uint32_t mask = htonl(NFQA_CFG_F_GSO);
    const std::uint32_t flags = gso == Gso::whole ? mask : 0;
    const std::array attributes{
        Attribute{NFQA_CFG_CMD, bytes_of(bind)}, Attribute{NFQA_CFG_PARAMS, bytes_of(mode)},
        Attribute{NFQA_CFG_MASK, bytes_of(mask)}, Attribute{NFQA_CFG_FLAGS, bytes_of(flags)}};
    socket_.configure(queue_message(NFQNL_MSG_CONFIG), attributes);
}

void Queue::step(const Look& look) {
    const auto attributes = socket_.next(100);
    const auto header = find(attributes, NFQA_PACKET_HDR);
    if (header.empty()) return;
    const auto id = read<nfqnl_msg_packet_hdr>(header).packet_id;
    const auto length = find(attributes, NFQA_CAP_LEN);
    look({.id = ntohl(id),
          .bytes = find(attributes, NFQA_PAYLOAD),
          .length = length.empty() ? 0 : ntohl(read<std::uint32_t>(length))});
    const nfqnl_msg_verdict_hdr accept{htonl(NF_ACCEPT), id};
    const std::array verdict{Attribute{NFQA_VERDICT_HDR, bytes_of(accept)}};
    socket_.send(queue_message(NFQNL_MSG_VERDICT), verdict);
}

}  // namespace nfnl
