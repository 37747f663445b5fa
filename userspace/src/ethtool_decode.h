// SPDX-License-Identifier: MIT
// The ethtool family's replies, as pure functions of attribute bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "devmem/ethtool.h"

namespace devmem {

Rings decode_rings(std::span<const std::byte> attrs);
Channels decode_channels(std::span<const std::byte> attrs);
// Whether the reply to features-get lists a feature as active.
bool decode_feature(std::span<const std::byte> attrs, std::string_view name);
// Whether it lists the feature as one that can be changed.
bool decode_feature_available(std::span<const std::byte> attrs, std::string_view name);

}  // namespace devmem
