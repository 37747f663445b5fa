// SPDX-License-Identifier: GPL-2.0
// What a byte costs: one stream after the other, each with its middle marked for qemu/meter.c, and
// a line of JSON. The lab's bench runs it, with a meter, and says whose the instructions were.
//
//     bench                    all cases' names
//     bench FOLDER CASE...     FOLDER: where the meter looks for the kernel's symbols
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../../../../userspace/examples/task.h"
#include "bench_bind.h"
#include "bench_case.h"
#include "bench_frag.h"
#include "bench_memory.h"
#include "bench_priority.h"
#include "bench_stage.h"
#include "devmem/error.h"
#include "far_end.h"
#include "mark.h"
#include "process.h"
#include "receive_way.h"
#include "send_way.h"
#include "tx_stream.h"
#ifdef WITH_URING
#include "devmem/uring.h"
#endif

namespace {

constexpr std::uint64_t mebi = 1 << 20;
constexpr std::uint64_t rest = 4 * mebi;
constexpr std::uint16_t port = 5201;

// The more that is under way in one piece, the more it matters where that is when the counting
// begins, and the more has to be counted.
std::uint64_t measured(const Case& what) {
    return (what.connections > 1 || what.piece >= mebi ? 64 : 16) * mebi;
}

// How segments come together is a matter of small causes: each run begins to count elsewhere.
std::uint64_t warm_up(const Case& what, unsigned run) {
    return 8 * mebi + std::uint64_t{run} * 1234567 + what.keep * what.mtu;
}

// The middle of a stream, seen from the end that is measured. Both processes have it.
class Measurement {
  public:
    Measurement(std::uint64_t begin, std::uint64_t size) : next_(begin), size_(size) {}

    /// So much more has been received, or handed to TCP.
    void count(std::size_t more, std::uint64_t more_frags = 0) {
        total_ += more;
        frags_ += more_frags;
        if (done_ || total_ < next_) return;
        if (!running_)
            start();
        else
            stop();
    }

    [[nodiscard]] bool done() const { return done_; }

    std::uint64_t bytes = 0, frags = 0;
    std::uint64_t clock = 0;  ///< ns; QEMU's own count of instructions, where it takes each for one

  private:
    static std::uint64_t now() {
        timespec time{};
        ::clock_gettime(CLOCK_MONOTONIC_RAW, &time);
        return static_cast<std::uint64_t>(time.tv_sec) * 1000000000 +
               static_cast<std::uint64_t>(time.tv_nsec);
    }
    void start() {
        begin_ = total_;
        next_ = total_ + size_;
        frags_ = 0;
        running_ = true;
        clock_ = now();
        make_mark<Mark::start>();
    }
    void stop() {
        make_mark<Mark::stop>();
        clock = now() - clock_;
        bytes = total_ - begin_;
        frags = frags_;
        done_ = true;
    }

