// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "devmem/copy_engine.h"

namespace devmem {

/// Copies with the CPU, by way of a shared mapping of size bytes of map_fd. dmabuf_fd is told of
/// every access (DMA_BUF_IOCTL_SYNC) and must stay open. Throws Error if it can't be mapped.
std::unique_ptr<CopyEngine> map_engine(int map_fd, int dmabuf_fd, std::uint64_t size);

}  // namespace devmem
