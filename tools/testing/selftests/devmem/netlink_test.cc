// SPDX-License-Identifier: GPL-2.0
// The kernel's interface with bad input: bind-rx and queue-get byte by byte, SO_DEVMEM_DONTNEED
// with whatever. A refusal has the errno of the contract, and changes nothing.
#include <fcntl.h>
#include <linux/accelmem.h>
#include <linux/ethtool_netlink.h>
#include <linux/netdev.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <random>

#include "expect.h"
#include "leftovers.h"
#include "process.h"
#include "raw_netlink.h"
#include "reader.h"
#include "topology.h"

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM 0x2000000
#endif
#ifndef SO_DEVMEM_DONTNEED
#define SO_DEVMEM_DMABUF 79
#define SO_DEVMEM_DONTNEED 80
#endif

namespace {

constexpr std::uint32_t rx = NETDEV_QUEUE_TYPE_RX;
const std::uint32_t the_queue = nic_kind()->queue;

devmem::Fd allocate(std::uint64_t size) {
    const devmem::Fd device(::open(ACCELMEM_DEVICE, O_RDWR | O_CLOEXEC));
    accelmem_alloc request{};
    request.size = size;
    if (::ioctl(device.get(), ACCELMEM_IOC_ALLOC, &request) != 0) throw_errno_of("accelmem");
    return devmem::Fd(request.fd);
}

// A NIC with header split, and memory.
struct Stage {
    explicit Stage(bool split = true) {
        if (split) set_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
    }

    void set_split(std::uint8_t value) {
        RawRequest request(socket.family("ethtool"), ETHTOOL_MSG_RINGS_SET);
        request.nest(ETHTOOL_A_RINGS_HEADER).attr(ETHTOOL_A_HEADER_DEV_NAME, "dm0", 4).end();
        request.u8(ETHTOOL_A_RINGS_TCP_DATA_SPLIT, value);
        EXPECT_EQUAL("header split set", 0, socket.ask(request).error);
    }

    [[nodiscard]] RawRequest bind_rx() const { return RawRequest(netdev, NETDEV_CMD_BIND_RX); }
    [[nodiscard]] RawRequest bind_rx(const std::vector<std::uint32_t>& queues) const {
        RawRequest request = bind_rx();
        request.u32(NETDEV_A_DMABUF_IFINDEX, ifindex);
        request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(memory.get()));
        for (const std::uint32_t queue : queues) add_queue(request, queue);
        return request;
    }
    static void add_queue(RawRequest& request, std::uint32_t queue, std::uint32_t type = rx) {
        request.nest(NETDEV_A_DMABUF_QUEUES)
            .u32(NETDEV_A_QUEUE_ID, queue)
            .u32(NETDEV_A_QUEUE_TYPE, type)
            .end();
    }

    // What queue-get says: the binding of a queue, 0 for none.
    std::uint32_t binding_of(std::uint32_t queue) {
        RawRequest request(netdev, NETDEV_CMD_QUEUE_GET);
        request.u32(NETDEV_A_QUEUE_IFINDEX, ifindex).u32(NETDEV_A_QUEUE_TYPE, rx);
        request.u32(NETDEV_A_QUEUE_ID, queue);
        const RawReply reply = socket.ask(request);
        if (reply.error != 0 || reply.answers.size() != 1)
            throw std::runtime_error("queue-get failed");
        return find_u32(reply.answers[0], NETDEV_A_QUEUE_DMABUF).value_or(0);
    }

    Topology topology;
    RawSocket socket;
    std::uint16_t netdev = socket.family(NETDEV_FAMILY_NAME);
    std::uint32_t ifindex = ::if_nametoindex("dm0");
    devmem::Fd memory = allocate(1 << 20);
};

std::uint32_t id_of(const RawReply& reply) {
    if (reply.answers.size() != 1) return 0;
    return find_u32(reply.answers[0], NETDEV_A_DMABUF_ID).value_or(0);
}

