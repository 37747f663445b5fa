// SPDX-License-Identifier: GPL-2.0
// Parts of a binding end in every order, with traffic running and tokens out, and nothing is left.
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <list>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "devmem/flow_rule.h"
#include "devmem/rss_table.h"
#include "expect.h"
#include "leftovers.h"
#include "live.h"
#include "reload.h"

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
const std::array<std::uint32_t, 1> the_queue{nic_kind()->queue};

std::uint32_t binding_of(std::uint32_t ifindex, std::uint32_t id = the_queue[0]) {
    for (const auto& queue : devmem::queues(ifindex))
        if (queue.type == devmem::Queue::Type::rx && queue.id == id) return queue.dmabuf_id;
    return 0;
}

// A whole stream through the queue of a NIC that has been through something.
void expect_works(const std::shared_ptr<Topology>& pair, std::uint16_t port = 6900) {
    const Bound bound(pair);
    Sender sender = bound.send({.first_port = port, .bytes = 200'000});
    Reader reader = bound.accept();
    EXPECT("a new binding works", reader.read(), reader.bytes());
    EXPECT_EQUAL("bytes on the device", 200'000, reader.device_bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
}

// ---- orders ---------------------------------------------------------------

enum class Part { connection, binding, memory, nic };

constexpr std::array<const char*, 4> part_names{"connection", "binding", "memory", "NIC"};

bool exists(const char* interface) {
    return ::if_nametoindex(interface) != 0;
}

void close_part(Live& live, Part part) {
    switch (part) {
        case Part::connection:
            if (!exists("dm0")) reset_on_close(live.reader->receiver().fd());
            live.reader.reset();
            break;
        case Part::binding:
            live.bound.binding.reset();
            break;
        case Part::memory:
            if (live.reader) live.reader->forget(live.bound.id);
            live.bound.memory.reset();
            break;
        case Part::nic:
            live.bound.topology.remove_nic();
            break;
    }
    // Traffic meets the new state.
    for (int i = 0; live.reader && i < 5; i++) {
        live.reader->step();
        ::usleep(2000);
    }
}

template <Part first>
void orders() {
    std::array<Part, 4> order{Part::connection, Part::binding, Part::memory, Part::nic};
    const auto pair = std::make_shared<Topology>();
    std::uint16_t port = 6000;
    do {
        if (order[0] != first) continue;
        std::string names;
        for (const Part part : order)
            names += std::string(" ") + part_names[static_cast<std::size_t>(part)];
        Live live(pair, port++);
        for (const Part part : order) close_part(live, part);
        pair->make_nic();
    } while (std::ranges::next_permutation(order).found);
}

// ---- namespaces -----------------------------------------------------------

void sender_namespace_goes() {
    nic_need(NIC_VIRTUAL);
    Live live;
    // A socket would keep the namespace while it has something to send, or waits for our FIN.
    live.bound.topology.there("echo 1 >/proc/sys/net/ipv4/tcp_fin_timeout");
    live.sender.reset();
    EXPECT("the stream ends", live.reader->read(), live.reader->bytes());
    live.bound.topology.forget_there();
    EXPECT("the NIC goes with its other end", within(120, [] { return !exists("dm0"); }),
           "it stays");
    EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
}

void receiver_namespace_goes() {
    Process receiver(-1, [](int say) {
        const Live live;
        KTAP_CHECK(::write(say, "", 1) == 1);
        ::pause();
    });
    char ready{};
    EXPECT("a receiver runs", receiver.hear(&ready, 1, 120), "none");
    EXPECT("it uses memory", accelmem_used() > 0, 0);
    receiver.kill();
}

void nic_moves() {
    Live live;
    live.bound.topology.here(fmt::format("ip link set dm0 netns /proc/{}/fd/{}", ::getpid(),
                                         live.bound.topology.there_fd()));
    EXPECT("the NIC is away", !exists("dm0"), "it is here");
    live.bound.topology.there("ip link set dm0 up");
    live.bound.binding.reset();
    EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
    live.bound.topology.there("ip link set dm0 down");
    live.bound.topology.remove_nic();
}

// ---- the interface --------------------------------------------------------

void down_and_up() {
    Live live;
    for (int i = 0; i < 3; i++) {
        live.bound.topology.here("ip link set dm0 down");
        live.reader->step();
        live.bound.topology.here("ip link set dm0 up");
        expect_flow_on(true, *live.reader, "up again");
    }
    EXPECT_EQUAL("binding of the queue", live.bound.id, binding_of(live.bound.ifindex));
}

void bind_while_down() {
    const auto pair = std::make_shared<Topology>();
    pair->here("ip link set dm0 down");
    const Bound bound(pair);
    pair->here("ip link set dm0 up && ip addr replace fd09::1/64 dev dm0 nodad");
    Sender sender = bound.send();
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes on the device", mebibyte, reader.device_bytes());
}

void unbind_while_down() {
    Live live;
    live.bound.topology.here("ip link set dm0 down");
    live.bound.binding.reset();
    live.bound.topology.here("ip link set dm0 up");
    expect_flow_on(false, *live.reader, "up, no longer bound");
    EXPECT_EQUAL("binding of the queue", 0, binding_of(live.bound.ifindex));
}

void delete_while_down() {
    Live live;
    live.bound.topology.here("ip link set dm0 down");
    live.bound.topology.remove_nic();
    EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
}

// ---- binding again --------------------------------------------------------

void rebind() {
    Live live;
    const auto first = live.bound.id;
    live.bound.binding.reset();
    EXPECT_EQUAL("binding of the queue", 0, binding_of(live.bound.ifindex));
    // Not the same memory: frags of it are held, and a new binding would give it out again.
    const auto memory = devmem::DmaBuf::accelmem(mebibyte);
    const devmem::RxBinding again(live.bound.ifindex, the_queue, memory);
    EXPECT("another id", again.id() != first, again.id());
    EXPECT_EQUAL("binding of the queue", again.id(), binding_of(live.bound.ifindex));
    live.reader->knows(again.id(), &memory);
    expect_flow_on(true, *live.reader, "bound again");
}

void rebind_beside_traffic() {
    nic_need(NIC_QUEUES);
    Live live;
    spread_over(live.bound.ifindex, {0});
    live.bound.binding.reset();
    expect_flow(*live.reader, "on queue 0");
    for (int i = 0; i < 200; i++) {
        const devmem::RxBinding again(live.bound.ifindex, the_queue, *live.bound.memory);
        for (int j = 0; j < 3; j++) live.reader->step();
    }
    expect_flow_on(false, *live.reader, "after 200 times");
}

// Each time more is read than it takes TCP to open a window that was full, and in the end all that
// has waited in between. Of few rounds each must have its share: more is read than may wait.
void rebind_under_traffic() {
    const unsigned rounds = nic_kind()->resets ? 6 : 30;
    const std::uint64_t more = nic_kind()->resets ? 600'000 : 40'000;
    Live live;
    live.bound.binding.reset();
    std::list<devmem::DmaBuf> memories;
    for (unsigned i = 0; i < rounds; i++) {
        {
            const auto& memory = memories.emplace_back(devmem::DmaBuf::accelmem(mebibyte));
            const devmem::RxBinding again(live.bound.ifindex, the_queue, memory);
            live.reader->knows(again.id(), &memory);
            expect_flow(*live.reader, "bound", more);
        }
        expect_flow(*live.reader, "not bound", more);
    }
    expect_flow(*live.reader, "what waited to be read");
    EXPECT("some came by way of most bindings", live.reader->bindings().size() > rounds / 2,
           live.reader->bindings().size());
}

void tokens_after_unbind() {
    Live live;
    live.bound.binding.reset();
    expect_flow_on(false, *live.reader, "no longer bound");
    const auto held = live.reader->held();
    EXPECT("frags are held", held >= 60, held);
    EXPECT("their memory stays", accelmem_used() >= 4 * mebibyte, accelmem_used());
    live.reader->give_back();
    EXPECT_EQUAL("tokens out", 0, live.reader->receiver().outstanding());
    live.bound.memory.reset();
    EXPECT("their memory goes while the connection lives",
           within(60,
                  [] {
                      wake_every_stack();
                      return accelmem_used() == 0;
                  }),
           accelmem_used());
    expect_flow(*live.reader, "the connection lives");
}

// ---- processes ------------------------------------------------------------

void killed() {
    const auto pair = std::make_shared<Topology>();
    Process receiver(-1, [&](int say) {
        const Bound bound(pair, {.memory = 4 * mebibyte});
        KTAP_CHECK(::write(say, "", 1) == 1);
        Reader reader = bound.accept();
        reader.hold(true);
        reader.read(100'000);
        reader.hold(false);
        KTAP_CHECK(::write(say, "", 1) == 1);
        reader.read();
    });
    char ready{};
    EXPECT("a receiver listens", receiver.hear(&ready, 1, 120), "none");
    std::optional<Sender> sender(std::in_place, pair->there_fd(), SendPlan{.bytes = endless});
    EXPECT("it receives", receiver.hear(&ready, 1, 120), "nothing");
    receiver.kill();
    const auto free = [] { return binding_of(devmem::interface_index("dm0")) == 0; };
    EXPECT("the queue is free again", within(60, free), "that it is bound");
    sender.reset();
    expect_works(pair);
}

void nobody_accepts() {
    const auto pair = std::make_shared<Topology>();
    auto bound = std::make_optional<Bound>(pair);
    Sender sender = bound->send({.connections = 3, .bytes = endless});
    const auto split = [] { return queue_count(nic_kind()->split); };
    EXPECT("payload waits in connections", within(60, [&] { return split() > 30; }), split());
    bound.reset();
}

// ---- modules --------------------------------------------------------------

template <Part first>
void nic_module_goes() {
    nic_need(NIC_VIRTUAL);
    const Reload reload("dmnic");
    Live live;
    EXPECT_EQUAL("rmmod dmnic", 0, unload_module("dmnic"));
    EXPECT("the NIC is gone", !exists("dm0"), "it is here");
    EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
    close_part(live, first);
    close_part(live, first == Part::binding ? Part::connection : Part::binding);
}

void nic_module_comes_back() {
    nic_need(NIC_VIRTUAL);
    Live live;
    {
        const Reload reload("dmnic");
        EXPECT_EQUAL("rmmod dmnic", 0, unload_module("dmnic"));
    }
    // A new NIC, while the binding to the old one is there.
    live.sender.reset();
    live.bound.listener.close();
    live.bound.topology.make_nic();
    expect_works(live.bound.pair);
}

void modules_unload() {
    nic_need(NIC_VIRTUAL);
    {
        Live live;
        EXPECT_EQUAL("rmmod accelmem with memory in use", EWOULDBLOCK, unload_module("accelmem"));
        live.reader->give_back();
    }
    const Reload nic("dmnic"), memory("accelmem");
    const auto unloads = [](const char* name) {
        return within(120, [&] { return wake_every_stack(), unload_module(name) == 0; });
    };
    EXPECT("dmnic unloads", unloads("dmnic"), "that it does not");
    EXPECT("accelmem unloads", unloads("accelmem"), "that it does not");
}

void modules_work_again() {
    nic_need(NIC_VIRTUAL);
    expect_works(std::make_shared<Topology>());
}

// ---- settings -------------------------------------------------------------

void ring_sizes() {
    Live live;
    for (const std::uint32_t size : {64, 4096, 128, 512}) {
        devmem::set_rings(live.bound.ifindex, {.rx = size});
        EXPECT_EQUAL("ring", size, devmem::rings(live.bound.ifindex).rx);
        expect_flow_on(true, *live.reader, fmt::format("ring of {}", size));
    }
    EXPECT_EQUAL("binding of the queue", live.bound.id, binding_of(live.bound.ifindex));
}

void mtu_changes() {
    Live live;
    for (const unsigned mtu : {9000, 1500, 4000}) {
        const auto set = fmt::format("mtu {}", mtu);
        live.bound.topology.here("ip link set dm0 mtu 9000");
        live.bound.topology.there("ip link set dm0p " + set);
        live.bound.topology.here("ip link set dm0 " + set);
        expect_flow_on(true, *live.reader, set);
    }
}

// Returns the kernel's explanation.
template <class Call>
std::string expect_refused(const char* what, std::initializer_list<int> errors, Call call) {
    try {
        call();
    } catch (const devmem::Error& error) {
        EXPECT(fmt::format("{}: one of the errors {}", what, errors),
               std::ranges::count(errors, error.code().value()) == 1, error.what());
        return error.extack();
    }
    EXPECT(fmt::format("{} is refused", what), false, "success");
    return {};
}

void too_few_channels() {
    nic_need(NIC_QUEUES);
    Live live;
    const auto ifindex = live.bound.ifindex;
    devmem::set_rss_table(ifindex, {});
    const auto why = expect_refused("a single channel", {EINVAL},
                                    [&] { devmem::set_channels(ifindex, {.rx = 1}); });
    EXPECT("the reason is told", why.find("memory provider") != std::string::npos, why);
    EXPECT_EQUAL("channels", 4, devmem::channels(ifindex).rx);
    // 2 would do, but 6.12 wants one more.
    devmem::set_channels(ifindex, {.rx = 3});
    EXPECT_EQUAL("channels", 3, devmem::channels(ifindex).rx);
    spread_over(ifindex, {1});
    expect_flow_on(true, *live.reader, "3 channels");
    EXPECT_EQUAL("binding of the queue", live.bound.id, binding_of(ifindex));
}

void no_split() {
    Live live;
    const auto ifindex = live.bound.ifindex;
    expect_refused("turning header split off", {EINVAL, EBUSY},
                   [&] { devmem::set_rings(ifindex, {.data_split = devmem::DataSplit::off}); });
    const auto split = devmem::rings(ifindex).data_split;
    EXPECT("header split is still on", split == devmem::DataSplit::on, "off");
    expect_flow_on(true, *live.reader, "afterwards");
}

std::string debugfs_of(const char* interface) {
    const devmem::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::copy_n(interface, std::char_traits<char>::length(interface), request.ifr_name);
    if (::ioctl(fd.get(), SIOCGIFHWADDR, &request) != 0) devmem::throw_errno("SIOCGIFHWADDR");
    std::array<std::uint8_t, 6> address{};
    std::copy_n(request.ifr_hwaddr.sa_data, address.size(), address.begin());
    return fmt::format("/sys/kernel/debug/dmnic/{:02x}", fmt::join(address, ":"));
}

// A count of dm0's failures to come, or of what goes well before them.
class Knob {
  public:
    explicit Knob(const std::string& name) : file_(debugfs_of("dm0") + "/" + name) {
        if (::access(file_.c_str(), W_OK) != 0) ktap_skip("no %s", file_.c_str());
    }
    void set(int count) const { std::ofstream(file_) << count; }
    [[nodiscard]] int left() const {
        int left = -1;
        std::ifstream(file_) >> left;
        return left;
    }

  private:
    std::string file_;
};

// For a bind only: 6.12 WARNs when a queue does not start again at an unbind.
void bind_fails(const char* what, int error) {
    nic_need(NIC_FAILS);
    Live live;
    const auto ifindex = live.bound.ifindex;
    live.bound.binding.reset();
    const Knob fail(fmt::format("fail_{}", what));
    for (int i = 0; i < 3; i++) {
        fail.set(1);
        expect_refused("bind-rx", {error}, [&] {
            const devmem::RxBinding again(ifindex, the_queue, *live.bound.memory);
        });
        EXPECT_EQUAL("failures to come", 0, fail.left());
        EXPECT_EQUAL("binding of the queue", 0, binding_of(ifindex));
        expect_flow_on(false, *live.reader, "after a failure");
    }
    const auto memory = devmem::DmaBuf::accelmem(mebibyte);
    const devmem::RxBinding again(ifindex, the_queue, memory);
    live.reader->knows(again.id(), &memory);
    expect_flow_on(true, *live.reader, "bound at last");
}

void alloc_fails() {
    bind_fails("alloc", ENOMEM);
}

void start_fails() {
    bind_fails("start", EIO);
}

constexpr std::array<std::uint32_t, 2> two_queues{2, 3};

// Each of the two queues gets the stream for a while.
void expect_flow_through_both(bool device, Live& live, const std::string& when) {
    for (const auto queue : two_queues) {
        spread_over(live.bound.ifindex, {queue});
        expect_flow_on(device, *live.reader, fmt::format("{}, queue {}", when, queue));
    }
    spread_over(live.bound.ifindex, {the_queue[0]});
}

// Only what was bound before is, and nothing but that has memory of any other binding.
void expect_neither_bound(const Live& live) {
    const auto ifindex = live.bound.ifindex;
    for (const auto queue : two_queues)
        EXPECT_EQUAL(fmt::format("binding of queue {}", queue), 0, binding_of(ifindex, queue));
    EXPECT_EQUAL("binding of the queue beside them", live.bound.id, binding_of(ifindex));
    const auto gone = [&] {
        return std::ranges::none_of(devmem::page_pools(), [&](const devmem::PagePool& pool) {
            return pool.dmabuf_id != 0 && pool.dmabuf_id != live.bound.id;
        });
    };
    EXPECT("no page pool has memory of it", within(60, gone), "one that has");
}

// Memory for the rings of both: the first would take all of less.
void expect_both_bound(Live& live) {
    const auto memory = devmem::DmaBuf::accelmem(8 * mebibyte);
    const devmem::RxBinding both(live.bound.ifindex, two_queues, memory);
    live.reader->knows(both.id(), &memory);
    for (const auto queue : two_queues)
        EXPECT_EQUAL("binding of a queue", both.id(), binding_of(live.bound.ifindex, queue));
    expect_flow_through_both(true, live, "bound at last");
}

// Of two queues the first has been bound when the second fails.
void bind_fails_half_way(const char* what, int error) {
    nic_need(NIC_FAILS);
    Live live;
    const Knob spare(fmt::format("spare_{}", what)), fail(fmt::format("fail_{}", what));
    for (int i = 0; i < 3; i++) {
        const auto memory = devmem::DmaBuf::accelmem(mebibyte);
        spare.set(1);
        fail.set(1);
        expect_refused("bind-rx", {error}, [&] {
            const devmem::RxBinding both(live.bound.ifindex, two_queues, memory);
        });
        EXPECT_EQUAL("queues still to be spared", 0, spare.left());
        EXPECT_EQUAL("failures to come", 0, fail.left());
        expect_neither_bound(live);
        expect_flow_through_both(false, live, "after a failure");
    }
    const auto used = live.bound.memory->size();
    EXPECT("nothing holds the memory", within(60, [&] { return accelmem_used() == used; }),
           accelmem_used());
    expect_both_bound(live);
}

void second_alloc_fails() {
    bind_fails_half_way("alloc", ENOMEM);
}

void second_start_fails() {
    bind_fails_half_way("start", EIO);
}

const ktap_test tests[] = {
    {"the connection closes first, the rest in all 6 orders, under traffic, tokens out",
     clean<orders<Part::connection>>},
    {"the netlink socket closes first, the rest in all 6 orders, under traffic, tokens out",
     clean<orders<Part::binding>>},
    {"the dma-buf and /dev/accelmem close first, the rest in all 6 orders, under traffic, tokens "
     "out",
     clean<orders<Part::memory>>},
    {"the NIC is deleted first, the rest in all 6 orders, under traffic, tokens out",
     clean<orders<Part::nic>>},
    {"the sender's namespace goes, and the bound NIC with it", clean<sender_namespace_goes>},
    {"the receiver is killed, and its namespace goes with it", clean<receiver_namespace_goes>},
    {"the bound NIC moves to another namespace", clean<nic_moves>},
    {"down and up, bound: the stream goes on, on the device", clean<down_and_up>},
    {"bind while down, then up", clean<bind_while_down>},
    {"down, unbind, up: the stream goes on, in host memory", clean<unbind_while_down>},
    {"down, delete, all bound", clean<delete_while_down>},
    {"unbind and bind the queue again: another id, the stream goes on", clean<rebind>},
    {"200 times bound and unbound beside a stream on another queue", clean<rebind_beside_traffic>},
    {"many times bound and unbound under a stream", clean<rebind_under_traffic>},
    {"tokens are returned after the unbinding", clean<tokens_after_unbind>},
    {"kill -9 under traffic with tokens out: the queue is free", clean<killed>},
    {"payload in connections that nobody accepts", clean<nobody_accepts>},
    {"rmmod dmnic, close the netlink socket, close the connection",
     clean<nic_module_goes<Part::binding>>},
    {"rmmod dmnic, close the connection, close the netlink socket",
     clean<nic_module_goes<Part::connection>>},
    {"rmmod and insmod dmnic, a new NIC beside the old one's binding",
     clean<nic_module_comes_back>},
    {"ring sizes change under traffic, bound", clean<ring_sizes>},
    {"the MTU changes under traffic, bound", clean<mtu_changes>},
    {"fewer channels than the bound queue needs: refused; enough: done", clean<too_few_channels>},
    {"header split off while bound: refused", clean<no_split>},
    {"bind-rx when the driver has no memory: fails, the old queue works", clean<alloc_fails>},
    {"bind-rx when the queue does not start: fails, the old queue works", clean<start_fails>},
    {"bind-rx of two queues when the second gets no memory: neither is bound, both work",
     clean<second_alloc_fails>},
    {"bind-rx of two queues when the second does not start: neither is bound, both work",
     clean<second_start_fails>},
    {"accelmem stays while memory is in use; then both modules unload", caught<modules_unload>},
    {"the modules loaded again work", clean<modules_work_again>},
};

}  // namespace

int main(int argc, char** argv) {
    if (const char* missing = nic_missing()) return ktap_skip_all(missing);
    return run_tests(tests, argc, argv);
}
