// SPDX-License-Identifier: GPL-2.0
#include "bench_stage.h"

#include <vector>

namespace {
constexpr std::uint64_t mebi = 1 << 20;
}

BenchStage::BenchStage(const Case& what)
    : pair(PairOptions{.mtu = what.mtu}),
      ifindex(devmem::interface_index("dm0")),
      memory(devmem::DmaBuf::accelmem(16 * mebi)) {
    const std::vector<std::uint32_t> queues = {1};
    spread_over(ifindex, queues);
    if (what.gro_hw) pair.here("ethtool -K dm0 rx-gro-hw on");
    if (uses_split(what.receive)) split.emplace(ifindex);
    if (!uses_binding(what.receive)) return;
    const std::uint64_t room = what.niov ? 2048 * std::uint64_t{what.niov} : 32 * mebi;
    landing.emplace(devmem::DmaBuf::accelmem(room + what.keep * 4096));
    if (what.niov)
        (void)sized.emplace(*landing, 1, what.niov).id();
    else
        binding.emplace(ifindex, queues, *landing);
}

std::uint64_t BenchStage::niovs_out() const {
    std::uint64_t all = 0;
    for (const devmem::PagePool& pool : devmem::page_pools(ifindex))
        if (pool.dmabuf_id != 0) all += pool.inflight;
    return all;
}