// Sends it; it must fail with one of the errors, and no queue may be bound afterwards. A new
// socket: what the request made by mistake does not stay.
template <class Message>
RawReply expect_refused(Stage& stage, const std::string& what, std::initializer_list<int> errors,
                        const Message& request) {
    RawSocket socket;
    const RawReply reply = socket.ask(request);
    EXPECT(fmt::format("{}: one of the errors {}", what, errors),
           std::ranges::count(errors, reply.error) == 1,
           fmt::format("{} \"{}\"", reply.error, reply.message));
    for (std::uint32_t queue = 0; queue < nic_kind()->queues; queue++)
        EXPECT_EQUAL(fmt::format("{}: binding of queue {}", what, queue), 0,
                     stage.binding_of(queue));
    return reply;
}

// ---- what is right --------------------------------------------------------

void binds() {
    nic_need(NIC_QUEUES);
    Stage stage;
    std::uint32_t id = 0;
    {
        RawSocket socket;
        const RawReply reply = socket.ask(stage.bind_rx({1, 3}));
        EXPECT_EQUAL("errno", 0, reply.error);
        id = id_of(reply);
        EXPECT("an id from 1 on", id > 0, id);
        const std::array<std::uint32_t, 4> wanted{0, id, 0, id};
        for (const std::uint32_t queue : {0, 1, 2, 3})
            EXPECT_EQUAL("binding of a queue", wanted[queue], stage.binding_of(queue));
    }
    const auto unbound = [&] { return stage.binding_of(1) == 0 && stage.binding_of(3) == 0; };
    EXPECT("closing the socket unbinds", within(60, unbound), "that it does not");
}

void two_on_one_socket() {
    nic_need(NIC_QUEUES);
    Stage stage;
    {
        RawSocket socket;
        const auto first = id_of(socket.ask(stage.bind_rx({1})));
        const auto second = id_of(socket.ask(stage.bind_rx({2})));
        EXPECT("two ids", first > 0 && second > 0 && first != second, second);
        EXPECT_EQUAL("binding of queue 1", first, stage.binding_of(1));
        EXPECT_EQUAL("binding of queue 2", second, stage.binding_of(2));
    }
    const auto unbound = [&] { return stage.binding_of(1) == 0 && stage.binding_of(2) == 0; };
    EXPECT("closing the socket unbinds both", within(60, unbound), "that it does not");
}

void dump_shows_binding() {
    Stage stage;
    RawSocket socket;
    const auto id = id_of(socket.ask(stage.bind_rx({the_queue})));
    RawRequest dump(stage.netdev, NETDEV_CMD_QUEUE_GET, NLM_F_DUMP);
    dump.u32(NETDEV_A_QUEUE_IFINDEX, stage.ifindex);
    const RawReply reply = stage.socket.ask(dump);
    EXPECT_EQUAL("queues of both kinds", 2 * nic_kind()->queues, reply.answers.size());
    for (const Octets& queue : reply.answers) {
        const bool it = find_u32(queue, NETDEV_A_QUEUE_ID) == the_queue &&
                        find_u32(queue, NETDEV_A_QUEUE_TYPE) == rx;
        EXPECT_EQUAL("binding of a queue", it ? id : 0,
                     find_u32(queue, NETDEV_A_QUEUE_DMABUF).value_or(0));
    }
}

void page_pool_shows_binding() {
    Stage stage;
    RawSocket socket;
    const auto id = id_of(socket.ask(stage.bind_rx({the_queue})));
    const RawRequest dump(stage.netdev, NETDEV_CMD_PAGE_POOL_GET, NLM_F_DUMP);
    int with_id = 0;
    for (const Octets& pool : stage.socket.ask(dump).answers)
        with_id += find_u32(pool, NETDEV_A_PAGE_POOL_DMABUF) == id;
    EXPECT_EQUAL("page pools with the binding's id", 1, with_id);
}

// ---- attributes -----------------------------------------------------------

