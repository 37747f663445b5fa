// SPDX-License-Identifier: GPL-2.0
// ncdevmem: netcat for device memory TCP. Takes one connection whose payload a NIC places in a
// dmabuf, and writes it out or checks it; or makes one, and sends its input from a dmabuf. With an
// interface and no address it probes what that interface can do. Options follow the tool of the
// same name in the kernel tree.
#include <devmem/binding.h>
#include <devmem/error.h>
#include <devmem/ethtool.h>
#include <devmem/ip_address.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "amount.h"
#include "endpoint.h"
#include "intake.h"
#include "ncdevmem.h"
#include "output.h"

namespace {

using Clock = std::chrono::steady_clock;

devmem::NicOptions nic_options(const Options& options) {
    devmem::NicOptions nic{.queues = options.queues};
    if (options.first_queue)
        nic.exactly = devmem::queue_range(*options.first_queue, options.queues);
    if (options.server.empty()) return nic;
    devmem::Flow flow;
    flow.destination = devmem::IpAddress(options.server);
    flow.destination_port = options.port;
    if (!options.client.empty()) flow.source = devmem::IpAddress(options.client);
    nic.flows = {flow};
    return nic;
}

// The queues to bind in a NIC that is left as it is: those asked for, or the last ones.
std::vector<std::uint32_t> given_queues(const Options& options, std::uint32_t ifindex) {
    const std::uint32_t have = devmem::channels(ifindex).receiving();
    const std::uint32_t last = have - std::min(have, options.queues);
    return devmem::queue_range(options.first_queue.value_or(last), options.queues);
}

// The NIC, made ready unless that is not wanted, and put back.
class Nic {
  public:
    Nic(const Options& options, std::uint32_t ifindex) {
        if (options.leave_nic) {
            queues_ = given_queues(options, ifindex);
        } else {
            session_.emplace(ifindex, nic_options(options));
            queues_.assign(session_->queues().begin(), session_->queues().end());
        }
    }

    [[nodiscard]] const std::vector<std::uint32_t>& queues() const { return queues_; }

  private:
    std::optional<devmem::NicSession> session_;
    std::vector<std::uint32_t> queues_;
};

// Bytes of the stream, in order: checked against the pattern or written to standard output.
class Sink {
  public:
    Sink(std::uint32_t validate, const Waiter& waiter)
        : validate_(validate), waiter_(waiter), output_(validate > 0 ? Output() : Output("-")) {}

    void take(std::span<const std::byte> bytes) {
        if (validate_ > 0)
            check(bytes);
        else
            output_.write(bytes, waiter_);
        taken_ += bytes.size();
    }

    void finish() {
        output_.close();
        if (wrong_ > 0) throw Failure(fmt::format("{} bytes are wrong", wrong_));
    }

  private:
    // The kernel tool's pattern: 1, 2, ... N-1, 0, 1, ... and all byte values where N is over 255.
    void check(std::span<const std::byte> bytes) {
        const std::uint32_t values = std::min<std::uint32_t>(validate_, 256);
        for (const std::byte byte : bytes) {
            if (++expected_ >= values) expected_ = 0;
            if (std::to_integer<std::uint32_t>(byte) != expected_)
                complain(byte, &byte - bytes.data());
        }
    }

    void complain(std::byte got, std::ptrdiff_t at) {
        constexpr std::uint64_t reported = 20;
        if (++wrong_ <= reported)
            fmt::print(stderr, "byte {}: {} instead of {}\n", taken_ + at,
                       std::to_integer<int>(got), expected_);
    }

