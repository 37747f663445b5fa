// SPDX-License-Identifier: GPL-2.0
#include "tx_memory.h"

#include <random>
#include <system_error>
#include <utility>

#include "devmem/memory_kind.h"
#include "topology.h"

TxMemory::TxMemory(std::uint64_t size)
    : TxMemory(devmem::MemoryKind(device_memory()).allocate(size)) {}

TxMemory::TxMemory(devmem::DmaBuf memory)
    : memory_(std::move(memory)),
      bytes_(memory_->size()),
      seed_(static_cast<std::uint32_t>(bytes_.size())) {
    rewrite({0, bytes_.size()});
}

void TxMemory::rewrite(const Extent& extent) {
    std::minstd_rand random(seed_++);
    const auto bytes = std::span(bytes_).subspan(extent.offset, extent.length);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 8);
    if (const auto error = memory_->to_device(extent.offset, bytes))
        throw std::system_error(error, "fill the memory");
}
