// SPDX-License-Identifier: GPL-2.0
// Other ways to read a TCP socket than MSG_SOCK_DEVMEM: payload in device memory fails them, with
// an error that tells, and nothing is lost by it.
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "devmem/tokens.h"
#include "guard.h"
#include "leftovers.h"

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM 0x2000000
#endif

namespace {

constexpr std::uint64_t bytes = 256 * kibibyte;

bool readable(int fd) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, 60'000) == 1;
}

/// A stream in device memory, of which something has arrived.
struct Stream {
    Stream() { KTAP_NEED(readable(fd())); }

    [[nodiscard]] int fd() { return reader.receiver().fd(); }
    void expect_rest() {
        EXPECT("the stream does not stall", reader.read(), reader.bytes());
        expect_whole(reader, bytes);
    }

    Bound bound;
    Sender sender = bound.send({.bytes = bytes});
    Reader reader = bound.accept();
};

// ---- calls ----------------------------------------------------------------

// On stock kernels what can't be spliced looks like the end of the stream.
void splice() {
    Stream stream;
    std::array<int, 2> pipe{};
    KTAP_NEED(!::pipe2(pipe.data(), O_CLOEXEC));
    const auto call = [&] { return ::splice(stream.fd(), nullptr, pipe[1], nullptr, 65536, 0); };
    if (stock_kernel()) {
        EXPECT_EQUAL("splice", 0, call());
    } else {
        KTAP_ERRNO(call(), EFAULT);
    }
    differs("splice() from device memory", "EFAULT", "0, as at the end");
    stream.expect_rest();
}

void zerocopy_receive() {
    Stream stream;
    const std::size_t room = 64 * kibibyte;
    void* at = ::mmap(nullptr, room, PROT_READ, MAP_SHARED, stream.fd(), 0);
    KTAP_NEED(at != MAP_FAILED);
    int queued = 0;
    KTAP_NEED(
        within(60, [&] { return !::ioctl(stream.fd(), FIONREAD, &queued) && queued > 8192; }));
    tcp_zerocopy_receive ask{};
    ask.address = reinterpret_cast<std::uintptr_t>(at);
    ask.length = room;
    socklen_t size = sizeof(ask);
    EXPECT_EQUAL("getsockopt", 0,
                 ::getsockopt(stream.fd(), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &ask, &size));
    EXPECT_EQUAL("bytes mapped", 0, ask.length);
    EXPECT("recv_skip_hint asks for recvmsg (stock: 0)", (ask.recv_skip_hint > 0) != stock_kernel(),
           ask.recv_skip_hint);
    differs("TCP_ZEROCOPY_RECEIVE's recv_skip_hint", "bytes for recvmsg()", "0");
    stream.expect_rest();
}

void zerocopy_copy() {
    Stream stream;
    std::vector<std::byte> buffer(bytes);
    tcp_zerocopy_receive ask{};
    ask.copybuf_address = reinterpret_cast<std::uintptr_t>(buffer.data());
    ask.copybuf_len = static_cast<__s32>(buffer.size());
    socklen_t size = sizeof(ask);
    KTAP_ERRNO(::getsockopt(stream.fd(), IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &ask, &size), EFAULT);
    stream.expect_rest();
}

ssize_t receive_with(int fd, std::span<std::byte> control, int flags, msghdr& message) {
    static std::array<std::byte, 4096> host;
    static iovec iov{};
    iov = {host.data(), host.size()};
    message = {};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    return ::recvmsg(fd, &message, flags | MSG_DONTWAIT);
}

// A stock kernel makes tokens for bytes that are still in the stream.
void expect_peeked_token(int fd, std::span<const std::byte> control, const msghdr& message) {
    std::array<devmem::Piece, 16> pieces;
    const auto parsed =
        devmem::parse_pieces(control.first(message.msg_controllen), 4096, {}, pieces);
    EXPECT("tokens", parsed.count > 0, parsed.count);
    devmem::TokenBatch tokens(fd);
    for (std::size_t i = 0; i < parsed.count; i++) tokens.add(pieces[i].token);
    tokens.flush();
    EXPECT_EQUAL("tokens taken back", parsed.count, tokens.returned());
}

void peek() {
    Stream stream;
    std::array<std::byte, 1024> control{};
    msghdr message{};
    KTAP_ERRNO(receive_with(stream.fd(), {}, MSG_PEEK, message), EFAULT);
    const auto call = [&] {
        return receive_with(stream.fd(), control, MSG_PEEK | MSG_SOCK_DEVMEM, message);
    };
    if (stock_kernel()) {
        KTAP_NEED(call() > 0);
        expect_peeked_token(stream.fd(), control, message);
    } else {
        KTAP_ERRNO(call(), EOPNOTSUPP);
    }
    differs("MSG_PEEK of device memory", "EOPNOTSUPP", "tokens");
    stream.expect_rest();
}

// SO_PEEK_OFF came to TCP in 6.9: a peek from there is one like any other.
void peek_offset() {
    Stream stream;
    const int offset = 100;
    if (::setsockopt(stream.fd(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) != 0) {
        EXPECT_EQUAL("errno", EOPNOTSUPP, errno);
    } else {
        msghdr message{};
        KTAP_ERRNO(receive_with(stream.fd(), {}, MSG_PEEK, message), EFAULT);
    }
    stream.expect_rest();
}

// MSG_TRUNC reads nothing: it throws bytes away, wherever they are.
void truncate() {
    Stream stream;
    std::uint64_t thrown_away = 0;
    for (;;) {
        const ssize_t got = ::recv(stream.fd(), nullptr, 65536, MSG_TRUNC);
        if (got <= 0) break;
        thrown_away += static_cast<std::uint64_t>(got);
    }
    EXPECT_EQUAL("bytes thrown away", bytes, thrown_away);
}

const ktap_test tests[] = {
    {"splice: EFAULT (stock: 0), nothing lost", clean<splice>},
    {"TCP_ZEROCOPY_RECEIVE: maps nothing, asks for recvmsg (stock: for nothing)",
     clean<zerocopy_receive>},
    {"TCP_ZEROCOPY_RECEIVE with a buffer to copy to: EFAULT", clean<zerocopy_copy>},
    {"MSG_PEEK: EFAULT; with MSG_SOCK_DEVMEM: EOPNOTSUPP (stock: tokens)", clean<peek>},
    {"SO_PEEK_OFF: EOPNOTSUPP, or EFAULT when peeking", clean<peek_offset>},
    {"MSG_TRUNC: throws all away", clean<truncate>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