void missing_attributes() {
    Stage stage;
    const auto memory = static_cast<std::uint32_t>(stage.memory.get());
    RawRequest no_ifindex = stage.bind_rx(), no_fd = stage.bind_rx(), no_queues = stage.bind_rx();
    no_ifindex.u32(NETDEV_A_DMABUF_FD, memory);
    Stage::add_queue(no_ifindex, the_queue);
    no_fd.u32(NETDEV_A_DMABUF_IFINDEX, stage.ifindex);
    Stage::add_queue(no_fd, the_queue);
    no_queues.u32(NETDEV_A_DMABUF_IFINDEX, stage.ifindex).u32(NETDEV_A_DMABUF_FD, memory);

    auto reply = expect_refused(stage, "no ifindex", {EINVAL}, no_ifindex);
    EXPECT_EQUAL("missing", NETDEV_A_DMABUF_IFINDEX, reply.missing.value_or(0));
    reply = expect_refused(stage, "no fd", {EINVAL}, no_fd);
    EXPECT_EQUAL("missing", NETDEV_A_DMABUF_FD, reply.missing.value_or(0));
    reply = expect_refused(stage, "no queues", {EINVAL}, no_queues);
    EXPECT_EQUAL("missing", NETDEV_A_DMABUF_QUEUES, reply.missing.value_or(0));
    expect_refused(stage, "nothing at all", {EINVAL}, stage.bind_rx());
}

void incomplete_queues() {
    Stage stage;
    RawRequest empty = stage.bind_rx({}), no_id = stage.bind_rx({}), no_type = stage.bind_rx({});
    empty.nest(NETDEV_A_DMABUF_QUEUES).end();
    no_id.nest(NETDEV_A_DMABUF_QUEUES).u32(NETDEV_A_QUEUE_TYPE, rx).end();
    no_type.nest(NETDEV_A_DMABUF_QUEUES).u32(NETDEV_A_QUEUE_ID, the_queue).end();
    expect_refused(stage, "an empty queue", {EINVAL}, empty);
    const auto reply = expect_refused(stage, "a queue without id", {EINVAL}, no_id);
    EXPECT_EQUAL("missing", NETDEV_A_QUEUE_ID, reply.missing.value_or(0));
    expect_refused(stage, "a queue without type", {EINVAL}, no_type);
    RawRequest second = stage.bind_rx({the_queue});
    second.nest(NETDEV_A_DMABUF_QUEUES).u32(NETDEV_A_QUEUE_ID, 2).end();
    expect_refused(stage, "a good queue and one without type", {EINVAL}, second);
}

void wrong_sizes() {
    Stage stage;
    const auto refuse = [&](const char* what, RawRequest& request) {
        expect_refused(stage, what, {EINVAL, ERANGE}, request);
    };
    const auto with_queue = [&](auto add) {
        RawRequest request = stage.bind_rx();
        add(request);
        Stage::add_queue(request, the_queue);
        return request;
    };
    const auto fd = static_cast<std::uint32_t>(stage.memory.get());
    RawRequest narrow = with_queue([&](RawRequest& request) {
        request.u16(NETDEV_A_DMABUF_IFINDEX, 1).u32(NETDEV_A_DMABUF_FD, fd);
    });
    refuse("ifindex of 2 bytes", narrow);
    RawRequest wide = with_queue([&](RawRequest& request) {
        request.u32(NETDEV_A_DMABUF_IFINDEX, stage.ifindex).u64(NETDEV_A_DMABUF_FD, fd);
    });
    refuse("fd of 8 bytes", wide);
    RawRequest none = with_queue([&](RawRequest& request) {
        request.u32(NETDEV_A_DMABUF_IFINDEX, stage.ifindex).attr(NETDEV_A_DMABUF_FD, "", 0);
    });
    refuse("fd of 0 bytes", none);
    RawRequest narrow_id = stage.bind_rx({});
    narrow_id.nest(NETDEV_A_DMABUF_QUEUES).u8(NETDEV_A_QUEUE_ID, 1);
    narrow_id.u32(NETDEV_A_QUEUE_TYPE, rx).end();
    refuse("queue id of 1 byte", narrow_id);
    RawRequest number = stage.bind_rx({});
    number.u32(NETDEV_A_DMABUF_QUEUES, 1);
    refuse("a number for a queue", number);
}

