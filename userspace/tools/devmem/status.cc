// SPDX-License-Identifier: MIT
// devmem status: bindings, queues, page pools and drops, once or again and again.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <ctime>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "arguments.h"
#include "command.h"
#include "snapshot.h"
#include "table.h"

namespace {

using devmem::Queue;
using Json = nlohmann::ordered_json;

struct Options {
    std::string interface;
    double watch = 0;         // seconds; 0: once
    std::uint64_t count = 0;  // 0: until a signal
    bool json = false;
};

const char* name_of(Queue::Type type) {
    return type == Queue::Type::rx ? "rx" : "tx";
}

std::string holder(const Queue& queue) {
    if (queue.dmabuf_id != 0) return fmt::format("dmabuf {}", queue.dmabuf_id);
    if (queue.io_uring) return "io_uring";
    return queue.xsk ? "AF_XDP" : "-";
}

template <class T>
std::string or_dash(const std::optional<T>& value) {
    return value ? fmt::format("{}", *value) : "-";
}

std::string queues_text(const InterfaceStatus& interface, bool all) {
    Table table({"QUEUE", "RECEIVES INTO", "PACKETS", "BYTES", "NO MEMORY", "NIC DROPPED"});
    bool any = false;
    for (const auto& [queue, stats] : interface.queues) {
        if (queue.is_free() && !all) continue;
        any = true;
        table.add({fmt::format("{} {}", name_of(queue.type), queue.id), holder(queue),
                   or_dash(stats.packets), or_dash(stats.bytes), or_dash(stats.alloc_fail),
                   or_dash(stats.hw_drops)});
    }
    return any ? table.text("  ") : "";
}

std::string interfaces_text(const Snapshot& snapshot, bool all_queues) {
    std::string text;
    for (const InterfaceStatus& interface : snapshot.interfaces) {
        const devmem::Counts& counts = interface.counts;
        text += fmt::format("{}: {} packets received, {} dropped, {} missed, {} errors; {} sent\n",
                            interface.name, counts.rx_packets, counts.rx_dropped, counts.rx_missed,
                            counts.rx_errors, counts.tx_packets);
        text += queues_text(interface, all_queues);
    }
    return text;
}

std::string bindings_text(const Snapshot& snapshot) {
    if (snapshot.bindings.empty()) return "no bindings to receive into\n";
    Table table({"DMABUF", "INTERFACE", "QUEUES", "IN FLIGHT", "BYTES"});
    for (const BindingStatus& binding : snapshot.bindings)
        table.add({fmt::format("{}", binding.dmabuf_id),
                   binding.interface.empty() ? "gone" : binding.interface,
                   binding.queues.empty() ? "unbound, waits for tokens"
                                          : fmt::format("{}", fmt::join(binding.queues, ",")),
                   fmt::format("{}", binding.inflight), fmt::format("{}", binding.inflight_bytes)});
    return "bindings\n" + table.text("  ");
}

std::string pools_text(const Snapshot& snapshot) {
    if (snapshot.pools.empty()) return "no page pools\n";
    Table table({"POOL", "INTERFACE", "QUEUE", "DMABUF", "IN FLIGHT", "BYTES", "GIVEN UP"});
    for (const PoolStatus& status : snapshot.pools)
        table.add(
            {fmt::format("{}", status.pool.id),
             status.interface.empty() ? "gone" : status.interface, or_dash(status.queue),
             status.pool.dmabuf_id == 0 ? "-" : fmt::format("{}", status.pool.dmabuf_id),
             fmt::format("{}", status.pool.inflight), fmt::format("{}", status.pool.inflight_bytes),
             status.detached_seconds ? fmt::format("{} s ago", *status.detached_seconds) : "-"});
    return "page pools\n" + table.text("  ");
}

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json json_of(const QueueStatus& status) {
    const auto& [queue, stats] = status;
    return {{"type", name_of(queue.type)},
            {"id", queue.id},
            {"napi", queue.napi_id},
            {"dmabuf", queue.dmabuf_id == 0 ? Json() : Json(queue.dmabuf_id)},
            {"io_uring", queue.io_uring},
            {"af_xdp", queue.xsk},
            {"packets", or_null(stats.packets)},
            {"bytes", or_null(stats.bytes)},
            {"alloc_fail", or_null(stats.alloc_fail)},
            {"hw_drops", or_null(stats.hw_drops)}};
}

Json json_of(const InterfaceStatus& interface) {
    const devmem::Counts& counts = interface.counts;
    auto queues = Json::array();
    for (const QueueStatus& queue : interface.queues) queues.push_back(json_of(queue));
    return {{"name", interface.name},          {"rx_packets", counts.rx_packets},
            {"rx_bytes", counts.rx_bytes},     {"rx_dropped", counts.rx_dropped},
            {"rx_missed", counts.rx_missed},   {"rx_errors", counts.rx_errors},
            {"tx_packets", counts.tx_packets}, {"tx_bytes", counts.tx_bytes},
            {"tx_dropped", counts.tx_dropped}, {"queues", std::move(queues)}};
}

Json json_of(const BindingStatus& binding) {
    return {{"dmabuf", binding.dmabuf_id},
            {"interface", binding.interface},
            {"queues", binding.queues},
            {"inflight", binding.inflight},
            {"inflight_bytes", binding.inflight_bytes}};
}

Json json_of(const PoolStatus& status) {
    return {{"id", status.pool.id},
            {"interface", status.interface},
            {"queue", or_null(status.queue)},
            {"dmabuf", status.pool.dmabuf_id == 0 ? Json() : Json(status.pool.dmabuf_id)},
            {"inflight", status.pool.inflight},
            {"inflight_bytes", status.pool.inflight_bytes},
            {"detached_seconds", or_null(status.detached_seconds)}};
}

template <class T>
Json array_of(const std::vector<T>& items) {
    auto array = Json::array();
    for (const T& item : items) array.push_back(json_of(item));
    return array;
}

// On a line of its own if there will be more.
std::string json_text(const Snapshot& snapshot, bool line) {
    const Json all = {{"interfaces", array_of(snapshot.interfaces)},
                      {"bindings", array_of(snapshot.bindings)},
                      {"page_pools", array_of(snapshot.pools)}};
    return all.dump(line ? -1 : 2) + "\n";
}

std::string text_of(const Snapshot& snapshot, const Options& options) {
    if (options.json) return json_text(snapshot, options.watch > 0);
    return interfaces_text(snapshot, !options.interface.empty()) + bindings_text(snapshot) +
           pools_text(snapshot);
}

void show(const Options& options) {
    const bool in_place = options.watch > 0 && !options.json && ::isatty(STDOUT_FILENO) != 0;
    const std::string text = text_of(take_snapshot(options.interface), options);
    fmt::print("{}{}", in_place ? "\x1b[H\x1b[J" : "", text);
    std::fflush(stdout);
}

/// Holds back the signals that end a live view, to take them between two of its pictures.
class Stop {
  public:
    Stop() {
        sigemptyset(&signals_);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals_, signal);
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    }
    /// Whether one came in that time.
    [[nodiscard]] bool within(double seconds) const {
        timespec time{};
        time.tv_sec = static_cast<time_t>(seconds);
        time.tv_nsec = std::lround((seconds - std::floor(seconds)) * 1e9) % 1'000'000'000;
        return sigtimedwait(&signals_, nullptr, &time) > 0;
    }

  private:
    sigset_t signals_{};
};

int status_of(const Options& options) {
    if (options.watch == 0) {
        show(options);
        return exit_fine;
    }
    const Stop stop;
    std::uint64_t shown = 0;
    do show(options);
    while (++shown != options.count && !stop.within(options.watch));
    return exit_fine;
}

}  // namespace

void add_status(CLI::App& app, int& status) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(
        "status", "Show bindings, queues, page pools, what is in flight, and what was dropped");
    command->add_option("INTERFACE", options->interface, "only this one, with all its queues");
    CLI::Option* watch =
        command->add_option("--watch", options->watch, "again every so many seconds (1)")
            ->expected(0, 1)
            ->default_str("1")
            ->check(is_seconds());
    command->add_option("--count", options->count, "end after so many times")
        ->needs(watch)
        ->check(CLI::Range(1, std::numeric_limits<int>::max()));
    command->add_flag("--json", options->json, "print JSON; with --watch a line each time");
    command->callback([options, &status] { status = status_of(*options); });
}
