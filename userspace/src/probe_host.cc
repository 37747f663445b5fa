// SPDX-License-Identifier: MIT
#include "probe_host.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "cuda_driver.h"
#include "devmem/error.h"
#include "rocm_driver.h"

namespace devmem {
namespace {

namespace fs = std::filesystem;
using State = Exporter::State;

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint64_t plenty_of_optmem = 128 << 10;  // the default of newer kernels
constexpr rlim_t plenty_of_memlock = 8 * mebibyte;     // systemd's default
constexpr std::uint64_t plenty_of_udmabuf = 64;        // the kernel's default
constexpr ino_t first_user_namespace = 0xEFFFFFFD;     // PROC_USER_INIT_INO

bool has_net_admin() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
    if (::syscall(SYS_capget, &header, data) < 0) return false;
    return (data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN)) != 0;
}

bool usable(const fs::path& device) {
    return ::faccessat(AT_FDCWD, device.c_str(), R_OK | W_OK, AT_EACCESS) == 0;
}

// One that is a device, shown as it is called outside of root.
Exporter device(const fs::path& root, const fs::path& path, std::string name, std::string get) {
    const fs::path file = root / path.relative_path();
    if (usable(file)) return {std::move(name), State::ready, path.string(), {}};
    if (!fs::exists(file))
        return {std::move(name), State::absent, "no " + path.string(), std::move(get)};
    return {std::move(name), State::closed, path.string() + " does not let this user in",
            "Run as root, or add this user to the group of " + path.string()};
}

// The kernel's heaps: one finding for each.
std::vector<Exporter> heaps(const fs::path& root) {
    std::vector<Exporter> all;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(root / "dev/dma_heap", none)) {
        const std::string heap = entry.path().filename();
        all.push_back(device(root, "/dev/dma_heap/" + heap, "heap:" + heap, ""));
    }
    std::ranges::sort(all, {}, &Exporter::name);
    return all;
}

// Those of a driver's GPUs that export their memory, else why none does.
Exporter judge_gpus(const std::string& name, const std::vector<GpuFacts>& gpus) {
    std::string exporting, others;
    for (const GpuFacts& gpu : gpus) {
        std::string& list = gpu.exports ? exporting : others;
        list += (list.empty() ? "" : ", ") + gpu.name;
    }
    if (!exporting.empty()) return {name, State::ready, exporting, {}};
    return {name, State::absent, others + ": exports no dmabufs",
            name == "cuda" ? "NVIDIA's open kernel modules export them, on Turing and later"
                           : "Take a kernel with a newer amdgpu driver"};
}

// One that needs a driver and its library, which memory is made with too.
template <class Driver>
Exporter gpu(const fs::path& root, const char* name, const char* node, const std::string& library) {
    Exporter found = device(
        root, node, name,
        "Only for such a GPU: install its driver, which has " + library + " and makes " + node);
    if (found.state != State::ready) return found;
    try {
        return judge_gpus(name, Driver(library).gpus());
    } catch (const Error& error) {
        return {name, State::absent, std::string(node) + ", but: " + error.what(),
                "Only for such a GPU: repair its driver"};
    }
}

std::string size_text(std::uint64_t bytes) {
    return bytes % mebibyte == 0 ? std::to_string(bytes / mebibyte) + " MiB"
                                 : std::to_string(bytes) + " bytes";
}

Finding judge_optmem(const MemoryFacts& facts) {
    const Thing thing{"limits", "optmem_max", Finding::Use::extra};
    if (!facts.optmem_max)
        return thing.unknown("no net.core.optmem_max here", "Look in the first network namespace");
    const std::string seen = size_text(*facts.optmem_max);
    if (*facts.optmem_max >= plenty_of_optmem) return thing.ok(seen);
    return thing.missing(seen + ": few zerocopy sends in flight",
                         "For sending: sysctl -w net.core.optmem_max=" +
                             std::to_string(plenty_of_optmem) + " or more");
}

