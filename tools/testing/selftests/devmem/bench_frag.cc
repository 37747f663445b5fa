// SPDX-License-Identifier: GPL-2.0
#include "bench_frag.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "bench_memory.h"
#include "bench_priority.h"
#include "bound.h"
#include "devmem/error.h"
#include "far_end.h"
#include "hoard.h"
#include "mark.h"
#include "process.h"

namespace {

constexpr std::uint16_t port = 5201;
constexpr std::uint64_t page = 4096,
                        payload = 1448;   // of a frame, with an MTU of 1500
constexpr std::uint64_t received = 4096;  // frags that are measured
// Few enough for the ring of the pool that they go back to.
constexpr std::uint64_t one_by_one = 128, batched = 128, together = 256, ring = 512;
constexpr std::uint64_t most_of_accelmem = 512 << 20;
// What the NIC and its page pool have, and some more.
constexpr std::uint64_t spare = 8192;

devmem::DmaBuf memory_for(std::uint64_t frags) {
    return frags * page <= most_of_accelmem ? devmem::DmaBuf::accelmem(frags * page)
                                            : repeated_memory(frags * page);
}

// A NIC whose memory has room for so many frags.
struct Stage {
    explicit Stage(std::uint64_t frags) : memory(memory_for(frags + spare)) {
        const std::vector<std::uint32_t> queues = {1};
        const std::uint32_t ifindex = devmem::interface_index("dm0");
        spread_over(ifindex, queues);
        split.emplace(ifindex);
        binding.emplace(ifindex, queues, memory);
    }

    Topology pair;
    devmem::DmaBuf memory;
    std::optional<devmem::HeaderSplit> split;
    std::optional<devmem::RxBinding> binding;
};

void measure(const std::string& name, std::uint64_t frags, const std::function<void()>& body) {
    make_mark<Mark::receiver>();
    make_mark<Mark::start>();
    body();
    make_mark<Mark::stop>();
    fmt::print("{{\"case\":\"{}\",\"frags\":{}}}\n", name, frags);
}

void send_bytes(int fd, std::uint64_t size) {
    static const std::array<char, 256 << 10> buffer{};
    while (size > 0) {
        const ssize_t sent =
            ::send(fd, buffer.data(), std::min<std::uint64_t>(size, buffer.size()), MSG_NOSIGNAL);
        if (sent < 0) return;  // the receiver has seen enough
        size -= static_cast<std::uint64_t>(sent);
    }
}

std::vector<TokenRange> ranges_of_one(std::span<const TokenRange> ranges) {
    std::vector<TokenRange> all;
    for (const TokenRange& range : ranges)
        for (std::uint32_t i = 0; i < range.count; i++) all.push_back({range.start + i, 1});
    return all;
}

void give_singly(const Hoard& hoard, std::span<const TokenRange> ranges) {
    for (const TokenRange& one : ranges) hoard.give_back({&one, 1});
}

void allow_sockets(std::uint64_t count) {
    const rlimit limit{count + 100, count + 100};
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) throw_errno_of("setrlimit");
}

// A frag comes, and stays. Returns the connection, which has it until it is closed.
devmem::Fd accept_idle(const Listener& listener) {
    devmem::Fd connection = listener.accept();
    TokenReader reader(devmem::Fd::duplicate(connection.get()));
    if (reader.read(true) <= 0 || reader.tokens().size() != 1)
        throw std::runtime_error("no frag came");
    return connection;
}

void dial_idle(std::vector<devmem::Fd>& all, std::uint64_t count) {
    while (all.size() < count) {
        all.push_back(dial(Topology::v4_here, port));
        send_bytes(all.back().get(), payload / 2);
    }
}

// An instruction takes a nanosecond here. Where a frag costs the more, the more there are, it is
// not worth waiting for very many.
bool fill(Hoard& hoard, std::uint64_t frags, std::uint64_t keep) {
    constexpr auto patience = std::chrono::seconds(15);
    const auto begin = std::chrono::steady_clock::now();
    while (hoard.frags() < frags) {
        if (!hoard.read(std::min(hoard.frags() + 1000, frags), keep))
            throw std::runtime_error("too few bytes came");
        if (std::chrono::steady_clock::now() - begin > patience) return false;
    }
    return true;
}

void give_up(const Case& what, std::uint64_t frags) {
    fmt::print(
        "{{\"case\":\"{}\",\"impossible\":\"15,000,000,000 instructions, and no more than {} "
        "frags\"}}\n",
        what.name, frags);
}

}  // namespace

void run_frag(const Case& what) {
    const std::uint64_t most = what.keep + one_by_one + batched + together + ring;
    const Stage stage(most);
    const Listener listener(port);
    Process sender(stage.pair.there_fd(), [&](int) {
        const devmem::Fd to = dial(Topology::v4_here, port);
        lock_memory();
        make_mark<Mark::sender>();
        send_bytes(to.get(), (most + received + spare) * payload);
    });
    Hoard hoard(listener.accept(), most + spare / 2);
    lock_memory();
    go_first();
    const std::string out = fmt::format("{} tokens out", what.keep);
    if (!fill(hoard, what.keep + 2048, what.keep)) return give_up(what, hoard.frags());
    bool more = true;
    measure("frag/receive, " + out, received,
            [&] { more &= hoard.read(hoard.frags() + received, what.keep); });
    // What comes now makes room in the pool's ring.
    more &= hoard.read(hoard.frags() + most - hoard.out(), most);
    if (!more) throw std::runtime_error("too few bytes came");
    const std::vector<TokenRange> some = hoard.take_oldest(together);
    measure("frag/give back together, " + out, together, [&] { hoard.give_back(some); });
    const auto many = ranges_of_one(hoard.take_oldest(batched));
    measure("frag/give back 128 a call, " + out, batched, [&] { hoard.give_back(many); });
    const auto others = ranges_of_one(hoard.take_oldest(one_by_one));
    measure("frag/give back one by one, " + out, one_by_one, [&] { give_singly(hoard, others); });
}

void run_sockets(const Case& what) {
    const std::uint64_t idle = what.connections - 1;
    allow_sockets(what.connections);
    const Stage stage(what.connections);
    const Listener listener(port);
    Process sender(stage.pair.there_fd(), [&](int) {
        std::vector<devmem::Fd> all;
        dial_idle(all, idle);
        const devmem::Fd to = dial(Topology::v4_here, port);
        make_mark<Mark::sender>();
        send_bytes(to.get(), (2 * received + spare) * payload);
    });
    std::vector<devmem::Fd> kept;
    while (kept.size() < idle) kept.push_back(accept_idle(listener));
    Hoard hoard(listener.accept(), spare / 2);
    lock_memory();
    go_first();
    bool more = hoard.read(2048, 0);
    measure(fmt::format("frag/receive, {}", what.name.substr(what.name.find('/') + 1)), received,
            [&] { more &= hoard.read(hoard.frags() + received, 0); });
    if (!more) throw std::runtime_error("too few bytes came");
}
