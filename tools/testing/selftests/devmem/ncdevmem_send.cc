// SPDX-License-Identifier: GPL-2.0
// Standard input to a connection, by way of device memory.
#include <devmem/binding.h>
#include <devmem/netdev.h>
#include <fmt/core.h>

#include <chrono>

#include "amount.h"
#include "endpoint.h"
#include "input.h"
#include "ncdevmem.h"
#include "outflow.h"

namespace {

using Clock = std::chrono::steady_clock;

Peer peer_of(const Options& options) {
    Peer peer{.address = devmem::IpAddress(options.server),
              .port = options.port,
              .interface = options.interface};
    if (!options.client.empty()) peer.own_address = devmem::IpAddress(options.client);
    return peer;
}

void print(const Outflow& outflow, std::uint32_t binding, Clock::duration took) {
    fmt::print(stderr, "sent {} from dmabuf {}; {} calls\n",
               amount(outflow.counts().bytes, std::chrono::duration<double>(took).count()), binding,
               outflow.counts().calls);
    if (outflow.copied() > 0)
        fmt::print(stderr, "the kernel says it copied {} of them\n", outflow.copied());
}

}  // namespace

int send_input(const Options& options, const Waiter& waiter) {
    if (options.validate > 0 || options.no_host_bytes)
        throw Failure("-v and -L check what is received: they need -l");
    const auto memory = make_memory(options.memory);
    const devmem::TxBinding binding(devmem::interface_index(options.interface), memory);
    Outflow outflow(connect_to(peer_of(options), waiter), binding, waiter,
                    {.chunk = options.chunk});
    const auto start = Clock::now();
    const Input input("-");
    outflow.send(from_input(input, memory, waiter));
    outflow.finish();
    print(outflow, binding.id(), Clock::now() - start);
    return 0;
}
