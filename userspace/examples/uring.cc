// SPDX-License-Identifier: MIT
// Receives several connections in one thread, a coroutine for each, with io_uring: see
// coroutine.cc, which differs in the loop alone. Needs libdevmem-uring.
//
//     uring eth0 5201 2 /tmp    (as root; then, elsewhere, twice: nc ADDRESS 5201 < file)
#include <devmem/uring.h>

#include "save.h"
#include "task.h"

using namespace devmem;

static Task serve(Stream& stream, Uring& uring) {
    while (!stream.over()) stream.save(co_await receive(stream.receiver(), uring));
}

int main(int argc, char** argv) {
    return save_streams(argc, argv, [](std::vector<Stream>& streams) {
        Uring uring;
        std::vector<Task> tasks;
        tasks.reserve(streams.size());
        for (Stream& stream : streams) tasks.push_back(serve(stream, uring));
        while (uring.waiting() > 0) uring.turn();
        for (const Task& task : tasks) task.check();
    });
}
