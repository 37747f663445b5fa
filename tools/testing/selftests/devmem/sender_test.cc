// SPDX-License-Identifier: GPL-2.0
// libdevmem's way of sending: every byte exact, and tickets that tell the truth about when device
// memory may be written again.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "bound.h"
#include "devmem/binding.h"
#include "devmem/error.h"
#include "devmem/header_split.h"
#include "devmem/netdev.h"
#include "devmem/receiver.h"
#include "devmem/sender.h"
#include "expect.h"
#include "far_end.h"
#include "leftovers.h"
#include "process.h"
#include "tx_memory.h"
#include "tx_stream.h"

namespace {

using State = devmem::Sender::State;
using Wait = devmem::Sender::Wait;
using More = devmem::Sender::More;
using Ticket = devmem::Sender::Ticket;

constexpr std::uint64_t mebibyte = 1 << 20;

struct Stage {
    Topology topology;
    std::uint32_t ifindex = devmem::interface_index("dm0");
    TxMemory memory{4 * mebibyte};
    std::optional<devmem::TxBinding> binding{std::in_place, ifindex, memory.dmabuf()};
};

// A Sender, and the other end of its connection.
class Stream {
  public:
    explicit Stream(const Stage& stage, const TxRoute& route = {})
        : stage_(stage), far_(stage.topology, route), sender_(std::in_place, far_.connect()) {}

    // One call.
    devmem::Sender::Result try_send(std::span<const Extent> extents, More more = More::no) {
        const auto sent = sender_->send(stage_.binding->id(), extents, Wait::no, more);
        std::size_t left = sent.bytes;
        for (const Extent& extent : extents) {
            const std::size_t part = std::min(left, extent.length);
            far_.expect(stage_.memory.at({extent.offset, part}));
            left -= part;
        }
        if (sent.state == State::reset || sent.state == State::failed)
            throw std::system_error(sent.error, "send");
        no_memory_ += sent.state == State::no_memory;
        return sent;
    }

    // All of it; the ticket of the last part.
    Ticket send(std::span<const Extent> extents, More more = More::no) {
        std::vector<Extent> all(extents.begin(), extents.end());
        Ticket last;
        for (std::span<Extent> left = all; !left.empty();) {
            const auto sent = try_send(left, more);
            if (sent.state != State::sent) {
                make_room();
                continue;
            }
            last = sent.ticket;
            left = devmem::drop_front(left, sent.bytes);
        }
        return last;
    }
    Ticket send(const Extent& extent, More more = More::no) {
        return send(std::span(&extent, 1), more);
    }

    void send_host(std::span<const std::byte> bytes, More more = More::no) {
        while (!bytes.empty()) {
            const auto sent = sender_->send(bytes, Wait::no, more);
            if (sent.error) throw std::system_error(sent.error, "send from the host");
            if (sent.state != State::sent) make_room();
            far_.expect(bytes.first(sent.bytes));
            bytes = bytes.subspan(sent.bytes);
        }
    }

    void make_room() {
        far_.read();
        if (sender_->complete() == 0) ready(sender_->fd(), POLLOUT, 20);
    }

    // All has arrived and all is done.
    void expect_whole() {
        const bool whole = within(120, [&] {
            far_.read();
            sender_->complete();
            return !far_.wrong().empty() || (far_.has_all() && sender_->pending() == 0);
        });
        EXPECT_EQUAL("wrong", std::string(), far_.wrong());
        EXPECT("all arrived and is done", whole,
               fmt::format("{} of {} bytes, {} pending", far_.received(), far_.expected(),
                           sender_->pending()));
        EXPECT_EQUAL("copies", 0U, sender_->copied());
        EXPECT_EQUAL("completions of nothing", 0U, sender_->unknown());
    }

    FarEnd& far() { return far_; }
    devmem::Sender& sender() { return *sender_; }
    void close_here() { sender_.reset(); }
    [[nodiscard]] int no_memory() const { return no_memory_; }

