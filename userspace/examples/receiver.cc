// SPDX-License-Identifier: MIT
// The receiver in README.md, word for word: receiver eth0 5201

#include <devmem/budget.h>
#include <devmem/netdev.h>
#include <devmem/nic_session.h>
#include <devmem/receiver.h>
#include "listen.h"  // accept_one(), by plain sockets
using namespace devmem;
int main(int, char** argv) try {
    const auto ifindex = interface_index(argv[1]);
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
    const DmaBuf memory = DmaBuf::udmabuf(16 << 20);
    const NicSession nic(ifindex, {.flows = flows_to_port(port)});  // undone at the end
    const RxBinding binding(ifindex, nic.queues(), memory);
    const auto budget = std::make_shared<Budget>(binding, memory.size() / 4);
    Receiver receiver(accept_one(port), {.budgets = {budget}});
    std::vector<Frag> kept;  // each is size() bytes at offset() of memory, until it is destroyed
    std::uintmax_t bytes = 0;
    for (bool more = true; more;) {
        const auto got = receiver.receive(Receiver::Wait::yes);
        for (const Piece& piece : got.pieces)  // in stream order; in host memory: piece.host
            if (piece.on_device()) kept.push_back(receiver.take(piece));
        bytes += got.bytes;
        if (got.state == Receiver::State::starved) kept.clear();  // else the NIC would drop
        if (got.state == Receiver::State::failed) throw std::system_error(got.error);
        more = got.state != Receiver::State::end && got.state != Receiver::State::reset;
    }
    std::printf("%ju bytes; %zu frags of them still kept\n", bytes, kept.size());
} catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
}
