// SPDX-License-Identifier: MIT
// Receives one connection into an accelerator's memory and makes the stream contiguous there, as a
// program that computes on it needs it. The host never sees the payload, until it writes out the
// result.
//
//     gather eth0 5201 > file     (as root; then, elsewhere: nc ADDRESS 5201 < file)
#include <devmem/binding.h>
#include <devmem/gather.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <devmem/receiver.h>

#include <cstdio>
#include <string>
#include <vector>

#include "listen.h"

using namespace devmem;

static void check(std::error_code error, const char* what) {
    if (error) throw std::system_error(error, what);
}

static void write_out(const DmaBuf& memory, std::uint64_t size) {
    std::vector<std::byte> bytes(size);
    check(memory.to_host(0, bytes), "copy to the host");
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

static void run(const std::string& interface, std::uint16_t port) {
    const auto ifindex = interface_index(interface);
    const DmaBuf landing = DmaBuf::accelmem(16 << 20);  // where the NIC writes
    const DmaBuf result = DmaBuf::accelmem(64 << 20);   // where the stream ends up
    const NicSession nic(ifindex, {.flows = flows_to_port(port)});
    const RxBinding binding(ifindex, nic.queues(), landing);

    Receiver receiver(accept_one(port));
    Gather gather(binding, result);
    std::uint64_t used = 0;
    for (;;) {
        const auto got = receiver.receive(Receiver::Wait::yes);
        if (got.state == Receiver::State::would_block) continue;
        if (got.state == Receiver::State::end) break;
        if (got.state != Receiver::State::data) check(got.error, "receive");
        check(gather(receiver, got.pieces, used), "gather");  // gives the memory back, too
        used += got.bytes;
    }
    write_out(result, used);
}

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: gather INTERFACE PORT\n");
        return 2;
    }
    try {
        run(argv[1], static_cast<std::uint16_t>(std::stoi(argv[2])));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "gather: %s\n", error.what());
        return 1;
    }
    return 0;
}
