// SPDX-License-Identifier: MIT
#include <algorithm>
#include <memory>
#include <vector>

#include "c_error.h"
#include "devmem/probe.h"

struct devmem_findings {
    std::vector<devmem::Finding> findings;
    std::vector<devmem_finding> plain;  // points into findings
};

namespace {

using devmem::Finding;

devmem_use use_of(Finding::Use use) noexcept {
    switch (use) {
        case Finding::Use::both:
            return DEVMEM_BOTH;
        case Finding::Use::receive:
            return DEVMEM_RECEIVE;
        case Finding::Use::send:
            return DEVMEM_SEND;
        case Finding::Use::extra:
            break;
    }
    return DEVMEM_EXTRA;
}

Finding::Use use_of(devmem_use use) noexcept {
    switch (use) {
        case DEVMEM_RECEIVE:
            return Finding::Use::receive;
        case DEVMEM_SEND:
            return Finding::Use::send;
        case DEVMEM_EXTRA:
            return Finding::Use::extra;
        case DEVMEM_BOTH:
            break;
    }
    return Finding::Use::both;
}

devmem_presence presence_of(Finding::State state) noexcept {
    switch (state) {
        case Finding::State::ok:
            return DEVMEM_PRESENT;
        case Finding::State::missing:
            return DEVMEM_MISSING;
        case Finding::State::unknown:
            break;
    }
    return DEVMEM_UNKNOWN;
}

devmem_finding plain(const Finding& finding) noexcept {
    return {finding.subject.c_str(), finding.name.c_str(), finding.seen.c_str(),
            finding.remedy.c_str(),  use_of(finding.use),  presence_of(finding.state)};
}

}  // namespace

int devmem_probe(const char* interface, devmem_findings** findings, devmem_error** error) {
    return devmem::guarded(error, [&] {
        auto found = std::make_unique<devmem_findings>();
        found->findings = interface ? devmem::probe(interface) : devmem::probe();
        for (const Finding& finding : found->findings) found->plain.push_back(plain(finding));
        *findings = found.release();
    });
}

size_t devmem_findings_count(const devmem_findings* findings) {
    return findings->plain.size();
}

const devmem_finding* devmem_findings_get(const devmem_findings* findings, size_t index) {
    return index < findings->plain.size() ? &findings->plain[index] : nullptr;
}

bool devmem_findings_ready(const devmem_findings* findings, devmem_use use) {
    return std::ranges::none_of(findings->findings, [use](const Finding& finding) {
        return devmem::stands_in_way(finding, use_of(use));
    });
}

void devmem_findings_free(devmem_findings* findings) {
    delete findings;
}
