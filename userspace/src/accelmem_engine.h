// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "devmem/copy_engine.h"
#include "devmem/fd.h"

namespace devmem {

/// Copies with the copy engine behind device, an open /dev/accelmem. dmabuf_fd is one of its
/// dmabufs and must stay open.
std::unique_ptr<CopyEngine> accelmem_engine(Fd device, int dmabuf_fd);

}  // namespace devmem
