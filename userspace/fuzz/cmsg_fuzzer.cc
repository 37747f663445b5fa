// SPDX-License-Identifier: MIT
// The control buffer of recvmsg() may hold anything; pieces must stay inside the host buffer.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "devmem/cmsg.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::array<std::byte, 4096> host;
    std::array<devmem::Piece, 32> pieces;
    const std::size_t received = size > 0 ? data[0] * 64U : 0;
    const auto parsed =
        devmem::parse_pieces(std::as_bytes(std::span(data, size)), received, host, pieces);

    std::uint64_t sum = 0;
    const std::byte* next = host.data();
    if (parsed.count > pieces.size()) std::abort();
    for (const auto& piece : std::span(pieces).first(parsed.count)) {
        sum += piece.size;
        if (piece.on_device()) continue;
        if (piece.host.data() != next || piece.host.size() != piece.size) std::abort();
        next += piece.size;
    }
    if (next > host.data() + host.size()) std::abort();
    if (parsed.complete && sum != received) std::abort();
    return 0;
}
