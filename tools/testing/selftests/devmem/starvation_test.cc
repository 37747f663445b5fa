// SPDX-License-Identifier: GPL-2.0
// Consumers that keep device memory: what a Budget prevents, and what happens without one. And many
// connections that share the memory of one binding.
#include <poll.h>
#include <sys/resource.h>

#include <array>
#include <cstring>
#include <memory>

#include "bound.h"
#include "devmem/budget.h"
#include "devmem/flow_rule.h"
#include "expect.h"
#include "leftovers.h"

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;
unsigned many = 200;  // 1000 with --long

// With a segment of 1448 bytes in each niov, a stream needs 17 MiB. Besides what a budget allows
// the memory has room for the ring and for what may lie unread.
constexpr std::uint64_t memory = 8 * mebibyte;
constexpr std::uint64_t stream = 6 * mebibyte;
constexpr std::uint64_t limit = 2 * mebibyte;

BoundOptions scarce() {
    return {.memory = memory, .rcvbuf = 128 << 10};
}

void expect_whole(const Reader& reader, std::uint64_t bytes) {
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", bytes, reader.bytes());
    EXPECT("an orderly end", reader.ended(), "none");
}

bool has_room(const devmem::Budget& budget) {
    pollfd room{budget.fd(), POLLIN, 0};
    return ::poll(&room, 1, 0) == 1;
}

// Keeps all it can get, and gives half of it back only when it can get no more.
unsigned read_greedily(Reader& reader, const devmem::Budget& budget) {
    unsigned refusals = 0;
    reader.hold(true);
    while (!reader.over() && reader.wrong().empty()) {
        reader.read();
        if (!reader.starved()) break;
        refusals++;
        EXPECT("no room is announced", !has_room(budget), budget.held());
        EXPECT("no more than the limit is held", budget.held() <= budget.limit() + 4096,
               budget.held());
        reader.let_go(reader.held() / 2);
        EXPECT("room is announced", has_room(budget), budget.held());
    }
    return refusals;
}

void greedy_with_budget() {
    const Bound bound(scarce());
    const auto budget = std::make_shared<devmem::Budget>(*bound.binding, limit);
    Sender sender = bound.send({.bytes = stream});
    {
        Reader reader = bound.accept({.budgets = {budget}});
        const unsigned refusals = read_greedily(reader, *budget);
        expect_whole(reader, stream);
        EXPECT("it was refused memory", refusals >= 4, refusals);
        EXPECT_EQUAL("frags that are held", std::string(), reader.check_held());
        EXPECT_EQUAL("held by the receiver", budget->held(), reader.receiver().held(bound.id));
    }
    EXPECT_EQUAL("held when all is over", 0U, budget->held());
    EXPECT_EQUAL("packets the NIC had no memory for", 0U, nic_count("rx1_ring_empty"));
    EXPECT("the sender is content", sender.done(), "that it is not");
}

// The same without: the consumer sees nothing of what the NIC lacks.
void greedy_without_budget() {
    const Bound bound(scarce());
    Sender sender = bound.send({.bytes = stream});
    Reader reader = bound.accept();
    reader.hold(true);
    const bool dropped = within(30, [&] {
        reader.step();
        return nic_count("rx1_ring_empty") > 0;
    });
    EXPECT("the NIC drops for want of memory", dropped, nic_count("rx1_ring_empty"));
    EXPECT("the stream is not complete", reader.bytes() < stream, reader.bytes());
    reader.hold(false);
    reader.give_back();
    EXPECT("it goes on once memory is back", reader.read(), reader.bytes());
    expect_whole(reader, stream);
}