    std::uint64_t total_ = 0, frags_ = 0, begin_ = 0, next_, size_, clock_ = 0;
    bool running_ = false, done_ = false;
};

Measurement& shared_measurement(const Case& what, unsigned run) {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw_errno_of("mmap");
    return *new (page) Measurement(warm_up(what, run), measured(what));
}

// ---- the sender -------------------------------------------------------------

struct Outgoing {
    std::unique_ptr<SendWay> way;
    std::uint64_t left;
};

void send_all(std::vector<Outgoing>& all, Measurement* measurement) {
    const bool wait = all.size() == 1;
    std::vector<pollfd> polls;
    polls.reserve(all.size());
    for (const Outgoing& out : all) polls.push_back({out.way->fd(), POLLOUT, 0});
    for (std::size_t open = all.size(); open > 0;) {
        if (!wait && ::poll(polls.data(), polls.size(), -1) < 0) throw_errno_of("poll");
        for (std::size_t i = 0; i < all.size(); i++) {
            if (polls[i].fd < 0 || (!wait && polls[i].revents == 0)) continue;
            const std::size_t sent = all[i].way->write(all[i].left, wait);
            if (measurement) measurement->count(sent);
            all[i].left -= sent;
            if (all[i].left > 0) continue;
            polls[i].fd = -1;
            open--;
        }
    }
}

void send(const Case& what, unsigned run, Measurement* measurement) {
    const bool device = what.send != "host";
    std::optional<devmem::DmaBuf> memory;
    std::optional<devmem::TxBinding> binding;
    if (device) memory.emplace(devmem::DmaBuf::accelmem(16 * mebi));
    if (what.send == "library") binding.emplace(devmem::interface_index("dm0p"), *memory);
    std::vector<Outgoing> all;
    for (unsigned i = 0; i < what.connections; i++)
        all.push_back({make_send_way(what.send, dial(Topology::v4_here, port),
                                     {memory ? &*memory : nullptr, binding ? &*binding : nullptr,
                                      what.piece}),
                       (warm_up(what, run) + measured(what) + rest) / what.connections});
    make_mark<Mark::sender>();
    send_all(all, measurement);
    make_mark<Mark::nobody>();
    for (const Outgoing& out : all) out.way->finish();
}

// ---- the receiver -----------------------------------------------------------

using Ways = std::vector<std::unique_ptr<ReceiveWay>>;

// What is read, and counted if it is this end that is measured. How much is out at most is looked
// at when that is over.
struct Reading {
    void count(std::size_t bytes, std::uint64_t more_frags) {
        if (!measurement) return;
        measurement->count(bytes, more_frags);
        if (!measurement->done() || !stage.landing) return;
        std::uint64_t out = 0;
        for (const auto& way : ways) out += way->out();
        tokens = std::max(tokens, out);
        niovs = std::max(niovs, stage.niovs_out());
    }

    const BenchStage& stage;
    Measurement* measurement;
    Ways ways = {};
    std::uint64_t tokens = 0, niovs = 0;
};

// False at the end.
bool read_some(ReceiveWay& way, bool wait, Reading& reading) {
    const std::uint64_t before = way.frags();
    const ssize_t got = way.read(wait);
    if (got > 0) reading.count(static_cast<std::size_t>(got), way.frags() - before);
    return got != 0;
}

void read_blocking(Reading& reading) {
    while (read_some(*reading.ways.at(0), true, reading)) {
    }
}

void read_by_epoll(Reading& reading) {
    const Ways& ways = reading.ways;
    const devmem::Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    for (std::size_t i = 0; i < ways.size(); i++) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ways[i]->fd(), &event) < 0)
            throw_errno_of("epoll_ctl");
    }
    for (std::size_t open = ways.size(); open > 0;) {
        std::array<epoll_event, 64> events{};
        const int ready = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
        if (ready < 0 && errno != EINTR) throw_errno_of("epoll_wait");
        for (int i = 0; i < ready; i++) {
            ReceiveWay& way = *ways[events[static_cast<std::size_t>(i)].data.u64];
            if (read_some(way, false, reading)) {
                way.rest();
                continue;
            }
            ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, way.fd(), nullptr);
            open--;
        }
    }
}

#ifdef WITH_URING
Task read_one(ReceiveWay& way, devmem::Uring& uring, Reading& reading) {
    using State = devmem::Receiver::State;
    for (;;) {
        const auto got = co_await devmem::receive(*way.receiver(), uring);
        if (got.state == State::end) co_return;
        if (got.state != State::data) throw std::system_error(got.error, "receive");
        std::uint64_t frags = 0;
        for (const devmem::Piece& piece : got.pieces) frags += piece.on_device();
        reading.count(got.bytes, frags);
    }
}

void read_by_uring(Reading& reading) {
    devmem::Uring uring;
    std::vector<Task> tasks;
    for (auto& way : reading.ways) tasks.push_back(read_one(*way, uring, reading));
    while (uring.waiting() > 0) uring.turn();
    for (const Task& task : tasks) task.check();
}
#else
void read_by_uring(Reading&) {
    throw std::runtime_error("built without liburing");
}
#endif

void read_all(const Case& what, Reading& reading) {
    if (what.loop == "blocking")
        read_blocking(reading);
    else if (what.loop == "epoll")
        read_by_epoll(reading);
    else
        read_by_uring(reading);
}

