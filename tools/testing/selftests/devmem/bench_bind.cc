// SPDX-License-Identifier: GPL-2.0
#include "bench_bind.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "bench_memory.h"
#include "bench_stage.h"
#include "devmem/error.h"
#include "far_end.h"
#include "mark.h"
#include "process.h"
#include "receive_way.h"

namespace {

constexpr std::uint16_t port = 5201;
constexpr std::uint64_t each = 128 << 10;  // bytes that a connection gets

std::uint64_t free_memory_now() {
    std::ifstream file("/proc/meminfo");
    for (std::string name; file >> name;) {
        std::uint64_t kibibytes = 0;
        file >> kibibytes;
        if (name == "MemFree:") return kibibytes << 10;
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    throw std::runtime_error("no MemFree");
}

// What is freed later, as by RCU or with a namespace, has been freed when nothing changes any more.
std::uint64_t free_memory() {
    constexpr std::uint64_t little = 64 << 10;
    std::uint64_t before = free_memory_now();
    for (int quiet = 0; quiet < 10;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        const std::uint64_t now = free_memory_now();
        quiet = std::max(now, before) - std::min(now, before) < little ? quiet + 1 : 0;
        before = now;
    }
    return before;
}

// All connect; each sends its bytes when it has heard one.
void send_when_told(std::uint64_t connections) {
    static const std::array<char, each> bytes{};
    std::vector<devmem::Fd> all;
    while (all.size() < connections) all.push_back(dial(Topology::v4_here, port));
    for (const devmem::Fd& one : all) {
        char told = 0;
        if (::recv(one.get(), &told, 1, 0) != 1) throw_errno_of("recv");
        if (::send(one.get(), bytes.data(), bytes.size(), 0) != each) throw_errno_of("send");
    }
}

std::unique_ptr<ReceiveWay> receive(const Case& what, const BenchStage& stage, devmem::Fd fd) {
    auto way = make_receive_way(what.receive, std::move(fd), stage.receive_memory(what));
    if (::send(way->fd(), "", 1, 0) != 1) throw_errno_of("send");
    for (std::uint64_t got = 0; got < each;) {
        const ssize_t more = way->read(true);
        if (more <= 0) throw std::runtime_error("too few bytes came");
        got += static_cast<std::uint64_t>(more);
    }
    way->rest();
    return way;
}

}  // namespace

void run_bind(const Case& what) {
    const Topology pair;
    const std::uint32_t ifindex = devmem::interface_index("dm0");
    const devmem::HeaderSplit split(ifindex);
    const auto memory =
        what.scattered ? repeated_memory(what.bind) : devmem::DmaBuf::accelmem(what.bind);
    const std::vector<std::uint32_t> queues = {1};
    lock_memory();
    make_mark<Mark::receiver>();
    make_mark<Mark::start>();
    std::optional<devmem::RxBinding> binding(std::in_place, ifindex, queues, memory);
    make_mark<Mark::stop>();
    make_mark<Mark::receiver>();
    make_mark<Mark::start>();
    binding.reset();
    make_mark<Mark::stop>();
    for (const char* step : {"", "un"})
        fmt::print("{{\"case\":\"{}{}\",\"bytes\":{}}}\n", step, what.name, what.bind);
}

// The first connection does what is done once.
void run_memory(const Case& what) {
    const BenchStage stage(what);
    const Listener listener(port);
    Process sender(stage.pair.there_fd(), [&](int) { send_when_told(what.connections); });
    std::vector<devmem::Fd> accepted;
    while (accepted.size() < what.connections) accepted.push_back(listener.accept());
    std::vector<std::unique_ptr<ReceiveWay>> ways;
    ways.push_back(receive(what, stage, std::move(accepted[0])));
    const std::uint64_t before = free_memory();
    for (std::size_t i = 1; i < accepted.size(); i++)
        ways.push_back(receive(what, stage, std::move(accepted[i])));
    const std::uint64_t after = free_memory();
    const std::uint64_t used = before > after ? before - after : 0;
    fmt::print("{{\"case\":\"{}\",\"bytes_of_memory\":{}}}\n", what.name,
               used / (what.connections - 1));
}
