// SPDX-License-Identifier: MIT
// devmem bench: what device memory TCP brings on this machine, next to ordinary TCP and a copy.
//
// Two rounds: by device memory, then without. Each has connections of its own; the receiver closes
// them when it is ready for the next, so the two ends keep in step with no protocol.
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amount.h"
#include "arguments.h"
#include "command.h"
#include "devmem/binding.h"
#include "devmem/error.h"
#include "devmem/netdev.h"
#include "devmem/nic_session.h"
#include "endpoint.h"
#include "lanes.h"
#include "memory.h"
#include "outcome.h"
#include "stopwatch.h"
#include "table.h"

namespace {

using Json = nlohmann::ordered_json;

struct Options {
    std::string interface, address;  // no address: receive
    std::uint16_t port = default_port;
    MemoryOptions memory;
    std::uint32_t queues = 1;
    std::uint32_t connections = 1;
    double seconds = 5;
    std::uint64_t bytes = 0;  // 0: for so many seconds
    bool json = false;
};

struct Round {
    std::string way;
    std::uint64_t bytes = 0, device_bytes = 0;
    Stopwatch::Times times = {};
    std::string impossible = {};  ///< why nothing was measured
};

void say(const std::string& what) {
    if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "{} ...\n", what);
}

Round measure(const std::string& way, std::vector<Lane> lanes,
              const std::function<void(Lane&)>& work) {
    say(way);
    Round round{.way = way};
    const Stopwatch stopwatch;
    run_side_by_side(lanes, work);
    round.times = stopwatch.read();
    for (const Lane& lane : lanes) {
        round.bytes += lane.bytes;
        round.device_bytes += lane.device_bytes;
    }
    return round;
}

class Receiving {
  public:
    Receiving(const Options& options, const Waiter& waiter)
        : options_(options),
          waiter_(waiter),
          ifindex_(devmem::interface_index(options.interface)),
          memory_(make_memory(options.memory)),
          nic_(ifindex_, {.queues = options.queues, .flows = devmem::flows_to_port(options.port)}) {
    }

    std::vector<Round> run() {
        std::optional<devmem::RxBinding> binding(std::in_place, ifindex_, nic_.queues(), memory_);
        const auto listener = listen_on_all(options_.port);
        fmt::print(stderr, "listening on port {}\n", options_.port);
        auto connections = accept_all(listener);
        std::vector<Round> rounds{measure("device memory", lanes(connections), [&](Lane& lane) {
            receive_into_device(lane, *binding, waiter_);
        })};
        binding.reset();  // before the peer sees the end of the connections, and makes others
        connections.clear();
        connections = accept_all(listener);
        rounds.push_back(measure("recv + copy", lanes(connections),
                                 [&](Lane& lane) { receive_and_copy(lane, memory_, waiter_); }));
        return rounds;
    }

    void restore() { nic_.restore(); }

  private:
    [[nodiscard]] std::vector<Lane> lanes(const std::vector<devmem::Fd>& connections) const {
        return lanes_for(connections, memory_.size());
    }
    [[nodiscard]] std::vector<devmem::Fd> accept_all(const devmem::Fd& listener) const {
        std::vector<devmem::Fd> connections;
        while (connections.size() < options_.connections)
            connections.push_back(accept_from(listener, waiter_));
        return connections;
    }

    const Options& options_;
    const Waiter& waiter_;
    std::uint32_t ifindex_;
    devmem::DmaBuf memory_;
    devmem::NicSession nic_;
};

class Sending {
  public:
    Sending(const Options& options, const Waiter& waiter)
        : options_(options),
          waiter_(waiter),
          ifindex_(devmem::interface_index(options.interface)),
          memory_(make_memory(options.memory)) {}

    // A peer that receives wants its two rounds also where one can't be sent from here.
    std::vector<Round> run() {
        const std::string why = bind();
        const auto ordinary = [&](Lane& lane, const Limit& limit) {
            copy_and_send(lane, memory_, limit, waiter_);
        };
        const auto device = [&](Lane& lane, const Limit& limit) {
            send_from_device(lane, *binding_, limit, waiter_);
        };
        Round first = binding_ ? round("device memory", device) : round("copy + send", ordinary);
        if (!binding_) first = {.way = "device memory", .impossible = why};
        return {first, round("copy + send", ordinary)};
    }

  private:
    // Empty, or why it can't.
    std::string bind() try {
        binding_.emplace(ifindex_, memory_);
        return {};
    } catch (const devmem::Error& error) {
        if (error.code().value() != EOPNOTSUPP) throw;
        return error.what();
    }

    Round round(const std::string& way, const std::function<void(Lane&, const Limit&)>& work) {
        const auto connections = connect_all();
        const Limit limit = limit_from_now();
        Round round = measure(way, lanes_for(connections, memory_.size()),
                              [&](Lane& lane) { work(lane, limit); });
        for (const devmem::Fd& connection : connections) wait_for_close(connection.get());
        return round;
    }

    [[nodiscard]] std::vector<devmem::Fd> connect_all() const {
        const Peer peer{.address = devmem::IpAddress(options_.address),
                        .port = options_.port,
                        .interface = options_.interface};
        std::vector<devmem::Fd> connections;
        while (connections.size() < options_.connections)
            connections.push_back(connect_to(peer, waiter_));
        return connections;
    }

