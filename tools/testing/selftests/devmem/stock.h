// SPDX-License-Identifier: GPL-2.0
// Kernels whose devmem TCP is their own, not that of patches/6.1.
#pragma once

#include <sys/utsname.h>

#include <cstdlib>
#include <string>

#include "ktap.h"

[[nodiscard]] inline std::string kernel_release() {
    utsname name{};
    ::uname(&name);
    return name.release;
}

/// No probe can tell what would end the kernel that it probes.
[[nodiscard]] inline bool stock_kernel() {
    return kernel_release().compare(0, 4, "6.1.") != 0;
}

/// For the output, where a point has asked for one on our kernel and for the other on others.
inline void differs(const char* what, const char* ours, const char* upstreams) {
    ktap_differs(what, stock_kernel() ? upstreams : ours, upstreams);
}

/// A point that a stock kernel can't pass, or would not survive: why says what
/// it does there. STOCK_DARE=1 tries.
inline void skip_on_stock(const char* why) {
    if (stock_kernel() && !std::getenv("STOCK_DARE"))
        ktap_skip("stock %s: %s", kernel_release().c_str(), why);
}
