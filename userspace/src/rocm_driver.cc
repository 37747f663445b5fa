// SPDX-License-Identifier: MIT
#include "rocm_driver.h"

#include <array>
#include <atomic>
#include <cstdio>

#include "devmem/error.h"

namespace devmem {
namespace {

using rocm::Agent;
using rocm::Calls;
using rocm::Pool;
using rocm::Status;

constexpr int dmabuf_supported_attribute = 0x204;  // of the system
constexpr int agent_name = 0;
constexpr int agent_device = 17;
constexpr int agent_pci_function = 0xA006;  // bus, device and function
constexpr int agent_pci_domain = 0xA00F;
constexpr int pool_segment = 0;
constexpr int pool_flags = 1;
constexpr int pool_allocates = 5;
constexpr std::uint32_t gpu_device = 1;
constexpr std::uint32_t global_segment = 0;
constexpr std::uint32_t coarse_grained = 4;

Calls calls_of(const SharedLibrary& library) {
    Calls call{};
    library.find("hsa_init", call.init);
    library.find("hsa_shut_down", call.shut_down);
    library.find("hsa_status_string", call.status_string);
    library.find("hsa_system_get_info", call.system_info);
    library.find("hsa_iterate_agents", call.iterate_agents);
    library.find("hsa_agent_get_info", call.agent_info);
    library.find("hsa_amd_agent_iterate_memory_pools", call.iterate_pools);
    library.find("hsa_amd_memory_pool_get_info", call.pool_info);
    library.find("hsa_amd_memory_pool_allocate", call.allocate);
    library.find("hsa_amd_memory_pool_free", call.free);
    library.find("hsa_amd_pointer_info", call.pointer_info);
    library.find("hsa_amd_portable_export_dmabuf", call.export_dmabuf);
    library.find("hsa_memory_copy", call.copy);
    library.find("hsa_amd_memory_async_copy", call.copy_async);
    library.find("hsa_signal_create", call.signal_create);
    library.find("hsa_signal_destroy", call.signal_destroy);
    library.find("hsa_signal_store_screlease", call.signal_store);
    library.find("hsa_signal_wait_scacquire", call.signal_wait);
    return call;
}

// What an iteration looks through, and what it has found.
struct Search {
    const Calls& call;
    std::vector<Agent> gpus = {};
    Pool pool = {};
};

Status note_gpu(Agent agent, void* data) {
    auto& search = *static_cast<Search*>(data);
    std::uint32_t device = 0;
    const Status status = search.call.agent_info(agent, agent_device, &device);
    if (status == rocm::success && device == gpu_device) search.gpus.push_back(agent);
    return status;
}

// Coarse-grained memory is the device's own, as hipMalloc() gives it.
Status note_pool(Pool pool, void* data) {
    auto& search = *static_cast<Search*>(data);
    std::uint32_t segment = 0;
    std::uint32_t flags = 0;
    bool allocates = false;
    Status status = search.call.pool_info(pool, pool_segment, &segment);
    if (status != rocm::success || segment != global_segment) return status;
    status = search.call.pool_info(pool, pool_flags, &flags);
    if (status != rocm::success || (flags & coarse_grained) == 0) return status;
    status = search.call.pool_info(pool, pool_allocates, &allocates);
    if (status != rocm::success || !allocates) return status;
    search.pool = pool;
    return rocm::stop;
}

[[noreturn]] void throw_no_device(const std::string& which) {
    throw Error(std::make_error_code(std::errc::no_such_device), "find rocm device" + which);
}

// One for the process, and never destroyed: error codes outlive the driver that they came from, if
// only because it failed to start.
class Category final : public std::error_category {
  public:
    // Libraries stay loaded, so this may be called for ever.
    void speak_with(const Calls& call) noexcept { status_string_ = call.status_string; }
    [[nodiscard]] const char* name() const noexcept override { return "rocm"; }
    [[nodiscard]] std::string message(int status) const override;
    [[nodiscard]] std::error_condition default_error_condition(int status) const noexcept override;

