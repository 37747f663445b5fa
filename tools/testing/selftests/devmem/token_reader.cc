// SPDX-License-Identifier: GPL-2.0
#include "token_reader.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "../../../../userspace/src/uapi.h"
#include "devmem/error.h"

TokenReader::TokenReader(devmem::Fd connection)
    : connection_(std::move(connection)), host_(256 << 10), control_(64 << 10) {
    tokens_.reserve(control_.size() / CMSG_SPACE(sizeof(devmem::uapi::dmabuf_cmsg)));
}

ssize_t TokenReader::read(bool wait) {
    iovec iov{host_.data(), host_.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control_.data();
    message.msg_controllen = control_.size();
    tokens_.clear();
    const ssize_t got = ::recvmsg(fd(), &message, MSG_SOCK_DEVMEM | (wait ? 0 : MSG_DONTWAIT));
    if (got < 0 && errno != EAGAIN) devmem::throw_errno("recvmsg");
    if (got <= 0) return got;
    for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_DEVMEM_DMABUF) continue;
        devmem::uapi::dmabuf_cmsg frag{};
        std::memcpy(&frag, CMSG_DATA(header), sizeof(frag));
        tokens_.push_back(frag.frag_token);
    }
    return got;
}

void TokenReader::give_back(std::span<const TokenRange> ranges) const {
    if (ranges.empty()) return;
    const auto size = static_cast<socklen_t>(ranges.size_bytes());
    const int done = ::setsockopt(fd(), SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges.data(), size);
    if (done < 0) devmem::throw_errno("SO_DEVMEM_DONTNEED");
    std::uint32_t all = 0;
    for (const TokenRange& range : ranges) all += range.count;
    if (static_cast<std::uint32_t>(done) != all) throw std::runtime_error("tokens are lost");
}