void run(const Case& what, unsigned number) {
    Measurement& measurement = shared_measurement(what, number);
    const bool sends = what.send != "host";  // which end it is about
    const BenchStage stage(what);
    // What many connections have in flight is to be little against what is measured.
    const Listener listener(port, what.connections > 1 ? 128 << 10 : 0);
    Process sender(stage.pair.there_fd(), [&](int) {
        lock_memory();
        send(what, number, sends ? &measurement : nullptr);
    });
    lock_memory();
    go_first();
    Reading reading{stage, sends ? nullptr : &measurement};
    while (reading.ways.size() < what.connections)
        reading.ways.push_back(
            make_receive_way(what.receive, listener.accept(), stage.receive_memory(what)));
    make_mark<Mark::receiver>();
    read_all(what, reading);
    make_mark<Mark::nobody>();
    reading.ways.clear();
    if (sender.wait(60) != 0) throw std::runtime_error("the sender failed");
    if (measurement.bytes == 0) throw std::runtime_error("too few bytes came");
    fmt::print(
        "{{\"case\":\"{}\",\"bytes\":{},\"frags\":{},\"clock\":{},"
        "\"tokens\":{},\"niovs\":{}}}\n",
        what.name, measurement.bytes, measurement.frags, measurement.clock, reading.tokens,
        reading.niovs);
}

void run_one(const Case& what, unsigned number) {
    switch (what.kind) {
        case Case::Kind::stream:
            return run(what, number);
        case Case::Kind::bind:
            return run_bind(what);
        case Case::Kind::frag:
            return run_frag(what);
        case Case::Kind::sockets:
            return run_sockets(what);
        case Case::Kind::memory:
            return run_memory(what);
    }
}

// What the case needs to begin with.
void try_memory(const Case& what) {
    if (what.niov > 0) const BenchStage stage(what);
    if (what.scattered) (void)repeated_memory(what.bind);
}

// While all wait for a file from the host, the guest's clock goes from one timer to the next at
// once: two minutes of it are nothing.
constexpr double forever = 24 * 3600;

// Empty if this kernel can do it.
std::string why_not(const Case& what) {
    if (what.send == "library") return why_no_sending();
    // Without that it is a kernel that knows niovs by their addresses, of which these have the
    // same.
    if (what.kind == Case::Kind::frag && what.keep > 100000 && !why_no_sending().empty())
        return "two niovs must not have one address here";
    if (what.kind == Case::Kind::bind && what.bind >= 4ULL << 30 && !why_no_sending().empty())
        return "all of the machine's memory, and more, would go into it here";
    std::string why(200, '\0');
    Process trial(-1, [&](int say) {
        try {
            try_memory(what);
        } catch (const std::exception& error) {
            std::string words = error.what();
            std::replace(words.begin(), words.end(), '"', '\'');
            (void)!::write(say, words.data(), std::min(words.size(), why.size()));
        }
    });
    (void)trial.hear(why.data(), why.size(), forever);
    return why.substr(0, why.find('\0'));
}

// Each run in a process of its own, which takes the NICs with it.
bool run_alone(const Case& what) {
    if (const std::string why = why_not(what); !why.empty()) {
        fmt::print("{{\"case\":\"{}\",\"impossible\":\"{}\"}}\n", what.name, why);
        return true;
    }
    for (unsigned number = 0; number < what.runs; number++) {
        Process process(-1, [&](int) { run_one(what, number); });
        if (process.wait(forever) != 0) return false;
    }
    return true;
}

// The meter reads them now, and translates the programs anew.
void tell_symbols(const std::string& folder) {
    std::filesystem::path file(folder);
    std::ifstream from("/proc/kallsyms");
    std::ofstream to(file / "symbols");
    to << from.rdbuf();
    to.close();
    if (!to) throw std::runtime_error("no symbols");
    make_mark<Mark::symbols>();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        for (const Case& one : all_cases()) fmt::print("{}\n", one.name);
        return 0;
    }
    try {
        tell_symbols(argv[1]);
        for (int i = 2; i < argc; i++)
            if (!run_alone(case_named(argv[i])))
                throw std::runtime_error(argv[i] + std::string(" failed"));
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: {}\n", error.what());
        return 1;
    }
    return 0;
}
