// SPDX-License-Identifier: MIT
// Where C++ ends: no exception leaves the C interface.
#pragma once

#include <system_error>

#include "devmem/devmem.h"

namespace devmem {

/// Stores the exception that is being handled at *error, if error is not NULL; returns its negative
/// errno.
int store_exception(devmem_error** error) noexcept;

/// Runs a body that makes or changes something; returns what a C function returns.
template <class Body>
int guarded(devmem_error** error, Body body) noexcept {
    try {
        body();
        return 0;
    } catch (...) {
        return store_exception(error);
    }
}

/// The negative errno of an error of the data path; 0 for none.
int negative_errno(const std::error_code& code) noexcept;

}  // namespace devmem
