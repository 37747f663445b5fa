// SPDX-License-Identifier: MIT
// Receives several connections in one thread, with epoll and nothing else.
//
//     epoll eth0 5201 2 /tmp    (as root; then, elsewhere, twice: nc ADDRESS 5201 < file)
#include <sys/epoll.h>

#include <array>
#include <cerrno>

#include "save.h"

using namespace devmem;

static void watch(int epoll, int fd, std::uint32_t which) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = which;
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) throw_errno("epoll_ctl");
}

static void run(std::vector<Stream>& streams) {
    const Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll.is_open()) throw_errno("epoll_create1");
    for (std::size_t i = 0; i < streams.size(); ++i)
        watch(epoll.get(), streams[i].receiver().fd(), static_cast<std::uint32_t>(i));

    for (std::size_t open = streams.size(); open > 0;) {
        std::array<epoll_event, 64> events;
        const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
        if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
        for (int i = 0; i < count; ++i) {
            Stream& stream = streams[events[i].data.u32];
            stream.save(stream.receiver().receive());  // once: if there is more, epoll says so
            stream.receiver().give_back();             // before we sleep, so that the NIC has room
            if (!stream.over()) continue;
            ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, stream.receiver().fd(), nullptr);
            --open;
        }
    }
}

int main(int argc, char** argv) {
    return save_streams(argc, argv, run);
}