// One keeps all that both may have; the other is told so, and goes on when some is back.
void shared_budget() {
    const Bound bound(scarce());
    const auto budget = std::make_shared<devmem::Budget>(*bound.binding, limit);
    Sender sender = bound.send({.connections = 2, .bytes = stream});
    Reader greedy = bound.accept({.budgets = {budget}});
    Reader modest = bound.accept({.budgets = {budget}});
    greedy.hold(true);
    EXPECT("the greedy one gets no more", !greedy.read() && greedy.starved(), greedy.bytes());
    EXPECT("nor the other", !modest.read() && modest.starved(), modest.bytes());
    EXPECT_EQUAL("the greedy one holds it all", budget->held(), greedy.receiver().held(bound.id));
    EXPECT_EQUAL("the other nothing", 0U, modest.receiver().held(bound.id));
    EXPECT_EQUAL("packets the NIC had no memory for", 0U, nic_count("rx1_ring_empty"));

    greedy.let_go(greedy.held() / 2);
    EXPECT("now the other goes on to the end", modest.read(), modest.bytes());
    expect_whole(modest, stream);
    modest.give_back();
    read_greedily(greedy, *budget);
    expect_whole(greedy, stream);
    EXPECT_EQUAL("packets the NIC had no memory for", 0U, nic_count("rx1_ring_empty"));
}

// A stream that moves: what is held of one binding does not count for the other.
void bindings_counted_apart() {
    const Bound bound(scarce());
    const auto other = devmem::DmaBuf::accelmem(memory);
    const std::array<std::uint32_t, 1> queue{2};
    const devmem::RxBinding binding(bound.ifindex, queue, other);
    const auto first = std::make_shared<devmem::Budget>(*bound.binding);
    const auto second = std::make_shared<devmem::Budget>(binding, limit);
    Sender sender = bound.send({.bytes = stream});
    Reader reader = bound.accept({.budgets = {first, second}});
    reader.knows(binding.id(), &other);
    reader.hold(true);
    EXPECT("first part", reader.read(mebibyte / 2), reader.bytes());
    const std::uint64_t before = first->held();
    EXPECT("held of the first", before >= mebibyte / 2, before);
    EXPECT_EQUAL("held of the second", 0U, second->held());

    devmem::Flow flow;
    flow.source_port = 6000;
    const devmem::FlowRule rule(bound.ifindex, flow, 2);
    EXPECT("the second is used up", !reader.read() && reader.starved(), reader.bytes());
    EXPECT("held of the second", second->held() > limit - 4096, second->held());
    EXPECT_EQUAL("as the receiver says", second->held(), reader.receiver().held(binding.id()));
    EXPECT("of the first as much as before or more", first->held() >= before, first->held());
    EXPECT_EQUAL("as the receiver says", first->held(), reader.receiver().held(bound.id));
    read_greedily(reader, *second);
    expect_whole(reader, stream);
}

void many_connections() {
    constexpr std::uint64_t bytes = 8192;
    const rlimit files{4096, 4096};
    KTAP_NEED(::setrlimit(RLIMIT_NOFILE, &files) == 0);
    const Bound bound({.memory = 32 * mebibyte, .queues = {0, 1, 2, 3}});
    const auto budget = std::make_shared<devmem::Budget>(*bound.binding, 16 * mebibyte);
    Sender sender = bound.send({.connections = many, .bytes = bytes});
    {
        std::vector<Reader> readers;
        for (unsigned i = 0; i < many; i++)
            readers.push_back(
                bound.accept({.host_bytes = 32768, .pieces = 32, .budgets = {budget}}));
        EXPECT("no stream stalls", read_all(readers), "a stall");
        for (const Reader& reader : readers) {
            expect_whole(reader, bytes);
            EXPECT_EQUAL("bytes on the device", bytes, reader.device_bytes());
        }
    }
    EXPECT("the sender is content", sender.done(), "that it is not");
    EXPECT_EQUAL("held when all is over", 0U, budget->held());
}

const ktap_test tests[] = {
    {"a greedy consumer with a budget: the peer waits, no drop for want of memory, exact",
     clean<greedy_with_budget>},
    {"a greedy consumer without: the NIC drops; given back: exact", clean<greedy_without_budget>},
    {"a budget for two: one keeps all, the other is told and goes on later: both exact",
     clean<shared_budget>},
    {"two bindings on one socket: counted and limited apart, exact", clean<bindings_counted_apart>},
    {"hundreds of connections through one binding: each exact", clean<many_connections>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    if (argc > 1 && std::strcmp(argv[1], "--long") == 0) {
        many = 1000;
        return run_tests(tests, argc - 1, argv + 1);
    }
    return run_tests(tests, argc, argv);
}
