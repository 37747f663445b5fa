// SPDX-License-Identifier: MIT
// Receives one connection into a dmabuf and prints where every run of bytes landed.
//
//     recv eth0 5201            (as root; then, elsewhere: nc ADDRESS 5201 < file)
#include <devmem/binding.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <devmem/receiver.h>

#include <cstdio>
#include <string>

#include "listen.h"

using namespace devmem;

static void print(const Piece& piece) {
    if (piece.on_device())
        std::printf("%8u bytes in dmabuf %u at %#llx\n", piece.size, piece.dmabuf_id,
                    static_cast<unsigned long long>(piece.offset));
    else
        std::printf("%8u bytes in host memory\n", piece.size);
}

static void run(const std::string& interface, std::uint16_t port) {
    const auto ifindex = interface_index(interface);

    // Everything is undone in reverse order, whichever way this function ends.
    const DmaBuf memory = DmaBuf::udmabuf(32 << 20);
    const NicSession nic(ifindex, {.flows = flows_to_port(port)});  // our flows to a queue,
    const RxBinding binding(ifindex, nic.queues(), memory);         // their payload into memory

    Receiver receiver(accept_one(port));
    for (;;) {
        const auto got = receiver.receive(Receiver::Wait::yes);
        if (got.state == Receiver::State::would_block) continue;  // a signal
        if (got.state == Receiver::State::end) break;
        if (got.state != Receiver::State::data) throw std::system_error(got.error, "receive");
        for (const Piece& piece : got.pieces) print(piece);
    }  // the next receive() gives the memory of these pieces back to the NIC
}

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: recv INTERFACE PORT\n");
        return 2;
    }
    try {
        run(argv[1], static_cast<std::uint16_t>(std::stoi(argv[2])));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "recv: %s\n", error.what());
        return 1;
    }
    return 0;
}
