// SPDX-License-Identifier: MIT
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "finding.h"
#include "probe_kernel.h"

namespace devmem {

/// What this process may do.
struct ProcessFacts {
    bool net_admin = false;  // CAP_NET_ADMIN is effective
    bool first_user_namespace = true;
    rlim_t memlock = RLIM_INFINITY;  // bytes
};

ProcessFacts look_at_process();

/// Pure.
Finding judge_process(const ProcessFacts& process, const KernelFacts& kernel);

/// Something that gives out dmabufs.
struct Exporter {
    enum class State { absent, closed, ready };

    std::string name;
    State state = State::absent;
    std::string seen;
    std::string remedy;  // for one that is not ready
};

/// The machine's memory: who exports it, and how much of it.
struct MemoryFacts {
    std::vector<Exporter> exporters;
    std::optional<std::uint64_t> udmabuf_mebibytes = {};  // most in one
    std::optional<std::uint64_t> optmem_max = {};         // bytes
};

/// GPUs' drivers, by the names that dlopen(3) finds them by.
struct GpuLibraries {
    std::string cuda = "libcuda.so.1";
    std::string rocm = "libhsa-runtime64.so.1";
};

/// root: of the file system. A driver is loaded where its device file is.
MemoryFacts look_at_memory(const std::filesystem::path& root = "/",
                           const GpuLibraries& libraries = {});

/// Pure.
Findings judge_memory(const MemoryFacts& facts);
Findings judge_limits(const MemoryFacts& memory, const ProcessFacts& process);

/// A number in a file; nothing if it can't be read.
std::optional<std::uint64_t> number_in(const std::filesystem::path& file);

}  // namespace devmem
