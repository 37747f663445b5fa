// SPDX-License-Identifier: GPL-2.0
#include "leftovers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/accelmem.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "devmem/fd.h"
#include "devmem/netdev.h"
#include "process.h"

namespace {

std::string left(std::uint64_t before) {
    const std::uint64_t used = accelmem_used();
    if (used > before) return fmt::format("{} bytes of accelmem", used - before);
    for (const auto& pool : devmem::page_pools())
        if (pool.detach_time)
            return fmt::format("page pool {} with {} buffers of binding {} in flight", pool.id,
                               pool.inflight, pool.dmabuf_id);
    return {};
}

}  // namespace

Leftovers::Leftovers() : before_(accelmem_used()) {}

std::string Leftovers::find(double seconds) const {
    std::string what;
    within(seconds, [&] {
        what = left(before_);
        if (!what.empty()) wake_every_stack();
        return what.empty();
    });
    return what;
}

std::uint64_t accelmem_used() {
    std::uint64_t used = 0;
    for (int number = 0;; number++) {
        const std::string path =
            number == 0 ? ACCELMEM_DEVICE : fmt::format("{}{}", ACCELMEM_DEVICE, number);
        const devmem::Fd device(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        accelmem_info info{};
        if (!device.is_open()) return used;
        if (::ioctl(device.get(), ACCELMEM_IOC_INFO, &info) != 0) throw_errno_of("ask accelmem");
        used += info.used;
    }
}

void wake_every_stack() {
    const devmem::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in discard{};
    discard.sin_family = AF_INET;
    discard.sin_port = htons(9);
    discard.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    cpu_set_t before;
    ::sched_getaffinity(0, sizeof(before), &before);
    for (int cpu = 0; cpu < ::get_nprocs(); cpu++) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ::sched_setaffinity(0, sizeof(one), &one);
        if (::sendto(fd.get(), "", 1, 0, reinterpret_cast<sockaddr*>(&discard), sizeof(discard)) <
            0)
            throw_errno_of("wake the stack by way of lo");
    }
    ::sched_setaffinity(0, sizeof(before), &before);
}
