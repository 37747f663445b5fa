// SPDX-License-Identifier: MIT
#include "gpu_memory.h"

#include "devmem/error.h"
#include "pages.h"

namespace devmem {

void require_pages(const std::string& kind, const void* address, std::uint64_t size) {
    if (size > 0 && (reinterpret_cast<std::uintptr_t>(address) | size) % page_size() == 0) return;
    throw Error(std::make_error_code(std::errc::invalid_argument), "import " + kind + " memory",
                "address and size must be whole pages");
}

}  // namespace devmem
