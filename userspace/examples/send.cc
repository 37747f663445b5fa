// SPDX-License-Identifier: MIT
// Reads a file into an accelerator's memory and sends it from there: the other side of gather,
// which receives it into such memory again. The host never sees the payload, once it has been
// loaded.
//
//     send eth0 192.0.2.1 5201 < file          (there: gather eth0 5201 > copy)
#include <devmem/binding.h>
#include <devmem/netdev.h>
#include <devmem/sender.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "connect.h"

using namespace devmem;

static std::uint64_t load(const DmaBuf& memory) {
    std::vector<std::byte> bytes(1 << 20);
    std::uint64_t size = 0;
    while (const std::size_t got = std::fread(bytes.data(), 1, bytes.size(), stdin)) {
        if (const auto error = memory.to_device(size, std::span(bytes).first(got)))
            throw std::system_error(error, "copy to the device");
        size += got;
    }
    return size;
}

static void run(const std::string& interface, const char* address, std::uint16_t port) {
    const DmaBuf memory = DmaBuf::accelmem(64 << 20);
    const TxBinding binding(interface_index(interface), memory);
    std::array<Extent, 1> file{{{0, load(memory)}}};  // any number of pieces, in any order

    Sender sender(connect_to(address, port));
    for (auto left = drop_front(file, 0); !left.empty();) {
        const auto sent = sender.send(binding.id(), left, Sender::Wait::yes);
        if (sent.state == Sender::State::sent)
            left = drop_front(left, sent.bytes);
        else if (sent.state == Sender::State::no_memory)
            sender.complete(Sender::Wait::yes);
        else if (sent.error)
            throw std::system_error(sent.error, "send");
    }
    // The memory is the NIC's until then: TCP may have to send it again.
    while (sender.pending() > 0) sender.complete(Sender::Wait::yes);
}

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: send INTERFACE ADDRESS PORT\n");
        return 2;
    }
    try {
        run(argv[1], argv[2], static_cast<std::uint16_t>(std::stoi(argv[3])));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "send: %s\n", error.what());
        return 1;
    }
    return 0;
}