void broken_nests() {
    Stage stage;
    const auto refuse = [&](const char* what, const RawRequest& request) {
        expect_refused(stage, what, {EINVAL, ERANGE}, request);
    };
    RawRequest bare = stage.bind_rx({});
    bare.nest(NETDEV_A_DMABUF_QUEUES, false).u32(NETDEV_A_QUEUE_ID, the_queue);
    bare.u32(NETDEV_A_QUEUE_TYPE, rx).end();
    refuse("a nest without the flag", bare);
    RawRequest inner = stage.bind_rx({});
    inner.nest(NETDEV_A_DMABUF_QUEUES).lie(NETDEV_A_QUEUE_ID, 400).end();
    refuse("an attribute longer than its nest", inner);
    RawRequest short_one = stage.bind_rx({});
    short_one.nest(NETDEV_A_DMABUF_QUEUES).lie(NETDEV_A_QUEUE_ID, 1).end();
    refuse("an attribute shorter than its header", short_one);
    RawRequest outer = stage.bind_rx({the_queue});
    outer.lie(NETDEV_A_DMABUF_QUEUES | NLA_F_NESTED, 65000);
    refuse("a nest longer than the message", outer);
    RawRequest tail = stage.bind_rx({the_queue});
    Octets cut = tail.finished();
    cut.resize(cut.size() - 4);
    const auto length = static_cast<std::uint32_t>(cut.size());
    std::memcpy(cut.data(), &length, sizeof(length));
    expect_refused(stage, "a message that ends within the queue", {EINVAL}, cut);
}

void unknown_attributes() {
    Stage stage;
    RawRequest reply_only = stage.bind_rx({the_queue}), unknown = stage.bind_rx({the_queue});
    expect_refused(stage, "an id in the request", {EINVAL}, reply_only.u32(NETDEV_A_DMABUF_ID, 7));
    expect_refused(stage, "an attribute of the far future", {EINVAL}, unknown.u32(200, 7));
    RawRequest inside = stage.bind_rx({});
    inside.nest(NETDEV_A_DMABUF_QUEUES)
        .u32(NETDEV_A_QUEUE_ID, the_queue)
        .u32(NETDEV_A_QUEUE_TYPE, rx);
    inside.u32(NETDEV_A_QUEUE_NAPI_ID, 1).end();
    expect_refused(stage, "a NAPI id in a queue", {EINVAL}, inside);
    RawRequest command(stage.netdev, 200);
    expect_refused(stage, "a command of the far future", {EOPNOTSUPP}, command);
    RawRequest dump(stage.netdev, NETDEV_CMD_BIND_RX, NLM_F_DUMP);
    expect_refused(stage, "bind-rx as a dump", {EOPNOTSUPP}, dump);
}

// ---- values ---------------------------------------------------------------

void no_such_queue() {
    Stage stage;
    for (const std::uint32_t queue : {nic_kind()->queues, 64U, 0x7fffffffU, 0xffffffffU})
        expect_refused(stage, fmt::format("queue {}", queue), {ERANGE, EINVAL},
                       stage.bind_rx({queue}));
}

void half_way() {
    nic_need(NIC_QUEUES);
    Stage stage;
    expect_refused(stage, "queues 1, 2, 99", {ERANGE, EINVAL}, stage.bind_rx({1, 2, 99}));
    expect_refused(stage, "queue 1 twice", {EEXIST, EINVAL}, stage.bind_rx({1, 1}));
    RawRequest mixed = stage.bind_rx({1, 2});
    Stage::add_queue(mixed, 3, NETDEV_QUEUE_TYPE_TX);
    expect_refused(stage, "two RX queues and a TX queue", {EINVAL}, mixed);
    RawSocket socket;
    EXPECT("afterwards they can be bound", id_of(socket.ask(stage.bind_rx({1, 2}))) > 0, 0);
}

