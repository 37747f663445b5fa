// SPDX-License-Identifier: GPL-2.0
// Allocations fail in the kernel, first each in turn, then a thousand at random. Each failure is
// told with a plain errno, loses no byte of the streams that run meanwhile, and leaves nothing.
//
//	ALLOC_FAILURE_SEED=N alloc_failure_test [PART OF A TEST'S NAME]
//
// repeats the random part of an earlier run, which has printed its N.
#include <linux/ethtool_netlink.h>
#include <linux/netdev.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <list>
#include <random>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "devmem/flow_rule.h"
#include "expect.h"
#include "fault.h"
#include "leftovers.h"
#include "raw_netlink.h"

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint32_t small_ring = 64;
constexpr std::uint64_t some = 20'000;  // bytes of a stream that show that it goes on
constexpr std::array<std::uint32_t, 1> queue_2{2};
constexpr std::array<std::uint32_t, 2> two_queues{0, 2};  // the first has no traffic

// Small rings: few allocations that are all alike.
std::shared_ptr<Topology> pair_with_small_rings() {
    auto pair = std::make_shared<Topology>();
    devmem::set_rings(devmem::interface_index("dm0"), {.rx = small_ring});
    return pair;
}

// Two streams without end: one into queue 1, which is bound, and one into queue 2, which is not,
// for a test to bind.
struct Scene {
    Scene()
        : bound(pair_with_small_rings(), {.memory = 2 * mebibyte, .rcvbuf = 128 << 10}),
          used(accelmem_used()),
          listener_2(5202, 128 << 10),
          to_queue_2(bound.ifindex, devmem::Flow{.destination_port = 5202}, 2),
          sender_1(bound.send({.first_port = 6000, .bytes = endless})),
          reader_1(bound.accept()),
          sender_2(bound.send({.port = 5202, .first_port = 6001, .bytes = endless})),
          reader_2(listener_2.accept(), {}) {
        expect_flow("at first");
    }

    void expect_flow(const std::string& when);
    /// Page pools that queues use.
    [[nodiscard]] std::size_t pools() const;
    /// Memory to bind queue 2 to, and what it is bound as.
    const devmem::DmaBuf& lend();
    void is_lent_to(std::uint32_t id);
    /// The memory lent last was not bound, and goes.
    void take_back();
    /// Nothing is bound to what was lent, and it goes.
    void settle();

    FaultSettings settings;
    Bound bound;
    std::uint64_t used;
    Listener listener_2;
    devmem::FlowRule to_queue_2;
    Sender sender_1;
    Reader reader_1;
    Sender sender_2;
    Reader reader_2;
    std::list<devmem::DmaBuf> lent;
    std::vector<std::uint32_t> ids;  // of bindings to it
};

void Scene::expect_flow(const std::string& when) {
    for (Reader* reader : {&reader_1, &reader_2}) {
        EXPECT(when + ": a stream goes on", reader->read(reader->bytes() + some), reader->bytes());
        EXPECT_EQUAL(when + ": first thing wrong", std::string(), reader->wrong());
        EXPECT(when + ": no stream is over", !reader->over(), reader->bytes());
    }
}

std::size_t Scene::pools() const {
    const auto all = devmem::page_pools(bound.ifindex);
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [](const devmem::PagePool& pool) { return !pool.detach_time; }));
}

const devmem::DmaBuf& Scene::lend() {
    return lent.emplace_back(devmem::DmaBuf::accelmem(mebibyte));
}

void Scene::is_lent_to(std::uint32_t id) {
    ids.push_back(id);
    reader_2.knows(id, &lent.back());
}

// A page pool can't be seen any more before it lets go of its memory.
void expect_used(std::uint64_t wanted) {
    within(60, [&] { return accelmem_used() == wanted; });
    EXPECT_EQUAL("accelmem in use", wanted, accelmem_used());
}

void Scene::take_back() {
    const auto before = accelmem_used();
    const auto size = lent.back().size();
    lent.pop_back();
    expect_used(before - size);
}

