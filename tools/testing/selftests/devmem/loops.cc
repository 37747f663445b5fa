// SPDX-License-Identifier: GPL-2.0
#include "loops.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "../../../../userspace/examples/epoll_loop.h"
#include "../../../../userspace/examples/task.h"
#include "devmem/coroutine.h"
#include "devmem/error.h"

#ifdef WITH_URING
#include "devmem/uring.h"
#endif
#ifdef WITH_ASIO
#include <asio.hpp>
#endif

namespace {

using SendState = devmem::Sender::State;

// Takes in what a send() gave. False if nothing more is to be sent.
bool sent(Outgoing& out, const devmem::Sender::Result& result) {
    out.left = devmem::drop_front(out.left, result.bytes);
    if (result.state == SendState::reset || result.state == SendState::failed)
        out.error = result.error;
    return !out.error && !out.left.empty();
}

// ---- epoll ----------------------------------------------------------------

class Epoll {
  public:
    Epoll() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {}

    // No events: only POLLERR and POLLHUP, which are always told.
    void watch(int operation, int fd, std::uint32_t events, std::size_t which) {
        epoll_event event{};
        event.events = events;
        event.data.u64 = which;
        if (::epoll_ctl(fd_.get(), operation, fd, &event) != 0) devmem::throw_errno("epoll_ctl");
    }
    void forget(int fd) { watch(EPOLL_CTL_DEL, fd, 0, 0); }

    std::span<const epoll_event> wait() {
        const int count = ::epoll_wait(fd_.get(), events_.data(), events_.size(), -1);
        if (count < 0 && errno != EINTR) devmem::throw_errno("epoll_wait");
        return std::span(events_).first(static_cast<std::size_t>(std::max(count, 0)));
    }

  private:
    devmem::Fd fd_;
    std::array<epoll_event, 64> events_{};
};

void epoll_read(std::span<Reader> readers) {
    Epoll epoll;
    for (std::size_t i = 0; i < readers.size(); i++)
        epoll.watch(EPOLL_CTL_ADD, readers[i].receiver().fd(), EPOLLIN, i);
    for (std::size_t open = readers.size(); open > 0;)
        for (const epoll_event& event : epoll.wait()) {
            Reader& reader = readers[event.data.u64];
            reader.step();
            reader.receiver().give_back();
            if (!reader.over()) continue;
            epoll.forget(reader.receiver().fd());
            open--;
        }
}

// As far as it goes without waiting; false if all is over.
bool epoll_step(Outgoing& out) {
    out.sender->complete();
    while (!out.error && !out.left.empty()) {
        const auto result = out.sender->send(out.binding, out.left);
        sent(out, result);
        if (result.state != SendState::sent) break;
    }
    return (!out.error && !out.left.empty()) || out.sender->pending() > 0;
}

void epoll_send(std::span<Outgoing> all) {
    Epoll epoll;
    for (std::size_t i = 0; i < all.size(); i++)
        epoll.watch(EPOLL_CTL_ADD, all[i].sender->fd(), EPOLLOUT | EPOLLET, i);
    for (std::size_t open = all.size(); open > 0;)
        for (const epoll_event& event : epoll.wait()) {
            Outgoing& out = all[event.data.u64];
            if (epoll_step(out)) continue;
            epoll.forget(out.sender->fd());
            open--;
        }
}

// ---- coroutines, over a Poller or a Uring -----------------------------------

template <class Loop>
Task read_one(Reader& reader, Loop& loop) {
    while (!reader.over()) reader.take_in(co_await devmem::receive(reader.receiver(), loop));
}

template <class Loop>
Task send_one(Outgoing& out, Loop& loop) {
    while (sent(out, co_await devmem::send(*out.sender, out.binding, out.left, loop))) {
    }
    if (const auto error = co_await devmem::completed(*out.sender, loop))
        throw std::system_error(error, "wait");
}

void run(EpollLoop& loop) {
    loop.run();
}

#ifdef WITH_URING
void run(devmem::Uring& uring) {
    while (uring.waiting() > 0) uring.turn();
}
#endif

template <class Loop>
void finish(const std::vector<Task>& tasks, Loop& loop) {
    run(loop);
    for (const Task& task : tasks) task.check();
}

template <class Loop>
void coroutine_read(std::span<Reader> readers) {
    Loop loop;
    std::vector<Task> tasks;
    for (Reader& reader : readers) tasks.push_back(read_one(reader, loop));
    finish(tasks, loop);
}

template <class Loop>
void coroutine_send(std::span<Outgoing> all) {
    Loop loop;
    std::vector<Task> tasks;
    for (Outgoing& out : all) tasks.push_back(send_one(out, loop));
    finish(tasks, loop);
}

// ---- Asio -------------------------------------------------------------------

#ifdef WITH_ASIO
using Descriptor = asio::posix::stream_descriptor;

asio::awaitable<void> asio_read_one(Reader& reader) {
    Descriptor socket(co_await asio::this_coro::executor,
                      devmem::Fd::duplicate(reader.receiver().fd()).release());
    while (!reader.over())
        if (!reader.step()) co_await socket.async_wait(Descriptor::wait_read, asio::use_awaitable);
}

asio::awaitable<void> asio_send_one(Outgoing& out) {
    Descriptor socket(co_await asio::this_coro::executor,
                      devmem::Fd::duplicate(out.sender->fd()).release());
    while (!out.left.empty() && !out.error) {
        out.sender->complete();  // or what is unread ends each wait at once
        const auto result = out.sender->send(out.binding, out.left);
        sent(out, result);
        if (result.state == SendState::would_block)
            co_await socket.async_wait(Descriptor::wait_write, asio::use_awaitable);
        else if (result.state == SendState::no_memory)
            co_await socket.async_wait(Descriptor::wait_error, asio::use_awaitable);
    }
    while (out.sender->complete(), out.sender->pending() > 0)
        co_await socket.async_wait(Descriptor::wait_error, asio::use_awaitable);
}

void rethrow(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

void asio_read(std::span<Reader> readers) {
    asio::io_context loop;
    for (Reader& reader : readers) asio::co_spawn(loop, asio_read_one(reader), rethrow);
    loop.run();
}

void asio_send(std::span<Outgoing> all) {
    asio::io_context loop;
    for (Outgoing& out : all) asio::co_spawn(loop, asio_send_one(out), rethrow);
    loop.run();
}
#endif

const Engine all_engines[] = {
    {"epoll", epoll_read, epoll_send},
    {"coroutines on epoll", coroutine_read<EpollLoop>, coroutine_send<EpollLoop>},
#ifdef WITH_URING
    {"coroutines on io_uring", coroutine_read<devmem::Uring>, coroutine_send<devmem::Uring>},
#else
    {"liburing", nullptr, nullptr},
#endif
#ifdef WITH_ASIO
    {"Asio", asio_read, asio_send},
#else
    {"Asio", nullptr, nullptr},
#endif
};

}  // namespace

std::span<const Engine> engines() {
    return all_engines;
}