void wrong_type() {
    Stage stage;
    for (const std::uint32_t type : {1U, 2U, 0xffffffffU}) {
        RawRequest request = stage.bind_rx({});
        Stage::add_queue(request, the_queue, type);
        expect_refused(stage, fmt::format("queue type {}", type), {EINVAL, ERANGE}, request);
    }
}

RawRequest with_fd(const Stage& stage, int fd) {
    RawRequest request = stage.bind_rx();
    request.u32(NETDEV_A_DMABUF_IFINDEX, stage.ifindex);
    request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(fd));
    Stage::add_queue(request, the_queue);
    return request;
}

void wrong_fd() {
    Stage stage;
    const devmem::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const devmem::Fd memfd(::memfd_create("plain", MFD_CLOEXEC));
    const devmem::Fd device(::open(ACCELMEM_DEVICE, O_RDWR | O_CLOEXEC));
    expect_refused(stage, "/dev/null", {EINVAL}, with_fd(stage, null.get()));
    expect_refused(stage, "a memfd", {EINVAL}, with_fd(stage, memfd.get()));
    expect_refused(stage, "/dev/accelmem itself", {EINVAL}, with_fd(stage, device.get()));
    expect_refused(stage, "the netlink socket", {EINVAL}, with_fd(stage, stage.socket.fd()));
    expect_refused(stage, "fd -1", {EBADF}, with_fd(stage, -1));
    expect_refused(stage, "an fd that is not open", {EBADF}, with_fd(stage, 900));
}

RawRequest with_ifindex(const Stage& stage, std::uint32_t ifindex) {
    RawRequest request = stage.bind_rx();
    request.u32(NETDEV_A_DMABUF_IFINDEX, ifindex);
    request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(stage.memory.get()));
    Stage::add_queue(request, the_queue);
    return request;
}

void wrong_interface() {
    Stage stage;
    expect_refused(stage, "ifindex 0", {ERANGE, EINVAL}, with_ifindex(stage, 0));
    for (const std::uint32_t ifindex : {9999U, 0x7fffffffU, 0x80000000U, 0xffffffffU})
        expect_refused(stage, fmt::format("ifindex {}", ifindex), {ENODEV, ERANGE},
                       with_ifindex(stage, ifindex));
    // Another interface lives in the other namespace only: these numbers are not taken here.
    stage.topology.there("ip link add name far index 777 type dmnic");
    expect_refused(stage, "an interface of another namespace", {ENODEV}, with_ifindex(stage, 777));
}

// 6.12 attaches the dma-buf to the interface's parent device before it looks at the driver. lo has
// none, and the dma-buf core WARNs about that, so there it can't be tried. Elsewhere it is refused
// for its driver, before anybody asks for its parent: no interface has queues to bind but no
// parent, and what would become of it KUnit tells.
void loopback() {
    utsname kernel{};
    ::uname(&kernel);
    if (std::string_view(kernel.release).starts_with("6.12."))
        ktap_skip("6.12 WARNs: lo has no parent device");
    Stage stage;
    expect_refused(stage, "lo", {EOPNOTSUPP, EINVAL}, with_ifindex(stage, 1));
}

void bound_already() {
    nic_need(NIC_QUEUES);
    Stage stage;
    RawSocket first;
    const auto id = id_of(first.ask(stage.bind_rx({1})));
    const std::vector<std::vector<std::uint32_t>> requests{{1}, {0, 1}, {2, 1, 3}};
    for (const auto& queues : requests) {
        RawSocket second;
        const RawReply reply = second.ask(stage.bind_rx(queues));
        EXPECT_EQUAL("errno", EEXIST, reply.error);
        EXPECT_EQUAL("explanation", std::string("designated queue already memory provider bound"),
                     reply.message);
        const std::array<std::uint32_t, 4> wanted{0, id, 0, 0};
        for (const std::uint32_t queue : {0, 1, 2, 3})
            EXPECT_EQUAL("binding of a queue", wanted[queue], stage.binding_of(queue));
    }
}