// The pool of a binding looks only once a second whether payload has come back that was in sockets.
void Scene::settle() {
    const auto drained = [this] {
        reader_2.read(reader_2.bytes() + some);
        reader_2.receiver().give_back();
        wake_every_stack();
        return std::ranges::none_of(devmem::page_pools(), [this](const devmem::PagePool& pool) {
            return pool.dmabuf_id != 0 && pool.dmabuf_id != bound.id;
        });
    };
    EXPECT("no pool draws on what is no longer bound", within(120, drained), lent.size());
    for (const auto id : ids) reader_2.forget(id);
    ids.clear();
    lent.clear();
    expect_used(used);
}

// ---- failures --------------------------------------------------------------

struct Outcome {
    bool fired = false;
    int error = 0;  // errno, 0 for success
};

// The errors that mean that there was no memory. copy_to_user() may be made to fail as well.
bool means_no_memory(int error) {
    static const bool copies_fail = ::access("/sys/kernel/debug/fail_usercopy", F_OK) == 0;
    return error == ENOMEM || error == ENOBUFS || error == ENFILE ||
           (error == EFAULT && copies_fail);
}

template <class Call>
Outcome attempt(unsigned nth, Call call) {
    Outcome outcome;
    TaskFault fault(nth);
    try {
        call();
    } catch (const std::system_error& error) {
        outcome.error = error.code().value();
    }
    outcome.fired = fault.fired();
    EXPECT("an error only if an allocation fails, and one that says so",
           outcome.error == 0 || (outcome.fired && means_no_memory(outcome.error)), outcome.error);
    return outcome;
}

// The failure is the kernel's while it carries the request out, not while it is asked for more of
// the answer. A new socket for each: an answer may have been lost.
Outcome attempt_request(unsigned nth, const RawSocket& socket, const RawRequest& request) {
    Outcome outcome = attempt(nth, [&] { socket.send(request.finished()); });
    if (outcome.error != 0) return outcome;
    try {
        outcome.error = socket.answer().error;
    } catch (const std::system_error& error) {
        outcome.error = error.code().value();
    }
    EXPECT("a refusal only if an allocation fails, and one that says so",
           outcome.error == 0 || (outcome.fired && means_no_memory(outcome.error)), outcome.error);
    return outcome;
}

// ---- what is checked after a failure ----------------------------------------

std::uint32_t binding_of(std::uint32_t ifindex, std::uint32_t id) {
    for (const auto& queue : devmem::queues(ifindex))
        if (queue.type == devmem::Queue::Type::rx && queue.id == id) return queue.dmabuf_id;
    return 0;
}

void expect_on_device(Reader& reader) {
    const auto before = reader.device_bytes();
    for (int i = 0; i < 100 && reader.device_bytes() == before; i++)
        if (!reader.read(reader.bytes() + some)) break;
    EXPECT("payload lands on the device", reader.device_bytes() > before, before);
}

// ---- one operation with one failure each -------------------------------------

RawRequest bind_request(RawSocket& socket, std::uint32_t ifindex, int dmabuf) {
    RawRequest request(socket.family(NETDEV_FAMILY_NAME), NETDEV_CMD_BIND_RX);
    request.u32(NETDEV_A_DMABUF_IFINDEX, ifindex);
    request.u32(NETDEV_A_DMABUF_FD, static_cast<std::uint32_t>(dmabuf));
    for (const auto queue : two_queues)
        request.nest(NETDEV_A_DMABUF_QUEUES)
            .u32(NETDEV_A_QUEUE_ID, queue)
            .u32(NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX)
            .end();
    return request;
}

bool bind_rx(Scene& scene, unsigned nth) {
    const auto ifindex = scene.bound.ifindex;
    const auto pools = scene.pools();
    const devmem::DmaBuf& memory = scene.lend();
    RawSocket socket;
    const auto request = bind_request(socket, ifindex, memory.fd());
    const auto outcome = attempt_request(nth, socket, request);
    const auto id = binding_of(ifindex, two_queues[0]);
    EXPECT_EQUAL("both bound, or neither", id, binding_of(ifindex, two_queues[1]));
    // ENOBUFS: the answer was lost, whatever it was.
    if (outcome.error != ENOBUFS) EXPECT_EQUAL("bound, or refused", outcome.error == 0, id != 0);
    EXPECT_EQUAL("page pools in use", pools, scene.pools());
    if (id != 0) {
        scene.is_lent_to(id);
        expect_on_device(scene.reader_2);
    } else {
        scene.take_back();
    }
    return outcome.fired;
}

