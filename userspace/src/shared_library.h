// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace devmem {

/// A library that this one is not linked to, such as a GPU's driver. It stays loaded until the
/// process ends: drivers start threads and do not take well to being unloaded.
class SharedLibrary {
  public:
    /// path: as for dlopen(3). Throws Error (ELIBACC), with the linker's explanation.
    explicit SharedLibrary(const std::string& path);

    /// Sets function to what the library calls by that name. Throws Error (ENOSYS) if there is
    /// none.
    template <class Function>
    void find(const char* name, Function*& function) const {
        function = reinterpret_cast<Function*>(symbol(name));
    }

  private:
    [[nodiscard]] void* symbol(const char* name) const;

    std::string path_;
    void* handle_;
};

}  // namespace devmem
