// SPDX-License-Identifier: MIT
// A model of the kernel's side of a devmem TCP socket: the queue of received packets, the tokens it
// has given out, and recvmsg() and SO_DEVMEM_DONTNEED with the kernel's rules and limits
// (net/ipv4/tcp.c and net/core/sock.c of 6.12). Files under test reach it through DEVMEM_SYS.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "uapi.h"

namespace devmem::test {

// The byte at a place of the stream.
inline std::byte stream_byte(std::uint64_t at) {
    return static_cast<std::byte>((at * 2654435761U) >> 13);
}

struct FakeFrag {
    std::uint64_t offset = 0;
    std::uint32_t size = 0;
    std::uint32_t dmabuf_id = 1;
};

/// A packet in the receive queue: bytes in host memory, then frags. Readable ones have no frags.
struct FakePacket {
    std::vector<std::byte> linear;
    std::vector<FakeFrag> frags;

    [[nodiscard]] bool readable() const { return frags.empty(); }
    [[nodiscard]] bool empty() const { return linear.empty() && frags.empty(); }
};

class FakeKernel {
  public:
    // What a test sets.
    std::deque<FakePacket> queue;
    bool peer_closed = false;
    int receive_error = 0;          // of the next recvmsg() that finds nothing
    int too_small = 525;            // 6.12; EMSGSIZE elsewhere
    bool cuts_messages = false;     // as before put_cmsg_notrunc
    std::size_t frag_limit = 1024;  // of one SO_DEVMEM_DONTNEED
    int return_error = 0;           // of every SO_DEVMEM_DONTNEED
    std::size_t extra_message = 0;  // bytes of an unrelated control message at the end
    int file_flags = 0;             // what fcntl(F_GETFL) answers
    std::function<int()> wait = [] { return 0; };  // poll(): 0 or errno
    std::function<void(const FakeFrag&, int)> use = [](const FakeFrag&, int) {};  // of its memory
    // What it looks at afterwards.
    std::set<std::uint32_t> tokens;
    std::size_t receive_calls = 0;
    std::size_t return_calls = 0;
    std::size_t polls = 0, naps = 0;
    std::map<std::uint32_t, FakeFrag> minted;  // what those tokens stand for that recvmsg() told
    int receive_flags = 0;
    std::vector<std::size_t> ranges_per_call;

    std::uint32_t mint() {
        std::uint32_t token = 1;  // the lowest free one, as xa_alloc() does
        for (const std::uint32_t taken : tokens) {
            if (taken != token) break;
            ++token;
        }
        tokens.insert(token);
        return token;
    }

    ssize_t recvmsg(msghdr* message, int flags) {
        ++receive_calls;
        receive_flags = flags;
        Call call(*message);
        while (!queue.empty() && call.room > 0) {
            if (call.copied > 0 && queue.front().readable() != call.readable) break;
            call.readable = queue.front().readable();
            const bool whole = take_packet(call);
            if (whole) queue.pop_front();
            if (!whole) break;
        }
        if (call.copied == 0 && call.error != 0) return fail(call.error);
        if (call.copied == 0 && receive_error != 0) return fail(std::exchange(receive_error, 0));
        if (call.copied == 0 && !peer_closed) return fail(EAGAIN);
        if (extra_message > 0) put(call, SOL_SOCKET, SO_TIMESTAMP, nullptr, extra_message, true);
        message->msg_controllen = call.control_used;
        return static_cast<ssize_t>(call.copied);
    }

    int dontneed(const void* value, socklen_t length) {
        ++return_calls;
        if (return_error != 0) return static_cast<int>(fail(return_error));
        if (length % sizeof(uapi::dmabuf_token) != 0 || length > 128 * sizeof(uapi::dmabuf_token))
            return static_cast<int>(fail(EINVAL));
        std::vector<uapi::dmabuf_token> ranges(length / sizeof(uapi::dmabuf_token));
        std::memcpy(ranges.data(), value, length);
        ranges_per_call.push_back(ranges.size());
        std::size_t walked = 0;
        int freed = 0;
        for (const auto& range : ranges)
            for (std::uint32_t i = 0; i < range.token_count; ++i) {
                if (++walked > frag_limit) return freed;
                if (!tokens.erase(range.token_start + i)) continue;
                ++freed;
                if (const auto frag = minted.extract(range.token_start + i)) use(frag.mapped(), -1);
            }
        return freed;
    }

