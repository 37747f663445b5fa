// SPDX-License-Identifier: MIT
#include "memory.h"

#include "devmem/error.h"
#include "devmem/memory_kind.h"

namespace {

// What is wrong with the name of a kind; empty if nothing is.
std::string wrong_kind(const std::string& name) try {
    const devmem::MemoryKind kind(name);
    return {};
} catch (const devmem::Error& error) {
    return error.what();
}

}  // namespace

CLI::Option* add_size_option(CLI::App& app, const std::string& name, std::uint64_t& size,
                             const std::string& what) {
    // CLI11 would take -1 for a very large number.
    const auto positive = [](const std::string& text) {
        const bool none = text == "0" || text.starts_with('-');
        return std::string(none ? text + " is not above 0" : "");
    };
    return app.add_option(name, size, what)
        ->check(CLI::Validator(positive, ""))
        ->transform(CLI::AsSizeValue(false));
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
