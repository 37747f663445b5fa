// SPDX-License-Identifier: MIT
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "c_error.h"
#include "devmem/nic_session.h"

namespace {

// Texts as a list that ends with NULL; they stay where they are.
std::vector<const char*> list_of(const std::vector<std::string>& texts) {
    std::vector<const char*> list(texts.size() + 1);
    std::ranges::transform(texts, list.begin(),
                           [](const std::string& text) { return text.c_str(); });
    return list;
}

// What is lent to the caller, and what it points into, which a move leaves where it is.
struct Nic {
    explicit Nic(const devmem::Restored& report)
        : done(list_of(report.done)),
          failed(list_of(report.failed)),
          plain{report.journal.c_str(), report.interface.c_str(), done.data(), failed.data()} {}
    Nic(Nic&&) noexcept = default;

    std::vector<const char*> done, failed;
    devmem_restored_nic plain;
};

}  // namespace

struct devmem_restored {
    std::vector<devmem::Restored> reports;
    std::vector<Nic> nics;  // points into reports
};

int devmem_restore_abandoned(const char* journals, devmem_restored** restored,
                             devmem_error** error) {
    return devmem::guarded(error, [&] {
        auto all = std::make_unique<devmem_restored>();
        all->reports = devmem::restore_abandoned(journals ? journals : devmem::default_journals);
        for (const devmem::Restored& report : all->reports) all->nics.emplace_back(report);
        *restored = all.release();
    });
}

size_t devmem_restored_count(const devmem_restored* restored) {
    return restored->nics.size();
}

const devmem_restored_nic* devmem_restored_get(const devmem_restored* restored, size_t index) {
    return index < restored->nics.size() ? &restored->nics[index].plain : nullptr;
}

void devmem_restored_free(devmem_restored* restored) {
    delete restored;
}
