// SPDX-License-Identifier: MIT
#include "c_error.h"

#include <cerrno>
#include <new>
#include <stdexcept>

#include "devmem/error.h"
#include "errno_of.h"

struct devmem_error {
    devmem::Error error;
};

namespace devmem {
namespace {

// The exception that is being handled, as an Error.
Error current_error() {
    try {
        throw;
    } catch (const Error& error) {
        return error;
    } catch (const std::system_error& error) {
        return {-negative_errno(error.code()), error.what()};
    } catch (const std::bad_alloc&) {
        return {ENOMEM, "allocate"};
    } catch (const std::length_error&) {
        return {ENOMEM, "allocate"};  // more than there can be
    } catch (const std::exception& error) {
        return {EIO, error.what()};
    }
}

}  // namespace

int store_exception(devmem_error** error) noexcept {
    if (error) *error = nullptr;
    try {
        const Error what = current_error();
        if (error) *error = new devmem_error{what};
        return negative_errno(what.code());
    } catch (...) {
        return -ENOMEM;  // there was none to describe it
    }
}

int negative_errno(const std::error_code& code) noexcept {
    if (!code) return 0;
    const int error = errno_of(code);
    return error < 0 ? -EIO : -error;
}

}  // namespace devmem

int devmem_error_code(const devmem_error* error) {
    return error ? -devmem::negative_errno(error->error.code()) : ENOMEM;
}

const char* devmem_error_text(const devmem_error* error) {
    return error ? error->error.what() : "out of memory";
}

const char* devmem_error_call(const devmem_error* error) {
    return error ? error->error.call().c_str() : "";
}

const char* devmem_error_extack(const devmem_error* error) {
    return error ? error->error.extack().c_str() : "";
}

void devmem_error_free(devmem_error* error) {
    delete error;
}