    std::uint32_t validate_;
    const Waiter& waiter_;
    Output output_;
    std::uint32_t expected_ = 0;  // of the last byte
    std::uint64_t taken_ = 0;
    std::uint64_t wrong_ = 0;
};

void print(const Intake::Counts& counts, Clock::duration took) {
    fmt::print(stderr,
               "received {}: {} into the dmabuf as {} frags ({} of whole pages), {} by way of "
               "host memory; {} calls\n",
               amount(counts.bytes, std::chrono::duration<double>(took).count()),
               counts.device_bytes, counts.frags, counts.page_frags,
               counts.bytes - counts.device_bytes, counts.calls);
}

void receive(Intake& intake, const Options& options, const Waiter& waiter) {
    Sink sink(options.validate, waiter);
    while (!intake.next().empty()) {
        const auto host_bytes = intake.counts().bytes - intake.counts().device_bytes;
        if (options.no_host_bytes && host_bytes > 0)
            throw Failure(fmt::format("{} bytes came by way of host memory", host_bytes));
        sink.take(intake.to_host());
    }
    sink.finish();
}

int serve(const Options& options, const Waiter& waiter) {
    const auto ifindex = devmem::interface_index(options.interface);
    const auto memory = make_memory(options.memory);
    const Nic nic(options, ifindex);
    const auto& queues = nic.queues();
    const devmem::RxBinding binding(ifindex, queues, memory);
    const auto listener = listen_on(devmem::IpAddress(options.server), options.port);
    fmt::print(stderr, "listening on {} port {}; {} queues {} to {} receive into dmabuf {}\n",
               options.server, options.port, options.interface, queues.front(), queues.back(),
               binding.id());

    Intake intake(accept_from(listener, waiter), binding, waiter);
    const auto start = Clock::now();
    try {
        receive(intake, options, waiter);
    } catch (...) {
        print(intake.counts(), Clock::now() - start);
        throw;
    }
    print(intake.counts(), Clock::now() - start);
    return 0;
}

devmem::ChannelsChange receiving(const devmem::Channels& now, std::uint32_t queues) {
    devmem::ChannelsChange change;
    if (now.combined > 0) {
        change.combined = queues - now.rx;
    } else {
        change.rx = queues;
    }
    return change;
}

// The kernel must not let a bound queue go; only the last one can be tried.
void check_last_queue_stays(const Options& options, std::uint32_t ifindex) {
    const auto before = devmem::channels(ifindex);
    try {
        devmem::set_channels(ifindex, receiving(before, before.receiving() - 1));
    } catch (const devmem::Error&) {
        return;
    }
    devmem::set_channels(ifindex, receiving(before, before.receiving()));
    throw Failure(fmt::format("{} gave up a bound queue", options.interface));
}

// Not every NIC that receives does, nor every kernel.
void say_whether_it_sends(const Options& options, std::uint32_t ifindex,
                          const devmem::DmaBuf& memory) try {
    const devmem::TxBinding binding(ifindex, memory);
    fmt::print(stderr, "{}: sends device memory too\n", options.interface);
} catch (const devmem::Error& error) {
    fmt::print(stderr, "{}: does not send device memory: {}\n", options.interface, error.what());
}

int probe(const Options& options) {
    const auto ifindex = devmem::interface_index(options.interface);
    const auto memory = make_memory(options.memory);
    const Nic nic(options, ifindex);
    const auto& queues = nic.queues();
    const devmem::RxBinding binding(ifindex, queues, memory);

    const auto bound = std::ranges::count_if(devmem::queues(ifindex), [&](const auto& queue) {
        return queue.type == devmem::Queue::Type::rx && queue.dmabuf_id == binding.id();
    });
    if (bound != static_cast<std::ptrdiff_t>(queues.size()))
        throw Failure(fmt::format("{} of {} queues say they are bound", bound, queues.size()));
    if (!options.leave_nic && queues.back() + 1 == devmem::channels(ifindex).receiving())
        check_last_queue_stays(options, ifindex);
    fmt::print(stderr, "{}: devmem works; queues {} to {} took {} bytes of {}\n", options.interface,
               queues.front(), queues.back(), memory.size(), options.memory.kind);
    say_whether_it_sends(options, ifindex, memory);
    return 0;
}

void describe(CLI::App& app, Options& o) {
    app.description(
        "Receives one TCP connection into device memory, or sends one from there.\n\n"
        "  ncdevmem -f eth0                          can eth0 do it at all?\n"
        "  ncdevmem -f eth0 -s 192.0.2.1 -l > file   receive into udmabuf, write out\n"
        "  ncdevmem -f eth0 -s 192.0.2.1 -l -v 7     check 1 2 3 4 5 6 0 1 2 ... instead\n"
        "  ncdevmem -f eth0 -s 192.0.2.1 < file      send to that address, from udmabuf\n\n"
        "To receive needs CAP_NET_ADMIN. What it changes in the NIC it puts back.");
    app.add_option("-f,--interface", o.interface, "NIC to bind")->required();
    app.add_option("-s,--server", o.server,
                   "with -l own address to listen on, else address to send to");
    app.add_option("-c,--client", o.client,
                   "with -l only steer what this address sends, else own address");
    app.add_option("-p,--port", o.port, "TCP port")->capture_default_str();
    app.add_flag("-l,--listen", o.listen, "wait for a connection and receive");
    app.add_option("-t,--first-queue", o.first_queue,
                   "first queue to bind (default: the last ones)");
    app.add_option("-q,--queues", o.queues, "number of queues to bind")
        ->capture_default_str()
        ->check(CLI::Range(1, 4096));
    app.add_option("-v,--validate", o.validate, "byte i must be (i+1) % N; writes nothing out");
    add_size_option(app, "-z,--chunk", o.chunk,
                    "send as pieces of so many bytes (default: as large as may be)");
    app.add_flag("-L,--no-linear", o.no_host_bytes, "fail if any byte comes by way of host memory");
    app.add_flag("-n,--no-config", o.leave_nic, "leave header split, RSS and steering as they are");
    add_memory_options(app, o.memory);
}

int run(const Options& options) {
    const Waiter waiter;
    if (options.server.empty()) return probe(options);
    if (!options.listen) return send_input(options, waiter);
    return serve(options, waiter);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        Options options;
        CLI::App app;
        describe(app, options);
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app.exit(error) == 0 ? 0 : 2;
        }
        return run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ncdevmem: %s\n", error.what());  // fmt may throw
        return 1;
    }
}
