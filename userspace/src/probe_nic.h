// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bind_refusal.h"
#include "devmem/ethtool.h"
#include "devmem/netdev.h"
#include "finding.h"
#include "link.h"
#include "pci_path.h"
#include "probe_kernel.h"

namespace devmem {

/// What a NIC is and how it is set. What it does not tell is absent.
struct NicFacts {
    std::string name;
    Link link;
    std::optional<Rings> rings = {};
    std::optional<Channels> channels = {};
    bool ntuple = false, ntuple_available = false;
    bool rss_table = false, rss_contexts = false;
    std::optional<std::vector<Queue>> queues = {};
    Answer restarts_queues = Answer::untold, sends = Answer::untold;
    PciPath pci = {};
    std::vector<PciPath> accelerators = {};
    std::string iommu_group = {};  // empty: none
};

/// Throws Error if there is no such interface (any more).
NicFacts look_at_nic(std::uint32_t ifindex, const KernelFacts& kernel,
                     const std::filesystem::path& root = "/");

/// Pure.
Findings judge_nic(const NicFacts& nic, const KernelFacts& kernel);

/// Pure: whether all is there that a use needs: not receive and send at once.
Finding::State state_for(const Findings& findings, Finding::Use use);

/// Pure: the same in one line.
Finding sum_up_nic(const std::string& name, const Findings& findings);

}  // namespace devmem
