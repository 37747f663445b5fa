// SPDX-License-Identifier: MIT
#include "cuda_driver.h"

#include <array>
#include <atomic>

#include "devmem/error.h"

namespace devmem {
namespace {

using cuda::Calls;
using cuda::Device;
using cuda::Result;

constexpr int flush_options_attribute = 117;
constexpr int writes_ordering_attribute = 118;
constexpr int dma_buf_supported_attribute = 124;
constexpr int flush_from_host = 1;  // a bit of the options
constexpr int ordered_for_owner = 100;

// Names with a version are those that the header of CUDA 11.7 and later gives programs.
Calls calls_of(const SharedLibrary& library) {
    Calls call{};
    library.find("cuInit", call.init);
    library.find("cuGetErrorName", call.error_name);
    library.find("cuGetErrorString", call.error_string);
    library.find("cuDeviceGetCount", call.device_count);
    library.find("cuDeviceGet", call.device_get);
    library.find("cuDeviceGetByPCIBusId", call.device_by_pci);
    library.find("cuDeviceGetPCIBusId", call.device_pci);
    library.find("cuDeviceGetName", call.device_name);
    library.find("cuDeviceGetAttribute", call.device_attribute);
    library.find("cuDevicePrimaryCtxRetain", call.primary_retain);
    library.find("cuDevicePrimaryCtxRelease_v2", call.primary_release);
    library.find("cuCtxPushCurrent_v2", call.push);
    library.find("cuCtxPopCurrent_v2", call.pop);
    library.find("cuMemAlloc_v2", call.allocate);
    library.find("cuMemFree_v2", call.free);
    library.find("cuPointerGetAttribute", call.pointer_attribute);
    library.find("cuMemGetHandleForAddressRange", call.export_range);
    library.find("cuStreamCreate", call.stream_create);
    library.find("cuStreamDestroy_v2", call.stream_destroy);
    library.find("cuStreamSynchronize", call.stream_synchronize);
    library.find("cuMemcpyHtoDAsync_v2", call.copy_to_device);
    library.find("cuMemcpyDtoHAsync_v2", call.copy_to_host);
    library.find("cuMemcpyDtoDAsync_v2", call.copy_on_device);
    library.find("cuFlushGPUDirectRDMAWrites", call.flush_writes);
    return call;
}

// One for the process, and never destroyed: error codes outlive the driver that they came from, if
// only because it failed to start.
class Category final : public std::error_category {
  public:
    // Libraries stay loaded, so these may be called for ever.
    void speak_with(const Calls& call) noexcept {
        error_name_ = call.error_name;
        error_string_ = call.error_string;
    }
    [[nodiscard]] const char* name() const noexcept override { return "cuda"; }
    [[nodiscard]] std::string message(int result) const override;
    [[nodiscard]] std::error_condition default_error_condition(int result) const noexcept override;

  private:
    std::atomic<Result (*)(Result, const char**)> error_name_{nullptr}, error_string_{nullptr};
};

Category& category() {
    static auto& category = *new Category;
    return category;
}

std::string Category::message(int result) const {
    const char* name = nullptr;
    const char* text = nullptr;
    if (error_name_.load()(result, &name) != cuda::success || !name)
        return "CUDA error " + std::to_string(result);
    if (error_string_.load()(result, &text) != cuda::success || !text) return name;
    return std::string(name) + ", " + text;
}

std::error_condition Category::default_error_condition(int result) const noexcept {
    switch (result) {
        case 0:
            return {};
        case 1:  // INVALID_VALUE
            return std::errc::invalid_argument;
        case 2:  // OUT_OF_MEMORY
            return std::errc::not_enough_memory;
        case 100:  // NO_DEVICE
        case 101:  // INVALID_DEVICE
            return std::errc::no_such_device;
        case 800:  // NOT_PERMITTED
            return std::errc::operation_not_permitted;
        case 801:  // NOT_SUPPORTED
            return std::errc::operation_not_supported;
        default:
            return {result, *this};
    }
}

}  // namespace

CudaDriver::CudaDriver(const std::string& library) : library_(library), call_(calls_of(library_)) {
    category().speak_with(call_);
    check(call_.init(0), "find cuda device");
}

std::error_code CudaDriver::code(Result result) const noexcept {
    return {result, category()};
}

void CudaDriver::check(Result result, std::string_view what) const {
    if (result != cuda::success) throw Error(code(result), what);
}

Device CudaDriver::device(const Gpu& gpu) const {
    Device device = -1;
    if (gpu.pci_address.empty())
        check(call_.device_get(&device, static_cast<int>(gpu.ordinal)),
              "find cuda device " + std::to_string(gpu.ordinal));
    else
        check(call_.device_by_pci(&device, gpu.pci_address.c_str()),
              "find cuda device " + gpu.pci_address);
    return device;
}

int CudaDriver::attribute(int which, Device device) const {
    int value = 0;
    check(call_.device_attribute(&value, which, device),
          "ask cuda device for attribute " + std::to_string(which));
    return value;
}

GpuFacts CudaDriver::facts(Device device) const {
    std::array<char, 256> name{};
    std::array<char, 32> address{};
    check(call_.device_name(name.data(), name.size(), device), "name cuda device");
    check(call_.device_pci(address.data(), address.size(), device), "locate cuda device");
    return {std::string(name.data()) + " at " + address.data(),
            attribute(dma_buf_supported_attribute, device) != 0};
}

std::vector<GpuFacts> CudaDriver::gpus() const {
    int count = 0;
    check(call_.device_count(&count), "count cuda devices");
    std::vector<GpuFacts> all;
    all.reserve(static_cast<std::size_t>(count));
    for (int ordinal = 0; ordinal < count; ++ordinal)
        all.push_back(facts(device({.ordinal = static_cast<unsigned>(ordinal)})));
    return all;
}

bool CudaDriver::needs_flush(Device device) const {
    return attribute(writes_ordering_attribute, device) < ordered_for_owner &&
           (attribute(flush_options_attribute, device) & flush_from_host) != 0;
}

// Never destroyed: memory may be freed at the last moment.
const CudaDriver& cuda_driver() {
    static const auto& driver = *new CudaDriver("libcuda.so.1");
    return driver;
}

}  // namespace devmem
