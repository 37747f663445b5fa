// SPDX-License-Identifier: MIT
#pragma once

#include <system_error>

namespace devmem {

/// An error as an errno, positive: its own, or the one that is most like what a GPU's driver said;
/// -1 if there is none.
inline int errno_of(const std::error_code& code) noexcept {
    const std::error_condition condition = code.default_error_condition();
    const bool posix = condition.category() == std::generic_category() ||
                       condition.category() == std::system_category();
    return posix ? condition.value() : -1;
}

}  // namespace devmem