  private:
    const Stage& stage_;
    FarEnd far_;
    std::optional<devmem::Sender> sender_;
    int no_memory_ = 0;
};

void many_in_flight() {
    const Stage stage;
    Stream stream(stage);
    std::minstd_rand random(1);
    std::vector<Ticket> tickets;
    std::size_t most = 0;
    for (int i = 0; i < 2000; i++) {
        const std::size_t length = 1 + random() % 9000;
        tickets.push_back(stream.send(Extent{random() % (mebibyte - length), length}));
        most = std::max(most, stream.sender().pending());
    }
    stream.expect_whole();
    EXPECT("several were in flight at a time", most > 4, most);
    EXPECT("all tickets are done",
           std::ranges::all_of(tickets, [&](Ticket t) { return stream.sender().done(t); }),
           "some that are not");
}

int queued(int fd) {
    int bytes = 0;
    KTAP_NEED(::ioctl(fd, SIOCOUTQ, &bytes) == 0);
    return bytes;
}

// The other end reads nothing, and gets little by little.
void done_is_acknowledged() {
    const Stage stage;
    Stream stream(stage, {.rcvbuf = 4096});
    std::vector<std::pair<Ticket, std::uint64_t>> ends;
    const Extent extent{77, 1000};
    for (;;) {
        const auto sent = stream.try_send(std::span(&extent, 1));
        if (sent.state != State::sent) break;
        ends.emplace_back(sent.ticket, stream.far().expected());
    }
    std::size_t done = 0;
    const bool all = within(120, [&] {
        stream.sender().complete();
        const std::uint64_t acknowledged =
            stream.far().expected() - static_cast<std::uint64_t>(queued(stream.sender().fd()));
        done = 0;
        for (const auto& [ticket, end] : ends) {
            if (!stream.sender().done(ticket)) continue;
            EXPECT("what is done is acknowledged", end <= acknowledged, end - acknowledged);
            done++;
        }
        EXPECT_EQUAL("not done", ends.size() - done, stream.sender().pending());
        if (done < ends.size()) stream.far().read();
        return done == ends.size();
    });
    EXPECT("all done in the end", all, done);
    stream.expect_whole();
}

// Memory is written again as soon as it may be, while packets are lost and sent again.
void written_again_when_done() {
    Stage stage;
    stage.topology.here("ip link set dm0 gso_max_segs 4");
    impair(stage.topology, "delay 1ms loss 3% limit 10000");
    Stream stream(stage);
    struct Slot {
        Extent extent;
        Ticket ticket;
    };
    std::vector<Slot> slots(8);
    for (std::size_t i = 0; i < slots.size(); i++) slots[i].extent = {i * 30'011, 30'011};
    for (std::size_t i = 0; i < 200; i++) {
        Slot& slot = slots[i % slots.size()];
        while (!stream.sender().done(slot.ticket)) stream.make_room();
        stage.memory.rewrite(slot.extent);
        slot.ticket = stream.send(slot.extent);
    }
    stream.expect_whole();
    const auto again = tcp_count("TCPLostRetransmit") + tcp_count("TCPSlowStartRetrans") +
                       tcp_count("TCPFastRetrans");
    EXPECT("segments were sent again", again > 0, again);
}

// Sends that don't adjoin have a notification each, of which the kernel has room for few. The other
// end's window is small, and nobody reads there before there is no memory: they must add up.
void no_memory_then_progress() {
    const Stage stage;
    Stream stream(stage, {.rcvbuf = 8192});
    const std::byte between{0x55};
    for (std::uint64_t i = 0; i < 500; i++) {
        stream.send(Extent{i * 1001, 999});
        stream.send_host(std::span(&between, 1));
    }
    EXPECT("there was no memory for a while", stream.no_memory() > 0, stream.no_memory());
    stream.expect_whole();
}

void host_bytes_between() {
    const Stage stage;
    Stream stream(stage);
    std::minstd_rand random(3);
    for (int i = 0; i < 3000; i++) {
        const More more = random() % 2 ? More::yes : More::no;
        const std::size_t length = 1 + random() % (i % 10 ? 500 : 70'000);
        const Extent extent{random() % (mebibyte - length), length};
        if (random() % 3 == 0)
            stream.send_host(stage.memory.at(extent), more);
        else
            stream.send(extent, more);
    }
    stream.send(Extent{0, 1});
    stream.expect_whole();
}

void long_lists() {
    const Stage stage;
    Stream stream(stage);
    std::minstd_rand random(4);
    std::vector<Extent> extents(5000);
    for (Extent& extent : extents) extent = {random() % mebibyte, random() % 300};
    stream.send(extents);
    stream.expect_whole();
}

// Nothing that was refused, or found no room, has a number.
void refusals_between() {
    const Stage stage;
    Stream stream(stage, {.rcvbuf = 65536});
    const Extent beyond{stage.memory.size() - 1, 2}, good{5, 20'000};
    for (int i = 0; i < 300; i++) {
        const auto refused = stream.sender().send(stage.binding->id(), std::span(&beyond, 1));
        EXPECT_EQUAL("errno beyond the end", EFAULT, refused.error.value());
        const auto unknown = stream.sender().send(stage.binding->id() + 1000, std::span(&good, 1));
        EXPECT_EQUAL("errno of no binding", EINVAL, unknown.error.value());
        while (stream.try_send(std::span(&good, 1)).state == State::sent) {
        }
        stream.make_room();
    }
    stream.expect_whole();
}

void other_route() {
    const Stage stage;
    stage.topology.here("ip addr add 10.9.7.1/32 dev lo; ip link set lo up");
    const devmem::Fd listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    KTAP_NEED(::listen(listener.get(), 1) == 0);
    sockaddr_in6 at{};
    socklen_t size = sizeof(at);
    KTAP_NEED(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    devmem::Sender sender(dial("10.9.7.1", ntohs(at.sin6_port)));
    const Extent extent{0, 100};
    const auto sent = sender.send(stage.binding->id(), std::span(&extent, 1));
    EXPECT("it failed", sent.state == State::failed, static_cast<int>(sent.state));
    EXPECT_EQUAL("errno", ENODEV, sent.error.value());
    EXPECT_EQUAL("pending", 0U, sender.pending());
}

// What is done is so because nobody needs the memory any more.
void peer_resets() {
    const Stage stage;
    Stream stream(stage, {.rcvbuf = 4096});
    const Extent extent{0, 10'000};
    while (stream.try_send(std::span(&extent, 1)).state == State::sent) {
    }
    const std::size_t before = stream.sender().pending();
    EXPECT("sends are in flight", before > 0, before);
    stream.far().reset();
    std::size_t heard = 0;
    while (stream.sender().pending() > 0) heard += stream.sender().complete(Wait::yes);
    EXPECT_EQUAL("heard of", before, heard);
    const auto first = stream.sender().send(stage.binding->id(), std::span(&extent, 1));
    EXPECT("it says reset", first.state == State::reset, static_cast<int>(first.state));
    EXPECT_EQUAL("pending", 0U, stream.sender().pending());
}

// With a socket that blocks, from start to end.
void blocking() {
    const Stage stage;
    FarEnd far(stage.topology, {});
    devmem::Fd connection = far.connect();
    ::fcntl(connection.get(), F_SETFL, 0);
    ::fcntl(far.fd(), F_SETFL, 0);
    std::vector<Extent> all;
    for (std::uint64_t i = 0; i < 40; i++) all.push_back({i * 1013, 100'003});
    for (const Extent& extent : all) far.expect(stage.memory.at(extent));
    std::thread reading([&] { far.read(); });  // to the end

    devmem::Sender sender(std::move(connection));
    std::size_t calls = 0;
    for (std::span<Extent> left = all; !left.empty(); calls++) {
        const auto sent = sender.send(stage.binding->id(), left.first(1), Wait::yes);
        if (sent.state == State::no_memory)
            sender.complete(Wait::yes);
        else if (sent.state == State::sent)
            left = devmem::drop_front(left, sent.bytes);
        else
            throw std::system_error(sent.error, "send");
    }
    while (sender.pending() > 0) sender.complete(Wait::yes);
    ::shutdown(sender.fd(), SHUT_WR);
    reading.join();
    EXPECT_EQUAL("wrong", std::string(), far.wrong());
    EXPECT("all arrived", far.has_all(), far.received());
    EXPECT("no call was cut short", calls >= all.size() && calls < 2 * all.size(), calls);
}

// The socket, the binding and the memory go; the bytes arrive, and then nothing is left.
void closed_in_flight() {
    std::optional<Stage> stage(std::in_place);
    impair(stage->topology, "delay 200ms limit 10000");
    Stream stream(*stage);
    const Extent extent{3, 100'000};
    stream.send(extent);
    stage->binding.reset();
    stream.close_here();
    const bool whole = within(120, [&] {
        stream.far().read();
        return stream.far().has_all();
    });
    EXPECT_EQUAL("wrong", std::string(), stream.far().wrong());
    EXPECT("all arrived", whole, stream.far().received());
}

// ---- both ways ------------------------------------------------------------

constexpr std::uint16_t both_port = 5401;
constexpr std::uint64_t both_bytes = 6 * mebibyte;

// An interface that receives into device memory and sends from it; what it sends is Pattern's.
class DeviceEnd {
  public:
    explicit DeviceEnd(const std::string& interface)
        : ifindex_(devmem::interface_index(interface)) {
        spread_over(ifindex_, queues_);
    }

    // Sends one stream and reads the other on the same connection; throws if they are not exact.
    void exchange(devmem::Fd connection) {
        fill(own_port(connection.get()));
        ::fcntl(connection.get(), F_SETFL, O_NONBLOCK);
        Reader reader(devmem::Fd::duplicate(connection.get()), {{rx_.id(), &landing_}});
        devmem::Sender sender(std::move(connection));
        std::uint64_t sent = 0;
        const bool whole = within(120, [&] {
            while (step(reader, sender, sent)) {
            }
            return !reader.wrong().empty() ||
                   (sent == both_bytes && sender.pending() == 0 && reader.bytes() == both_bytes);
        });
        if (!reader.wrong().empty()) throw std::runtime_error(reader.wrong());
        if (!whole || sender.copied() != 0 || sender.unknown() != 0)
            throw std::runtime_error(
                fmt::format("{} sent, {} pending, {} received, {} copied, {} unknown", sent,
                            sender.pending(), reader.bytes(), sender.copied(), sender.unknown()));
        if (reader.device_bytes() < both_bytes / 10 * 9)
            throw std::runtime_error(
                fmt::format("only {} bytes landed in the device", reader.device_bytes()));
    }

  private:
    static constexpr std::uint64_t periods = 8;

    static std::uint16_t own_port(int fd) {
        sockaddr_in6 own{};
        socklen_t size = sizeof(own);
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0)
            throw_errno_of("getsockname");
        return ntohs(own.sin6_port);
    }

    void fill(std::uint16_t seed) {
        const Pattern pattern(seed);
        for (std::uint64_t at = 0; at < periods * Pattern::period; at += Pattern::period)
            if (const auto error = source_.to_device(at, pattern.at(0, Pattern::period)))
                throw std::system_error(error, "fill the memory");
    }

    // False if there was nothing to do.
    bool step(Reader& reader, devmem::Sender& sender, std::uint64_t& sent) {
        const bool read = !reader.over() && reader.bytes() < both_bytes && reader.step();
        if (read) reader.give_back();
        const bool completed = sender.complete() > 0;
        const auto most = std::min<std::uint64_t>(both_bytes - sent, 3 * Pattern::period);
        const Extent extent{sent % Pattern::period + Pattern::period * (sent % 4), most};
        const auto result = sender.send(tx_.id(), std::span(&extent, 1));
        if (result.error && result.state != State::no_memory)
            throw std::system_error(result.error, "send");
        sent += result.bytes;
        return read || completed || result.bytes > 0;
    }

    std::uint32_t ifindex_;
    std::vector<std::uint32_t> queues_ = {nic_kind()->queue};
    devmem::HeaderSplit split_{ifindex_};
    devmem::DmaBuf landing_ = devmem::DmaBuf::accelmem(8 * mebibyte);
    devmem::DmaBuf source_ = devmem::DmaBuf::accelmem(periods * Pattern::period);
    devmem::RxBinding rx_{ifindex_, queues_, landing_};
    devmem::TxBinding tx_{ifindex_, source_};
};

void both_ways() {
    const Topology topology;
    Process there(topology.there_fd(), [](int say) {
        DeviceEnd end("dm0p");
        const Listener listener(both_port);
        KTAP_NEED(::write(say, "", 1) == 1);
        end.exchange(listener.accept(120));
    });
    char listens = 1;
    KTAP_NEED(there.hear(&listens, 1, 120));
    DeviceEnd("dm0").exchange(dial(Topology::v4_there, both_port));
    EXPECT_EQUAL("status of the other end", 0, there.wait(120));
}

/// Sends back what it receives, from where it landed; that is given back when it has been sent.
class Echo {
  public:
    explicit Echo(devmem::Fd connection)
        : receiver_(devmem::Fd::duplicate(connection.get())), sender_(std::move(connection)) {
        spread_over(ifindex_, queues_);
    }

    // False if there was nothing to do.
    bool step() {
        sender_.complete();
        while (!kept_.empty() && sender_.done(kept_.front().ticket)) kept_.pop_front();
        receiver_.flush();
        if (left_.empty()) left_ = receiver_.receive().pieces;
        if (left_.empty()) return false;
        const auto sent = send(left_.front());
        if (sent.error && sent.state != State::no_memory)
            throw std::system_error(sent.error, "send back");
        begun_ += sent.bytes;
        if (begun_ == left_.front().size) keep(sent.ticket);
        return sent.bytes > 0;
    }

    [[nodiscard]] bool idle() const { return left_.empty() && sender_.pending() == 0; }
    [[nodiscard]] std::uint64_t device_bytes() const { return device_bytes_; }

  private:
    struct Kept {
        devmem::Frag frag;
        Ticket ticket;
    };

    devmem::Sender::Result send(const devmem::Piece& piece) {
        if (!piece.on_device()) return sender_.send(piece.host.subspan(begun_));
        const Extent extent{piece.offset + begun_, piece.size - begun_};
        return sender_.send(tx_.id(), std::span(&extent, 1));
    }

    void keep(Ticket ticket) {
        const devmem::Piece& piece = left_.front();
        if (piece.on_device()) {
            device_bytes_ += piece.size;
            kept_.push_back({receiver_.take(piece), ticket});
        }
        left_ = left_.subspan(1);
        begun_ = 0;
    }

    std::uint32_t ifindex_ = devmem::interface_index("dm0");
    std::vector<std::uint32_t> queues_ = {nic_kind()->queue};
    devmem::HeaderSplit split_{ifindex_};
    devmem::DmaBuf memory_ = devmem::DmaBuf::accelmem(8 * mebibyte);
    devmem::RxBinding rx_{ifindex_, queues_, memory_};
    devmem::TxBinding tx_{ifindex_, memory_};
    devmem::Receiver receiver_;
    devmem::Sender sender_;
    std::span<const devmem::Piece> left_;  // received; begun_ bytes of the first are sent back
    std::size_t begun_ = 0;
    std::list<Kept> kept_;
    std::uint64_t device_bytes_ = 0;
};

void echo() {
    const Topology topology;
    FarEnd far(topology, {});
    Echo echo(far.connect());
    const Pattern pattern(9);
    std::uint64_t sent = 0;
    const bool whole = within(120, [&] {
        const auto part = pattern.at(sent, both_bytes - sent);
        const ssize_t n = part.empty() ? 0 : ::send(far.fd(), part.data(), part.size(), 0);
        if (n > 0) far.expect(part.first(static_cast<std::size_t>(n)));
        if (n > 0) sent += static_cast<std::uint64_t>(n);
        while (echo.step()) {
        }
        far.read();
        return !far.wrong().empty() || (sent == both_bytes && far.has_all() && echo.idle());
    });
    EXPECT_EQUAL("wrong", std::string(), far.wrong());
    EXPECT("all came back and is done", whole, far.received());
    EXPECT("it was in device memory", echo.device_bytes() > both_bytes / 10 * 9,
           echo.device_bytes());
}

// ---- bindings -------------------------------------------------------------

void expect_no_binding(std::uint32_t ifindex, int error, const char* advice) {
    const auto memory = devmem::DmaBuf::accelmem(4096);
    try {
        const devmem::TxBinding binding(ifindex, memory);
        EXPECT("bind-tx refused", false, binding.id());
    } catch (const devmem::Error& refusal) {
        EXPECT_EQUAL("errno", error, refusal.code().value());
        EXPECT("what to do", std::strstr(refusal.what(), advice) != nullptr, refusal.what());
    }
}

void no_bindings() {
    const Stage stage;
    stage.topology.here("ip link add link dm0 name dm0.7 type vlan id 7");
    expect_no_binding(devmem::interface_index("dm0.7"), EOPNOTSUPP, "bind the interface below");
    expect_no_binding(devmem::interface_index("lo"), EOPNOTSUPP, "netmem TX");
}

void moved_binding() {
    const Stage stage;
    devmem::TxBinding first(stage.ifindex, stage.memory.dmabuf());
    const std::uint32_t id = first.id();
    devmem::TxBinding second(std::move(first));
    EXPECT_EQUAL("id", id, second.id());
    FarEnd far(stage.topology, {});
    devmem::Sender sender(far.connect());
    const Extent extent{0, 1000};
    EXPECT("it sends", sender.send(id, std::span(&extent, 1)).state == State::sent, "not");
    second = devmem::TxBinding(stage.ifindex, stage.memory.dmabuf());
    EXPECT_EQUAL("errno of the old one", EINVAL,
                 sender.send(id, std::span(&extent, 1)).error.value());
    EXPECT("the new one sends", sender.send(second.id(), std::span(&extent, 1)).bytes == 1000,
           "not");
}

const ktap_test tests[] = {
    {"many sends in flight: exact, every ticket done", clean<many_in_flight>},
    {"what is done has been acknowledged", clean<done_is_acknowledged>},
    {"memory written again when it is done, with 3 % loss: exact", clean<written_again_when_done>},
    {"no memory for notifications: a state, then progress", clean<no_memory_then_progress>},
    {"host bytes in between, with MSG_MORE: exact", clean<host_bytes_between>},
    {"5000 extents: exact", clean<long_lists>},
    {"refusals in between: exact, the numbers agree", clean<refusals_between>},
    {"a route by another interface: ENODEV, nothing pending", clean<other_route>},
    {"the peer resets: a state, and everything is done", clean<peer_resets>},
    {"a socket that blocks: exact, and waits end", clean<blocking>},
    {"closed and unbound with sends in flight: they arrive", clean<closed_in_flight>},
    {"device memory on both sides, both ways on one socket: exact", clean<both_ways>},
    {"what arrives is sent back from where it landed, in one binding each way: exact", clean<echo>},
    {"interfaces that can't: the error says what to do", clean<no_bindings>},
    {"a binding can be moved", clean<moved_binding>},
};

}  // namespace

int main(int argc, char** argv) {
    const std::string why = why_no_sending();
    if (!why.empty()) return ktap_skip_all(why.c_str());
    return run_tests(tests, argc, argv);
}
