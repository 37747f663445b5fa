// SPDX-License-Identifier: GPL-2.0
// What no NIC in software has: a driver that is unbound from its device and bound again, a machine
// that suspends it, and a packet split that its makers meant for something else.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <list>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "leftovers.h"
#include "live.h"
#include "tx_stage.h"

namespace {

std::uint64_t split_frames() {
    return queue_count(nic_kind()->split);
}

// ---- what is split --------------------------------------------------------

// A stream that is received as by any program. Returns how many of its frames were split.
std::uint64_t frames_split_of_stream(const Topology& pair) {
    pair.await_link();
    const auto before = split_frames();
    const Listener listener;
    Sender sender(pair.there_fd(), {});
    Reader reader(listener.accept(), {});
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes in host memory", mebibyte, reader.host_bytes());
    return split_frames() - before;
}

void without_binding() {
    const Topology pair;
    const auto off = frames_split_of_stream(pair);
    EXPECT_EQUAL("split off: frames split", 0, off);
    const devmem::HeaderSplit split(devmem::interface_index("dm0"));
    const auto on = frames_split_of_stream(pair);
    EXPECT("split on: at least 700 frames split", on >= 700, on);
}

// The hardware splits that too. Who answers a ping has read all of it.
void what_is_no_tcp() {
    const Bound bound({.pair = {.mtu = 9000}});
    for (const char* to : {"10.9.0.1", "fd09::1"})
        for (const char* size : {"8", "8000", "20000"})
            bound.topology.there(
                fmt::format("ping -q -c 3 -i 0.02 -W 30 -s {} {} >/dev/null", size, to));
}

template <class Call>
void expect_refused(const char* what, Call call) {
    try {
        call();
        EXPECT(fmt::format("{} is refused", what), false, "success");
    } catch (const devmem::Error&) {
    }
}

void what_split_needs() {
    const Bound bound;
    const auto ifindex = bound.ifindex;
    expect_refused("rx-checksum off", [&] { devmem::set_feature(ifindex, "rx-checksum", false); });
    expect_refused("rx-fcs on", [&] { devmem::set_feature(ifindex, "rx-fcs", true); });
    expect_refused("tcp-data-split off",
                   [&] { devmem::set_rings(ifindex, {.data_split = devmem::DataSplit::off}); });
    Sender sender = bound.send();
    Reader reader = bound.accept();
    EXPECT("the stream does not stall", reader.read(), reader.bytes());
    EXPECT_EQUAL("bytes on the device", mebibyte, reader.device_bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
}

// ---- the driver -----------------------------------------------------------

// A whole stream, by way of a new NIC and a new binding.
void expect_works(const std::shared_ptr<Topology>& pair) {
    const Bound bound(pair);
    Sender sender = bound.send({.first_port = 6900, .bytes = 200'000});
    Reader reader = bound.accept();
    EXPECT("a new binding works", reader.read(), reader.bytes());
    EXPECT_EQUAL("bytes on the device", 200'000, reader.device_bytes());
    EXPECT_EQUAL("first thing wrong", std::string(), reader.wrong());
}

// The NIC is made again while the binding to the old one is there, and tokens are out.
void driver_comes_back() {
    Live live;
    live.bound.topology.remove_nic();
    EXPECT("tokens are out", live.reader->held() > 0, 0);
    EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
    live.sender.reset();
    live.bound.listener.close();
    live.bound.topology.make_nic();
    expect_works(live.bound.pair);
    EXPECT_EQUAL("frags held to the end", std::string(), live.reader->check_held());
    live.reader->give_back();
    EXPECT_EQUAL("tokens out", 0, live.reader->receiver().outstanding());
}

void driver_comes_and_goes() {
    const auto pair = std::make_shared<Topology>();
    std::list<Live> lives;
    for (std::uint16_t i = 0; i < 5; i++) {
        Live& live = lives.emplace_back(pair, static_cast<std::uint16_t>(6000 + i));
        pair->remove_nic();
        live.sender.reset();
        live.bound.listener.close();
        pair->make_nic();
    }
    for (Live& live : lives) EXPECT_EQUAL("frags held", std::string(), live.reader->check_held());
    expect_works(pair);
}

// More is sent than the other end takes, until the NIC goes, or first the binding.
void send_until_gone(TxStage& stage, bool unbind) {
    TxStream stream = stage.stream({.rcvbuf = 4096});
    const Extent extent{7, 100'000};
    while (stream.try_send(std::span(&extent, 1)).value > 0) {
    }
    if (unbind) stage.binding.reset();
    stage.topology.remove_nic();
    const int error = stream.try_send(std::span(&extent, 1)).error;
    EXPECT("EHOSTUNREACH or ENODEV; EINVAL if unbound",
           unbind ? error == EINVAL : error == EHOSTUNREACH || error == ENODEV, error);
    reset_on_close(stream.fd());
}

template <bool unbind>
void driver_goes_while_sending() {
    TxStage stage;
    send_until_gone(stage, unbind);
    stage.topology.make_nic();
    stage.ifindex = devmem::interface_index("dm0");
    stage.bind();
    TxStream again = stage.stream();
    send_all(again, stage.memory, mebibyte, 50'021);
    expect_whole(again);
}

// ---- suspend --------------------------------------------------------------

void write_file(const char* path, std::string_view text) {
    const devmem::Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
    if (::write(fd.get(), text.data(), text.size()) < 0) throw_errno_of(path);
}

/// What the kernel says from now on.
class KernelLog {
  public:
    KernelLog() : fd_(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
        if (::lseek(fd_.get(), 0, SEEK_END) < 0) throw_errno_of("/dev/kmsg");
    }
    /// The lines that have both in them, since this was asked last or made.
    std::vector<std::string> lines_with(std::string_view one, std::string_view other) {
        std::vector<std::string> found;
        std::array<char, 8192> line{};
        for (;;) {
            const ssize_t n = ::read(fd_.get(), line.data(), line.size());
            if (n < 0 && errno == EPIPE) continue;  // some were lost
            if (n <= 0) return found;
            const std::string_view text(line.data(), static_cast<std::size_t>(n));
            if (text.find(one) != text.npos && text.find(other) != text.npos)
                found.emplace_back(text);
        }
    }

  private:
    devmem::Fd fd_;
};

// The root file system can't be suspended, so the machine can't either, and says so. But devices
// that come after it in the list, as the NICs do, are suspended before, and resumed when it
// refuses. Returns for how many devices the NIC's driver has done both.
//
// QEMU's NIC must not have put off an interrupt when MSI-X is turned off: QEMU 7.2 aborts then.
std::size_t suspend(const Topology& pair) {
    pair.here("ethtool -C dm0 rx-usecs 0");
    pair.there("ethtool -C dm0p rx-usecs 0");
    write_file("/sys/power/pm_async", "0");
    write_file("/sys/power/pm_print_times", "1");
    KernelLog log;
    try {
        write_file("/sys/power/state", "freeze");
        EXPECT("the root file system refuses", false, "success");
    } catch (const std::system_error&) {
    }
    write_file("/sys/power/pm_print_times", "0");
    std::size_t suspended = 0, resumed = 0;
    for (const std::string& line : log.lines_with("e1000e ", " returned 0 ")) {
        suspended += line.find("pci_pm_suspend+") != line.npos;
        resumed += line.find("pci_pm_resume+") != line.npos;
    }
    return std::min(suspended, resumed);
}

void suspended_bound() {
    Live live;
    for (int i = 0; i < 3; i++) {
        EXPECT_EQUAL("NICs suspended and resumed", 2U, suspend(live.bound.topology));
        expect_flow_on(true, *live.reader, "resumed");
    }
}

void suspended_sending() {
    const TxStage stage;
    TxStream stream = stage.stream();
    for (int i = 0; i < 3; i++) {
        send_all(stream, stage.memory, mebibyte, 50'021);
        EXPECT_EQUAL("NICs suspended and resumed", 2U, suspend(stage.topology));
    }
    expect_whole(stream);
}

void suspended_down() {
    const auto pair = std::make_shared<Topology>();
    {
        const Bound bound(pair);
        pair->here("ip link set dm0 down");
        EXPECT_EQUAL("NICs suspended and resumed", 2U, suspend(*pair));
    }
    pair->here("ip link set dm0 up && ip addr replace fd09::1/64 dev dm0 nodad");
    expect_works(pair);
}

// ---- resets ---------------------------------------------------------------

void link_restarts() {
    Live live;
    for (int i = 0; i < 3; i++) {
        live.bound.topology.here("ethtool -r dm0");
        expect_flow_on(true, *live.reader, "restarted");
    }
}

// It takes the interface down and up, and all registers and rings in between.
void tests_itself() {
    Live live;
    live.bound.topology.here("ethtool -t dm0 offline >/dev/null || :");
    expect_flow_on(true, *live.reader, "tested");
}

void jumbo_and_rings() {
    Live live;
    const auto& topology = live.bound.topology;
    for (const char* mtu : {"9000", "1500"}) {
        topology.here(fmt::format("ip link set dm0 mtu {}", mtu));
        topology.there(fmt::format("ip link set dm0p mtu {}", mtu));
        for (const std::uint32_t size : {64U, 1024U}) {
            devmem::set_rings(live.bound.ifindex, {.rx = size});
            expect_flow_on(true, *live.reader, fmt::format("MTU {}, ring of {}", mtu, size));
        }
    }
}

constexpr std::array tests{
    ktap_test{"split off, split on: an ordinary stream is exact, and split or not",
              clean<without_binding>},
    ktap_test{"ICMP and IP fragments, bound, MTU 9000: in host memory", clean<what_is_no_tcp>},
    ktap_test{"what the split needs can't be turned off", clean<what_split_needs>},
    ktap_test{"the driver is unbound under traffic, tokens out, and bound again",
              clean<driver_comes_back>},
    ktap_test{"5 times so, while all bindings and tokens are kept", clean<driver_comes_and_goes>},
    ktap_test{"the driver is unbound with bytes on their way, and bound again",
              clean<driver_goes_while_sending<false>>},
    ktap_test{"what is on its way is unbound, then the driver is",
              clean<driver_goes_while_sending<true>>},
    ktap_test{"suspended and resumed under a stream: exact, on the device", clean<suspended_bound>},
    ktap_test{"suspended and resumed while sending: exact", clean<suspended_sending>},
    ktap_test{"suspended while bound and down: works when it is up", clean<suspended_down>},
    ktap_test{"the link is restarted under a stream: exact, on the device", clean<link_restarts>},
    ktap_test{"the NIC tests itself under a stream: exact, on the device", clean<tests_itself>},
    ktap_test{"jumbo frames and ring sizes under a stream: exact, on the device",
              clean<jumbo_and_rings>},
};

}  // namespace

int main(int argc, char** argv) {
    if (const char* missing = nic_missing()) return ktap_skip_all(missing);
    if (std::string(nic_kind()->name) != "e1000e") return ktap_skip_all("DEVMEM_NIC is not e1000e");
    return run_tests(tests, argc, argv);
}
