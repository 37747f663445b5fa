// SPDX-License-Identifier: MIT
// A model of the kernel's side of a socket that device memory is sent on: the stream, room in the
// send buffer, the numbers of zerocopy sends, their limit, and the error queue, with the kernel's
// rules (net/ipv4/tcp.c, net/core/skbuff.c). Files under test reach it through DEVMEM_SYS.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "uapi.h"

namespace devmem::test {

class FakeSendKernel {
  public:
    struct Run {
        std::uint32_t first, last;
        bool copied = false;
    };

    // What a test sets.
    std::vector<std::byte> device;  // binding 1, the only one
    std::size_t room = 1 << 20;     // in the send buffer
    std::size_t limit = 1000;       // of sends in flight and completions unread
    std::uint32_t next = 0;         // number of the next zerocopy send
    int send_error = 0;             // of the next sendmsg()
    int poll_error = 0;             // of the next poll() that would wait
    int option_error = 0;
    bool joins = true;             // completions that adjoin become one
    std::vector<std::byte> stray;  // control bytes of something else on the error queue
    std::size_t idle_polls = 0;    // polls that report POLLERR for something else
    // What it looks at afterwards.
    std::vector<std::byte> stream;
    std::set<std::uint32_t> open;  // numbers, in no particular order of sending
    std::deque<Run> completions;
    bool zerocopy = false;
    std::size_t send_calls = 0, polls = 0, naps = 0;
    int send_flags = 0;

    // The kernel has no more use for a send.
    void finish(std::uint32_t number, bool copied = false) {
        open.erase(number);
        if (joins && !completions.empty() && completions.back().last + 1 == number)
            completions.back().last = number;
        else
            completions.push_back({number, number, copied});
    }

    ssize_t sendmsg(const msghdr* message, int flags) {
        ++send_calls;
        send_flags = flags;
        if (send_error != 0) return fail(std::exchange(send_error, 0));
        if (message->msg_iovlen > uapi::max_iovecs) return fail(EMSGSIZE);
        const bool device_bytes = message->msg_controllen > 0;
        if (const int error = device_bytes ? refuses(*message, flags) : 0) return fail(error);
        const bool numbered = (flags & MSG_ZEROCOPY) != 0;
        if (numbered && open.size() + completions.size() >= limit) return fail(ENOBUFS);
        if (room == 0) return fail(EAGAIN);  // the number is taken back
        const std::size_t sent = take(*message, device_bytes);
        if (numbered) open.insert(next++);
        return static_cast<ssize_t>(sent);
    }

    ssize_t recvmsg(msghdr* message, int flags) {
        if (!(flags & MSG_ERRQUEUE) || !(flags & MSG_DONTWAIT)) return fail(EINVAL);
        if (!stray.empty()) return put(*message, std::exchange(stray, {}));
        if (completions.empty()) return fail(EAGAIN);
        const Run run = completions.front();
        completions.pop_front();
        return put(*message, control_of(run));
    }

    int poll(pollfd* fds, nfds_t count, int timeout) {
        if (count == 0) {
            ++naps;
            return 0;
        }
        if (timeout >= 0) return static_cast<int>(fail(EINVAL));
        ++polls;
        if (poll_error != 0) return static_cast<int>(fail(std::exchange(poll_error, 0)));
        if (idle_polls > 0)
            --idle_polls;
        else
            finish(*open.begin());
        fds->revents = POLLERR;
        return 1;
    }

    int setsockopt(int level, int name, const void* value) {
        if (option_error != 0) return static_cast<int>(fail(option_error));
        int on = 0;
        std::memcpy(&on, value, sizeof(on));
        zerocopy = level == SOL_SOCKET && name == SO_ZEROCOPY && on != 0;
        return 0;
    }

    // As ip_recv_error() lays it out: the error, then the address of nobody.
    static std::vector<std::byte> control_of(const Run& run, int level = SOL_IPV6,
                                             int type = IPV6_RECVERR) {
        struct {
            sock_extended_err error;
            sockaddr_in6 offender;
        } data{};
        data.error.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
        data.error.ee_info = run.first;
        data.error.ee_data = run.last;
        data.error.ee_code = run.copied ? SO_EE_CODE_ZEROCOPY_COPIED : 0;
        cmsghdr header{};
        header.cmsg_len = CMSG_LEN(sizeof(data));
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::vector<std::byte> control(CMSG_SPACE(sizeof(data)));
        std::memcpy(control.data(), &header, sizeof(header));
        std::memcpy(control.data() + CMSG_LEN(0), &data, sizeof(data));
        return control;
    }

  private:
    static ssize_t fail(int error) {
        errno = error;
        return -1;
    }

    // All is checked before anything is sent.
    int refuses(const msghdr& message, int flags) const {
        cmsghdr header;
        std::uint32_t binding = 0;
        std::memcpy(&header, message.msg_control, sizeof(header));
        if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_DEVMEM_DMABUF ||
            header.cmsg_len != CMSG_LEN(sizeof(binding)))
            return EINVAL;
        const auto* control = static_cast<const std::byte*>(message.msg_control);
        std::memcpy(&binding, control + CMSG_LEN(0), sizeof(binding));
        if (binding != 1 || !zerocopy || !(flags & MSG_ZEROCOPY)) return EINVAL;
        for (std::size_t i = 0; i < message.msg_iovlen; ++i) {
            const auto offset = reinterpret_cast<std::size_t>(message.msg_iov[i].iov_base);
            if (offset > device.size() || message.msg_iov[i].iov_len > device.size() - offset)
                return EFAULT;
        }
        return 0;
    }

    std::size_t take(const msghdr& message, bool device_bytes) {
        std::size_t sent = 0;
        for (std::size_t i = 0; i < message.msg_iovlen && room > 0; ++i) {
            const std::size_t size = std::min(message.msg_iov[i].iov_len, room);
            const auto base = reinterpret_cast<std::uintptr_t>(message.msg_iov[i].iov_base);
            const auto* from = device_bytes ? device.data() + base
                                            : static_cast<std::byte*>(message.msg_iov[i].iov_base);
            stream.insert(stream.end(), from, from + size);
            room -= size;
            sent += size;
        }
        return sent;
    }

    static ssize_t put(msghdr& message, const std::vector<std::byte>& control) {
        const std::size_t size = std::min<std::size_t>(message.msg_controllen, control.size());
        std::copy_n(control.begin(), size, static_cast<std::byte*>(message.msg_control));
        message.msg_controllen = size;
        message.msg_flags = MSG_ERRQUEUE;
        return 0;
    }
};

}  // namespace devmem::test
