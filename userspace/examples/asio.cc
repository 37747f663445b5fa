// SPDX-License-Identifier: MIT
// Receives several connections in one thread, with Asio's loop and Asio's coroutines. What Asio
// needs is a descriptor of its own to wait for; all else is as everywhere.
//
//     asio eth0 5201 2 /tmp    (as root; then, elsewhere, twice: nc ADDRESS 5201 < file)
#include <asio.hpp>

#include "save.h"

using namespace devmem;

static asio::awaitable<void> serve(Stream& stream) {
    const auto loop = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor socket(loop, Fd::duplicate(stream.receiver().fd()).release());
    while (!stream.over()) {
        const auto got = stream.receiver().receive();
        stream.save(got);
        if (got.state == Receiver::State::would_block)
            co_await socket.async_wait(socket.wait_read, asio::use_awaitable);
    }
}

// What a connection throws ends the loop, and goes on from here.
static void rethrow(const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
}

int main(int argc, char** argv) {
    return save_streams(argc, argv, [](std::vector<Stream>& streams) {
        asio::io_context loop;
        for (Stream& stream : streams) asio::co_spawn(loop, serve(stream), rethrow);
        loop.run();
    });
}
