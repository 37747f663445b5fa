// SPDX-License-Identifier: GPL-2.0
// Parts of a binding to send from end in every order, with bytes on their way: these arrive, or the
// connection ends, and nothing is left.
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "leftovers.h"
#include "process.h"
#include "reload.h"
#include "tx_stage.h"

namespace {

// ---- bytes on their way ---------------------------------------------------

/// Why they are: all segments are lost, or wait in a queueing discipline; or nobody reads.
enum class Way { lost, delayed, unread };

enum class Part { connection, binding, memory, nic };

constexpr std::array<const char*, 4> part_names{"connection", "binding", "memory", "NIC"};

/// As much device memory on its way as the send buffer takes, and the parts that hold it.
class Live {
  public:
    explicit Live(Way way)
        : way_(way), stream_(stage_.stream({.rcvbuf = way == Way::unread ? 4096 : 0})) {
        if (way == Way::lost) stage_.netem("loss 100%");
        if (way == Way::delayed) stage_.netem("delay 200s");
        while (try_send().value > 0) {
        }
        EXPECT("bytes are on their way", stream_.sent() > 10'000, stream_.sent());
    }

    void end(Part part);
    /// What the kernel says to more of this, and which memory is in use, are as they must be.
    void check(const std::string& when);
    /// Lets what is on its way arrive, in the end.
    void let_go() const {
        if (way_ != Way::unread) stage_.no_netem();
    }

    Result try_send() {
        const Extent extent{7, 100'000};
        return stream_.try_send(std::span(&extent, 1));
    }
    TxStage& stage() { return stage_; }
    TxStream& stream() { return stream_; }

  private:
    [[nodiscard]] bool ended(Part part) const { return std::ranges::count(ended_, part) > 0; }
    [[nodiscard]] bool holds_memory() const;

    Way way_;
    TxStage stage_;
    TxStream stream_;
    std::vector<Part> ended_;
};

void Live::end(Part part) {
    ended_.push_back(part);
    switch (part) {
        case Part::connection:
            reset_on_close(stream_.fd());
            stream_.close_here();
            break;
        case Part::binding:
            stage_.binding.reset();
            break;
        case Part::memory:
            stage_.memory.close();
            break;
        case Part::nic:
            stage_.topology.remove_nic();
            break;
    }
}

// What waits in a queueing discipline holds the memory too.
bool Live::holds_memory() const {
    return !ended(Part::memory) || !ended(Part::binding) || !ended(Part::connection) ||
           (way_ == Way::delayed && !ended(Part::nic));
}

bool memory_is_free() {
    wake_every_stack();
    return accelmem_used() == 0;
}

void Live::check(const std::string& when) {
    if (!ended(Part::connection)) {
        const int error = try_send().error;
        if (ended(Part::binding))
            EXPECT_EQUAL(when + ": errno", EINVAL, error);
        else if (ended(Part::nic))
            EXPECT(when + ": EHOSTUNREACH or ENODEV", error == EHOSTUNREACH || error == ENODEV,
                   error);
        else
            EXPECT(when + ": success or EAGAIN", error == 0 || error == EAGAIN, error);
    }
    if (holds_memory())
        EXPECT(when + ": the memory is in use", accelmem_used() > 0, 0);
    else
        EXPECT(when + ": the memory is free", within(60, memory_is_free), accelmem_used());
}

template <Way way, Part first>
void orders() {
    std::array<Part, 4> order{Part::connection, Part::binding, Part::memory, Part::nic};
    do {
        if (order[0] != first) continue;
        Live live(way);
        std::string names;
        for (const Part part : order) {
            names +=
                std::string(names.empty() ? "" : ", ") + part_names[static_cast<std::size_t>(part)];
            live.end(part);
            live.check(names);
        }
    } while (std::ranges::next_permutation(order).found);
}

// ---- arriving afterwards --------------------------------------------------

template <Way way>
void arrives() {
    for (const std::array order :
         {std::array{Part::binding, Part::memory}, std::array{Part::memory, Part::binding}}) {
        Live live(way);
        for (const Part part : order) live.end(part);
        const auto before = retransmitted();
        live.let_go();
        expect_whole(live.stream());
        if (way != Way::unread) EXPECT("it was sent again", retransmitted() > before, before);
        EXPECT("the memory is free while the connection is there", within(60, memory_is_free),
               accelmem_used());
    }
}

void closed_in_flight() {
    Live live(Way::lost);
    live.stream().close_here();
    live.end(Part::binding);
    live.end(Part::memory);
    live.let_go();
    const bool all = within(60, [&] {
        live.stream().read();
        return live.stream().received() == live.stream().sent();
    });
    EXPECT("what was sent arrives after close()", all, live.stream().received());
}

void loss_and_bindings() {
    TxStage stage;
    stage.topology.here("ip link set dm0 gso_max_segs 4");
    stage.netem("delay 2ms loss 2%");
    TxStream stream = stage.stream();
    for (int i = 0; i < 20; i++) {
        send_all(stream, stage.memory, 200'000, 50'021);
        stage.binding.reset();
        stage.bind();
        stream.use(stage.binding->id());
    }
    expect_whole(stream, 120);
    EXPECT("segments were sent again", retransmitted() > 0, 0);
}

// Any call may find the binding gone; nothing else may go wrong.
void bindings_come_and_go() {
    TxStage stage;
    TxStream stream = stage.stream();
    std::atomic<std::uint32_t> id = stage.binding->id();
    std::atomic<bool> enough = false;
    std::atomic<unsigned> refused = 0, sent = 0;
    std::thread sending([&] {
        const Extent extent{99, 20'000};
        while (!enough) {
            stream.use(id);
            const Result result = stream.try_send(std::span(&extent, 1));
            sent += result.value > 0;
            refused += result.error == EINVAL;
            EXPECT("success, EINVAL, EAGAIN or ENOBUFS",
                   result.error == 0 || result.error == EINVAL || result.error == EAGAIN ||
                       result.error == ENOBUFS,
                   result.error);
            stream.wait_for_room();
        }
    });
    bool goes_on = true;
    for (int i = 0; goes_on && i < 200; i++) {
        const unsigned before = sent;
        goes_on = within(60, [&] { return sent > before; });
        stage.binding.reset();
        stage.bind();
        id = stage.binding->id();
    }
    enough = true;
    sending.join();
    EXPECT("sends go on with each binding", goes_on, sent.load());
    expect_whole(stream);
    fmt::print("# {} calls sent, {} were refused\n", sent.load(), refused.load());
}

// ---- connections that end by themselves -----------------------------------

void give_up_soon(int fd) {
    const unsigned milliseconds = 2000;
    KTAP_NEED(
        ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds)) == 0);
}

// The connection ends with an error, and lets go of the memory while its socket is open.
void expect_end(Live& live) {
    int error = 0;
    within(120, [&] {
        socklen_t size = sizeof(error);
        return ::getsockopt(live.stream().fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error;
    });
    EXPECT("the connection ends with an error",
           error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH, error);
    EXPECT("the memory is free", within(60, memory_is_free), accelmem_used());
}

void nobody_answers() {
    Live live(Way::lost);
    give_up_soon(live.stream().fd());
    live.end(Part::nic);
    live.end(Part::binding);
    live.end(Part::memory);
    expect_end(live);
}

void nobody_answers_the_closed() {
    Live live(Way::lost);
    live.stage().topology.here("echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries");
    live.stream().close_here();
    live.end(Part::binding);
    live.end(Part::memory);
    EXPECT("TCP gives up, and the memory is free", within(120, memory_is_free), accelmem_used());
}

// ---- the NIC --------------------------------------------------------------

void down_and_up() {
    Live live(Way::unread);
    for (int i = 0; i < 3; i++) live.stage().topology.here("ip link set dm0 down");
    const int error = live.try_send().error;
    EXPECT("EHOSTUNREACH or ENODEV while down", error == EHOSTUNREACH || error == ENODEV, error);
    live.stage().topology.here("ip link set dm0 up");
    expect_whole(live.stream(), 120);
}

void moves_away_and_back() {
    Live live(Way::unread);
    const Topology& topology = live.stage().topology;
    topology.here(
        fmt::format("ip link set dm0 netns /proc/{}/fd/{}", ::getpid(), topology.there_fd()));
    const int error = live.try_send().error;
    EXPECT("EHOSTUNREACH or ENODEV", error == EHOSTUNREACH || error == ENODEV, error);
    topology.there(fmt::format("ip link set dm0 netns /proc/{}/ns/net", ::getpid()));
    topology.here(
        fmt::format("ip addr add {}/24 dev dm0 && ip link set dm0 up", Topology::v4_here));
    expect_whole(live.stream(), 120);
}

// Another NIC in its place gets the same packets to send: it must not.
void expect_nothing_leaves(Live& live) {
    live.stream().read();
    const auto before = live.stream().received();
    live.stage().topology.make_nic();
    EXPECT("the new NIC drops segments", within(100, [] { return tx_dropped("dm0") > 0; }), 0);
    give_up_soon(live.stream().fd());
    expect_end(live);
    live.stream().read();
    EXPECT_EQUAL("bytes that arrived", before, live.stream().received());
}

void replaced() {
    Live live(Way::lost);
    live.end(Part::nic);
    live.end(Part::binding);
    live.end(Part::memory);
    expect_nothing_leaves(live);
}

// ---- modules --------------------------------------------------------------

template <Part first>
void nic_module_goes() {
    nic_need(NIC_VIRTUAL);
    const Reload reload("dmnic");
    Live live(Way::lost);
    EXPECT_EQUAL("rmmod dmnic", 0, unload_module("dmnic"));
    EXPECT_EQUAL("index of dm0", 0U, ::if_nametoindex("dm0"));
    live.end(Part::memory);
    live.end(first);
    live.end(first == Part::binding ? Part::connection : Part::binding);
    EXPECT("the memory is free", within(60, memory_is_free), accelmem_used());
}

void nic_module_comes_back() {
    nic_need(NIC_VIRTUAL);
    Live live(Way::delayed);
    {
        const Reload reload("dmnic");
        EXPECT_EQUAL("rmmod dmnic", 0, unload_module("dmnic"));
    }
    live.end(Part::binding);
    live.end(Part::memory);
    expect_nothing_leaves(live);
}

void memory_module_stays() {
    const Reload reload("accelmem");
    Live live(Way::unread);
    EXPECT_EQUAL("rmmod accelmem, bound", EWOULDBLOCK, unload_module("accelmem"));
    live.end(Part::binding);
    live.end(Part::memory);
    EXPECT_EQUAL("rmmod accelmem, bytes on their way", EWOULDBLOCK, unload_module("accelmem"));
    expect_whole(live.stream());
    const auto unloads = [] { return wake_every_stack(), unload_module("accelmem") == 0; };
    EXPECT("accelmem unloads", within(60, unloads), "that it does not");
}

// ---- processes and namespaces ---------------------------------------------

// Only the sending end is in the process: what it sent arrives although it is dead.
void killed() {
    const Topology topology;
    FarEnd far(topology, {});
    Process sender(-1, [](int say) {
        const TxMemory memory(4 * mebibyte);
        const RawTxBinding binding(devmem::interface_index("dm0"), memory.fd());
        const devmem::Fd fd = dial(Topology::v4_there, FarEnd::port);
        const int on = 1;
        KTAP_NEED(::setsockopt(fd.get(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0);
        run_in(-1, "modprobe -q sch_netem && tc qdisc add dev dm0 root netem loss 100%");
        const iovec iov = extent_to_iovec({0, mebibyte});
        const Result sent =
            send_extents(fd.get(), {&iov, 1}, binding.id(), MSG_ZEROCOPY | MSG_DONTWAIT);
        KTAP_NEED(::write(say, &sent.value, sizeof(sent.value)) == sizeof(sent.value));
        for (;;) ::pause();
    });
    far.accept();
    ssize_t sent = 0;
    EXPECT("it sends", sender.hear(&sent, sizeof(sent), 120) && sent > 0, sent);
    sender.kill();
    const TxMemory same(4 * mebibyte);
    far.expect(same.at({0, static_cast<std::size_t>(sent)}));
    topology.here("tc qdisc del dev dm0 root");
    const bool all = within(60, [&] {
        far.read();
        return far.has_all();
    });
    EXPECT("all arrives", all, far.received());
    EXPECT_EQUAL("wrong", std::string(), far.wrong());
}

template <Way way>
void namespaces_end() {
    Process sender(-1, [](int say) {
        Live live(way);
        live.stage().topology.here("echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries");
        KTAP_CHECK(::write(say, "", 1) == 1);
        for (;;) ::pause();
    });
    char ready{};
    EXPECT("it sends", sender.hear(&ready, 1, 120), "nothing");
    EXPECT("it uses memory", accelmem_used() > 0, 0);
    sender.kill();
    EXPECT("the memory is free", within(120, memory_is_free), accelmem_used());
}

const ktap_test tests[] = {
    {"all lost: the connection closes first, the rest in all 6 orders",
     clean<orders<Way::lost, Part::connection>>},
    {"all lost: the netlink socket closes first, the rest in all 6 orders",
     clean<orders<Way::lost, Part::binding>>},
    {"all lost: the dmabuf closes first, the rest in all 6 orders",
     clean<orders<Way::lost, Part::memory>>},
    {"all lost: the NIC is deleted first, the rest in all 6 orders",
     clean<orders<Way::lost, Part::nic>>},
    {"all delayed: the connection closes first, the rest in all 6 orders",
     clean<orders<Way::delayed, Part::connection>>},
    {"all delayed: the netlink socket closes first, the rest in all 6 orders",
     clean<orders<Way::delayed, Part::binding>>},
    {"all delayed: the dmabuf closes first, the rest in all 6 orders",
     clean<orders<Way::delayed, Part::memory>>},
    {"all delayed: the NIC is deleted first, the rest in all 6 orders",
     clean<orders<Way::delayed, Part::nic>>},
    {"nobody reads: the connection closes first, the rest in all 6 orders",
     clean<orders<Way::unread, Part::connection>>},
    {"nobody reads: the netlink socket closes first, the rest in all 6 orders",
     clean<orders<Way::unread, Part::binding>>},
    {"nobody reads: the dmabuf closes first, the rest in all 6 orders",
     clean<orders<Way::unread, Part::memory>>},
    {"nobody reads: the NIC is deleted first, the rest in all 6 orders",
     clean<orders<Way::unread, Part::nic>>},
    {"all lost, unbound, the dmabuf closed: sent again, exact", clean<arrives<Way::lost>>},
    {"all delayed, unbound, the dmabuf closed: sent again, exact", clean<arrives<Way::delayed>>},
    {"nobody reads, unbound, the dmabuf closed: exact when read", clean<arrives<Way::unread>>},
    {"closed, unbound, the dmabuf closed: all arrives", clean<closed_in_flight>},
    {"20 bindings on a stream with 2 % loss, each unbound after its sends: exact",
     clean<loss_and_bindings>},
    {"200 bindings come and go beside a sender: exact", clean<bindings_come_and_go>},
    {"the NIC is gone: the connection gives up, the memory is free", clean<nobody_answers>},
    {"closed, and nobody answers: TCP gives up, the memory is free",
     clean<nobody_answers_the_closed>},
    {"the NIC goes down and up: exact", clean<down_and_up>},
    {"the NIC moves to another namespace and back: exact", clean<moves_away_and_back>},
    {"another NIC in the place of the deleted one: nothing leaves there", clean<replaced>},
    {"rmmod dmnic, close the netlink socket, close the connection",
     clean<nic_module_goes<Part::binding>>},
    {"rmmod dmnic, close the connection, close the netlink socket",
     clean<nic_module_goes<Part::connection>>},
    {"rmmod and insmod dmnic, another NIC: nothing leaves there", clean<nic_module_comes_back>},
    {"accelmem stays while bytes are on their way; then it unloads", clean<memory_module_stays>},
    {"kill -9: what was sent arrives", clean<killed>},
    {"kill -9 of both ends, all lost: the namespaces end too", clean<namespaces_end<Way::lost>>},
    {"kill -9 of both ends, nobody reads: the namespaces end too",
     clean<namespaces_end<Way::unread>>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
