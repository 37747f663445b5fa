// SPDX-License-Identifier: MIT
#include "devmem/probe.h"

#include <algorithm>
#include <cerrno>

#include "devmem/error.h"
#include "devmem/netdev.h"
#include "probe_host.h"
#include "probe_kernel.h"
#include "probe_nic.h"

namespace devmem {
namespace {

using State = Finding::State;
using Use = Finding::Use;

struct Nic {
    std::string name;
    Findings findings;
};

// All but those that go away meanwhile.
std::vector<Nic> look_at_nics(const KernelFacts& kernel) {
    std::vector<Nic> nics;
    for (const std::uint32_t ifindex : interfaces()) {
        try {
            const NicFacts nic = look_at_nic(ifindex, kernel);
            nics.push_back({nic.name, judge_nic(nic, kernel)});
        } catch (const Error& error) {
            if (error.code().value() != ENODEV) throw;
        }
    }
    return nics;
}

// Whether there is a NIC with all that a use needs, or one that may have it.
Finding judge_any(const std::vector<Nic>& nics, Use use, const char* name) {
    const Thing thing{"any nic", name, use};
    for (const State state : {State::ok, State::unknown})
        for (const Nic& nic : nics) {
            if (state_for(nic.findings, use) != state) continue;
            return state == State::ok ? thing.ok(nic.name)
                                      : thing.unknown("perhaps " + nic.name, "See the NICs below");
        }
    return thing.missing("no NIC is ready", nics.empty() ? "ip link add dm0 type dmnic, to try"
                                                         : "See the NICs below");
}

Findings sum_up_nics(const KernelFacts& kernel) {
    const std::vector<Nic> nics = look_at_nics(kernel);
    Findings all{judge_any(nics, Use::receive, "receive"), judge_any(nics, Use::send, "send")};
    for (const Nic& nic : nics) all.push_back(sum_up_nic(nic.name, nic.findings));
    return all;
}

Findings judge_machine(const KernelFacts& kernel) {
    const ProcessFacts process = look_at_process();
    const MemoryFacts memory = look_at_memory();
    Findings all = judge_kernel(kernel);
    all.push_back(judge_process(process, kernel));
    append(all, judge_memory(memory));
    append(all, judge_limits(memory, process));
    return all;
}

}  // namespace

bool stands_in_way(const Finding& finding, Use use) noexcept {
    if (finding.state != Finding::State::missing || finding.use == Use::extra) return false;
    return use == Use::both || finding.use == Use::both || finding.use == use;
}

std::vector<Finding> probe() {
    const KernelFacts kernel = look_at_kernel();
    Findings all = judge_machine(kernel);
    append(all, sum_up_nics(kernel));
    return all;
}

std::vector<Finding> probe(const std::string& interface) {
    const std::uint32_t ifindex = interface_index(interface);
    const KernelFacts kernel = look_at_kernel();
    Findings all = judge_machine(kernel);
    append(all, judge_nic(look_at_nic(ifindex, kernel), kernel));
    return all;
}

}  // namespace devmem
