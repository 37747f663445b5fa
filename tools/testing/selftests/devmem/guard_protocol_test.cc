// SPDX-License-Identifier: GPL-2.0
// What would like to read a TCP stream inside the kernel: TCP itself, TLS, MPTCP, BPF. Payload in
// device memory fails it, in a way that can be told, and TCP works as ever beside it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/kcm.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <system_error>

#include "guard.h"
#include "guard_bpf.h"
#include "leftovers.h"

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM 0x2000000
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

namespace {

constexpr std::uint64_t bytes = 256 * kibibyte;

bool readable(int fd) {
    pollfd ready{fd, POLLIN, 0};
    return ::poll(&ready, 1, 60'000) == 1;
}

// ---- a sender of its own --------------------------------------------------

using Talk = std::function<void(int fd)>;

devmem::Fd dial(int protocol, const Talk& before) {
    devmem::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol));
    if (!fd.is_open()) throw_errno_of("socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(device_port);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) throw_errno_of("bind");
    if (before) before(fd.get());
    at.sin_port = htons(5201);
    ::inet_pton(AF_INET, Topology::v4_here, &at.sin_addr);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0)
        throw_errno_of("connect");
    return fd;
}

// Sends bytes of the stream, unless the other side is gone.
void send_pattern(int fd, std::uint64_t from, std::uint64_t to, int flags = 0) {
    while (from < to) {
        const auto part = Pattern(device_port).at(from, to - from);
        const ssize_t sent = ::send(fd, part.data(), part.size(), flags | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
        if (sent < 0) throw_errno_of("send");
        from += static_cast<std::uint64_t>(sent);
    }
}

/// A peer that connects from device_port, says something, and closes when the other side has.
Process peer(const Bound& bound, const Talk& talk, int protocol = 0, const Talk& before = {}) {
    return {bound.topology.there_fd(), [=](int) {
                const auto fd = dial(protocol, before);
                talk(fd.get());
                ::shutdown(fd.get(), SHUT_WR);
                std::array<char, 1> nothing{};
                while (::recv(fd.get(), nothing.data(), 1, 0) > 0) {
                }
            }};
}

// ---- urgent data ----------------------------------------------------------

// The urgent byte can't be read, so it is a byte of the stream like any other.
void urgent() {
    skip_on_stock("BUG in tcp_urg()");
    const Bound bound;
    const Process sender = peer(bound, [](int fd) {
        send_pattern(fd, 0, 3000);
        send_pattern(fd, 3000, 3001, MSG_OOB);
        send_pattern(fd, 3001, 6000);
        send_pattern(fd, 6000, 6100, MSG_OOB);
        send_pattern(fd, 6100, bytes);
    });
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
    std::array<char, 1> byte{};
    KTAP_ERRNO(::recv(reader.receiver().fd(), byte.data(), 1, MSG_OOB | MSG_DONTWAIT), EINVAL);
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

// A connection whose urgent byte, the one after the first 3000, has arrived; what comes next waits
// for a word from us.
struct Alarmed {
    explicit Alarmed(const Bound& bound)
        : sender(peer(bound,
                      [](int fd) {
                          await_word(fd);
                          send_pattern(fd, 0, 3000);
                          send_pattern(fd, 3000, 3001, MSG_OOB);
                          await_word(fd);
                          send_pattern(fd, 3001, bytes);
                      })),
          connection(bound.listener.accept()) {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGURG);
        KTAP_NEED(!::sigprocmask(SIG_BLOCK, &set, nullptr));
        KTAP_NEED(!::fcntl(connection.get(), F_SETOWN, ::getpid()));
        say_word();
        const timespec patience{60, 0};
        EXPECT_EQUAL("the signal", SIGURG, ::sigtimedwait(&set, nullptr, &patience));
    }
    static void await_word(int fd) {
        std::array<char, 1> go{};
        ::recv(fd, go.data(), 1, 0);
    }
    void say_word() const { KTAP_NEED(::send(connection.get(), "g", 1, 0) == 1); }
    // So many bytes wait to be read, up to an urgent one.
    void expect_waiting(int wanted) const {
        int waiting = 0;
        within(60, [&] {
            return ::ioctl(connection.get(), SIOCINQ, &waiting) != 0 || waiting >= wanted;
        });
        EXPECT_EQUAL("bytes that wait", wanted, waiting);
    }
    [[nodiscard]] int events() const {
        pollfd ready{connection.get(), POLLIN | POLLPRI, 0};
        return ::poll(&ready, 1, 0) < 0 ? -1 : ready.revents;
    }

    Process sender;
    devmem::Fd connection;
};

// Somebody is told that there is something urgent, and that is all: the byte is one of the stream.
void urgent_signal() {
    skip_on_stock("BUG in tcp_urg()");
    const Bound bound;
    Alarmed device(bound);
    device.expect_waiting(3001);
    EXPECT_EQUAL("events", POLLIN, device.events());
    device.say_word();
    Reader reader(std::move(device.connection), bound.memories());
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
}

// In host memory it is as ever.
void urgent_in_host_memory() {
    const Bound bound;
    const auto rule = in_host_memory(bound, device_port);
    const Alarmed host(bound);
    host.expect_waiting(3000);
    const auto urgent = [&] { return (host.events() & POLLPRI) != 0; };
    EXPECT("it can be polled for", within(60, urgent), host.events());
    std::array<std::byte, 1> byte{};
    KTAP_CHECK(::recv(host.connection.get(), byte.data(), 1, MSG_OOB) == 1);
    EXPECT_EQUAL("where it differs", -1, Pattern(device_port).differs(byte, 3000));
    reset_on_close(host.connection.get());
}

// ---- signatures -----------------------------------------------------------

void set_md5(int fd, const char* peer_address) {
    tcp_md5sig key{};
    sockaddr_in to{};
    to.sin_family = AF_INET;
    ::inet_pton(AF_INET, peer_address, &to.sin_addr);
    std::memcpy(&key.tcpm_addr, &to, sizeof(to));
    key.tcpm_keylen = 6;
    std::memcpy(key.tcpm_key, "secret", 6);
    if (::setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) != 0) {
        if (errno == ENOPROTOOPT) ktap_skip("no TCP_MD5SIG (CONFIG_TCP_MD5SIG)");
        throw_errno_of("TCP_MD5SIG");
    }
}

