// SPDX-License-Identifier: MIT
// devmem recv: one connection into device memory, and from there to a file.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "amount.h"
#include "arguments.h"
#include "command.h"
#include "devmem/binding.h"
#include "devmem/netdev.h"
#include "devmem/nic_session.h"
#include "endpoint.h"
#include "intake.h"
#include "memory.h"
#include "outcome.h"
#include "output.h"
#include "progress.h"
#include "shortage.h"

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

struct Options {
    std::string interface;
    std::uint16_t port = default_port;
    MemoryOptions memory;
    std::uint32_t queues = 1;
    std::string output = "-";
    bool discard = false;
    bool json = false;
};

/// The NIC made ready, and one connection to it.
class Reception {
  public:
    Reception(const Options& options, Waiter& waiter)
        : options_(options),
          waiter_(waiter),
          ifindex_(devmem::interface_index(options.interface)),
          memory_(make_memory(options.memory)),
          nic_(ifindex_, {.queues = options.queues, .flows = devmem::flows_to_port(options.port)}),
          queues_(nic_.queues().begin(), nic_.queues().end()),
          binding_(std::in_place, ifindex_, queues_, memory_),
          counter_(ifindex_, queues_) {}

    /// Returns at the end of the stream.
    void run(Output& output);
    /// What was received so far is final, and the NIC is put back. Throws devmem::Error.
    void close();

    /// Whether there was a connection. The figures are there after close().
    [[nodiscard]] bool connected() const { return intake_.has_value(); }
    [[nodiscard]] std::string text() const;
    [[nodiscard]] Json json() const;

  private:
    void show_progress();
    [[nodiscard]] double share() const;

    const Options& options_;
    Waiter& waiter_;
    std::uint32_t ifindex_;
    devmem::DmaBuf memory_;
    devmem::NicSession nic_;
    std::vector<std::uint32_t> queues_;
    std::optional<devmem::RxBinding> binding_;
    ShortageCounter counter_;
    Progress progress_;
    std::optional<Intake> intake_;
    Clock::time_point start_;
    double seconds_ = 0;
    std::size_t outstanding_ = 0;
    Shortage shortage_;
};

void Reception::run(Output& output) {
    const auto listener = listen_on_all(options_.port);
    fmt::print(stderr, "listening on port {}; {} queue {} receives into dmabuf {}\n", options_.port,
               options_.interface, fmt::join(queues_, ","), binding_->id());
    intake_.emplace(accept_from(listener, waiter_), *binding_, waiter_);
    start_ = Clock::now();
    if (progress_.is_shown()) waiter_.report_to([this] { show_progress(); });
    while (!intake_->next().empty())
        if (!options_.discard) output.write(intake_->to_host(), waiter_);
    output.close();
}

void Reception::close() {
    progress_.clear();
    if (intake_) {
        seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
        intake_->to_host();
        outstanding_ = intake_->outstanding();
        shortage_ = counter_.now();
    }
    binding_.reset();
    nic_.restore();
}

double Reception::share() const {
    const auto& counts = intake_->counts();
    return counts.bytes == 0
               ? 0.0
               : static_cast<double>(counts.device_bytes) / static_cast<double>(counts.bytes);
}

void Reception::show_progress() {
    progress_.show(intake_->counts().bytes,
                   fmt::format("{:.1f} % in device memory, {} tokens out, {}", share() * 100,
                               intake_->outstanding(), counter_.now().text()));
}

std::string Reception::text() const {
    const auto& counts = intake_->counts();
    return fmt::format(
        "received {}, wall clock\n"
        "  in device memory    {:.3f} % ({} bytes as {} frags)\n"
        "  tokens outstanding  {}\n"
        "  short of memory     {}\n",
        amount(counts.bytes, seconds_), share() * 100, counts.device_bytes, counts.frags,
        outstanding_, shortage_.text());
}

Json Reception::json() const {
    const auto& counts = intake_->counts();
    Json json{{"interface", options_.interface},
              {"port", options_.port},
              {"memory", options_.memory.kind},
              {"memory_bytes", memory_.size()},
              {"queues", queues_},
              {"bytes", counts.bytes},
              {"device_bytes", counts.device_bytes},
              {"device_share", share()},
              {"frags", counts.frags},
              {"calls", counts.calls},
              {"tokens_outstanding", outstanding_}};
    shortage_.add_to(json);
    json["seconds"] = seconds_;
    return json;
}

int recv(const Options& options) {
    if (options.json && !options.discard && options.output == "-")
        throw CLI::ValidationError(
            "--json", "the stream goes to standard output too: --output FILE, or --discard");
    auto output = options.discard ? Output() : open_named<Output>("--output", options.output);
    Waiter waiter;
    std::optional<Reception> reception;
    Outcome outcome = outcome_of([&] { reception.emplace(options, waiter).run(output); });
    const Outcome closed = outcome_of([&] {
        if (reception) reception->close();
    });
    if (reception && reception->connected()) {
        if (options.json)
            outcome.print(reception->json());
        else
            fmt::print(stderr, "{}", reception->text());
    }
    outcome.complain();
    closed.complain();
    return outcome.status != exit_fine ? outcome.status : closed.status;
}

}  // namespace

void add_recv(CLI::App& app, int& status) {
    const auto options = std::make_shared<Options>();
    CLI::App* command = app.add_subcommand(
        "recv", "Receive one TCP connection into device memory, and write it out");
    add_interface(*command, options->interface);
    add_port(*command, "PORT", options->port);
    add_memory_options(*command, options->memory);
    add_queues(*command, options->queues);
    auto* output = command->add_option("-o,--output", options->output,
                                       "file to write to; - is standard output");
    output->capture_default_str();
    command->add_flag("--discard", options->discard, "write nothing: the bytes stay on the device")
        ->excludes(output);
    command->add_flag("--json", options->json,
                      "print the summary as JSON, on standard output instead of standard error");
    command->footer(
        "Makes the NIC ready, listens on all addresses, and puts the NIC back at the end, also at\n"
        "SIGINT, SIGTERM and SIGHUP. Any TCP program will do at the other end. Needs "
        "CAP_NET_ADMIN.\n"
        "Exit status: 0 the whole stream, 1 the kernel or the NIC cannot, 2 wrong usage, 3 "
        "failed,\n"
        "128 and the number of the signal that ended it.");
    command->callback([options, &status] { status = recv(*options); });
}
