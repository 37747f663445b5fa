// SPDX-License-Identifier: GPL-2.0
// Processes that know nothing of each other do anything to one NIC: bind and unbind its queues,
// receive, die with tokens out, change its settings, take it down, move it away, list it. Every
// byte that arrives is checked, and in the end nothing is left.
//
//	MIX_SEED=N mix_test [--long]
//
// Each process repeats what it did in the earlier run that has printed this N; how they interleave
// is up to the kernel, and so is how far they get: on a slow machine they stop when they have done
// enough. --long takes half an hour on two processors, and more if they are busy.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <list>
#include <random>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "devmem/flow_rule.h"
#include "devmem/rss_table.h"
#include "expect.h"
#include "leftovers.h"

namespace {

using Random = std::minstd_rand;

constexpr std::uint32_t owners = 4;  // processes that use a queue each, from 0 on
constexpr PairOptions nic{.queues = 6};

// What all processes together have done, for none of it to be idle.
struct Tally {
    std::atomic<std::uint64_t> bindings, kills, device_bytes, host_bytes;

    [[nodiscard]] bool enough() const {
        return bindings > 4 && kills > 0 && device_bytes > 100'000;
    }
};

Tally& tally() {
    static void* const shared =
        ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw_errno_of("mmap");
    return *static_cast<Tally*>(shared);
}

using Clock = std::chrono::steady_clock;

struct Plan {
    pid_t main;
    int there;  ///< main's descriptor of the other namespace
    unsigned seed;
    int operations;  ///< of each process
    Clock::time_point start;
    std::chrono::seconds time;

    /// From now on nobody does more than is enough.
    [[nodiscard]] bool late() const { return Clock::now() > start + time; }

    [[nodiscard]] std::string there_path() const {
        return fmt::format("/proc/{}/fd/{}", main, there);
    }
};

unsigned up_to(Random& random, unsigned most) {
    return static_cast<unsigned>(random()) % most;
}

// The NIC may be away, or another process may be in the way; nothing else may go wrong.
template <class Call>
bool may_fail(const char* what, std::initializer_list<int> errors, Call call) {
    try {
        call();
        return true;
    } catch (const std::system_error& error) {
        EXPECT(fmt::format("{}: success or one of the errors {}", what, errors),
               std::ranges::count(errors, error.code().value()) == 1, error.what());
        return false;
    }
}

// ---- an owner of a queue -----------------------------------------------------

// What an owner does until it is killed, or has done enough.
class Life {
  public:
    Life(const Plan& plan, std::uint32_t queue, unsigned seed)
        : there_(::open(plan.there_path().c_str(), O_RDONLY | O_CLOEXEC)),
          queue_(queue),
          random_(seed),
          port_(static_cast<std::uint16_t>(10'000 * (queue + 1) + seed % 9'000)) {}

    /// Says a byte after each operation.
    void run(int say, int operations);

  private:
    static constexpr double patience = 0.05, patience_to_connect = 1;

    void wait_for_queue();
    void step();
    void bind();
    void dial();
    void hang_up();
    void accept();
    void read();
    void check_held();

