// SPDX-License-Identifier: MIT
// A ring that does nothing. Some machines forbid even that.
#include <devmem/error.h>
#include <devmem/uring.h>

#include <cstdio>

int main() {
    try {
        devmem::Uring uring;
        return uring.turn() ? 1 : 0;
    } catch (const devmem::Error& error) {
        std::puts(error.what());
        const bool forbidden = error.code() == std::errc::operation_not_permitted ||
                               error.code() == std::errc::function_not_supported;
        return forbidden ? 0 : 1;
    }
}
