// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "devmem/devmem.h"
#include "devmem/dmabuf.h"

struct devmem_dmabuf {
    std::shared_ptr<const devmem::DmaBuf> dmabuf;  // bindings have it too
};