    int poll(nfds_t count) {
        ++(count == 0 ? naps : polls);
        const int error = count == 0 ? 0 : wait();
        return error == 0 ? static_cast<int>(count) : static_cast<int>(fail(error));
    }

  private:
    struct Call {
        explicit Call(msghdr& m)
            : host(static_cast<std::byte*>(m.msg_iov->iov_base)),
              room(m.msg_iov->iov_len),
              control(static_cast<std::byte*>(m.msg_control)),
              control_size(m.msg_controllen),
              message(m) {}
        std::byte* host;
        std::size_t room;
        std::byte* control;
        std::size_t control_size;
        msghdr& message;
        std::size_t control_used = 0;
        std::size_t copied = 0;
        bool readable = false;
        int error = 0;
    };

    static ssize_t fail(int error) {
        errno = error;
        return -1;
    }

    bool put(Call& call, int level, int type, const void* data, std::size_t size, bool may_cut) {
        const std::size_t left = call.control_size - call.control_used;
        std::size_t length = CMSG_LEN(size);
        if (left < length && !may_cut) {
            call.error = too_small;
            return false;
        }
        if (left < length) call.message.msg_flags |= MSG_CTRUNC;
        if (left < sizeof(cmsghdr)) return true;
        length = std::min(length, left);
        cmsghdr header{};
        header.cmsg_len = length;
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::memcpy(call.control + call.control_used, &header, sizeof(header));
        if (data)
            std::memcpy(call.control + call.control_used + CMSG_LEN(0), data, length - CMSG_LEN(0));
        call.control_used += std::min(CMSG_SPACE(size), left);
        return true;
    }

    bool put_devmem(Call& call, int type, const uapi::dmabuf_cmsg& info) {
        return put(call, SOL_SOCKET, type, &info, sizeof(info), cuts_messages);
    }

    // True if all of the packet was consumed.
    bool take_packet(Call& call) {
        FakePacket& packet = queue.front();
        if (!packet.linear.empty()) {
            const std::size_t size = std::min(packet.linear.size(), call.room);
            std::memcpy(call.host, packet.linear.data(), size);
            call.host += size;  // also where the message then finds no room, as in the kernel
            const uapi::dmabuf_cmsg info{0, static_cast<std::uint32_t>(size), 0, 0, 0};
            if (!packet.readable() && !put_devmem(call, SCM_DEVMEM_LINEAR, info)) return false;
            packet.linear.erase(packet.linear.begin(),
                                packet.linear.begin() + static_cast<std::ptrdiff_t>(size));
            call.copied += size;
            call.room -= size;
        }
        while (!packet.frags.empty() && call.room > 0 && packet.linear.empty())
            if (!take_frag(call, packet)) return false;
        return packet.empty();
    }

    bool take_frag(Call& call, FakePacket& packet) {
        FakeFrag& frag = packet.frags.front();
        const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(frag.size, call.room));
        const std::uint32_t token = mint();
        const uapi::dmabuf_cmsg info{frag.offset, size, token, frag.dmabuf_id, 0};
        if (!put_devmem(call, SCM_DEVMEM_DMABUF, info)) {
            tokens.erase(token);
            return false;
        }
        minted[token] = {frag.offset, size, frag.dmabuf_id};
        use(frag, 1);
        if (size == frag.size) use(frag, -1);
        frag.offset += size;
        frag.size -= size;
        if (frag.size == 0) packet.frags.erase(packet.frags.begin());
        call.copied += size;
        call.room -= size;
        return true;
    }
};

}  // namespace devmem::test