// A queue that can't be restarted keeps its memory until it can.
bool keeps_memory(std::uint32_t ifindex, std::uint32_t id) {
    return std::ranges::any_of(devmem::page_pools(ifindex), [&](const devmem::PagePool& pool) {
        return pool.dmabuf_id == id && !pool.detach_time;
    });
}

bool unbind(Scene& scene, unsigned nth) {
    const auto ifindex = scene.bound.ifindex;
    const auto pools = scene.pools();
    std::optional<devmem::RxBinding> binding(std::in_place, ifindex, queue_2, scene.lend());
    const auto id = binding->id();
    scene.is_lent_to(id);
    expect_on_device(scene.reader_2);
    const auto outcome = attempt(nth, [&] { binding.reset(); });
    EXPECT_EQUAL("binding of queue 2", 0, binding_of(ifindex, queue_2[0]));
    EXPECT_EQUAL("page pools in use", pools, scene.pools());
    if (keeps_memory(ifindex, id)) {
        EXPECT("the queue restarts, but for a failure", outcome.fired, id);
        scene.expect_flow("while the queue keeps memory that is no longer bound");
        devmem::set_rings(ifindex, {.rx = 2 * small_ring});
        devmem::set_rings(ifindex, {.rx = small_ring});
    }
    return outcome.fired;
}