void split_off() {
    Stage stage(false);
    stage.set_split(ETHTOOL_TCP_DATA_SPLIT_DISABLED);
    expect_refused(stage, "header split off", {ENODATA, EINVAL}, stage.bind_rx({the_queue}));
    stage.topology.await_link();
    stage.topology.there("ping -q -c 2 -i 0.02 -W 30 10.9.0.1 >/dev/null");
    stage.set_split(ETHTOOL_TCP_DATA_SPLIT_ENABLED);
    RawSocket socket;
    EXPECT("with header split it works", id_of(socket.ask(stage.bind_rx({the_queue}))) > 0, 0);
}

// ---- who may --------------------------------------------------------------

void become_nobody() {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
        throw_errno_of("setresuid");
}

void needs_privilege() {
    Stage stage;
    Process nobody(-1, [&](int) {
        RawSocket before;
        become_nobody();
        RawSocket after;
        EXPECT_EQUAL("errno, opened as root", EPERM, before.ask(stage.bind_rx({the_queue})).error);
        EXPECT_EQUAL("errno, opened as nobody", EPERM, after.ask(stage.bind_rx({the_queue})).error);
        RawRequest look(stage.netdev, NETDEV_CMD_QUEUE_GET, NLM_F_DUMP);
        look.u32(NETDEV_A_QUEUE_IFINDEX, stage.ifindex);
        EXPECT_EQUAL("errno of queue-get", 0, after.ask(look).error);
    });
    EXPECT_EQUAL("status", 0, nobody.wait(60));
    EXPECT_EQUAL("binding of the queue", 0, stage.binding_of(the_queue));
}

// The answer does not fit: the socket's buffer is full of what nobody read.
void no_room_for_answer() {
    nic_need(NIC_QUEUES);
    Stage stage;
    {
        RawSocket socket;
        const int small = 1;
        KTAP_NEED(!::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
        RawRequest noise(stage.netdev, NETDEV_CMD_QUEUE_GET);
        noise.u32(NETDEV_A_QUEUE_IFINDEX, stage.ifindex).u32(NETDEV_A_QUEUE_TYPE, rx);
        noise.u32(NETDEV_A_QUEUE_ID, 0);
        for (int i = 0; i < 50; i++) socket.send(noise.finished());
        for (int i = 0; i < 20; i++) socket.send(stage.bind_rx({1, 2}).finished());
    }
    const auto unbound = [&] { return stage.binding_of(1) == 0 && stage.binding_of(2) == 0; };
    EXPECT("nothing stays bound", within(60, unbound), "that it does");
}

// No dma-buf is open here, so that no mutation can succeed.
void mutations() {
    Stage stage;
    stage.memory.close();
    std::mt19937 random(612);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    for (int i = 0; i < 3000; i++) {
        Octets message = with_fd(stage, 900).finished();
        for (std::size_t n = 1 + below(4); n > 0; n--)
            message[NLMSG_HDRLEN + below(message.size() - NLMSG_HDRLEN)] =
                static_cast<std::uint8_t>(random());
        message[NLMSG_HDRLEN] = NETDEV_CMD_BIND_RX;
        const RawReply reply = stage.socket.ask(message);
        if (!EXPECT("a refusal", reply.error > 0, reply.error)) break;
    }
    for (std::uint32_t queue = 0; queue < nic_kind()->queues; queue++)
        EXPECT_EQUAL("binding of a queue", 0, stage.binding_of(queue));
}

// ---- SO_DEVMEM_DONTNEED ---------------------------------------------------

struct Range {
    std::uint32_t start, count;
};

int give_back(int fd, const std::vector<Range>& ranges) {
    return ::setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges.data(),
                        static_cast<socklen_t>(ranges.size() * sizeof(Range)));
}

