// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "devmem/devmem.h"
#include "devmem/receiver.h"

struct devmem_receiver {
    devmem::Receiver receiver;
    std::vector<devmem_piece> pieces;  // has room for all that one call can bring
    devmem_received received;
};
