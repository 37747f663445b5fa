// SPDX-License-Identifier: GPL-2.0
// A pair of NICs, and what the receiver's memory is.
#pragma once

#include <cstdint>
#include <optional>

#include "bench_case.h"
#include "bound.h"
#include "devmem/dmabuf.h"
#include "page_size_binding.h"
#include "receive_way.h"

struct BenchStage {
    explicit BenchStage(const Case& what);

    [[nodiscard]] ReceiveMemory receive_memory(const Case& what) const {
        return {&memory, binding ? &*binding : nullptr, what.keep};
    }
    /// Niovs that the page pool of the binding has; 0 without a binding.
    [[nodiscard]] std::uint64_t niovs_out() const;

    Topology pair;
    std::uint32_t ifindex;
    devmem::DmaBuf memory;
    std::optional<devmem::HeaderSplit> split;
    std::optional<devmem::DmaBuf> landing;
    std::optional<devmem::RxBinding> binding;
    std::optional<PageSizeBinding> sized;
};
