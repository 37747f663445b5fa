// SPDX-License-Identifier: MIT
// devmem send: a file by way of device memory to a TCP connection.
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "amount.h"
#include "arguments.h"
#include "command.h"
#include "devmem/binding.h"
#include "devmem/netdev.h"
#include "endpoint.h"
#include "input.h"
#include "memory.h"
#include "outcome.h"
#include "outflow.h"
#include "progress.h"

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

struct Options {
    std::string interface, address;
    std::uint16_t port = default_port;
    MemoryOptions memory;
    std::string input = "-";
    bool json = false;
};

/// Segments that TCP had to send again.
std::uint32_t retransmissions(int socket) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_total_retrans;
}

/// Memory that can be sent from, and one connection.
class Transmission {
  public:
    Transmission(const Options& options, Waiter& waiter)
        : options_(options),
          waiter_(waiter),
          ifindex_(devmem::interface_index(options.interface)),
          memory_(make_memory(options.memory)),
          binding_(ifindex_, memory_) {}

    /// Returns when the peer has all of the input.
    void run(const Input& input);
    /// The figures are final.
    void close();

    /// Whether there was a connection. The figures are there after close().
    [[nodiscard]] bool connected() const { return outflow_.has_value(); }
    [[nodiscard]] std::string text() const;
    [[nodiscard]] Json json() const;

  private:
    void show_progress();

    const Options& options_;
    Waiter& waiter_;
    std::uint32_t ifindex_;
    devmem::DmaBuf memory_;
    devmem::TxBinding binding_;
    Progress progress_;
    std::optional<Outflow> outflow_;
    Clock::time_point start_;
    double seconds_ = 0;
};

void Transmission::run(const Input& input) {
    outflow_.emplace(connect_to({.address = devmem::IpAddress(options_.address),
                                 .port = options_.port,
                                 .interface = options_.interface},
                                waiter_),
                     binding_, waiter_);
    start_ = Clock::now();
    if (progress_.is_shown()) waiter_.report_to([this] { show_progress(); });
    outflow_->send(from_input(input, memory_, waiter_));
    outflow_->finish();
}

void Transmission::close() {
    progress_.clear();
    seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
}

void Transmission::show_progress() {
    progress_.show(outflow_->counts().bytes,
                   fmt::format("{} sends in flight", outflow_->pending()));
}

std::string Transmission::text() const {
    return fmt::format(
        "sent {}, wall clock\n"
        "  from dmabuf         {}, in {} calls\n"
        "  sends outstanding   {}\n"
        "  copied by the CPU   {} sends, says the kernel\n"
        "  retransmissions     {}\n",
        amount(outflow_->counts().bytes, seconds_), binding_.id(), outflow_->counts().calls,
        outflow_->pending(), outflow_->copied(), retransmissions(outflow_->fd()));
}

Json Transmission::json() const {
    return {{"interface", options_.interface},
            {"address", options_.address},
            {"port", options_.port},
            {"memory", options_.memory.kind},
            {"memory_bytes", memory_.size()},
            {"bytes", outflow_->counts().bytes},
            {"calls", outflow_->counts().calls},
            {"sends_outstanding", outflow_->pending()},
            {"sends_copied", outflow_->copied()},
            {"retransmissions", retransmissions(outflow_->fd())},
            {"seconds", seconds_}};
}

int send(const Options& options) {
    const auto input = open_named<Input>("--input", options.input);
    Waiter waiter;
    std::optional<Transmission> transmission;
    const Outcome outcome = outcome_of([&] { transmission.emplace(options, waiter).run(input); });
    if (transmission) transmission->close();
    if (transmission && transmission->connected()) {
        if (options.json)
            outcome.print(transmission->json());
        else
            fmt::print(stderr, "{}", transmission->text());
    }
    outcome.complain();
    return outcome.status;
}

}  // namespace

void add_send(CLI::App& app, int& status) {
    const auto options = std::make_shared<Options>();
    CLI::App* command =
        app.add_subcommand("send", "Send a file on a TCP connection, by way of device memory");
    add_interface(*command, options->interface);
    command->add_option("ADDRESS", options->address, "IPv4 or IPv6 address to connect to")
        ->required()
        ->check(is_address());
    add_port(*command, "PORT", options->port);
    add_memory_options(*command, options->memory);
    command->add_option("-i,--input", options->input, "file to send; - is standard input")
        ->capture_default_str();
    command->add_flag("--json", options->json,
                      "print the summary as JSON, on standard output instead of standard error");
    command->footer(
        "Copies the input into device memory as it comes and has the NIC fetch it from there; "
        "ends\n"
        "once the other side has acknowledged everything. Any TCP program will do there. Changes\n"
        "nothing in the NIC and needs no privilege. If it is interrupted, the connection is "
        "reset.\n"
        "Exit status: 0 all was acknowledged, 1 the kernel or the NIC cannot, 2 wrong usage,\n"
        "3 failed, 128 and the number of the signal that ended it.");
    command->callback([options, &status] { status = send(*options); });
}
