// SPDX-License-Identifier: GPL-2.0
// What the bench binds, and how it keeps the kernel from moving things about.
#pragma once

#include <cstdint>

#include "devmem/dmabuf.h"

/// All that this process has, and will have, stays where it is.
void lock_memory();

/// A dmabuf of so many bytes, of no more than 64 MiB of memory: each page is in it as often as is
/// needed. What arrives in one of its niovs overwrites others; what the kernel does for it does not
/// depend on that, and the machine need not have the memory.
devmem::DmaBuf repeated_memory(std::uint64_t size);
