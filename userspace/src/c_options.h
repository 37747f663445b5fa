// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "devmem/error.h"

namespace devmem {

/// Options as this library knows them, from those of a program that may know fewer or more; NULL
/// has none. Throws Error: EINVAL if the size is not set, E2BIG if there is something that is not
/// known here.
template <class Options>
Options read_options(const Options* given) {
    static_assert(std::is_trivially_copyable_v<Options> && offsetof(Options, size) == 0);
    Options known{};
    if (!given) return known;
    if (given->size < sizeof(given->size))
        throw Error(EINVAL, "read options, whose size is not set");
    std::memcpy(&known, given, std::min(given->size, sizeof(known)));
    const auto* bytes = reinterpret_cast<const std::byte*>(given);
    for (std::size_t i = sizeof(known); i < given->size; ++i)
        if (bytes[i] != std::byte{0}) throw Error(E2BIG, "read options of a later version");
    return known;
}

}  // namespace devmem
