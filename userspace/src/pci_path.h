// SPDX-License-Identifier: MIT
// Where a device is on PCI, as sysfs shows it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace devmem {

/// From the host bridge ("pci0000:3a") down to the function itself ("0000:3c:00.0"); empty for a
/// device that is not on PCI.
using PciPath = std::vector<std::string>;

/// Pure: of a device's folder below /sys/devices, all links resolved.
PciPath pci_path(const std::filesystem::path& device);

/// Pure: links between two functions by way of the bridge that is nearest to both, as the kernel's
/// peer-to-peer distance counts; nothing if only the host bridge joins them, or not even that.
std::optional<unsigned> pci_hops(const PciPath& a, const PciPath& b);

/// GPUs, other accelerators, and what offers peer-to-peer memory. root: of the file system.
std::vector<PciPath> pci_accelerators(const std::filesystem::path& root);

}  // namespace devmem
