// SPDX-License-Identifier: GPL-2.0
// IPsec between two addresses: ESP, in transport mode unless told otherwise.
#pragma once

#include <cstdlib>
#include <string>

#include "guard.h"

/// Skips the test where the kernel has none.
inline void need_ipsec() {
    for (const char* module : {"xfrm_user", "esp4"}) need_module(module, "CONFIG_INET_ESP");
    for (const char* module : {"seqiv", "gcm", "aesni_intel"})
        std::system(fmt::format("modprobe -q {}", module).c_str());
}

/// Shell commands that tell one end, or both, of ESP from one address to another.
inline std::string esp_state(const char* from, const char* to, int spi,
                             const char* mode = "transport") {
    return fmt::format(
        "ip xfrm state add src {} dst {} proto esp spi {} mode {} aead "
        "'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128 && ",
        from, to, spi, mode);
}

/// Shell commands that make `out`, which is here, speak ESP with `in`, and want it from there.
inline std::string ipsec_between(const char* out, const char* in) {
    const auto policy = [](const char* from, const char* to, const char* direction) {
        return fmt::format(
            "ip xfrm policy add src {0} dst {1} dir {2} tmpl src {0} dst {1} proto esp mode "
            "transport",
            from, to, direction);
    };
    const int first = std::string(out) < in ? 1 : 2;
    return esp_state(out, in, first) + esp_state(in, out, 3 - first) + policy(out, in, "out") +
           " && " + policy(in, out, "in");
}
