// SPDX-License-Identifier: MIT
// What tests of GPUs' memory share: a driver's imitation, loaded, and bytes to copy.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "devmem/dmabuf.h"
#include "devmem/error.h"
#include "gpu_memory.h"

namespace devmem::test {

/// The imitation's side that libdevmem knows nothing of.
class FakeLibrary {
  public:
    explicit FakeLibrary(const char* path) : handle_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
        if (!handle_) throw std::runtime_error(::dlerror());
    }
    ~FakeLibrary() { ::dlclose(handle_); }
    FakeLibrary(const FakeLibrary&) = delete;
    FakeLibrary& operator=(const FakeLibrary&) = delete;

    template <class Function>
    [[nodiscard]] Function find(const char* name) const {
        return reinterpret_cast<Function>(::dlsym(handle_, name));
    }

  private:
    void* handle_;
};

inline DmaBuf dmabuf(GpuMemory memory) {
    return DmaBuf::import(std::move(memory.fd), memory.size, std::move(memory.engine));
}

inline std::vector<std::byte> pattern(std::size_t size, std::size_t seed = 31) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * seed >> 3);
    return bytes;
}

/// What a call throws, which must be of this kind; an empty text if nothing.
template <class Call>
std::string thrown(Call call, std::errc kind) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), kind) << error.what();
        return error.what();
    }
    return {};
}

}  // namespace devmem::test
