// SPDX-License-Identifier: MIT
#include "devmem/frag.h"

#include "receiver_core.h"

namespace devmem {

void Frag::give_back() noexcept {
    if (!core_) return;
    core_->give_back(piece_);
    core_.reset();
}

std::uint32_t Frag::release() noexcept {
    if (!core_) return 0;
    core_->released(piece_);
    core_.reset();
    return piece_.token;
}

}  // namespace devmem
