// SPDX-License-Identifier: MIT
// devmem-demo: a TCP stream from another network namespace, where it comes from device memory too
// or not, lands in memory that the CPU cannot touch, is gathered there, and is checked byte for
// byte.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <thread>

#include "devmem/binding.h"
#include "devmem/error.h"
#include "devmem/memory_kind.h"
#include "devmem/netdev.h"
#include "devmem/nic_session.h"
#include "devmem/receiver.h"
#include "landing.h"
#include "sender.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint64_t device_size = 64 * mebibyte;
constexpr double share_wanted = 99.9;
constexpr int exit_skipped = 77;

struct Options {
    std::string interface, address, netns, file, sender_interface, memory = "accelmem";
    std::uint16_t port = 5201;
    std::uint64_t mebibytes = 1024;
    std::uint32_t queues = 2;
};

/// What the demo shows at its end.
class Outcome {
  public:
    Landing::Counts landed;
    Sender::Report sent;
    std::uint64_t calls = 0;      // recvmsg()
    std::size_t tokens_out = 0;   // after the last frag was given back
    std::uint64_t niovs_out = 0;  // after unbinding
    std::uint64_t drops = 0;      // at the receiving NIC
    double seconds = 0;

    [[nodiscard]] double share() const { return percent(landed.device_bytes); }
    [[nodiscard]] double share_sent() const { return percent(sent.device_bytes); }

  private:
    [[nodiscard]] double percent(std::uint64_t bytes) const {
        return 100.0 * static_cast<double>(bytes) / static_cast<double>(landed.bytes);
    }
};

devmem::Flow flow_to(const Options& options) {
    devmem::Flow flow;
    flow.destination = devmem::IpAddress(options.address);
    flow.destination_port = options.port;
    return flow;
}

devmem::Fd listen_on(const Options& options) {
    devmem::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.is_open()) devmem::throw_errno("socket");
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(options.port);
    ::inet_pton(AF_INET, options.address.c_str(), &at.sin_addr);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0 ||
        ::listen(fd.get(), 1) != 0)
        devmem::throw_errno("listen on " + options.address);
    return fd;
}

std::uint64_t statistic(const std::string& interface, const std::string& name) {
    std::ifstream file("/sys/class/net/" + interface + "/statistics/" + name);
    std::uint64_t value = 0;
    file >> value;
    return value;
}

std::uint64_t drops(const std::string& interface) {
    return statistic(interface, "rx_missed_errors") + statistic(interface, "rx_dropped") +
           statistic(interface, "rx_errors");
}

/// One line that grows on a terminal; elsewhere a line for each tenth.
class Progress {
  public:
    explicit Progress(std::uint64_t total) : total_(total), terminal_(::isatty(STDERR_FILENO)) {}

    void show(std::uint64_t bytes) {
        const auto now = Clock::now();
        const auto tenth = bytes * 10 / total_;
        if (terminal_ ? now < next_ && bytes < total_ : tenth == tenth_) return;
        next_ = now + std::chrono::milliseconds(200);
        tenth_ = tenth;
        const double seconds = std::chrono::duration<double>(now - start_).count();
        fmt::print(stderr, "{}{:>6} of {} MiB received, gathered and checked, {:.1f} s{}",
                   terminal_ ? "\r" : "", bytes / mebibyte, total_ / mebibyte, seconds,
                   terminal_ && bytes < total_ ? "" : "\n");
    }

  private:
    std::uint64_t total_, tenth_ = 0;
    bool terminal_;
    Clock::time_point start_ = Clock::now(), next_ = start_;
};

void receive_all(devmem::Receiver& receiver, Landing& landing, std::uint64_t size,
                 Outcome& outcome) {
    Progress progress(size);
    for (;;) {
        const auto got = receiver.receive(devmem::Receiver::Wait::yes);
        outcome.calls++;
        if (got.state == devmem::Receiver::State::end) break;
        if (got.state != devmem::Receiver::State::data &&
            got.state != devmem::Receiver::State::would_block)
            throw devmem::Error(got.error.value(), "receive");
        landing.add(got.pieces);
        progress.show(landing.counts().bytes);
    }
    landing.check();
    if (landing.counts().bytes != size)
        throw devmem::Error(EBADMSG, "check", "the stream ended early");
    receiver.give_back();
}

/// Buffers of pools that were given up and still wait for them. The kernel looks after such a pool
/// once a second.
std::uint64_t niovs_outstanding() {
    std::uint64_t out = 0;
    for (int tries = 0; tries < 300; tries++) {
        out = 0;
        for (const auto& pool : devmem::page_pools())
            if (pool.detach_time) out += pool.inflight;
        if (out == 0) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return out;
}

Outcome run(const Options& options, const Stream& stream) {
    Outcome outcome;
    const auto ifindex = devmem::interface_index(options.interface);
    const auto drops_before = drops(options.interface);
    {
        const devmem::NicSession nic(ifindex,
                                     {.queues = options.queues, .flows = {flow_to(options)}});
        const devmem::MemoryKind kind(options.memory);
        const auto memory = kind.allocate(device_size);
        const devmem::RxBinding binding(ifindex, nic.queues(), memory);
        Landing landing(stream, memory, kind.allocate(device_size));
        const auto listener = listen_on(options);
        Sender sender(stream, {.netns = options.netns,
                               .interface = options.sender_interface,
                               .memory = options.memory,
                               .address = options.address,
                               .port = options.port});

        devmem::Fd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!connection.is_open()) devmem::throw_errno("accept");
        const auto start = Clock::now();
        devmem::Receiver receiver(std::move(connection));
        receive_all(receiver, landing, stream.size(), outcome);
        outcome.seconds = std::chrono::duration<double>(Clock::now() - start).count();
        outcome.landed = landing.counts();
        outcome.tokens_out = receiver.outstanding();
        ::shutdown(receiver.fd(), SHUT_RDWR);
        outcome.sent = sender.wait();
    }
    outcome.drops = drops(options.interface) - drops_before;
    outcome.niovs_out = niovs_outstanding();
    return outcome;
}

