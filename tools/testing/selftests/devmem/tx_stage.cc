// SPDX-License-Identifier: GPL-2.0
#include "tx_stage.h"

#include <stdexcept>
#include <utility>

#include "devmem/netdev.h"

TxStage::TxStage(const PairOptions& options, TxMemory from)
    : topology(options), ifindex(devmem::interface_index("dm0")), memory(std::move(from)) {
    bind();
}

void TxStage::bind() {
    binding.emplace(ifindex, memory.fd());
    if (binding->error() != 0)
        throw std::runtime_error(
            fmt::format("bind-tx: error {}, {}", binding->error(), binding->message()));
}

void TxStage::netem(std::string_view what) const {
    impair(topology, fmt::format("{} limit 10000", what));
}

void send_all(TxStream& stream, const TxMemory& memory, std::uint64_t bytes, std::size_t call) {
    for (std::uint64_t sent = 0; sent < bytes; sent += call)
        stream.send(Extent{sent % (memory.size() - call + 1), call});
}

std::uint64_t retransmitted() {
    return tcp_count("TCPLostRetransmit") + tcp_count("TCPSlowStartRetrans") +
           tcp_count("TCPFastRetrans") + tcp_count("TCPTimeouts");
}
