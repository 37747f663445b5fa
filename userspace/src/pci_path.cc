// SPDX-License-Identifier: MIT
#include "pci_path.h"

#include <algorithm>
#include <fstream>

namespace devmem {
namespace {

namespace fs = std::filesystem;

// "0000:3b:00.1"
bool is_function(const std::string& name) {
    constexpr std::string_view shape = "xxxx:xx:xx.x";
    return std::ranges::equal(name, shape, [](char seen, char wanted) {
        return wanted == 'x' ? std::isxdigit(static_cast<unsigned char>(seen)) != 0
                             : seen == wanted;
    });
}

// "pci0000:3a"
bool is_host_bridge(const std::string& name) {
    return name.starts_with("pci") && name.find(':') != std::string::npos;
}

// Display controllers are class 3, processing accelerators class 0x12.
bool is_accelerator(const fs::path& device) {
    std::error_code none;
    if (fs::exists(device / "p2pmem", none)) return true;
    std::string value;
    std::ifstream(device / "class") >> value;
    return value.starts_with("0x03") || value.starts_with("0x12");
}

}  // namespace

PciPath pci_path(const fs::path& device) {
    PciPath path;
    for (const fs::path& part : device)
        if (is_host_bridge(part) || (!path.empty() && is_function(part))) path.push_back(part);
    return path.size() > 1 ? path : PciPath();
}

std::optional<unsigned> pci_hops(const PciPath& a, const PciPath& b) {
    const auto fork = std::ranges::mismatch(a, b);
    const auto common = fork.in1 - a.begin();
    if (common < 2) return std::nullopt;
    return static_cast<unsigned>((a.end() - fork.in1) + (b.end() - fork.in2));
}

std::vector<PciPath> pci_accelerators(const fs::path& root) {
    std::vector<PciPath> all;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(root / "sys/bus/pci/devices", none)) {
        const fs::path device = fs::canonical(entry.path(), none);
        if (!none && is_accelerator(device)) all.push_back(pci_path(device));
    }
    std::erase(all, PciPath());
    std::ranges::sort(all);
    return all;
}

}  // namespace devmem
