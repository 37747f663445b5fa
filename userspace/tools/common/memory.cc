// SPDX-License-Identifier: MIT
#include "memory.h"

#include <stdexcept>

#include "devmem/error.h"
#include "devmem/memory_kind.h"
#include "size.h"

namespace {

// What is wrong with the name of a kind; empty if nothing is.
std::string wrong_kind(const std::string& name) try {
    const devmem::MemoryKind kind(name);
    return {};
} catch (const devmem::Error& error) {
    return error.what();
}

// What is wrong with a size; empty if nothing is, and then it is plain digits.
std::string take_size(std::string& text) try {
    text = std::to_string(parse_size(text));
    return {};
} catch (const std::invalid_argument& error) {
    return error.what();
}

}  // namespace

CLI::Option* add_size_option(CLI::App& app, const std::string& name, std::uint64_t& size,
                             const std::string& what) {
    // CLI11's own takes -1b for a very large number, and 2^64 for one less.
    return app.add_option(name, size, what)
        ->transform(CLI::Validator(take_size, "SIZE [K, M, G, ...]"));
}

void add_memory_options(CLI::App& app, MemoryOptions& options) {
    app.add_option("-m,--memory", options.kind,
                   "kind of memory: " + std::string(devmem::MemoryKind::names))
        ->capture_default_str()
        ->check(wrong_kind);
    add_size_option(app, "--size", options.size,
                    "bytes of memory, with a suffix such as M if you like")
        ->capture_default_str();
}

devmem::DmaBuf make_memory(const MemoryOptions& options) {
    return devmem::MemoryKind(options.kind).allocate(options.size);
}
