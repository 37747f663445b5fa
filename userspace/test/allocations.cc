// SPDX-License-Identifier: MIT
#include "allocations.h"

#include <cstdlib>
#include <new>

namespace devmem::test {

Counts& counts() {
    static thread_local Counts of_this_thread;
    return of_this_thread;
}

}  // namespace devmem::test

namespace {

void* allocate(std::size_t size) {
    auto& counts = devmem::test::counts();
    if (counts.on) ++counts.allocations;
    if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
    throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) {
    return allocate(size);
}
void* operator new[](std::size_t size) {
    return allocate(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    auto& counts = devmem::test::counts();
    if (counts.on) ++counts.allocations;
    return std::malloc(size > 0 ? size : 1);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
extern "C" {
[[noreturn]] void __real___cxa_throw(void* thrown, void* type, void (*destroy)(void*));
[[noreturn]] void __wrap___cxa_throw(void* thrown, void* type, void (*destroy)(void*));

void __wrap___cxa_throw(void* thrown, void* type, void (*destroy)(void*)) {
    auto& counts = devmem::test::counts();
    if (counts.on) ++counts.throws;
    __real___cxa_throw(thrown, type, destroy);
}
}
// NOLINTEND(bugprone-reserved-identifier)