Finding judge_memlock(rlim_t limit) {
    const Thing thing{"limits", "memlock", Finding::Use::extra};
    if (limit == RLIM_INFINITY) return thing.ok("unlimited");
    const std::string seen = size_text(limit);
    if (limit >= plenty_of_memlock) return thing.ok(seen);
    return thing.missing(seen,
                         "Where a program pins host memory too: ulimit -l unlimited, or "
                         "LimitMEMLOCK=infinity in a systemd unit");
}

Finding judge_udmabuf(const MemoryFacts& facts) {
    const Thing thing{"limits", "udmabuf", Finding::Use::extra};
    const std::string file = "/sys/module/udmabuf/parameters/size_limit_mb";
    if (!facts.udmabuf_mebibytes) return thing.unknown("no " + file, "Load udmabuf to find out");
    const std::string seen = std::to_string(*facts.udmabuf_mebibytes) + " MiB in one dmabuf";
    if (*facts.udmabuf_mebibytes >= plenty_of_udmabuf) return thing.ok(seen);
    return thing.missing(seen, "echo " + std::to_string(plenty_of_udmabuf) + " > " + file);
}

}  // namespace

std::optional<std::uint64_t> number_in(const fs::path& file) {
    std::ifstream stream(file);
    std::uint64_t number = 0;
    return stream >> number ? std::optional(number) : std::nullopt;
}

ProcessFacts look_at_process() {
    ProcessFacts facts;
    facts.net_admin = has_net_admin();
    struct stat ns {};
    if (::stat("/proc/self/ns/user", &ns) == 0)
        facts.first_user_namespace = ns.st_ino == first_user_namespace;
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) facts.memlock = limit.rlim_cur;
    return facts;
}

Finding judge_process(const ProcessFacts& process, const KernelFacts& kernel) {
    const Thing thing{"process", "CAP_NET_ADMIN", Finding::Use::receive};
    if (!process.net_admin)
        return thing.missing("not effective",
                             "Binding queues and steering need it: run as root, or give it to the "
                             "program: setcap cap_net_admin+ep FILE");
    if (process.first_user_namespace || kernel.bind_rx_in_user_namespace)
        return thing.ok("effective");
    return thing.missing("effective, but in a user namespace of its own",
                         "This kernel wants it of the host: run outside of the container's user "
                         "namespace");
}

MemoryFacts look_at_memory(const fs::path& root, const GpuLibraries& libraries) {
    MemoryFacts facts;
    facts.exporters = heaps(root);
    facts.exporters.push_back(device(root, "/dev/udmabuf", "udmabuf",
                                     "modprobe udmabuf, or build the kernel with CONFIG_UDMABUF"));
    facts.exporters.push_back(
        device(root, "/dev/accelmem", "accelmem", "modprobe accelmem (part of this project)"));
    facts.exporters.push_back(gpu<CudaDriver>(root, "cuda", "/dev/nvidiactl", libraries.cuda));
    facts.exporters.push_back(gpu<RocmDriver>(root, "rocm", "/dev/kfd", libraries.rocm));
    facts.udmabuf_mebibytes = number_in(root / "sys/module/udmabuf/parameters/size_limit_mb");
    facts.optmem_max = number_in(root / "proc/sys/net/core/optmem_max");
    return facts;
}

Findings judge_memory(const MemoryFacts& facts) {
    const Thing any{"memory", "any", Finding::Use::both};
    std::string ready;
    Findings each;
    for (const Exporter& exporter : facts.exporters) {
        const Thing thing{"memory", exporter.name, Finding::Use::extra};
        if (exporter.state == State::ready) {
            ready += (ready.empty() ? "" : ", ") + exporter.name;
            each.push_back(thing.ok(exporter.seen));
        } else {
            each.push_back(thing.missing(exporter.seen, exporter.remedy));
        }
    }
    Findings all{ready.empty() ? any.missing("nothing that exports dmabufs",
                                             "One of those below will do; udmabuf needs no device")
                               : any.ok(ready)};
    append(all, std::move(each));
    return all;
}

Findings judge_limits(const MemoryFacts& memory, const ProcessFacts& process) {
    return {judge_optmem(memory), judge_memlock(process.memlock), judge_udmabuf(memory)};
}

}  // namespace devmem
