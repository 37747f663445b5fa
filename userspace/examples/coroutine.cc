// SPDX-License-Identifier: MIT
// Receives several connections in one thread, a coroutine for each, over an event loop.
//
//     coroutine eth0 5201 2 /tmp    (as root; then, elsewhere, twice: nc ADDRESS 5201 < file)
#include <devmem/coroutine.h>

#include "epoll_loop.h"
#include "save.h"
#include "task.h"

using namespace devmem;

static Task serve(Stream& stream, Poller& loop) {
    while (!stream.over()) stream.save(co_await receive(stream.receiver(), loop));
}

int main(int argc, char** argv) {
    return save_streams(argc, argv, [](std::vector<Stream>& streams) {
        EpollLoop loop;
        std::vector<Task> tasks;
        tasks.reserve(streams.size());
        for (Stream& stream : streams) tasks.push_back(serve(stream, loop));
        loop.run();
        for (const Task& task : tasks) task.check();
    });
}
