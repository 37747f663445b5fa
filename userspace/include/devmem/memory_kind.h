// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "devmem/dmabuf.h"
#include "devmem/export.h"

namespace devmem {

/// A kind of memory by the name that a user gives it, for the --memory option of a program:
///
///     accelmem  accelmem:1  udmabuf  heap  heap:NAME  cuda  cuda:1  cuda:0000:3b:00.0  rocm  ...
///
/// accelmem:1 is /dev/accelmem1, heap is heap:system, cuda is cuda:0: after the colon stands a
/// GPU's ordinal or PCI address.
class DEVMEM_API MemoryKind {
  public:
    /// All of them, to be shown to users.
    static constexpr std::string_view names =
        "accelmem[:N], udmabuf, heap[:NAME], cuda[:GPU] or rocm[:GPU]";

    /// Throws Error, which names all, if there is no such kind. Whether this machine has it shows
    /// in allocate().
    explicit MemoryKind(std::string_view name);

    /// As the user wrote it.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

    /// size bytes of it, rounded up as DmaBuf says of the kind. Throws Error.
    [[nodiscard]] DmaBuf allocate(std::uint64_t size) const;

  private:
    std::string name_;
    DmaBuf (*make_)(std::uint64_t size, const std::string& which);
    std::string which_;  // what stands after the colon
};

}  // namespace devmem
