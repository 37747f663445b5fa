// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "devmem/gpu.h"
#include "gpu_memory.h"
#include "shared_library.h"

namespace devmem {

/// What libdevmem uses of the HSA runtime, the lower half of ROCm, by names of its own. HSA knows
/// no current device: each call names the agent, that is the GPU. The library's names, layouts and
/// numbers are those that the HSA runtime specification and AMD's extensions document.
namespace rocm {

using Status = int;
struct Agent {
    std::uint64_t handle = 0;
    bool operator==(const Agent&) const = default;
};
struct Pool {
    std::uint64_t handle = 0;
};
struct Signal {
    std::uint64_t handle = 0;
};

inline constexpr Status success = 0;
inline constexpr Status stop = 1;  // an iteration that has found what it sought
inline constexpr Status failed = 0x1000;

/// As the runtime fills it in; size is set before.
struct PointerInfo {
    std::uint32_t size;
    int type;
    void* agent_address;
    void* host_address;
    std::size_t bytes;
    void* user_data;
    Agent owner;
};

struct Calls {
    Status (*init)();
    Status (*shut_down)();
    Status (*status_string)(Status status, const char** text);
    Status (*system_info)(int attribute, void* value);

    Status (*iterate_agents)(Status (*each)(Agent, void*), void* data);
    Status (*agent_info)(Agent agent, int attribute, void* value);
    Status (*iterate_pools)(Agent agent, Status (*each)(Pool, void*), void* data);
    Status (*pool_info)(Pool pool, int attribute, void* value);

    Status (*allocate)(Pool pool, std::size_t size, std::uint32_t flags, void** address);
    Status (*free)(void* address);
    Status (*pointer_info)(const void* address, PointerInfo* info, void* (*allocate)(std::size_t),
                           std::uint32_t* agents, Agent** accessible);
    Status (*export_dmabuf)(const void* address, std::size_t size, int* fd, std::uint64_t* offset);

    Status (*copy)(void* to, const void* from, std::size_t size);
    Status (*copy_async)(void* to, Agent to_agent, const void* from, Agent from_agent,
                         std::size_t size, std::uint32_t signals, const Signal* wait_for,
                         Signal completion);
    Status (*signal_create)(std::int64_t value, std::uint32_t consumers, const Agent* which,
                            Signal* signal);
    Status (*signal_destroy)(Signal signal);
    void (*signal_store)(Signal signal, std::int64_t value);
    std::int64_t (*signal_wait)(Signal signal, int condition, std::int64_t compare,
                                std::uint64_t timeout, int state);
};

}  // namespace rocm

/// The driver of AMD's GPUs, loaded and ready. Functions throw Error where they are not noexcept;
/// all may be called in any thread.
class RocmDriver {
  public:
    /// library: as for dlopen(3). Fails if it is not there, is too old, or finds no device.
    explicit RocmDriver(const std::string& library);
    RocmDriver(const RocmDriver&) = delete;
    RocmDriver& operator=(const RocmDriver&) = delete;

    [[nodiscard]] const rocm::Calls& call() const noexcept { return call_; }

    /// What a call returned; its text is the driver's own.
    [[nodiscard]] std::error_code code(rocm::Status status) const noexcept;
    /// Throws Error unless a call returned success. what: the operation and its object.
    void check(rocm::Status status, std::string_view what) const;

    [[nodiscard]] rocm::Agent agent(const Gpu& gpu) const;
    [[nodiscard]] GpuFacts facts(rocm::Agent agent) const;
    /// All there are, in the driver's order.
    [[nodiscard]] std::vector<GpuFacts> gpus() const;
    [[nodiscard]] const std::vector<rocm::Agent>& agents() const noexcept { return agents_; }
    /// A device's own memory.
    [[nodiscard]] rocm::Pool memory_of(rocm::Agent agent) const;

  private:
    /// The runtime counts how often it is started.
    class Started {
      public:
        explicit Started(const RocmDriver& driver);
        ~Started() { call_.shut_down(); }
        Started(const Started&) = delete;
        Started& operator=(const Started&) = delete;

      private:
        const rocm::Calls& call_;
    };

    [[nodiscard]] std::vector<rocm::Agent> find_gpus() const;
    [[nodiscard]] std::string address_of(rocm::Agent agent) const;
    template <class Value>
    [[nodiscard]] Value ask(rocm::Agent agent, int attribute) const;

    SharedLibrary library_;
    rocm::Calls call_;
    Started started_;
    std::vector<rocm::Agent> agents_;
};

/// This machine's, loaded by the first call.
const RocmDriver& rocm_driver();

}  // namespace devmem