// A receive() that failed is repeated: the stream shows that it has consumed nothing.
bool receive_once(Reader& reader, unsigned nth) {
    pollfd ready{reader.receiver().fd(), POLLIN, 0};
    ::poll(&ready, 1, 60'000);
    devmem::Receiver::Result got;
    const auto outcome = attempt(nth, [&] {
        got = reader.receiver().receive();
        if (got.state == devmem::Receiver::State::failed) throw std::system_error(got.error);
    });
    if (outcome.error == 0) reader.take_in(got);
    return outcome.fired;
}

// A new connection, for the kernel's table of tokens to grow from nothing.
bool receive(Scene& scene, unsigned nth) {
    static std::uint16_t port = 7000;
    const Sender sender = scene.bound.send({.first_port = port++, .bytes = endless});
    Reader reader = scene.bound.accept({.host_bytes = 8192});
    bool fired = false;
    reader.hold(true);
    while (reader.held() < 140 && !reader.over()) {
        fired |= receive_once(reader, nth);
        reader.step();
    }
    EXPECT("the stream goes on", !reader.over(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("frags held", std::string(), reader.check_held());
    return fired;
}

// Tokens that the kernel could not take stay with the Receiver.
// More than one range: one needs no memory.
bool return_tokens(Scene& scene, unsigned nth) {
    Reader& reader = scene.reader_1;
    reader.hold(true);
    while (reader.held() < 40 && reader.read(reader.bytes() + 1)) continue;
    reader.hold(false);
    const auto kept = (reader.held() + 1) / 2;
    const auto outcome = attempt(nth, [&] {
        reader.let_go_every_second();
        reader.receiver().give_back();
    });
    EXPECT("tokens are out only if an allocation fails",
           outcome.fired || reader.receiver().outstanding() == kept,
           reader.receiver().outstanding());
    EXPECT_EQUAL("the second try", 0, reader.receiver().give_back().value());
    EXPECT_EQUAL("tokens out", kept, reader.receiver().outstanding());
    EXPECT_EQUAL("those kept", std::string(), reader.check_held());
    reader.give_back();
    EXPECT_EQUAL("tokens out at last", 0, reader.receiver().outstanding());
    return outcome.fired;
}

// Both the first part of the answer and what is asked for later.
Outcome attempt_dump(unsigned nth, std::uint8_t command) {
    RawSocket socket;
    const RawRequest request(socket.family(NETDEV_FAMILY_NAME), command, NLM_F_DUMP);
    return attempt(nth, [&] {
        const RawReply reply = socket.ask(request);
        if (reply.error != 0) throw std::system_error(reply.error, std::system_category());
    });
}

bool list_queues(Scene& scene, unsigned nth) {
    const auto before = devmem::queues(scene.bound.ifindex).size();
    const auto outcome = attempt_dump(nth, NETDEV_CMD_QUEUE_GET);
    EXPECT_EQUAL("queues", before, devmem::queues(scene.bound.ifindex).size());
    return outcome.fired;
}

bool list_pools(Scene& scene, unsigned nth) {
    const auto before = scene.pools();
    const auto outcome = attempt_dump(nth, NETDEV_CMD_PAGE_POOL_GET);
    EXPECT_EQUAL("page pools in use", before, scene.pools());
    return outcome.fired;
}

RawRequest& name_dm0(RawRequest& request) {
    static_assert(ETHTOOL_A_RINGS_HEADER == 1 && ETHTOOL_A_CHANNELS_HEADER == 1);
    return request.nest(ETHTOOL_A_RINGS_HEADER)
        .attr(ETHTOOL_A_HEADER_DEV_NAME, "dm0", sizeof("dm0"))
        .end();
}

bool change_rings(Scene& scene, unsigned nth) {
    const auto before = devmem::rings(scene.bound.ifindex).rx;
    const auto wanted = before == small_ring ? 2 * small_ring : small_ring;
    RawSocket socket;
    RawRequest request(socket.family("ethtool"), ETHTOOL_MSG_RINGS_SET);
    name_dm0(request).u32(ETHTOOL_A_RINGS_RX, wanted);
    const auto outcome = attempt_request(nth, socket, request);
    const auto now = devmem::rings(scene.bound.ifindex).rx;
    if (outcome.error != ENOBUFS)
        EXPECT_EQUAL("size of the rings", outcome.error == 0 ? wanted : before, now);
    return outcome.fired;
}

bool change_channels(Scene& scene, unsigned nth) {
    const auto before = devmem::channels(scene.bound.ifindex).rx;
    const auto wanted = before == 4 ? 3 : 4;
    RawSocket socket;
    RawRequest request(socket.family("ethtool"), ETHTOOL_MSG_CHANNELS_SET);
    name_dm0(request).u32(ETHTOOL_A_CHANNELS_RX_COUNT, wanted);
    const auto outcome = attempt_request(nth, socket, request);
    const auto now = devmem::channels(scene.bound.ifindex).rx;
    if (outcome.error != ENOBUFS)
        EXPECT_EQUAL("channels", outcome.error == 0 ? wanted : before, now);
    return outcome.fired;
}

int set_up(int socket, bool up) {
    ifreq request{};
    std::copy_n("dm0", sizeof("dm0"), request.ifr_name);
    if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) return -1;
    request.ifr_flags =
        static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    return ::ioctl(socket, SIOCSIFFLAGS, &request);
}

// The interface may come up without a route: the kernel tells nobody, and it is there the next
// time.
bool down_and_up(Scene&, unsigned nth) {
    const devmem::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQUAL("down", 0, set_up(socket.get(), false));
    const auto outcome = attempt(nth, [&] {
        if (set_up(socket.get(), true) != 0) devmem::throw_errno("up");
    });
    if (outcome.fired) set_up(socket.get(), false);
    EXPECT_EQUAL("up", 0, set_up(socket.get(), true));
    return outcome.fired;
}

// Who was not accepted waits.
bool accept(Scene& scene, unsigned nth) {
    static std::uint16_t port = 20'000;
    const Sender sender = scene.bound.send({.first_port = port++, .bytes = some});
    EXPECT("somebody connects", scene.bound.listener.waits(60), "nobody");
    std::optional<devmem::Fd> connection;
    const auto take = [&] { connection.emplace(scene.bound.listener.accept()); };
    const auto outcome = attempt(nth, take);
    if (!connection) take();
    Reader reader(std::move(*connection), scene.bound.memories());
    EXPECT("all of the stream comes", reader.read(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", some, reader.bytes());
    return outcome.fired;
}

// Packets are lost, and sent again.
template <AtomicFault::Kind kind>
bool traffic(Scene& scene, unsigned nth) {
    const AtomicFault fault(scene.settings, kind, nth);
    scene.expect_flow("while an allocation fails");
    return fault.fired();
}

// ---- points ------------------------------------------------------------------

struct Operation {
    const char* name;
    bool (*run)(Scene& scene, unsigned nth);
};

constexpr std::array operations = std::to_array<Operation>({
    {"bind-rx", bind_rx},
    {"unbind", unbind},
    {"recvmsg", receive},
    {"SO_DEVMEM_DONTNEED", return_tokens},
    {"queue-get", list_queues},
    {"page-pool-get", list_pools},
    {"rings", change_rings},
    {"channels", change_channels},
    {"down and up", down_and_up},
    {"accept", accept},
    {"slab, no sleep", traffic<AtomicFault::Kind::slab>},
    {"page, no sleep", traffic<AtomicFault::Kind::page>},
});
constexpr std::size_t in_turn = 10;  // those whose allocations can be counted, the first ones

bool run_point(Scene& scene, const Operation& operation, unsigned nth) {
    const int failures = ktap_report->failures;
    const bool fired = operation.run(scene, nth);
    scene.expect_flow("afterwards");
    if (scene.lent.size() >= 16) scene.settle();
    if (ktap_report->failures != failures)
        fmt::print("# that was {}, allocation {}\n", operation.name, nth);
    return fired;
}

template <std::size_t which>
void each_in_turn() {
    constexpr unsigned most = 1000;
    Scene scene;
    unsigned nth = 1;
    while (nth < most && run_point(scene, operations[which], nth)) nth++;
    scene.settle();
    fmt::print("# {} allocations\n", nth - 1);
    EXPECT("some allocation fails", nth > 1, nth);
    EXPECT("at last none fails", nth < most, nth);
}

unsigned seed() {
    static const char* given = std::getenv("ALLOC_FAILURE_SEED");
    static const unsigned chosen =
        given ? static_cast<unsigned>(std::stoul(given)) : std::random_device()();
    return chosen;
}

constexpr int failures_a_test = 200;

// Mostly early allocations: few operations make many.
template <unsigned part>
void at_random() {
    std::minstd_rand random(seed() + part);
    Scene scene;
    int tries = 0, fired = 0;
    for (; fired < failures_a_test && tries < 5 * failures_a_test; tries++) {
        const auto& operation = operations[random() % operations.size()];
        const auto nth = static_cast<unsigned>(1 + random() % 10 * (random() % 10));
        fired += run_point(scene, operation, nth);
    }
    scene.settle();
    fmt::print("# seed {}: {} failures in {} operations\n", seed(), fired, tries);
    EXPECT_EQUAL("failures", failures_a_test, fired);
}

const ktap_test tests[] = {
    {"each allocation of bind-rx", clean<each_in_turn<0>>},
    {"each allocation of an unbinding", clean<each_in_turn<1>>},
    {"each allocation of recvmsg, to 140 tokens", clean<each_in_turn<2>>},
    {"each allocation of SO_DEVMEM_DONTNEED", clean<each_in_turn<3>>},
    {"each allocation of a queue-get dump", clean<each_in_turn<4>>},
    {"each allocation of a page-pool-get dump", clean<each_in_turn<5>>},
    {"each allocation of a change of rings, bound", clean<each_in_turn<6>>},
    {"each allocation of a change of channels, bound", clean<each_in_turn<7>>},
    {"each allocation of going up, bound", clean<each_in_turn<8>>},
    {"each allocation of accept", clean<each_in_turn<9>>},
    {"random allocations, 1 to 200", clean<at_random<0>>},
    {"random allocations, 201 to 400", clean<at_random<1>>},
    {"random allocations, 401 to 600", clean<at_random<2>>},
    {"random allocations, 601 to 800", clean<at_random<3>>},
    {"random allocations, 801 to 1000", clean<at_random<4>>},
};
static_assert(std::size(tests) == in_turn + 1000 / failures_a_test);

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    if (const auto why = why_no_faults(); !why.empty()) return ktap_skip_all(why.c_str());
    fmt::print("# ALLOC_FAILURE_SEED={}\n", seed());
    return run_tests(tests, argc, argv);
}
