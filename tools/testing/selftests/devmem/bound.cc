// SPDX-License-Identifier: GPL-2.0
#include "bound.h"

#include "devmem/memory_kind.h"
#include "devmem/rss_table.h"

Bound::Bound(std::shared_ptr<Topology> pair_given, const BoundOptions& options)
    : pair(std::move(pair_given)),
      topology(*pair),
      ifindex(devmem::interface_index("dm0")),
      split(std::in_place, ifindex),
      memory(devmem::MemoryKind(options.kind).allocate(options.memory)),
      binding(std::in_place, ifindex, options.queues, *memory),
      id(binding->id()),
      listener(5201, options.rcvbuf) {
    spread_over(ifindex, options.queues);
    Topology::await_link_here();
}

void spread_over(std::uint32_t ifindex, const std::vector<std::uint32_t>& queues) {
    if (nic_kind()->queues == 1) return;
    auto table = devmem::rss_table(ifindex);
    for (std::size_t i = 0; i < table.size(); i++) table[i] = queues[i % queues.size()];
    devmem::set_rss_table(ifindex, table);
}