  private:
    std::atomic<Status (*)(Status, const char**)> status_string_{nullptr};
};

Category& category() {
    static auto& category = *new Category;
    return category;
}

std::string Category::message(int status) const {
    const char* text = nullptr;
    if (status_string_.load()(status, &text) != rocm::success || !text)
        return "HSA status " + std::to_string(status);
    return text;
}

std::error_condition Category::default_error_condition(int status) const noexcept {
    switch (status) {
        case 0:
            return {};
        case 0x1001:  // INVALID_ARGUMENT
            return std::errc::invalid_argument;
        case 0x1003:  // INVALID_ALLOCATION
        case 0x1008:  // OUT_OF_RESOURCES
            return std::errc::not_enough_memory;
        case 0x1004:  // INVALID_AGENT
            return std::errc::no_such_device;
        default:
            return {status, *this};
    }
}

}  // namespace

RocmDriver::Started::Started(const RocmDriver& driver) : call_(driver.call_) {
    category().speak_with(call_);
    driver.check(call_.init(), "find rocm device");
}

std::error_code RocmDriver::code(Status status) const noexcept {
    return {status, category()};
}

RocmDriver::RocmDriver(const std::string& library)
    : library_(library), call_(calls_of(library_)), started_(*this), agents_(find_gpus()) {
    if (agents_.empty()) throw_no_device("");
}

void RocmDriver::check(Status status, std::string_view what) const {
    if (status != rocm::success) throw Error(code(status), what);
}

std::vector<Agent> RocmDriver::find_gpus() const {
    Search search{call_};
    check(call_.iterate_agents(note_gpu, &search), "list rocm devices");
    return std::move(search.gpus);
}

template <class Value>
Value RocmDriver::ask(Agent agent, int attribute) const {
    Value value{};
    check(call_.agent_info(agent, attribute, &value),
          "ask rocm device for attribute " + std::to_string(attribute));
    return value;
}

std::string RocmDriver::address_of(Agent agent) const {
    const auto domain = ask<std::uint32_t>(agent, agent_pci_domain);
    const auto function = ask<std::uint32_t>(agent, agent_pci_function);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.%x", domain, function >> 8 & 0xff,
                  function >> 3 & 0x1f, function & 7);
    return text.data();
}

Agent RocmDriver::agent(const Gpu& gpu) const {
    if (gpu.pci_address.empty()) {
        if (gpu.ordinal < agents_.size()) return agents_[gpu.ordinal];
        throw_no_device(" " + std::to_string(gpu.ordinal));
    }
    for (const Agent agent : agents_)
        if (address_of(agent) == gpu.pci_address) return agent;
    throw_no_device(" " + gpu.pci_address);
}

GpuFacts RocmDriver::facts(Agent agent) const {
    const auto name = ask<std::array<char, 64>>(agent, agent_name);
    bool exports = false;  // an older runtime does not know the question
    if (call_.system_info(dmabuf_supported_attribute, &exports) != rocm::success) exports = false;
    return {std::string(name.data()) + " at " + address_of(agent), exports};
}

std::vector<GpuFacts> RocmDriver::gpus() const {
    std::vector<GpuFacts> all;
    all.reserve(agents_.size());
    for (const Agent agent : agents_) all.push_back(facts(agent));
    return all;
}

Pool RocmDriver::memory_of(Agent agent) const {
    Search search{call_};
    const Status status = call_.iterate_pools(agent, note_pool, &search);
    if (status == rocm::stop) return search.pool;
    check(status, "list rocm memory");
    throw Error(std::make_error_code(std::errc::not_enough_memory), "allocate rocm memory",
                "the device has none of its own");
}

// Never destroyed: memory may be freed at the last moment.
const RocmDriver& rocm_driver() {
    static const auto& driver = *new RocmDriver("libhsa-runtime64.so.1");
    return driver;
}

}  // namespace devmem
