// SPDX-License-Identifier: GPL-2.0
#include "tx_stream.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/errqueue.h>
#include <linux/netdev.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "process.h"

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

RawTxBinding::RawTxBinding(std::uint32_t ifindex, int dmabuf_fd) {
    RawRequest request(socket_.family("netdev"), NETDEV_CMD_BIND_TX);
    request.u32(NETDEV_A_DMABUF_IFINDEX, ifindex);
    request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(dmabuf_fd));
    const RawReply reply = socket_.ask(request);
    error_ = reply.error;
    message_ = reply.message;
    for (const Octets& answer : reply.answers)
        id_ = find_u32(answer, NETDEV_A_DMABUF_ID).value_or(0);
}

std::string why_no_sending() {
    if (const char* missing = nic_missing()) return missing;
    RawSocket socket;
    const auto reply = socket.ask(RawRequest(socket.family("netdev"), NETDEV_CMD_BIND_TX));
    return reply.error == EOPNOTSUPP ? "this kernel does not send device memory" : "";
}

iovec extent_to_iovec(const Extent& extent) {
    return {reinterpret_cast<void*>(extent.offset), extent.length};
}

Result send_extents(int fd, std::span<const iovec> extents, std::optional<std::uint32_t> id,
                    int flags) {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint32_t))> control{};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(extents.data());
    message.msg_iovlen = extents.size();
    if (id) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_DEVMEM_DMABUF;
        cmsg->cmsg_len = CMSG_LEN(sizeof(*id));
        std::memcpy(CMSG_DATA(cmsg), &*id, sizeof(*id));
    }
    const ssize_t value = ::sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    return {value, value < 0 ? errno : 0};
}

void Completions::read(int fd) {
    for (;;) {
        alignas(cmsghdr) std::array<char, 256> control{};
        msghdr message{};
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
        sock_extended_err error{};
        const cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
        if (!cmsg) continue;
        std::memcpy(&error, CMSG_DATA(cmsg), sizeof(error));
        if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
        take(error.ee_info, error.ee_data);
        copied |= (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
    }
}

void Completions::take(std::uint32_t first, std::uint32_t last) {
    if (last >= known.size()) known.resize(std::size_t{last} + 1);
    for (std::size_t number = first; number <= last; number++) {
        count++;
        twice |= known[number];
        known[number] = true;
    }
}

TxStream::TxStream(const Topology& topology, const TxMemory& memory, std::uint32_t id,
                   const TxRoute& route)
    : memory_(memory), id_(id), far_(topology, route), here_(far_.connect()) {
    const int on = 1;
    if (::setsockopt(here_.get(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) != 0)
        throw_errno_of("setsockopt SO_ZEROCOPY");
}

void TxStream::accept() {
    far_.accept();
    ::fcntl(here_.get(), F_SETFL, O_NONBLOCK);
}

Result TxStream::try_send(std::span<const Extent> extents, int flags) {
    std::vector<iovec> iov;
    for (const Extent& extent : extents) iov.push_back(extent_to_iovec(extent));
    const Result result = send_extents(here_.get(), iov, id_, flags | MSG_ZEROCOPY);
    if (result.value <= 0) return result;
    sends_++;
    auto left = static_cast<std::size_t>(result.value);
    for (const Extent& extent : extents) {
        const std::size_t part = std::min(left, extent.length);
        far_.expect(memory_.at({extent.offset, part}));
        left -= part;
    }
    return result;
}

void TxStream::wait_for_room() {
    read();
    completions_.read(here_.get());
    if (!ready(here_.get(), POLLOUT, 20)) read();
}

void TxStream::send(std::span<const Extent> extents, int flags) {
    std::vector<Extent> all(extents.begin(), extents.end());
    for (std::span<Extent> left = all; !left.empty();) {
        const Result result = try_send(left, flags);
        if (result.value < 0 && result.error != EAGAIN && result.error != ENOBUFS) {
            errno = result.error;
            throw_errno_of("send from the device");
        }
        if (result.value < 0) {
            wait_for_room();
            continue;
        }
        left = devmem::drop_front(left, static_cast<std::size_t>(result.value));
    }
}

void TxStream::send_plain(std::span<const std::byte> bytes, int flags) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(here_.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != ENOBUFS) throw_errno_of("plain send");
        if (n < 0) {
            wait_for_room();
            continue;
        }
        if (flags & MSG_ZEROCOPY) sends_++;
        far_.expect(bytes.first(static_cast<std::size_t>(n)));
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

void TxStream::splice(std::span<const std::byte> bytes) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno_of("pipe");
    const devmem::Fd out(ends[0]), in(ends[1]);
    if (::write(in.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        throw_errno_of("write to a pipe");
    while (!bytes.empty()) {
        const ssize_t n = ::splice(out.get(), nullptr, here_.get(), nullptr, bytes.size(), 0);
        if (n < 0 && errno != EAGAIN) throw_errno_of("splice");
        if (n < 0) {
            wait_for_room();
            continue;
        }
        far_.expect(bytes.first(static_cast<std::size_t>(n)));
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
}

std::string TxStream::finish(double seconds) {
    const bool done = within(seconds, [&] {
        read();
        completions_.read(here_.get());
        return !far_.wrong().empty() || (far_.has_all() && completions_.count == sends_);
    });
    if (!far_.wrong().empty()) return far_.wrong();
    if (!done)
        return fmt::format("{} of {} bytes arrived, {} of {} sends complete", received(), sent(),
                           completions_.count, sends_);
    if (completions_.twice || completions_.known.size() != sends_)
        return "a send was complete twice, or one that there was not";
    return {};
}
