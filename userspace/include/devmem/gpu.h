// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace devmem {

/// Which GPU of those that one driver has.
struct Gpu {
    unsigned ordinal = 0;          ///< as the driver counts them, from 0
    std::string pci_address = {};  ///< "0000:3b:00.0"; ordinal does not count if it is given
};

}  // namespace devmem