    devmem::Fd there_;
    std::uint32_t queue_;
    Random random_;
    std::uint16_t port_;
    std::optional<Listener> listener_;
    std::list<devmem::DmaBuf> memories_;
    std::optional<devmem::RxBinding> binding_;
    std::optional<Sender> sender_;
    std::optional<Reader> reader_;
    Memories known_;
};

void Life::run(int say, int operations) {
    wait_for_queue();
    for (int i = 0; i < operations; i++) {
        step();
        if (::write(say, "", 1) != 1) throw_errno_of("tell of an operation");
    }
}

// A child of an owner that was killed may have its binding until it dies too.
void Life::wait_for_queue() {
    const auto ours = [&](const devmem::Queue& queue) {
        return queue.type == devmem::Queue::Type::rx && queue.id == queue_ && queue.dmabuf_id != 0;
    };
    bool free = false;
    within(60, [&] {
        may_fail("queue-get", {ENODEV}, [&] {
            free = std::ranges::none_of(devmem::queues(devmem::interface_index("dm0")), ours);
        });
        return free;
    });
    EXPECT("the queue is free", free, queue_);
}

void Life::step() {
    switch (up_to(random_, 16)) {
        case 0:
        case 1:
            return bind();
        case 2:
            return binding_.reset();
        case 3:
            return dial();
        case 4:
            return hang_up();
        case 5:
        case 6:
            return check_held();
        default:
            return read();
    }
}

// New memory for each binding: frags that are held, or wait to be read, may be in the old one.
void Life::bind() {
    if (binding_) return;
    if (!sender_) known_.clear(), memories_.clear();
    const auto& memory = memories_.emplace_back(devmem::DmaBuf::accelmem(2 << 20));
    const bool bound = may_fail("bind-rx", {ENODEV, EINVAL, EEXIST, ENODATA}, [&] {
        const std::array queues{queue_};
        binding_.emplace(devmem::interface_index("dm0"), queues, memory);
    });
    if (!bound) return memories_.pop_back();
    tally().bindings++;
    known_[binding_->id()] = &memory;
    if (reader_) reader_->knows(binding_->id(), &memory);
}

// A new listener: senders that have been killed may wait to be accepted by the old one. A child of
// an owner that was killed may still have that.
void Life::dial() {
    const auto to = static_cast<std::uint16_t>(5200 + queue_);
    hang_up();
    const bool listens = within(60, [&] {
        return may_fail("listen", {EADDRINUSE}, [&] { listener_.emplace(to, 256 << 10); });
    });
    if (!EXPECT("the port is free", listens, to)) return;
    sender_.emplace(there_.get(), SendPlan{.port = to, .first_port = port_++, .bytes = endless});
}

void Life::hang_up() {
    reader_.reset();
    sender_.reset();
    listener_.reset();
}

// Not a sender of an owner that was killed: it may connect before it dies too. Ours gives up if it
// finds no way to a NIC that is away.
void Life::accept() {
    if (!listener_->waits(patience_to_connect)) {
        if (sender_->done(0)) hang_up();
        return;
    }
    devmem::Fd connection = listener_->accept();
    sockaddr_in6 peer{};
    socklen_t size = sizeof(peer);
    const auto ours = static_cast<std::uint16_t>(port_ - 1);
    if (::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        ntohs(peer.sin6_port) == ours)
        reader_.emplace(std::move(connection), known_);
}

void Life::read() {
    if (!sender_) dial();
    if (!sender_) return;
    if (!reader_) return accept();
    const auto device = reader_->device_bytes(), host = reader_->host_bytes();
    reader_->hold(reader_->held() < 100 && up_to(random_, 2) == 0);
    reader_->read(reader_->bytes() + 50'000, patience);
    tally().device_bytes += reader_->device_bytes() - device;
    tally().host_bytes += reader_->host_bytes() - host;
    EXPECT_EQUAL("first thing wrong", std::string(), reader_->wrong());
    EXPECT("the stream is not over", !reader_->over(), reader_->bytes());
}

void Life::check_held() {
    if (!reader_) return;
    EXPECT_EQUAL("frags held", std::string(), reader_->check_held());
    reader_->give_back();
}

// One life after the other. Half of them end by kill -9, in the middle of something, and so does
// what has not ended when it is late.
void own(const Plan& plan, std::uint32_t queue) {
    Random random(plan.seed + queue);
    const auto over = [&] { return plan.late() && tally().enough(); };
    for (int left = plan.operations; !over() && (left > 0 || !tally().enough());) {
        const auto operations = 1 + static_cast<int>(up_to(random, 80));
        const auto seed = static_cast<unsigned>(random());
        const auto enough =
            random() % 2 ? operations : static_cast<int>(up_to(random, 80)) % operations;
        Process life(-1, [&](int say) { Life(plan, queue, seed).run(say, operations); });
        char byte{};
        int done = 0;
        for (; done < enough && !over(); done++)
            if (!EXPECT("an owner lives", life.hear(&byte, 1, 120), queue)) return;
        if (done == operations)
            EXPECT_EQUAL("end of an owner", 0, life.wait(120));
        else
            tally().kills++;
        left -= operations;
    }
}

// ---- the others --------------------------------------------------------------

void move_away_and_back(const Plan& plan, int there) {
    run_in(-1, "ip link set dm0 netns " + plan.there_path());
    run_in(there,
           fmt::format("ip link set dm0 up && ip link set dm0 netns /proc/{}/ns/net", ::getpid()));
    run_in(-1, fmt::format("ip addr add {}/24 dev dm0 && ip link set dm0 up", Topology::v4_here));
}

void spread(std::uint32_t ifindex, unsigned how) {
    const std::array<std::vector<std::uint32_t>, 3> queues{{{0}, {4}, {0, 4}}};
    spread_over(ifindex, queues[how]);
}

// Off only where nothing is bound; then a binding may fail.
void split_off_and_on(std::uint32_t ifindex) {
    using enum devmem::DataSplit;
    may_fail("split off", {EINVAL, EBUSY},
             [&] { devmem::set_rings(ifindex, {.data_split = off}); });
    devmem::set_rings(ifindex, {.data_split = on});
}

void change_settings(const Plan& plan) {
    Random random(plan.seed + 100);
    const devmem::Fd there(::open(plan.there_path().c_str(), O_RDONLY | O_CLOEXEC));
    const auto ifindex = devmem::interface_index("dm0");
    for (int i = 0; i < plan.operations / 4 && !plan.late(); i++) {
        switch (up_to(random, 6)) {
            case 0:
                devmem::set_rings(ifindex, {.rx = 64U << up_to(random, 4)});
                break;
            case 1:
                may_fail("channels", {EINVAL},
                         [&] { devmem::set_channels(ifindex, {.rx = 4 + up_to(random, 3)}); });
                break;
            case 2:
                may_fail("RSS", {EINVAL}, [&] { spread(ifindex, up_to(random, 3)); });
                break;
            case 3:
                split_off_and_on(ifindex);
                break;
            case 4:
                run_in(-1, "ip link set dm0 down && ip link set dm0 up");
                break;
            case 5:
                move_away_and_back(plan, there.get());
                break;
        }
        ::usleep(up_to(random, 100'000));  // time for traffic
    }
}

void list(const Plan& plan) {
    for (int i = 0; i < plan.operations && !plan.late(); i++) {
        may_fail("queue-get", {ENODEV},
                 [] { static_cast<void>(devmem::queues(devmem::interface_index("dm0"))); });
        may_fail("page-pool-get", {}, [] { static_cast<void>(devmem::page_pools()); });
        may_fail("settings", {ENODEV},
                 [] { static_cast<void>(devmem::rings(devmem::interface_index("dm0"))); });
    }
}

// ---- the test ----------------------------------------------------------------

bool take_long = false;

unsigned seed() {
    static const char* given = std::getenv("MIX_SEED");
    static const unsigned chosen =
        given ? static_cast<unsigned>(std::stoul(given)) : std::random_device()();
    return chosen;
}

// A whole stream into a queue of the NIC that has been through all this.
void expect_works(const std::shared_ptr<Topology>& pair) {
    devmem::set_rss_table(devmem::interface_index("dm0"), {});
    const Bound bound(pair);
    const Sender sender = bound.send({.bytes = 1 << 20});
    Reader reader = bound.accept();
    EXPECT("a new binding works", reader.read(), reader.bytes());
    EXPECT_EQUAL("bytes on the device", 1 << 20, reader.device_bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
}

void run_all(const Plan& plan) {
    tally();  // before the others are forked
    const double patience = take_long ? 20'000 : KTAP_SECONDS - 20;
    std::list<Process> processes;
    for (std::uint32_t queue = 0; queue < owners; queue++)
        processes.emplace_back(-1, [&, queue](int) { own(plan, queue); });
    processes.emplace_back(-1, [&](int) { change_settings(plan); });
    processes.emplace_back(-1, [&](int) { list(plan); });
    int number = 0;
    for (Process& process : processes)
        EXPECT_EQUAL(fmt::format("end of process {}", number++), 0, process.wait(patience));
    const Tally& all = tally();
    fmt::print("# {} bindings, {} kills, {} bytes checked on the device, {} in host memory, {} s\n",
               all.bindings.load(), all.kills.load(), all.device_bytes.load(),
               all.host_bytes.load(),
               std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - plan.start).count());
    EXPECT("bindings", all.bindings > 4, all.bindings.load());
    EXPECT("kills", all.kills > 0, all.kills.load());
    EXPECT("bytes on the device", all.device_bytes > 100'000, all.device_bytes.load());
}

void mix() {
    if (take_long) ::alarm(0);
    const auto pair = std::make_shared<Topology>(nic);
    const auto ifindex = devmem::interface_index("dm0");
    const Plan plan{.main = ::getpid(),
                    .there = pair->there_fd(),
                    .seed = seed(),
                    .operations = take_long ? 40'000 : 200,
                    .start = Clock::now(),
                    .time = std::chrono::seconds(take_long ? 18'000 : KTAP_SECONDS / 4)};
    {
        const devmem::HeaderSplit split(ifindex);
        std::list<devmem::FlowRule> rules;
        for (std::uint16_t queue = 1; queue < owners; queue++)
            rules.emplace_back(
                ifindex, devmem::Flow{.destination_port = static_cast<std::uint16_t>(5200 + queue)},
                queue);
        spread(ifindex, 0);
        run_all(plan);
    }
    expect_works(pair);
    pair->here("ip link del dm0");
}

void modules_unload() {
    for (const std::string name : {"dmnic", "accelmem"}) {
        const auto file = module_file(name);
        if (file.empty()) ktap_skip("nobody knows where %s.ko is", name.c_str());
        EXPECT(name + " unloads", within(120, [&] { return unload_module(name) == 0; }), "no");
        if (!module_loaded(name)) load_module(file);
    }
}

const ktap_test tests[] = {
    {"six processes, one NIC: nothing is left", clean<mix>},
    {"the modules unload", caught<modules_unload>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    take_long = argc > 1 && std::string(argv[1]) == "--long";
    fmt::print("# MIX_SEED={}\n", seed());
    return ktap_main(tests, std::size(tests));
}
