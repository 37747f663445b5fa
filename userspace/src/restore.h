// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "devmem/nic_session.h"
#include "nic.h"

namespace devmem {

using NicFactory = std::function<std::unique_ptr<Nic>(std::uint32_t ifindex)>;

/// restore_abandoned(), on any Nic.
std::vector<Restored> restore_abandoned(const std::string& journals, const NicFactory& make_nic);

}  // namespace devmem