// TCP can't check a signature over what it can't read: such segments are dropped.
void md5() {
    skip_on_stock("tcp_sigpool_hash_skb_data() reads NULL pages");
    Bound bound;
    bound.listener.close();
    const devmem::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(5201);
    set_md5(listener.get(), Topology::v4_there);
    KTAP_NEED(!::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) &&
              !::listen(listener.get(), 1));
    const Process sender = peer(
        bound, [](int fd) { send_pattern(fd, 0, bytes); }, 0,
        [](int fd) { set_md5(fd, Topology::v4_here); });
    KTAP_NEED(readable(listener.get()));
    const devmem::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT("segments fail the check",
           within(60, [] { return snmp("TcpExt", "TCPMD5Failure") > 0; }), 0);
    std::array<char, 1> byte{};
    KTAP_ERRNO(::recv(connection.get(), byte.data(), 1, MSG_DONTWAIT), EAGAIN);
    const auto rule = in_host_memory(bound, device_port);
    EXPECT("in host memory they pass", readable(connection.get()), 0);
}

// ---- TLS ------------------------------------------------------------------

void set_tls(int fd) {
    if (::setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) != 0)
        throw_errno_of("TCP_ULP");
    tls12_crypto_info_aes_gcm_128 info{};
    info.info.version = TLS_1_2_VERSION;
    info.info.cipher_type = TLS_CIPHER_AES_GCM_128;
    if (::setsockopt(fd, SOL_TLS, TLS_RX, &info, sizeof(info)) != 0) throw_errno_of("TLS_RX");
}

constexpr std::array<std::uint8_t, 5> record_of_8192{23, 3, 3, 0x20, 0};

