// SPDX-License-Identifier: GPL-2.0
// Many connections in one thread, by each of the ways that there are: every byte exact, both ways.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <list>
#include <thread>

#include "bound.h"
#include "devmem/binding.h"
#include "devmem/netdev.h"
#include "expect.h"
#include "far_end.h"
#include "leftovers.h"
#include "loops.h"
#include "process.h"
#include "tx_memory.h"
#include "tx_stream.h"

namespace {

const Engine& engine(std::size_t which) {
    const Engine& engine = engines()[which];
    if (!engine.read) ktap_skip("built without %s", engine.name);
    return engine;
}

// ---- receiving --------------------------------------------------------------

// To some sockets it is said that they must not block, which must make no difference.
std::vector<Reader> accept_all(const Bound& bound, unsigned count) {
    std::vector<Reader> readers;
    for (unsigned i = 0; i < count; i++) {
        readers.push_back(bound.accept());
        if (i % 2) ::fcntl(readers.back().receiver().fd(), F_SETFL, O_NONBLOCK);
    }
    return readers;
}

void expect_whole(const Reader& reader, std::uint64_t bytes) {
    EXPECT_EQUAL("wrong", std::string(), reader.wrong());
    EXPECT_EQUAL("bytes", bytes, reader.bytes());
    EXPECT("all of it landed in device memory", reader.host_bytes() == 0, reader.host_bytes());
    EXPECT("an orderly end", reader.ended(), reader.reset() ? "a reset" : "none");
}

template <std::size_t which>
void receives_many() {
    constexpr unsigned connections = 24;
    constexpr std::uint64_t bytes = 256 << 10;
    const Engine& by = engine(which);
    const Bound bound;
    Sender sender = bound.send({.connections = connections, .bytes = bytes});
    {
        auto readers = accept_all(bound, connections);
        by.read(readers);
        for (Reader& reader : readers) {
            expect_whole(reader, bytes);
            reader.receiver().give_back();
            EXPECT_EQUAL("frags that are not given back", 0U, reader.receiver().outstanding());
        }
    }
    EXPECT("the sender is content", sender.done(), "that it is not");
}

// One peer breaks off in the middle; the others must not notice.
template <std::size_t which>
void peer_resets() {
    constexpr std::uint64_t bytes = 256 << 10;
    const Engine& by = engine(which);
    const Bound bound;
    Sender sender = bound.send({.connections = 3, .bytes = bytes});
    auto readers = accept_all(bound, 3);
    FarEnd rude(bound.topology, {});
    readers.emplace_back(rude.connect(), bound.memories());
    const auto some = Pattern(FarEnd::port).at(0, 10'000);  // less than any send buffer takes
    KTAP_NEED(::send(rude.fd(), some.data(), some.size(), 0) == 10'000);
    std::thread breaks([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));  // it is waited for by then
        rude.reset();
    });
    by.read(readers);
    breaks.join();
    for (const Reader& reader : std::span(readers).first(3)) expect_whole(reader, bytes);
    EXPECT_EQUAL("wrong", std::string(), readers[3].wrong());
    EXPECT("a reset", readers[3].reset(), readers[3].ended() ? "an orderly end" : "none");
}

// ---- sending ----------------------------------------------------------------

constexpr std::size_t piece = 32 << 10;
constexpr std::uint16_t port = 5301;

void need_sending() {
    if (const auto why = why_no_sending(); !why.empty()) ktap_skip("%s", why.c_str());
}

struct Stage {
    Topology topology;
    TxMemory memory{1 << 20};
    devmem::TxBinding binding{devmem::interface_index("dm0"), memory.dmabuf()};
};

// Stream number i is all of the memory, from its i-th piece on and around.
std::vector<devmem::Extent> extents_of(const TxMemory& memory, std::size_t i) {
    std::vector<devmem::Extent> extents;
    for (std::size_t at = 0; at < memory.size(); at += piece)
        extents.push_back({(at + i * piece) % memory.size(), piece});
    return extents;
}

struct Incoming {
    devmem::Fd fd;
    std::vector<std::byte> expected;
    std::uint64_t bytes = 0;
};

// False if the stream is over. Throws if it is not as it must be.
bool read_some(Incoming& in) {
    std::array<std::byte, 1 << 16> buffer;
    const ssize_t n = ::recv(in.fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0) throw_errno_of("recv");
    const auto want = std::span(in.expected).subspan(in.bytes);
    const auto got = std::span(buffer).first(static_cast<std::size_t>(n));
    if (got.size() > want.size() || !std::ranges::equal(got, want.first(got.size())))
        throw std::runtime_error(fmt::format("wrong bytes at {}", in.bytes));
    in.bytes += got.size();
    if (n == 0 && !want.empty()) throw std::runtime_error(fmt::format("an end at {}", in.bytes));
    return n > 0;
}

// The other end of so many connections; the first few are broken off in the middle.
void take_all(const TxMemory& memory, std::size_t count, std::size_t resets, int say) {
    const Listener listener(port);
    KTAP_NEED(::write(say, "", 1) == 1);
    std::vector<Incoming> all(count);
    std::vector<pollfd> polls;
    for (std::size_t i = 0; i < count; i++) {
        all[i].fd = listener.accept(30);
        for (const auto& extent : extents_of(memory, i))
            std::ranges::copy(memory.at(extent), std::back_inserter(all[i].expected));
        polls.push_back({all[i].fd.get(), POLLIN, 0});
    }
    for (std::size_t open = count; open > 0;) {
        if (::poll(polls.data(), polls.size(), -1) < 0) throw_errno_of("poll");
        for (std::size_t i = 0; i < count; i++) {
            if (polls[i].revents == 0 || read_some(all[i])) {
                if (i >= resets || polls[i].fd < 0 || all[i].bytes < 100'000) continue;
                reset_on_close(all[i].fd.get());
            }
            all[i].fd.close();
            polls[i].fd = -1;
            open--;
        }
    }
}

// More than the socket takes at once, so that a reset comes in the middle.
devmem::Fd connect() {
    devmem::Fd fd = dial(Topology::v4_there, port);
    const int room = 64 << 10;
    KTAP_NEED(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
    return fd;
}

void send_to(const Engine& by, std::size_t count, std::size_t resets) {
    need_sending();
    const Stage stage;
    Process there(stage.topology.there_fd(),
                  [&](int say) { take_all(stage.memory, count, resets, say); });
    char listens = 1;
    KTAP_NEED(there.hear(&listens, 1, 30));
    {
        std::list<devmem::Sender> senders;
        std::vector<Outgoing> all;
        for (std::size_t i = 0; i < count; i++) {
            senders.emplace_back(connect());
            all.emplace_back(senders.back(), stage.binding.id(), extents_of(stage.memory, i));
        }
        by.send(all);
        for (std::size_t i = 0; i < count; i++) {
            EXPECT_EQUAL("error", i < resets, static_cast<bool>(all[i].error));
            EXPECT_EQUAL("pending", 0U, all[i].sender->pending());
            EXPECT_EQUAL("copies", 0U, all[i].sender->copied());
            EXPECT_EQUAL("completions of nothing", 0U, all[i].sender->unknown());
        }
    }
    EXPECT_EQUAL("status of the other end", 0, there.wait(60));
}

template <std::size_t which>
void sends_many() {
    send_to(engine(which), 12, 0);
}

template <std::size_t which>
void other_end_resets() {
    send_to(engine(which), 5, 2);
}

const ktap_test tests[] = {
    {"receive on 24 connections by epoll: exact", clean<receives_many<0>>},
    {"receive on 24 connections by coroutines on epoll: exact", clean<receives_many<1>>},
    {"receive on 24 connections by coroutines on io_uring: exact", clean<receives_many<2>>},
    {"receive on 24 connections by Asio: exact", clean<receives_many<3>>},
    {"1 of 4 peers resets, by epoll: the others are whole", clean<peer_resets<0>>},
    {"1 of 4 peers resets, by coroutines on epoll: the others are whole", clean<peer_resets<1>>},
    {"1 of 4 peers resets, by coroutines on io_uring: the others are whole", clean<peer_resets<2>>},
    {"1 of 4 peers resets, by Asio: the others are whole", clean<peer_resets<3>>},
    {"send on 12 connections by epoll: exact, all done", clean<sends_many<0>>},
    {"send on 12 connections by coroutines on epoll: exact, all done", clean<sends_many<1>>},
    {"send on 12 connections by coroutines on io_uring: exact, all done", clean<sends_many<2>>},
    {"send on 12 connections by Asio: exact, all done", clean<sends_many<3>>},
    {"2 of 5 receivers reset, by epoll: the others are whole", clean<other_end_resets<0>>},
    {"2 of 5 receivers reset, by coroutines on epoll: the others are whole",
     clean<other_end_resets<1>>},
    {"2 of 5 receivers reset, by coroutines on io_uring: the others are whole",
     clean<other_end_resets<2>>},
    {"2 of 5 receivers reset, by Asio: the others are whole", clean<other_end_resets<3>>},
};

}  // namespace

int main(int argc, char** argv) {
    return run_tests(tests, argc, argv);
}
