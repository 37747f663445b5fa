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

/// What libdevmem uses of NVIDIA's driver interface, by names of its own. The library's names and
/// the numbers are those that NVIDIA documents (CUDA driver API, 11.7 and later).
namespace cuda {

using Result = int;
using Device = int;
using Context = struct ContextOfDriver*;
using Stream = struct StreamOfDriver*;
using Address = std::uint64_t;

inline constexpr Result success = 0;

struct Calls {
    Result (*init)(unsigned flags);
    Result (*error_name)(Result result, const char** name);
    Result (*error_string)(Result result, const char** text);

    Result (*device_count)(int* count);
    Result (*device_get)(Device* device, int ordinal);
    Result (*device_by_pci)(Device* device, const char* address);
    Result (*device_pci)(char* address, int size, Device device);
    Result (*device_name)(char* name, int size, Device device);
    Result (*device_attribute)(int* value, int attribute, Device device);

    Result (*primary_retain)(Context* context, Device device);
    Result (*primary_release)(Device device);
    Result (*push)(Context context);
    Result (*pop)(Context* context);

    Result (*allocate)(Address* address, std::size_t size);
    Result (*free)(Address address);
    Result (*pointer_attribute)(void* value, int attribute, Address address);
    Result (*export_range)(void* handle, Address address, std::size_t size, int type,
                           unsigned long long flags);

    Result (*stream_create)(Stream* stream, unsigned flags);
    Result (*stream_destroy)(Stream stream);
    Result (*stream_synchronize)(Stream stream);
    Result (*copy_to_device)(Address to, const void* from, std::size_t size, Stream stream);
    Result (*copy_to_host)(void* to, Address from, std::size_t size, Stream stream);
    Result (*copy_on_device)(Address to, Address from, std::size_t size, Stream stream);
    Result (*flush_writes)(int target, int scope);
};

}  // namespace cuda

/// The driver of NVIDIA's GPUs, loaded and ready. Functions throw Error where they are not
/// noexcept; all may be called in any thread.
class CudaDriver {
  public:
    /// library: as for dlopen(3). Fails if it is not there, is too old, or finds no device.
    explicit CudaDriver(const std::string& library);
    CudaDriver(const CudaDriver&) = delete;
    CudaDriver& operator=(const CudaDriver&) = delete;

    [[nodiscard]] const cuda::Calls& call() const noexcept { return call_; }

    /// What a call returned; its text is the driver's own.
    [[nodiscard]] std::error_code code(cuda::Result result) const noexcept;
    /// Throws Error unless a call returned success. what: the operation and its object.
    void check(cuda::Result result, std::string_view what) const;

    [[nodiscard]] cuda::Device device(const Gpu& gpu) const;
    [[nodiscard]] GpuFacts facts(cuda::Device device) const;
    /// All there are, in the driver's order.
    [[nodiscard]] std::vector<GpuFacts> gpus() const;
    /// Whether the driver must be told to flush what others, such as a NIC, wrote into this
    /// device's memory before the device reads it, and can do so.
    [[nodiscard]] bool needs_flush(cuda::Device device) const;

  private:
    [[nodiscard]] int attribute(int which, cuda::Device device) const;

    SharedLibrary library_;
    cuda::Calls call_;
};

/// This machine's, loaded by the first call.
const CudaDriver& cuda_driver();

}  // namespace devmem
