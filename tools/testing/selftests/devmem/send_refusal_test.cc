// SPDX-License-Identifier: GPL-2.0
// What must not be sent from device memory: refused with the contract's errno before anything is
// queued, and the connection is as good as before. What is queued when that comes does not leave.
#include <linux/netdev.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <functional>

#include "devmem/binding.h"
#include "devmem/header_split.h"
#include "guard_bpf.h"
#include "ipsec.h"
#include "leftovers.h"
#include "tx_stage.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

namespace {

int queued(int fd) {
    int bytes = 0;
    KTAP_NEED(::ioctl(fd, SIOCOUTQ, &bytes) == 0);
    return bytes;
}

void expect_refusal(const TxStream& stream, const char* what, int error, std::span<const iovec> iov,
                    std::optional<std::uint32_t> id, int flags) {
    const Result result = send_extents(stream.fd(), iov, id, flags);
    EXPECT_EQUAL(std::string("return of ") + what, -1, result.value);
    EXPECT_EQUAL(std::string("errno of ") + what, error, result.error);
    EXPECT_EQUAL(std::string("queued after ") + what, 0, queued(stream.fd()));
}

/// The same with a call that is as it should be; the connection works on with ordinary sends.
void expect_unsupported(const TxStage& stage, TxStream& stream) {
    const iovec iov = extent_to_iovec({4096, 1000});
    expect_refusal(stream, "a send from the device", EOPNOTSUPP, {&iov, 1}, stage.binding->id(),
                   MSG_ZEROCOPY);
    stream.send_plain(stage.memory.at({777, 50'000}));
    EXPECT_EQUAL("wrong with ordinary bytes", std::string(), stream.finish());
}

// ---- arguments ------------------------------------------------------------

void wrong_ids() {
    TxStage stage;
    const TxStream stream = stage.stream();
    const iovec iov = extent_to_iovec({0, 100});
    const std::span<const iovec> one(&iov, 1);
    const std::uint32_t id = stage.binding->id();
    {
        const devmem::HeaderSplit split(stage.ifindex);
        const auto memory = devmem::DmaBuf::accelmem(mebibyte);
        const std::array<std::uint32_t, 1> queue{nic_kind()->queue};
        const devmem::RxBinding receiving(stage.ifindex, queue, memory);
        expect_refusal(stream, "an RX binding's id", EINVAL, one, receiving.id(), MSG_ZEROCOPY);
    }
    expect_refusal(stream, "id 0", EINVAL, one, 0, MSG_ZEROCOPY);
    expect_refusal(stream, "an id of nobody", EINVAL, one, id + 1000, MSG_ZEROCOPY);
    expect_refusal(stream, "no MSG_ZEROCOPY", EINVAL, one, id, 0);
    stage.binding.reset();
    expect_refusal(stream, "a closed binding's id", EINVAL, one, id, MSG_ZEROCOPY);
}

void no_zerocopy_socket() {
    const TxStage stage;
    const TxStream stream = stage.stream();
    const int off = 0;
    KTAP_NEED(::setsockopt(stream.fd(), SOL_SOCKET, SO_ZEROCOPY, &off, sizeof(off)) == 0);
    const iovec iov = extent_to_iovec({0, 100});
    expect_refusal(stream, "no SO_ZEROCOPY", EINVAL, {&iov, 1}, stage.binding->id(), MSG_ZEROCOPY);
}

void out_of_range() {
    const TxStage stage;
    TxStream stream = stage.stream();
    const std::uint64_t size = stage.memory.size();
    const std::uint32_t id = stage.binding->id();
    for (const Extent& extent :
         {Extent{size, 1}, Extent{size - 1, 2}, Extent{0, size + 1}, Extent{1UL << 40, 1}}) {
        const std::array<iovec, 2> iov{extent_to_iovec({0, 100}), extent_to_iovec(extent)};
        expect_refusal(stream, "a range beyond", EFAULT, std::span(iov).subspan(1), id,
                       MSG_ZEROCOPY);
        expect_refusal(stream, "a second range beyond", EFAULT, iov, id, MSG_ZEROCOPY);
    }
    stream.send(Extent{size - 1, 1});
    expect_whole(stream);
}

void not_tcp() {
    const TxStage stage;
    const devmem::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    to.sin_addr.s_addr = htonl(0x0a090002);
    const int one = 1;
    KTAP_NEED(::setsockopt(fd.get(), SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0);
    KTAP_NEED(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
    const iovec iov = extent_to_iovec({0, 100});
    const Result result = send_extents(fd.get(), {&iov, 1}, stage.binding->id(), MSG_ZEROCOPY);
    EXPECT_EQUAL("errno", EINVAL, result.error);
}

// ---- what would have to read the payload ----------------------------------

void no_checksum() {
    const TxStage stage;
    TxStream stream = stage.stream();
    stage.topology.here("ethtool -K dm0 tx off >/dev/null");
    expect_unsupported(stage, stream);
    stage.topology.here("ethtool -K dm0 tx on sg on tso on >/dev/null");
    stream.send(Extent{0, 100'000});
    expect_whole(stream);
}

void no_scatter_gather() {
    const TxStage stage;
    TxStream stream = stage.stream();
    stage.topology.here("ethtool -K dm0 sg off >/dev/null");
    expect_unsupported(stage, stream);
    stage.topology.here("ethtool -K dm0 sg on tso on >/dev/null");
    stream.send(Extent{0, 100'000});
    expect_whole(stream);
}

/// ESP between both ends, or none.
void set_ipsec(const TxStage& stage, bool on) {
    const char* flush = "ip xfrm policy flush && ip xfrm state flush";
    stage.topology.here(on ? ipsec_between(Topology::v4_here, Topology::v4_there) : flush);
    stage.topology.there(on ? ipsec_between(Topology::v4_there, Topology::v4_here) : flush);
}

void ipsec() {
    need_ipsec();
    const TxStage stage;
    TxStream stream = stage.stream();
    set_ipsec(stage, true);
    expect_unsupported(stage, stream);
    set_ipsec(stage, false);
    stream.send(Extent{0, 100'000});
    expect_whole(stream);
}

/// A key for what is exchanged with the peer, or none.
void set_md5(int fd, bool on) {
    tcp_md5sig key{};
    socklen_t size = sizeof(sockaddr_in6);
    KTAP_NEED(::getpeername(fd, reinterpret_cast<sockaddr*>(&key.tcpm_addr), &size) == 0);
    key.tcpm_keylen = on ? 4 : 0;
    std::memcpy(key.tcpm_key, "abcd", 4);
    if (::setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) != 0)
        ktap_skip("no TCP-MD5 (CONFIG_TCP_MD5SIG)");
}

void md5() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (const int fd : {stream.fd(), stream.far_fd()}) set_md5(fd, true);
    expect_unsupported(stage, stream);
    for (const int fd : {stream.fd(), stream.far_fd()}) set_md5(fd, false);
    stream.send(Extent{0, 100'000});
    expect_whole(stream);
}

void set_tls(int fd, int direction) {
    need_module("tls", "CONFIG_TLS");
    tls12_crypto_info_aes_gcm_128 info{};
    info.info.version = TLS_1_2_VERSION;
    info.info.cipher_type = TLS_CIPHER_AES_GCM_128;
    KTAP_NEED(::setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0);
    KTAP_NEED(::setsockopt(fd, SOL_TLS, direction, &info, sizeof(info)) == 0);
}

void tls() {
    const TxStage stage;
    TxStream stream = stage.stream();
    set_tls(stream.fd(), TLS_TX);
    set_tls(stream.far_fd(), TLS_RX);
    expect_unsupported(stage, stream);
}

/// Whatever the map's sockets send is to pass.
void add_verdict(const bpf::SockMap& map) {
    const auto verdict = bpf::load(BPF_PROG_TYPE_SK_MSG, bpf::constant(SK_PASS));
    try {
        map.attach(verdict, BPF_SK_MSG_VERDICT);
    } catch (const std::system_error& error) {
        ktap_skip("no verdicts on messages (CONFIG_BPF_STREAM_PARSER): %s", error.what());
    }
}

void sockmap() {
    const TxStage stage;
    TxStream stream = stage.stream();
    const bpf::SockMap map;
    add_verdict(map);
    map.add(stream.fd());
    expect_unsupported(stage, stream);
}

// ---- offsets are no addresses ---------------------------------------------

/// This process's own memory, at such an address as offsets have. Its bytes must not be sent,
/// whatever is wrong with a call.
class LowPage {
  public:
    LowPage() {
        KTAP_NEED(::mmap(reinterpret_cast<void*>(extent_.offset), extent_.length,
                         PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                         -1, 0) != MAP_FAILED);
    }

    void expect_refusal(int fd, int error, std::uint32_t id, int flags) const {
        const iovec iov = extent_to_iovec(extent_);
        const Result result = send_extents(fd, {&iov, 1}, id, flags);
        EXPECT_EQUAL("return", -1, result.value);
        EXPECT_EQUAL("errno", error, result.error);
    }

  private:
    Extent extent_{mebibyte, 4096};
};

void never_addresses() {
    const LowPage low;
    const TxStage stage;
    const TxStream stream = stage.stream();
    const std::uint32_t id = stage.binding->id();
    low.expect_refusal(stream.fd(), EINVAL, id, 0);
    low.expect_refusal(stream.fd(), EINVAL, 0, MSG_ZEROCOPY);
    low.expect_refusal(stream.fd(), EINVAL, id + 1000, MSG_ZEROCOPY);
    EXPECT_EQUAL("queued", 0, queued(stream.fd()));
}

void never_addresses_tls() {
    const LowPage low;
    const TxStage stage;
    const TxStream stream = stage.stream();
    set_tls(stream.fd(), TLS_TX);
    low.expect_refusal(stream.fd(), EOPNOTSUPP, stage.binding->id(), MSG_ZEROCOPY);
    low.expect_refusal(stream.fd(), EINVAL, stage.binding->id(), 0);
    EXPECT_EQUAL("queued", 0, queued(stream.fd()));
}

void never_addresses_sockmap() {
    const LowPage low;
    const TxStage stage;
    const TxStream stream = stage.stream();
    const bpf::SockMap map;
    add_verdict(map);
    map.add(stream.fd());
    low.expect_refusal(stream.fd(), EOPNOTSUPP, stage.binding->id(), MSG_ZEROCOPY);
    low.expect_refusal(stream.fd(), EOPNOTSUPP, stage.binding->id(), 0);
    EXPECT_EQUAL("queued", 0, queued(stream.fd()));
}

void mptcp() {
    const LowPage low;
    const TxStage stage;
    FarEnd far(stage.topology, {});
    const devmem::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP));
    if (!fd.is_open()) ktap_skip("no MPTCP (CONFIG_MPTCP)");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(FarEnd::port);
    to.sin_addr.s_addr = htonl(0x0a090002);
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
    KTAP_NEED(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
    far.accept();
    low.expect_refusal(fd.get(), EINVAL, stage.binding->id(), MSG_ZEROCOPY);
    low.expect_refusal(fd.get(), EINVAL, stage.binding->id(), 0);
    EXPECT_EQUAL("queued", 0, queued(fd.get()));
}

// ---- the same, when bytes are queued already ------------------------------

// Nothing of them arrives before that ends again; then all of it does.
void while_queued(const std::function<void(const TxStage&, const TxStream&, bool on)>& set) {
    const TxStage stage;
    TxStream stream = stage.stream();
    stage.netem("loss 100%");
    const Extent extent{5, 100'000};
    while (stream.try_send(std::span(&extent, 1)).value > 0) {
    }
    EXPECT("bytes are queued", queued(stream.fd()) > 0, 0);
    set(stage, stream, true);
    stage.no_netem();
    const auto before = tcp_count("TCPTimeouts");
    EXPECT("TCP tries again", within(100, [&] { return tcp_count("TCPTimeouts") >= before + 2; }),
           before);
    stream.read();
    EXPECT_EQUAL("bytes that arrived", 0U, stream.received());
    set(stage, stream, false);
    expect_whole(stream, 120);
}

void no_checksum_while_queued() {
    while_queued([](const TxStage& stage, const TxStream&, bool on) {
        stage.topology.here(on ? "ethtool -K dm0 tx off >/dev/null"
                               : "ethtool -K dm0 tx on sg on tso on >/dev/null");
        if (!on) EXPECT("they were dropped and counted", tx_dropped("dm0") > 0, 0);
    });
}

void no_scatter_gather_while_queued() {
    while_queued([](const TxStage& stage, const TxStream&, bool on) {
        stage.topology.here(on ? "ethtool -K dm0 sg off >/dev/null"
                               : "ethtool -K dm0 sg on tso on >/dev/null");
        if (!on) EXPECT("they were dropped and counted", tx_dropped("dm0") > 0, 0);
    });
}

void ipsec_while_queued() {
    need_ipsec();
    while_queued([](const TxStage& stage, const TxStream&, bool on) { set_ipsec(stage, on); });
}

void md5_while_queued() {
    while_queued([](const TxStage&, const TxStream& stream, bool on) {
        for (const int fd : {stream.fd(), stream.far_fd()}) set_md5(fd, on);
    });
}

// ---- users ----------------------------------------------------------------

/// What a call returns, from 0 to 255, in a process of a user without privileges.
template <class Call>
int as_other_user(const Call& call) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(::setuid(65534) == 0 ? call() : 255);
    int status = -1;
    KTAP_NEED(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
}

void other_user() {
    const TxStage stage;
    const TxStream stream = stage.stream();
    const iovec iov = extent_to_iovec({0, 100});
    const auto send = [&] {
        return send_extents(stream.fd(), {&iov, 1}, stage.binding->id(), MSG_ZEROCOPY).error;
    };
    EXPECT_EQUAL("errno", EINVAL, as_other_user(send));
    EXPECT_EQUAL("errno of root in a user namespace", EINVAL,
                 as_other_user([&] { return ::unshare(CLONE_NEWUSER) == 0 ? send() : 254; }));
    EXPECT_EQUAL("queued", 0, queued(stream.fd()));
}

// Who binds and then drops privileges.
void own_binding_of_before() {
    const TxStage stage;
    const TxStream stream = stage.stream();
    const iovec iov = extent_to_iovec({0, 100});
    EXPECT_EQUAL(
        "errno", EINVAL, as_other_user([&] {
            return send_extents(stream.fd(), {&iov, 1}, stage.binding->id(), MSG_ZEROCOPY).error;
        }));
    EXPECT_EQUAL("errno with one of its own", 0, as_other_user([&] {
                     const RawTxBinding own(stage.ifindex, stage.memory.fd());
                     return send_extents(stream.fd(), {&iov, 1}, own.id(), MSG_ZEROCOPY).error;
                 }));
}

void administrator() {
    const TxStage stage;
    TxStream stream = stage.stream();
    int ends[2];
    KTAP_NEED(::pipe(ends) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::setuid(65534) != 0) ::_exit(1);
        const RawTxBinding binding(stage.ifindex, stage.memory.fd());
        const std::uint32_t id = binding.id();
        if (::write(ends[1], &id, sizeof(id)) != sizeof(id)) ::_exit(1);
        for (;;) ::pause();
    }
    std::uint32_t id = 0;
    KTAP_NEED(::read(ends[0], &id, sizeof(id)) == sizeof(id));
    stream.use(id);
    stream.send(Extent{0, 100'000});
    expect_whole(stream);
    ::kill(pid, SIGKILL);
    KTAP_NEED(::waitpid(pid, nullptr, 0) == pid);
}

void binds_without_privilege() {
    const TxStage stage;
    EXPECT_EQUAL("errno", 0, as_other_user([&] {
                     return RawTxBinding(stage.ifindex, stage.memory.fd()).error();
                 }));
}

void bad_binds() {
    const TxStage stage;
    const RawTxBinding lo(devmem::interface_index("lo"), stage.memory.fd());
    EXPECT_EQUAL("errno of lo", EOPNOTSUPP, lo.error());
    EXPECT_EQUAL("message", "Driver does not support netmem TX", lo.message());
    const RawTxBinding nobody(12345, stage.memory.fd());
    EXPECT_EQUAL("errno of no device", ENODEV, nobody.error());
    const RawTxBinding no_fd(stage.ifindex, 999);
    EXPECT_EQUAL("errno of no fd", EBADF, no_fd.error());
    const RawTxBinding no_dmabuf(stage.ifindex, stage.topology.there_fd());
    EXPECT_EQUAL("errno of no dmabuf", EINVAL, no_dmabuf.error());
    RawSocket socket;
    const auto family = socket.family("netdev");
    EXPECT_EQUAL("errno of nothing", EINVAL,
                 socket.ask(RawRequest(family, NETDEV_CMD_BIND_TX)).error);
    RawRequest no_ifindex(family, NETDEV_CMD_BIND_TX);
    no_ifindex.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(stage.memory.fd()));
    EXPECT_EQUAL("errno without ifindex", EINVAL, socket.ask(no_ifindex).error);
}

const ktap_test tests[] = {
    {"wrong ids: EINVAL, nothing queued", clean<wrong_ids>},
    {"no SO_ZEROCOPY: EINVAL, nothing queued", clean<no_zerocopy_socket>},
    {"ranges beyond the dmabuf: EFAULT, nothing queued", clean<out_of_range>},
    {"UDP: EINVAL", clean<not_tcp>},
    {"a NIC that computes no checksums: EOPNOTSUPP, then exact", clean<no_checksum>},
    {"a NIC without scatter-gather: EOPNOTSUPP, then exact", clean<no_scatter_gather>},
    {"IPsec on the route: EOPNOTSUPP, then exact", clean<ipsec>},
    {"TCP-MD5: EOPNOTSUPP, then exact", clean<md5>},
    {"kTLS: EOPNOTSUPP, ordinary bytes are exact", clean<tls>},
    {"a sockmap: EOPNOTSUPP, ordinary bytes are exact", clean<sockmap>},
    {"wrong calls: what lies at the offsets as addresses is not sent", clean<never_addresses>},
    {"kTLS: what lies at the offsets as addresses is not sent", clean<never_addresses_tls>},
    {"MPTCP: EINVAL, what lies at the offsets as addresses is not sent", clean<mptcp>},
    {"a sockmap: what lies at the offsets as addresses is not sent",
     clean<never_addresses_sockmap>},
    {"checksums are turned off over queued bytes: they wait, then exact",
     clean<no_checksum_while_queued>},
    {"scatter-gather is turned off over queued bytes: they wait, then exact",
     clean<no_scatter_gather_while_queued>},
    {"IPsec comes over queued bytes: they wait, then exact", clean<ipsec_while_queued>},
    {"TCP-MD5 comes over queued bytes: they wait, then exact", clean<md5_while_queued>},
    {"another user's binding: EINVAL", clean<other_user>},
    {"a binding made before privileges were dropped: EINVAL; after: success",
     clean<own_binding_of_before>},
    {"another user's binding, with CAP_NET_ADMIN: exact", clean<administrator>},
    {"bind-tx needs no privilege", clean<binds_without_privilege>},
    {"bind-tx with bad arguments: the contract's errnos", clean<bad_binds>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
