// SPDX-License-Identifier: MIT
#include "shared_library.h"

#include <dlfcn.h>

#include <cerrno>

#include "devmem/error.h"

namespace devmem {
namespace {

[[noreturn]] void throw_load(int error, const std::string& path, const std::string& why) {
    throw Error(std::error_code(error, std::system_category()), "load " + path, why);
}

}  // namespace

SharedLibrary::SharedLibrary(const std::string& path)
    : path_(path), handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)) {
    if (handle_) return;
    const char* why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): of this thread, in glibc
    throw_load(ELIBACC, path, why ? why : "dlopen");
}

void* SharedLibrary::symbol(const char* name) const {
    void* found = ::dlsym(handle_, name);
    if (!found) throw_load(ENOSYS, path_, std::string("it has no ") + name);
    return found;
}

}  // namespace devmem