    [[nodiscard]] Limit limit_from_now() const {
        if (options_.bytes > 0) return {.bytes = options_.bytes / options_.connections};
        using Clock = std::chrono::steady_clock;
        const std::chrono::duration<double> time(options_.seconds);
        return {.time = Clock::now() + std::chrono::duration_cast<Clock::duration>(time)};
    }

    void wait_for_close(int socket) const {
        for (;;) {
            std::array<std::byte, 512> ignored;
            waiter_.wait(socket, POLLIN);
            const ssize_t got = ::recv(socket, ignored.data(), ignored.size(), MSG_DONTWAIT);
            if (got == 0) return;
            if (got < 0 && errno != EAGAIN) devmem::throw_errno("wait for the peer to close");
        }
    }

    const Options& options_;
    const Waiter& waiter_;
    std::uint32_t ifindex_;
    devmem::DmaBuf memory_;
    std::optional<devmem::TxBinding> binding_;
};

constexpr const char* caveat =
    "Wall clock and CPU time of this process, not repeatable; what the kernel does in interrupts "
    "is not in it.";

double cpu(const Round& round) {
    return round.times.user + round.times.system;
}

double cpu_per_gib(const Round& round) {
    constexpr double gib = 1 << 30;
    return round.bytes == 0 ? 0 : cpu(round) * gib / static_cast<double>(round.bytes);
}

void print_text(const Options& options, const std::vector<Round>& rounds) {
    Table table({"WAY", "BYTES", "BY DEVICE MEMORY", "SECONDS", "GBIT/S", "CPU S", "CPU S/GIB"});
    for (const Round& round : rounds) {
        if (!round.impossible.empty()) {
            table.add({round.way, "-", "-", "-", "-", "-", "-"});
            continue;
        }
        table.add({round.way, fmt::format("{}", round.bytes), fmt::format("{}", round.device_bytes),
                   fmt::format("{:.3f}", round.times.wall),
                   fmt::format("{:.3f}", gigabits(round.bytes, round.times.wall)),
                   fmt::format("{:.3f}", cpu(round)), fmt::format("{:.3f}", cpu_per_gib(round))});
    }
    fmt::print("{} {}, {} connections, {}\n{}{}\n", options.interface,
               options.address.empty() ? "receives" : "sends", options.connections,
               options.memory.kind, table.text("  "), caveat);
}

Json json_of(const Round& round) {
    if (!round.impossible.empty()) return {{"way", round.way}, {"impossible", round.impossible}};
    return {{"way", round.way},
            {"bytes", round.bytes},
            {"device_bytes", round.device_bytes},
            {"seconds", round.times.wall},
            {"cpu_user_seconds", round.times.user},
            {"cpu_system_seconds", round.times.system}};
}

void print_json(const Options& options, const std::vector<Round>& rounds) {
    Json json{{"interface", options.interface},
              {"direction", options.address.empty() ? "receive" : "send"},
              {"connections", options.connections},
              {"memory", options.memory.kind},
              {"caveat", caveat}};
    for (const Round& round : rounds) json["rounds"].push_back(json_of(round));
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::vector<Round> run(const Options& options, const Waiter& waiter) {
    if (!options.address.empty()) return Sending(options, waiter).run();
    Receiving receiving(options, waiter);
    auto rounds = receiving.run();
    receiving.restore();
    return rounds;
}

int bench(const Options& options) {
    const Waiter waiter;
    std::vector<Round> rounds;
    Outcome outcome = outcome_of([&] { rounds = run(options, waiter); });
    outcome.complain();
    if (rounds.empty()) return outcome.status;
    if (options.json)
        print_json(options, rounds);
    else
        print_text(options, rounds);
    if (rounds[0].impossible.empty()) return exit_fine;
    fmt::print(stderr, "devmem: {}\n", rounds[0].impossible);
    return exit_missing;
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(
        "bench", "Measure TCP by device memory, and ordinary TCP with a copy to or from it");
    add_interface(*command, options->interface);
    auto* address =
        command->add_option("ADDRESS", options->address, "send to this address; else receive")
            ->check(is_address());
    add_port(*command, "--port", options->port);
    add_memory_options(*command, options->memory);
    add_queues(*command, options->queues);
    command->add_option("-n,--connections", options->connections, "side by side, a thread each")
        ->capture_default_str()
        ->check(CLI::Range(1, 128));
    auto* seconds =
        command->add_option("--seconds", options->seconds, "send so long, in each round")
            ->needs(address)
            ->capture_default_str()
            ->check(is_seconds());
    add_size_option(*command, "--bytes", options->bytes, "send so many in each round instead")
        ->needs(address)
        ->excludes(seconds);
    command->add_flag("--json", options->json, "print JSON instead of a table");
    command->footer(
        "Start it without an address on one machine, then with that one's address on the other.\n"
        "Each measures its own end: first with device memory, then with ordinary recv() or send()\n"
        "of host memory and a copy to or from the device. Any other program will do as the other\n"
        "end if it takes, or makes, twice as many connections and closes them at their end.\n"
        "What arrives in device memory stays where it landed: nothing gathers it.\n"
        "Exit status: as recv and send have it.");
    command->callback([options, &status] { status = bench(*options); });
}
