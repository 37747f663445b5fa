// SPDX-License-Identifier: MIT
#include "fake_rocm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

// The runtime's types, as far as calls need them.
using Status = int;
struct Agent {
    std::uint64_t handle;
};
struct Pool {
    std::uint64_t handle;
};
struct Signal {
    std::uint64_t handle;
};
struct PointerInfo {
    std::uint32_t size;
    int type;
    void *agent_address, *host_address;
    std::size_t bytes;
    void* user_data;
    Agent owner;
    std::uint32_t flags;
    bool registered;
};
using devmem::test::FakeRocm;

namespace {

constexpr Status stop = 1, invalid_argument = 0x1001, invalid_agent = 0x1004,
                 invalid_signal = 0x1006, out_of_resources = 0x1008, not_initialized = 0x100B;
constexpr std::uint64_t cpu = 1, first_gpu = 100;
constexpr std::uint64_t host_pool = 1, fine_pool = 2, own_pool = 3;  // of an agent: times 1000

struct Block {
    Agent owner;
    std::size_t size;
    int memfd;
    int exported;  // the descriptor, or -1
};

struct Copy {
    void* to;
    const void* from;
    std::size_t size;
    std::uint64_t signal;
};

struct Runtime {
    FakeRocm state;
    std::map<std::byte*, Block> blocks;
    std::map<std::uint64_t, std::int64_t> signals;
    std::uint64_t last_signal = 0;
    std::vector<Copy> copies;
};

std::unique_ptr<Runtime>& runtime_slot() {
    static auto runtime = std::make_unique<Runtime>();
    return runtime;
}

Runtime& runtime() {
    return *runtime_slot();
}
FakeRocm& fake() {
    return runtime().state;
}

// What every call does first: counts itself, and fails if it is to.
Status enter(const char* name) {
    const int made = fake().made[name]++;
    if (fake().failing == name && made >= fake().failing_after) return fake().failure;
    return fake().started > 0 ? 0 : not_initialized;
}

bool is_gpu(Agent agent) {
    return agent.handle >= first_gpu && agent.handle - first_gpu < fake().gpus.size();
}

// The block that has all of the range; a null if it is the host's.
const Block* block_at(const void* address, std::size_t size) {
    auto* at = static_cast<std::byte*>(const_cast<void*>(address));
    auto after = runtime().blocks.upper_bound(at);
    if (after == runtime().blocks.begin()) return nullptr;
    const auto& [base, block] = *--after;
    return at + size <= base + block.size ? &block : nullptr;
}

bool same_file(int a, int b) {
    struct stat of_a {
    }, of_b{};
    return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

void run_copies() {
    std::ranges::reverse(runtime().copies);
    for (const Copy& copy : runtime().copies) {
        if (!fake().copies_fail) std::memmove(copy.to, copy.from, copy.size);
        auto& value = runtime().signals.at(copy.signal);
        value = fake().copies_fail ? -1 : value - 1;
    }
    runtime().copies.clear();
    fake().under_way = 0;
}

template <class Value>
Status answer(void* to, Value value) {
    std::memcpy(to, &value, sizeof(value));
    return 0;
}

}  // namespace

#define LOCK const std::lock_guard lock(fake().mutex)

extern "C" {

FakeRocm& fake_rocm() {
    return fake();
}

void fake_rocm_reset() {
    for (const auto& [address, block] : runtime().blocks) {
        ::munmap(address, block.size);
        ::close(block.memfd);
    }
    runtime_slot() = std::make_unique<Runtime>();
}

Status hsa_init() {
    LOCK;
    fake().started++;
    const Status failed = enter("hsa_init");
    if (failed) fake().started--;
    return failed;
}

Status hsa_shut_down() {
    LOCK;
    if (const Status failed = enter("hsa_shut_down")) return failed;
    fake().started--;
    return 0;
}

Status hsa_status_string(Status status, const char** text) {
    if (status == out_of_resources)
        *text = "HSA_STATUS_ERROR_OUT_OF_RESOURCES: there is not enough of something";
    else if (status == 0x1000)
        *text = "HSA_STATUS_ERROR: it went wrong";
    else
        return invalid_argument;
    return 0;
}

Status hsa_system_get_info(int attribute, void* value) {
    LOCK;
    if (const Status failed = enter("hsa_system_get_info")) return failed;
    return attribute == 0x204 ? answer(value, fake().exports) : invalid_argument;
}

// The callbacks call back in, so no lock is held.
Status hsa_iterate_agents(Status (*each)(Agent, void*), void* data) {
    std::vector<Agent> agents{{cpu}};
    {
        LOCK;
        if (const Status failed = enter("hsa_iterate_agents")) return failed;
        for (std::size_t i = 0; i < fake().gpus.size(); ++i) agents.push_back({first_gpu + i});
    }
    for (const Agent agent : agents)
        if (const Status status = each(agent, data)) return status;
    return 0;
}

Status hsa_agent_get_info(Agent agent, int attribute, void* value) {
    LOCK;
    if (const Status failed = enter("hsa_agent_get_info")) return failed;
    if (attribute == 17) return answer(value, std::uint32_t{is_gpu(agent) ? 1U : 0U});
    if (!is_gpu(agent)) return invalid_agent;
    if (attribute == 0) {
        char name[64] = "gfx000";
        std::memcpy(value, name, sizeof(name));
        return 0;
    }
    if (attribute == 0xA006) return answer(value, fake().gpus.at(agent.handle - first_gpu));
    return attribute == 0xA00F ? answer(value, std::uint32_t{1}) : invalid_argument;
}

Status hsa_amd_agent_iterate_memory_pools(Agent agent, Status (*each)(Pool, void*), void* data) {
    {
        LOCK;
        if (const Status failed = enter("hsa_amd_agent_iterate_memory_pools")) return failed;
        if (!is_gpu(agent)) return invalid_agent;
    }
    for (const std::uint64_t pool : {host_pool, fine_pool, own_pool})
        if (const Status status = each({agent.handle * 1000 + pool}, data)) return status;
    return 0;
}

Status hsa_amd_memory_pool_get_info(Pool pool, int attribute, void* value) {
    LOCK;
    if (const Status failed = enter("hsa_amd_memory_pool_get_info")) return failed;
    const std::uint64_t which = pool.handle % 1000;
    if (attribute == 0) return answer(value, std::uint32_t{which == host_pool ? 3U : 0U});
    if (attribute == 1) return answer(value, std::uint32_t{which == fine_pool ? 2U : 4U});
    return attribute == 5 ? answer(value, true) : invalid_argument;
}

Status hsa_amd_memory_pool_allocate(Pool pool, std::size_t size, std::uint32_t flags,
                                    void** address) {
    LOCK;
    if (const Status failed = enter("hsa_amd_memory_pool_allocate")) return failed;
    if (size == 0 || flags != 0 || pool.handle % 1000 != own_pool) return invalid_argument;
    const int memfd = ::memfd_create("fake GPU", MFD_CLOEXEC);
    if (::ftruncate(memfd, static_cast<off_t>(size)) != 0) return out_of_resources;
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (base == MAP_FAILED) return out_of_resources;
    runtime().blocks[static_cast<std::byte*>(base)] = {{pool.handle / 1000}, size, memfd, -1};
    fake().allocations = runtime().blocks.size();
    *address = base;
    return 0;
}

Status hsa_amd_memory_pool_free(void* address) {
    LOCK;
    if (const Status failed = enter("hsa_amd_memory_pool_free")) return failed;
    const auto found = runtime().blocks.find(static_cast<std::byte*>(address));
    if (found == runtime().blocks.end()) return invalid_argument;
    const Block& block = found->second;
    if (block.exported >= 0 && same_file(block.exported, block.memfd))
        fake().freed_while_exported++;
    ::munmap(address, block.size);
    ::close(block.memfd);
    runtime().blocks.erase(found);
    fake().allocations = runtime().blocks.size();
    return 0;
}

Status hsa_amd_pointer_info(const void* address, PointerInfo* info, void* (*)(std::size_t),
                            std::uint32_t*, Agent**) {
    LOCK;
    if (const Status failed = enter("hsa_amd_pointer_info")) return failed;
    if (info->size < offsetof(PointerInfo, flags) || info->size > sizeof(*info))
        return invalid_argument;
    const Block* block = block_at(address, 1);
    info->type = block ? 1 : 0;
    info->owner = block ? block->owner : Agent{cpu};
    return 0;
}

#ifndef FAKE_ROCM_TOO_OLD
Status hsa_amd_portable_export_dmabuf(const void* address, std::size_t size, int* fd,
                                      std::uint64_t* offset) {
    LOCK;
    if (const Status failed = enter("hsa_amd_portable_export_dmabuf")) return failed;
    if (!block_at(address, size)) return invalid_argument;
    auto* at = static_cast<std::byte*>(const_cast<void*>(address));
    auto& [base, block] = *--runtime().blocks.upper_bound(at);
    if (fake().export_more > 0 &&
        ::ftruncate(block.memfd, static_cast<off_t>(block.size + fake().export_more)) != 0)
        return out_of_resources;
    block.exported = ::fcntl(block.memfd, F_DUPFD_CLOEXEC, 0);
    *fd = block.exported;
    *offset = fake().export_offset + static_cast<std::uint64_t>(at - base);
    return 0;
}
#endif

Status hsa_memory_copy(void* to, const void* from, std::size_t size) {
    LOCK;
    if (const Status failed = enter("hsa_memory_copy")) return failed;
    if (!block_at(to, size) && !block_at(from, size)) return invalid_argument;
    std::memcpy(to, from, size);
    return 0;
}

Status hsa_amd_memory_async_copy(void* to, Agent to_agent, const void* from, Agent from_agent,
                                 std::size_t size, std::uint32_t waits, const Signal*,
                                 Signal completion) {
    LOCK;
    if (const Status failed = enter("hsa_amd_memory_async_copy")) return failed;
    const Block* target = block_at(to, size);
    const Block* source = block_at(from, size);
    if (size == 0 || waits != 0 || !target || !source) return invalid_argument;
    if (target->owner.handle != to_agent.handle || source->owner.handle != from_agent.handle)
        return invalid_agent;
    if (!runtime().signals.contains(completion.handle)) return invalid_signal;
    runtime().copies.push_back({to, from, size, completion.handle});
    fake().under_way = runtime().copies.size();
    fake().most_under_way = std::max(fake().most_under_way, fake().under_way);
    return 0;
}

Status hsa_signal_create(std::int64_t value, std::uint32_t, const Agent*, Signal* signal) {
    LOCK;
    if (const Status failed = enter("hsa_signal_create")) return failed;
    signal->handle = ++runtime().last_signal;
    runtime().signals[signal->handle] = value;
    fake().signals = runtime().signals.size();
    return 0;
}

Status hsa_signal_destroy(Signal signal) {
    LOCK;
    if (const Status failed = enter("hsa_signal_destroy")) return failed;
    if (runtime().signals.erase(signal.handle) == 0) return invalid_signal;
    fake().signals = runtime().signals.size();
    return 0;
}

void hsa_signal_store_screlease(Signal signal, std::int64_t value) {
    LOCK;
    runtime().signals.at(signal.handle) = value;
}

// There is one condition that libdevmem waits for, which the copies under way make true.
std::int64_t hsa_signal_wait_scacquire(Signal signal, int condition, std::int64_t compare,
                                       std::uint64_t, int) {
    LOCK;
    run_copies();
    const std::int64_t value = runtime().signals.at(signal.handle);
    if (condition != 2 || value >= compare) std::abort();  // it would wait for ever
    return value;
}

}  // extern "C"
