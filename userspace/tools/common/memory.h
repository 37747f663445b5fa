// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "devmem/dmabuf.h"

/// Which device memory.
struct MemoryOptions {
    std::string kind = "udmabuf";
    std::uint64_t size = 16000 * 4096ULL;  ///< bytes; just below udmabuf's usual limit of 64 MiB
};

/// A number of bytes, at least one; a suffix such as M is understood. size must outlive app.
CLI::Option* add_size_option(CLI::App& app, const std::string& name, std::uint64_t& size,
                             const std::string& what);
/// options must outlive app.
void add_memory_options(CLI::App& app, MemoryOptions& options);

/// Throws devmem::Error.
devmem::DmaBuf make_memory(const MemoryOptions& options);