void print(const Outcome& outcome) {
    const auto& landed = outcome.landed;
    const auto mib = static_cast<double>(landed.bytes) / static_cast<double>(mebibyte);
    const auto row = [](std::string_view name, const std::string& value) {
        fmt::print("  {:<46} {}\n", name, value);
    };
    fmt::print("\n");
    row("bytes received, every one checked", fmt::format("{} ({:.1f} MiB)", landed.bytes, mib));
    row("sent from device memory", fmt::format("{:.3f} %", outcome.share_sent()));
    row("landed in device memory", fmt::format("{:.3f} %", outcome.share()));
    row("payload the sending CPU copied", fmt::format("{} bytes", outcome.sent.host_bytes));
    row("payload the receiving CPU copied",
        fmt::format("{} bytes", landed.bytes - landed.device_bytes));
    row("frags", fmt::format("{}", landed.frags));
    row("control messages per MiB", fmt::format("{:.1f}", static_cast<double>(landed.frags) / mib));
    row("frags per receive call", fmt::format("{:.1f}", static_cast<double>(landed.frags) /
                                                            static_cast<double>(outcome.calls)));
    row("tokens outstanding afterwards", fmt::format("{}", outcome.tokens_out));
    row("niovs outstanding after unbinding", fmt::format("{}", outcome.niovs_out));
    row("frames dropped by the receiving NIC", fmt::format("{}", outcome.drops));
    row("retransmissions", fmt::format("{}", outcome.sent.retransmissions));
    row("wall clock, gather and check included",
        fmt::format("{:.1f} s, {:.2f} Gbit/s (not stable: an emulated machine)", outcome.seconds,
                    mib * 8 / 1024 / outcome.seconds));
}

/// Says what is not as promised.
bool good(const Outcome& outcome, bool from_device) {
    const bool share = outcome.share() >= share_wanted;
    const bool sent = !from_device || outcome.sent.host_bytes == 0;
    const bool clean = outcome.tokens_out == 0 && outcome.niovs_out == 0;
    if (!share) fmt::print("\nFAILED: less than {} % landed in device memory\n", share_wanted);
    if (!sent) fmt::print("\nFAILED: not all was sent from device memory\n");
    if (!clean) fmt::print("\nFAILED: memory is outstanding\n");
    return share && sent && clean;
}

/// Empty if the kernel can send from device memory, else what it says.
std::string refuses_to_send(const Options& options) {
    try {
        const auto memory = devmem::MemoryKind(options.memory).allocate(mebibyte);
        const devmem::TxBinding binding(devmem::interface_index(options.interface), memory);
        return {};
    } catch (const devmem::Error& error) {
        if (error.code().value() != EOPNOTSUPP) throw;
        return error.what();
    }
}

int demonstrate(const Options& options) {
    const bool from_device = !options.sender_interface.empty();
    if (const auto why = from_device ? refuses_to_send(options) : ""; !why.empty()) {
        fmt::print("skipped: {}\n", why);
        return exit_skipped;
    }
    const auto stream = options.file.empty()
                            ? std::make_unique<Stream>(options.mebibytes * mebibyte)
                            : std::make_unique<Stream>(options.file);
    const Outcome outcome = run(options, *stream);
    print(outcome);
    return good(outcome, from_device) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
    Options options;
    CLI::App app("Receives a TCP stream into device memory and checks every byte.");
    app.add_option("--interface", options.interface, "interface to receive on")->required();
    app.add_option("--address", options.address, "its IPv4 address")->required();
    app.add_option("--netns", options.netns, "network namespace to send from")->required();
    app.add_option("--from-device", options.sender_interface,
                   "interface there to send by, from device memory; exits with 77 where the kernel "
                   "cannot");
    app.add_option("--memory", options.memory,
                   "kind of memory at both ends: " + std::string(devmem::MemoryKind::names) +
                       "; with --from-device not a GPU's, whose driver would be in two processes")
        ->capture_default_str();
    app.add_option("--port", options.port, "TCP port")->capture_default_str();
    app.add_option("--queues", options.queues, "how many queues to bind")->capture_default_str();
    app.add_option("--mebibytes", options.mebibytes, "how much to send")->capture_default_str();
    app.add_option("--file", options.file, "send this file instead");
    CLI11_PARSE(app, argc, argv);
    return demonstrate(options);
} catch (const std::exception& error) {
    fmt::print(stderr, "\nFAILED: {}\n", error.what());
    return 1;
}
