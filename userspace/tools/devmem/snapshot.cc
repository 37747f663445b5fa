// SPDX-License-Identifier: MIT
#include "snapshot.h"

#include <cerrno>
#include <ctime>
#include <map>

#include "devmem/error.h"

namespace {

using devmem::Queue;

std::uint64_t seconds_since_boot() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<std::uint64_t>(now.tv_sec);
}

InterfaceStatus look_at(std::uint32_t ifindex) {
    InterfaceStatus status{devmem::interface_name(ifindex), devmem::counts(ifindex), {}};
    const auto stats = devmem::queue_stats(ifindex);
    for (const Queue& queue : devmem::queues(ifindex)) {
        QueueStatus row{queue, {}};
        for (const devmem::QueueStats& each : stats)
            if (each.type == queue.type && each.id == queue.id) row.stats = each;
        status.queues.push_back(row);
    }
    return status;
}

bool is_gone(const devmem::Error& error) {
    return error.code().value() == ENODEV;
}

std::optional<std::uint32_t> queue_of(const devmem::PagePool& pool, const InterfaceStatus& on) {
    for (const auto& [queue, stats] : on.queues)
        if (queue.type == Queue::Type::rx && pool.napi_id != 0 && queue.napi_id == pool.napi_id)
            return queue.id;
    return std::nullopt;
}

PoolStatus look_at(const devmem::PagePool& pool,
                   const std::map<std::uint32_t, InterfaceStatus>& interfaces) {
    PoolStatus status{.pool = pool, .interface = {}};
    if (auto found = interfaces.find(pool.ifindex); found != interfaces.end()) {
        status.interface = found->second.name;
        status.queue = queue_of(pool, found->second);
    }
    const std::uint64_t now = seconds_since_boot();
    if (pool.detach_time)
        status.detached_seconds = now > *pool.detach_time ? now - *pool.detach_time : 0;
    return status;
}

std::vector<std::uint32_t> chosen(const std::string& interface) {
    if (interface.empty()) return devmem::interfaces();
    return {devmem::interface_index(interface)};
}

}  // namespace

std::vector<BindingStatus> bindings_of(const std::vector<InterfaceStatus>& interfaces,
                                       const std::vector<PoolStatus>& pools) {
    std::map<std::uint32_t, BindingStatus> bindings;
    for (const InterfaceStatus& interface : interfaces)
        for (const auto& [queue, stats] : interface.queues) {
            if (queue.dmabuf_id == 0) continue;
            bindings[queue.dmabuf_id].interface = interface.name;
            bindings[queue.dmabuf_id].queues.push_back(queue.id);
        }
    for (const PoolStatus& status : pools) {
        if (status.pool.dmabuf_id == 0) continue;
        BindingStatus& binding = bindings[status.pool.dmabuf_id];
        if (binding.interface.empty()) binding.interface = status.interface;
        binding.inflight += status.pool.inflight;
        binding.inflight_bytes += status.pool.inflight_bytes;
    }
    std::vector<BindingStatus> all;
    for (auto& [id, binding] : bindings) {
        binding.dmabuf_id = id;
        all.push_back(std::move(binding));
    }
    return all;
}

Snapshot take_snapshot(const std::string& interface) {
    std::map<std::uint32_t, InterfaceStatus> interfaces;
    for (const std::uint32_t ifindex : chosen(interface)) {
        try {
            interfaces.emplace(ifindex, look_at(ifindex));
        } catch (const devmem::Error& error) {
            if (!interface.empty() || !is_gone(error)) throw;
        }
    }

    Snapshot snapshot;
    for (const devmem::PagePool& pool : devmem::page_pools())
        if (interface.empty() || interfaces.contains(pool.ifindex))
            snapshot.pools.push_back(look_at(pool, interfaces));
    for (auto& [ifindex, status] : interfaces) snapshot.interfaces.push_back(std::move(status));
    snapshot.bindings = bindings_of(snapshot.interfaces, snapshot.pools);
    return snapshot;
}