// A connection whose payload waits in device memory.
struct Waiting {
    Waiting() {
        const RawReply reply = stage.socket.ask(stage.bind_rx({the_queue}));
        EXPECT_EQUAL("errno of bind-rx", 0, reply.error);
        if (nic_kind()->queues > 1)
            stage.topology.here(
                fmt::format("ethtool -X dm0 start {} equal 1 >/dev/null", the_queue));
        sender.emplace(stage.topology.there_fd(), SendPlan{.bytes = 16384});
        connection = listener.accept();
    }

    // Reads byte by byte: that makes a token each.
    std::vector<std::uint32_t> mint(int count) const {
        std::vector<std::uint32_t> tokens;
        for (int i = 0; i < count; i++) tokens.push_back(mint());
        return tokens;
    }

    [[nodiscard]] std::uint32_t mint() const {
        alignas(cmsghdr) std::array<std::byte, 64> control{};
        std::byte host{};
        iovec iov{&host, 1};
        msghdr message{};
        message.msg_iov = &iov;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (::recvmsg(connection.get(), &message, MSG_SOCK_DEVMEM) != 1) throw_errno_of("recvmsg");
        const cmsghdr* header = CMSG_FIRSTHDR(&message);
        if (!header || header->cmsg_type != SO_DEVMEM_DMABUF)
            throw std::runtime_error("a byte in host memory");
        // u64 offset, u32 size, u32 token, u32 id, u32 flags
        std::uint32_t token = 0;
        std::memcpy(&token, CMSG_DATA(header) + 12, sizeof(token));
        return token;
    }

    Stage stage;
    Listener listener;
    std::optional<Sender> sender;
    devmem::Fd connection;
};