// A record whose header is in host memory, then, after a word from us, its body on the device.
void tls_body() {
    skip_on_stock("WARNING in tls_strp_copyin_frag()");
    need_module("tls", "CONFIG_TLS");
    const Bound bound;
    auto rule = std::make_optional(in_host_memory(bound, device_port));
    const Process sender = peer(bound, [](int fd) {
        if (::send(fd, record_of_8192.data(), record_of_8192.size(), 0) < 0) throw_errno_of("send");
        std::array<char, 1> go{};
        ::recv(fd, go.data(), 1, 0);
        send_pattern(fd, 0, 8192);
    });
    const devmem::Fd connection = bound.listener.accept();
    KTAP_NEED(readable(connection.get()));
    rule.reset();
    set_tls(connection.get());
    KTAP_NEED(::send(connection.get(), "g", 1, 0) == 1);
    std::array<char, 8192> buffer{};
    KTAP_ERRNO(::recv(connection.get(), buffer.data(), buffer.size(), 0), EFAULT);
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

void tls_header() {
    need_module("tls", "CONFIG_TLS");
    const Bound bound;
    Sender sender = bound.send({.bytes = bytes});
    const devmem::Fd connection = bound.listener.accept();
    KTAP_NEED(readable(connection.get()));
    set_tls(connection.get());
    std::array<char, 4096> buffer{};
    KTAP_ERRNO(::recv(connection.get(), buffer.data(), buffer.size(), 0), EFAULT);
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

// ---- MPTCP ----------------------------------------------------------------

void mptcp() {
    Bound bound;
    bound.listener.close();
    const devmem::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
    if (!listener.is_open()) ktap_skip("no MPTCP (CONFIG_MPTCP)");
    const int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(5201);
    KTAP_NEED(!::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) &&
              !::listen(listener.get(), 1));
    {
        const Process sender = peer(
            bound, [](int fd) { send_pattern(fd, 0, bytes); }, IPPROTO_MPTCP);
        KTAP_NEED(readable(listener.get()));
        const devmem::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        KTAP_NEED(readable(connection.get()));
        std::array<char, 4096> buffer{};
        for (const int flags : {0, int{MSG_PEEK}, MSG_SOCK_DEVMEM, 0})
            KTAP_ERRNO(::recv(connection.get(), buffer.data(), buffer.size(), flags), EFAULT);
    }
    EXPECT("it was MPTCP", snmp("MPTcpExt", "MPCapableSYNRX") > 0, 0);
    const Listener plain(5202);
    Sender sender = bound.send({.port = 5202, .first_port = 6100, .bytes = bytes});
    Reader reader(plain.accept(), bound.memories());
    EXPECT("a TCP stream does not stall", reader.read(), reader.bytes());
    expect_whole(reader, bytes);
}

// ---- sockmap --------------------------------------------------------------

// The error that recv() ends with, or that a worker leaves on the socket: where it is a
// worker's, recv() may say that the stream ended instead.
int refusal(int fd) {
    std::array<char, 4096> buffer{};
    int error = 0;
    within(60, [&] {
        const auto got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        EXPECT("no byte of it is read", got <= 0, got);
        if (got < 0 && errno != EAGAIN) error = errno;
        socklen_t size = sizeof(error);
        return error != 0 || ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
               error != 0;
    });
    return error;
}

// Programs that pass what they have not looked at: the socket still can't have it.
void sockmap(bool parser) {
    const Bound bound;
    const bpf::SockMap map;
    const auto verdict = bpf::load(BPF_PROG_TYPE_SK_SKB, bpf::constant(SK_PASS));
    const auto length = bpf::load(BPF_PROG_TYPE_SK_SKB, bpf::constant(1000));
    try {
        if (parser) map.attach(length, BPF_SK_SKB_STREAM_PARSER);
    } catch (const std::system_error& error) {
        ktap_skip("no parser in a sockmap (CONFIG_BPF_STREAM_PARSER): %s", error.what());
    }
    map.attach(verdict, parser ? BPF_SK_SKB_STREAM_VERDICT : BPF_SK_SKB_VERDICT);
    const Process sender = peer(bound, [](int fd) {
        std::array<char, 1> go{};
        ::recv(fd, go.data(), 1, 0);
        send_pattern(fd, 0, bytes);
    });
    {
        const devmem::Fd connection = bound.listener.accept();
        map.add(connection.get());
        KTAP_NEED(::send(connection.get(), "g", 1, 0) == 1);
        EXPECT_EQUAL("the error it is told", EFAULT, refusal(connection.get()));
    }
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

void sockmap_verdict() {
    sockmap(false);
}

void sockmap_parser() {
    skip_on_stock("to unshare a clone, pskb_expand_head() takes references on NULL pages");
    sockmap(true);
}

// A TCP connection in this namespace, both ends of it.
struct Loop {
    Loop() {
        const Listener listener(5300);
        far = devmem::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(5300);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        KTAP_NEED(!::connect(far.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)));
        near = listener.accept();
    }

    devmem::Fd near, far;
};

// A program gives all that a connection receives to the near end of a loop: to be read there, or to
// be sent to the far end.
struct Redirection {
    Redirection(const Bound& bound, bool ingress)
        : sender(peer(bound,
                      [](int fd) {
                          std::array<char, 1> go{};
                          ::recv(fd, go.data(), 1, 0);
                          send_pattern(fd, 0, bytes);
                      })),
          connection(bound.listener.accept()),
          end(ingress ? loop.near.get() : loop.far.get()) {
        const auto program =
            bpf::load(BPF_PROG_TYPE_SK_SKB, bpf::redirect(map, 1, ingress ? BPF_F_INGRESS : 0));
        map.attach(program, BPF_SK_SKB_STREAM_VERDICT);
        map.add(connection.get(), 0);
        map.add(loop.near.get(), 1);
        KTAP_NEED(::send(connection.get(), "g", 1, 0) == 1);
    }

    bpf::SockMap map{2};
    Loop loop;
    Process sender;
    devmem::Fd connection;
    int end;  // where the stream comes out
};

void expect_redirected(int fd) {
    std::array<std::byte, 65536> buffer{};
    std::uint64_t got = 0;
    while (got < bytes && readable(fd)) {
        const auto more = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (more < 0 && errno == EAGAIN) continue;
        if (more <= 0) throw_errno_of("read what was redirected");
        const auto part = std::span(buffer).first(static_cast<std::size_t>(more));
        EXPECT_EQUAL("where it differs", -1, Pattern(device_port).differs(part, got));
        got += static_cast<std::uint64_t>(more);
    }
    EXPECT_EQUAL("bytes that come out", bytes, got);
}

// The worker of the socket that is to have them gives up, and says so there. Whom they came to is
// not told: to its sender they have arrived.
template <bool ingress>
void sockmap_redirect() {
    if (!ingress) skip_on_stock("skb_send_sock() sends NULL pages");
    const Bound bound;
    {
        const Redirection device(bound, ingress);
        EXPECT_EQUAL("the error it is told", EFAULT, refusal(device.loop.near.get()));
        std::array<char, 1> byte{};
        for (const int fd : {device.end, device.connection.get()})
            EXPECT("no byte comes out", ::recv(fd, byte.data(), 1, MSG_DONTWAIT) <= 0, fd);
    }
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

template <bool ingress>
void sockmap_redirect_host() {
    const Bound bound;
    const auto rule = in_host_memory(bound, device_port);
    const Redirection host(bound, ingress);
    expect_redirected(host.end);
}

// ---- KCM ------------------------------------------------------------------

/// The error that somebody else leaves on a socket; 0 if none comes.
int error_of(int fd) {
    int error = 0;
    within(60, [&] {
        socklen_t size = sizeof(error);
        return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0;
    });
    return error;
}

// Messages of 1000 bytes, says the program, which looks at none of them: KCM can't cut them out.
void kcm() {
    skip_on_stock("KCM hands out messages that nobody can copy");
    std::system("modprobe -q kcm");
    const devmem::Fd kcm(::socket(AF_KCM, SOCK_DGRAM | SOCK_CLOEXEC, KCMPROTO_CONNECTED));
    if (!kcm.is_open()) ktap_skip("no KCM (CONFIG_AF_KCM)");
    const Bound bound;
    const Process sender = peer(bound, [](int fd) {
        std::array<char, 1> go{};
        ::recv(fd, go.data(), 1, 0);
        send_pattern(fd, 0, bytes);
    });
    {
        const devmem::Fd connection = bound.listener.accept();
        const auto length = bpf::load(BPF_PROG_TYPE_SOCKET_FILTER, bpf::constant(1000));
        kcm_attach attach{connection.get(), length.get()};
        KTAP_NEED(::ioctl(kcm.get(), SIOCKCMATTACH, &attach) == 0);
        KTAP_NEED(::send(connection.get(), "g", 1, 0) == 1);
        EXPECT_EQUAL("the error of the connection", EFAULT, error_of(connection.get()));
        std::array<char, 4096> buffer{};
        KTAP_ERRNO(::recv(kcm.get(), buffer.data(), buffer.size(), MSG_DONTWAIT), EAGAIN);
    }
    expect_stream(bound, {.first_port = 6100, .bytes = bytes});
}

const ktap_test tests[] = {
    {"urgent data: bytes of the stream like any other", clean<urgent>},
    {"urgent data: SIGURG, no POLLPRI", clean<urgent_signal>},
    {"urgent data in host memory: SIGURG, POLLPRI, MSG_OOB", clean<urgent_in_host_memory>},
    {"TCP MD5 signatures: TCPMD5Failure", clean<md5>},
    {"TLS_RX, a record on the device: EFAULT", clean<tls_header>},
    {"TLS_RX, then the body of a record on the device: EFAULT", clean<tls_body>},
    {"MPTCP: EFAULT, TCP works beside it", clean<mptcp>},
    {"sockmap, verdict: EFAULT", clean<sockmap_verdict>},
    {"sockmap, parser and verdict: EFAULT", clean<sockmap_parser>},
    {"sockmap, redirected to be read: EFAULT", clean<sockmap_redirect<true>>},
    {"sockmap, redirected to be sent: EFAULT", clean<sockmap_redirect<false>>},
    {"sockmap, redirected to be read, host memory: exact", clean<sockmap_redirect_host<true>>},
    {"sockmap, redirected to be sent, host memory: exact", clean<sockmap_redirect_host<false>>},
    {"KCM: EFAULT on the connection, no message", clean<kcm>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
