// SPDX-License-Identifier: MIT
#include "fake_cuda.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

// The driver's types, as far as calls need them.
using Result = int;
using Device = int;
using Context = void*;
using Address = std::uint64_t;
using devmem::test::FakeCuda;

namespace {

constexpr Result invalid_value = 1, out_of_memory = 2, no_device = 100, invalid_device = 101,
                 invalid_context = 201, invalid_handle = 400;

struct Block {
    Context context;
    std::size_t size;
    int memfd;
    int exported;  // the descriptor, or -1
};

struct Stream {
    Context context;
    std::deque<std::function<void()>> copies;
};

struct Driver {
    FakeCuda state;
    std::map<Address, Block> blocks;
    std::set<Stream*> streams;
};

std::unique_ptr<Driver>& driver_slot() {
    static auto driver = std::make_unique<Driver>();
    return driver;
}

Driver& driver() {
    return *driver_slot();
}
FakeCuda& fake() {
    return driver().state;
}

thread_local std::vector<Context> current;

// A device's primary context is known by its number.
Context primary(Device device) {
    return reinterpret_cast<Context>(static_cast<std::uintptr_t>(device) + 1000);
}

bool alive(Context context) {
    const auto number = reinterpret_cast<std::uintptr_t>(context);
    if (number < 1000) return true;  // one of the program's own
    return fake().devices.at(number - 1000).retained > 0;
}

// What every call does first: counts itself, and fails if it is to.
Result enter(const char* name) {
    const int made = fake().made[name]++;
    return fake().failing == name && made >= fake().failing_after ? fake().failure : 0;
}

Result enter_context(const char* name) {
    if (const Result failed = enter(name)) return failed;
    return current.empty() || !alive(current.back()) ? invalid_context : 0;
}

// The block that has all of the range, if it is of the current context.
const Block* block_at(Address address, std::size_t size) {
    auto after = driver().blocks.upper_bound(address);
    if (after == driver().blocks.begin()) return nullptr;
    const auto& [base, block] = *--after;
    return address + size <= base + block.size ? &block : nullptr;
}

bool here(Address address, std::size_t size) {
    const Block* block = block_at(address, size);
    return block && block->context == current.back();
}

bool same_file(int a, int b) {
    struct stat of_a {
    }, of_b{};
    return ::fstat(a, &of_a) == 0 && ::fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

Result start_copy(void* handle, void* to, const void* from, std::size_t size) {
    auto* stream = static_cast<Stream*>(handle);
    if (!driver().streams.contains(stream)) return invalid_handle;
    if (stream->context != current.back()) return invalid_context;
    stream->copies.push_back([=] { std::memcpy(to, from, size); });
    return 0;
}

void* host(Address address) {
    return reinterpret_cast<void*>(address);
}

const std::map<Result, std::pair<const char*, const char*>>& texts() {
    static const std::map<Result, std::pair<const char*, const char*>> all = {
        {1, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
        {2, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
        {100, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
        {101, {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"}},
        {201, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
        {700, {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"}},
        {999, {"CUDA_ERROR_UNKNOWN", "unknown error"}}};
    return all;
}

}  // namespace

#define LOCK const std::lock_guard lock(fake().mutex)

extern "C" {

FakeCuda& fake_cuda() {
    return fake();
}
std::size_t fake_cuda_depth() {
    return current.size();
}

void fake_cuda_reset() {
    for (const auto& [address, block] : driver().blocks) {
        ::munmap(host(address), block.size);
        ::close(block.memfd);
    }
    for (Stream* stream : driver().streams) delete stream;
    current.clear();
    driver_slot() = std::make_unique<Driver>();
}

Result cuInit(unsigned) {
    LOCK;
    if (const Result failed = enter("cuInit")) return failed;
    return fake().devices.empty() ? no_device : 0;
}

Result cuGetErrorName(Result result, const char** name) {
    const auto found = texts().find(result);
    if (found == texts().end()) return invalid_value;
    *name = found->second.first;
    return 0;
}

Result cuGetErrorString(Result result, const char** text) {
    const auto found = texts().find(result);
    if (found == texts().end()) return invalid_value;
    *text = found->second.second;
    return 0;
}

Result cuDeviceGetCount(int* count) {
    LOCK;
    *count = static_cast<int>(fake().devices.size());
    return enter("cuDeviceGetCount");
}

Result cuDeviceGet(Device* device, int ordinal) {
    LOCK;
    if (const Result failed = enter("cuDeviceGet")) return failed;
    if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= fake().devices.size())
        return invalid_device;
    *device = ordinal;
    return 0;
}

Result cuDeviceGetByPCIBusId(Device* device, const char* address) {
    LOCK;
    if (const Result failed = enter("cuDeviceGetByPCIBusId")) return failed;
    for (std::size_t i = 0; i < fake().devices.size(); ++i)
        if (fake().devices[i].pci_address == address) {
            *device = static_cast<Device>(i);
            return 0;
        }
    return invalid_device;
}

Result cuDeviceGetPCIBusId(char* address, int size, Device device) {
    LOCK;
    const std::string& text = fake().devices.at(static_cast<std::size_t>(device)).pci_address;
    if (text.size() >= static_cast<std::size_t>(size)) return invalid_value;
    std::strcpy(address, text.c_str());
    return enter("cuDeviceGetPCIBusId");
}

Result cuDeviceGetName(char* name, int size, Device device) {
    LOCK;
    std::strncpy(name, fake().devices.at(static_cast<std::size_t>(device)).name.c_str(),
                 static_cast<std::size_t>(size) - 1);
    return enter("cuDeviceGetName");
}

Result cuDeviceGetAttribute(int* value, int attribute, Device device) {
    LOCK;
    const auto& of = fake().devices.at(static_cast<std::size_t>(device));
    if (attribute == 124)
        *value = of.dma_buf;
    else if (attribute == 118)
        *value = of.ordering;
    else if (attribute == 117)
        *value = of.flush_options;
    else
        return invalid_value;
    return enter("cuDeviceGetAttribute");
}

Result cuDevicePrimaryCtxRetain(Context* context, Device device) {
    LOCK;
    if (const Result failed = enter("cuDevicePrimaryCtxRetain")) return failed;
    fake().devices.at(static_cast<std::size_t>(device)).retained++;
    *context = primary(device);
    return 0;
}

Result cuDevicePrimaryCtxRelease_v2(Device device) {
    LOCK;
    if (const Result failed = enter("cuDevicePrimaryCtxRelease")) return failed;
    auto& of = fake().devices.at(static_cast<std::size_t>(device));
    return of.retained-- > 0 ? 0 : invalid_context;
}

Result cuCtxPushCurrent_v2(Context context) {
    LOCK;
    if (const Result failed = enter("cuCtxPushCurrent")) return failed;
    if (!alive(context)) return invalid_context;
    current.push_back(context);
    fake().pushes++;
    return 0;
}

Result cuCtxPopCurrent_v2(Context* context) {
    LOCK;
    if (current.empty()) return invalid_context;
    *context = current.back();
    current.pop_back();
    fake().pops++;
    return enter("cuCtxPopCurrent");
}

Result cuMemAlloc_v2(Address* address, std::size_t size) {
    LOCK;
    if (const Result failed = enter_context("cuMemAlloc")) return failed;
    if (size == 0) return invalid_value;
    const int memfd = ::memfd_create("fake GPU", MFD_CLOEXEC);
    if (::ftruncate(memfd, static_cast<off_t>(size)) != 0) return out_of_memory;
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (base == MAP_FAILED) return out_of_memory;
    *address = reinterpret_cast<Address>(base);
    driver().blocks[*address] = {current.back(), size, memfd, -1};
    fake().allocations = driver().blocks.size();
    return 0;
}

Result cuMemFree_v2(Address address) {
    LOCK;
    if (const Result failed = enter_context("cuMemFree")) return failed;
    const auto found = driver().blocks.find(address);
    if (found == driver().blocks.end()) return invalid_value;
    const Block& block = found->second;
    if (block.context != current.back()) return invalid_context;
    if (block.exported >= 0 && same_file(block.exported, block.memfd))
        fake().freed_while_exported++;
    ::munmap(host(address), block.size);
    ::close(block.memfd);
    driver().blocks.erase(found);
    fake().allocations = driver().blocks.size();
    return 0;
}

Result cuPointerGetAttribute(void* value, int attribute, Address address) {
    LOCK;
    if (const Result failed = enter("cuPointerGetAttribute")) return failed;
    const Block* block = block_at(address, 1);
    if (!block) return invalid_value;
    if (attribute == 1)
        *static_cast<Context*>(value) = fake().memory_without_context ? nullptr : block->context;
    else if (attribute == 9)
        *static_cast<int*>(value) = 0;
    else
        return invalid_value;
    return 0;
}

#ifndef FAKE_CUDA_TOO_OLD
Result cuMemGetHandleForAddressRange(void* handle, Address address, std::size_t size, int type,
                                     unsigned long long flags) {
    LOCK;
    if (const Result failed = enter_context("cuMemGetHandleForAddressRange")) return failed;
    if (type != 1 || flags != 0 || address % 4096 != 0 || size % 4096 != 0 || !here(address, size))
        return invalid_value;
    Block& block = driver().blocks.at(address);
    block.exported = ::fcntl(block.memfd, F_DUPFD_CLOEXEC, 0);
    *static_cast<int*>(handle) = block.exported;
    return 0;
}
#endif

Result cuStreamCreate(Stream** stream, unsigned flags) {
    LOCK;
    if (const Result failed = enter_context("cuStreamCreate")) return failed;
    if (flags != 1) return invalid_value;
    *stream = new Stream{current.back(), {}};
    driver().streams.insert(*stream);
    fake().streams = driver().streams.size();
    return 0;
}

Result cuStreamDestroy_v2(Stream* stream) {
    LOCK;
    if (const Result failed = enter_context("cuStreamDestroy")) return failed;
    if (driver().streams.erase(stream) == 0) return invalid_handle;
    delete stream;
    fake().streams = driver().streams.size();
    return 0;
}

Result cuStreamSynchronize(Stream* stream) {
    LOCK;
    const Result failed = enter_context("cuStreamSynchronize");
    if (failed == invalid_context || !driver().streams.contains(stream)) return invalid_handle;
    for (; !stream->copies.empty(); stream->copies.pop_front()) stream->copies.front()();
    return failed;
}

Result cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t size, void* stream) {
    LOCK;
    if (const Result failed = enter_context("cuMemcpyHtoDAsync")) return failed;
    return here(to, size) ? start_copy(stream, host(to), from, size) : invalid_value;
}

Result cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t size, void* stream) {
    LOCK;
    if (const Result failed = enter_context("cuMemcpyDtoHAsync")) return failed;
    return here(from, size) ? start_copy(stream, to, host(from), size) : invalid_value;
}

Result cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t size, void* stream) {
    LOCK;
    if (const Result failed = enter_context("cuMemcpyDtoDAsync")) return failed;
    if (!here(to, size) || !here(from, size)) return invalid_value;
    return start_copy(stream, host(to), host(from), size);
}

Result cuFlushGPUDirectRDMAWrites(int target, int scope) {
    LOCK;
    if (const Result failed = enter_context("cuFlushGPUDirectRDMAWrites")) return failed;
    return target == 0 && scope == 100 ? 0 : invalid_value;
}

}  // extern "C"