void dontneed_bad_arguments() {
    const Topology topology;
    const devmem::Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::array<Range, 129> ranges{};
    for (const socklen_t size : {0, 1, 4, 7, 9, 12, 129 * 8})
        KTAP_ERRNO(::setsockopt(tcp.get(), SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges.data(), size),
                   EINVAL);
    KTAP_ERRNO(::setsockopt(tcp.get(), SOL_SOCKET, SO_DEVMEM_DONTNEED, nullptr, 8), EFAULT);
    // The second range is where nothing is mapped.
    auto* pages = static_cast<std::byte*>(
        ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    KTAP_NEED(pages != MAP_FAILED && ::munmap(pages + 4096, 4096) == 0);
    KTAP_ERRNO(::setsockopt(tcp.get(), SOL_SOCKET, SO_DEVMEM_DONTNEED, pages + 4088, 16), EFAULT);
    std::array<Range, 1> out{};
    socklen_t size = sizeof(out);
    KTAP_ERRNO(::getsockopt(tcp.get(), SOL_SOCKET, SO_DEVMEM_DONTNEED, out.data(), &size),
               ENOPROTOOPT);
}

void dontneed_not_tcp() {
    const Topology topology;
    const devmem::Fd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const devmem::Fd unix_stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const devmem::Fd packet(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    for (const devmem::Fd* fd : {&udp, &unix_stream, &packet})
        KTAP_ERRNO(give_back(fd->get(), {{1, 1}}), EBADF);
}

void dontneed_unknown() {
    Waiting waiting;
    const int fd = waiting.connection.get();
    EXPECT_EQUAL("tokens freed before there are any", 0, give_back(fd, {{1, 1000}, {0, 1}}));
    const auto tokens = waiting.mint(3);
    EXPECT_EQUAL("freed, known ones between unknown ones", 3,
                 give_back(fd, {{0, 1},
                                {tokens[2], 1},
                                {500, 3},
                                {tokens[0], 1},
                                {0x7fffffff, 1},
                                {tokens[1], 1},
                                {0xffffffff, 1}}));
    EXPECT_EQUAL("freed twice", 0, give_back(fd, {{tokens[0], 1}, {tokens[1], 2}}));
    const devmem::Fd other(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto mine = waiting.mint(1);
    EXPECT_EQUAL("freed through another socket", 0, give_back(other.get(), {{mine[0], 1}}));
    EXPECT_EQUAL("freed through its own", 1, give_back(fd, {{mine[0], 1}}));
}

void dontneed_out_of_order() {
    Waiting waiting;
    auto tokens = waiting.mint(200);
    std::ranges::shuffle(tokens, std::mt19937(1));
    int freed = 0;
    for (std::size_t at = 0; at < tokens.size(); at += 50) {
        std::vector<Range> ranges;
        for (std::size_t i = at; i < at + 50; i++) ranges.push_back({tokens[i], 1});
        freed += give_back(waiting.connection.get(), ranges);
    }
    EXPECT_EQUAL("freed", 200, freed);
}

void dontneed_huge_ranges() {
    Waiting waiting;
    const int fd = waiting.connection.get();
    waiting.mint(1100);
    // One number after the other, these are looked at for hours.
    const std::vector<Range> all(128, {0, 0xffffffff});
    const std::vector<Range> around(128, {0xfffffff0, 0xffffffff});
    const auto start = std::chrono::steady_clock::now();
    int freed = 0, most = 0;
    for (const auto* ranges : {&all, &around, &all}) {
        const int once = give_back(fd, *ranges);
        KTAP_CHECK(once >= 0);
        most = std::max(most, once);
        freed += once;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT("less than 30 s", took.count() < 30, took.count());
    EXPECT("at most 1024 with one call", most <= 1024, most);
    EXPECT("some were freed", freed > 900, freed);
    int rest = 0;
    for (std::uint32_t token = 1; token <= 1200; token += 100)
        rest += give_back(fd, {{token, 100}});
    EXPECT_EQUAL("all were freed, each once", 1100, freed + rest);
}

const ktap_test tests[] = {
    {"bind-rx with plain bytes binds, closing the socket unbinds", clean<binds>},
    {"two bindings on one netlink socket end with it", clean<two_on_one_socket>},
    {"a dump of queue-get shows the binding, and only where it is", clean<dump_shows_binding>},
    {"a dump of page-pool-get shows the binding", clean<page_pool_shows_binding>},
    {"a missing attribute: EINVAL, and extack names it (no queue at all included)",
     clean<missing_attributes>},
    {"a queue without id or type: EINVAL", clean<incomplete_queues>},
    {"attributes of wrong size", clean<wrong_sizes>},
    {"nests that are no nests, truncated and oversized attributes", clean<broken_nests>},
    {"unknown attributes and commands", clean<unknown_attributes>},
    {"a queue id out of range (ERANGE on 6.12, EINVAL later)", clean<no_such_queue>},
    {"a queue list that fails half way leaves no queue bound", clean<half_way>},
    {"queue types that are not RX", clean<wrong_type>},
    {"an fd that is no dma-buf: EINVAL, not open: EBADF", clean<wrong_fd>},
    {"an ifindex that is not here: ENODEV", clean<wrong_interface>},
    {"lo: refused", clean<loopback>},
    {"a queue that is bound: EEXIST, told why, the binding stays", clean<bound_already>},
    {"header split off: refused (ENODATA on 6.12, EINVAL later)", clean<split_off>},
    {"without CAP_NET_ADMIN: EPERM for bind-rx; queue-get is for all", clean<needs_privilege>},
    {"an answer for which there is no room", clean<no_room_for_answer>},
    {"3000 mutated requests are all refused", clean<mutations>},
    {"SO_DEVMEM_DONTNEED: bad lengths and addresses", clean<dontneed_bad_arguments>},
    {"SO_DEVMEM_DONTNEED: not TCP: EBADF", clean<dontneed_not_tcp>},
    {"SO_DEVMEM_DONTNEED: unknown tokens are skipped, a token is freed once",
     clean<dontneed_unknown>},
    {"SO_DEVMEM_DONTNEED: 200 tokens in any order", clean<dontneed_out_of_order>},
    {"SO_DEVMEM_DONTNEED: 128 ranges of 2^32 - 1: quick, at most 1024 each",
     clean<dontneed_huge_ranges>},
};

}  // namespace

int main(int argc, char** argv) {
    if (const char* missing = nic_missing()) return ktap_skip_all(missing);
    return run_tests(tests, argc, argv);
}
