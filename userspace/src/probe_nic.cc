// SPDX-License-Identifier: MIT
#include "probe_nic.h"

#include <linux/ethtool.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "devmem/error.h"
#include "ethtool_ioctl.h"
#include "probe_host.h"

namespace devmem {
namespace {

namespace fs = std::filesystem;
using State = Finding::State;
using Use = Finding::Use;

constexpr const char* ntuple = "rx-ntuple-filter";
constexpr std::uint32_t loopback = 1;  // in each network namespace
constexpr std::uint32_t no_such_context = 0xfffffffe;

// Nothing if the driver or the kernel has no such thing, or would not say.
template <class Ask>
auto if_told(Ask ask) -> std::optional<decltype(ask())> {
    try {
        return ask();
    } catch (const Error& error) {
        if (error.code().value() == ENODEV) throw;  // the NIC is gone
        return std::nullopt;
    }
}

// How a NIC answers to a look at its RSS settings: 0, or an errno.
int rss_answer(std::uint32_t ifindex, std::uint32_t context, std::uint32_t& entries) {
    ethtool_rxfh ask{};
    ask.cmd = ETHTOOL_GRSSH;
    ask.rss_context = context;
    const int error = try_ethtool_ioctl(ifindex, &ask);
    entries = ask.indir_size;
    return error;
}

void look_at_steering(NicFacts& nic, std::uint32_t ifindex) {
    nic.ntuple = if_told([&] { return feature(ifindex, ntuple); }).value_or(false);
    nic.ntuple_available =
        if_told([&] { return feature_available(ifindex, ntuple); }).value_or(false);
    std::uint32_t entries = 0;
    nic.rss_table = rss_answer(ifindex, 0, entries) == 0 && entries > 0;
    // A NIC that knows of contexts says that this one is none.
    nic.rss_contexts = nic.rss_table && rss_answer(ifindex, no_such_context, entries) != EOPNOTSUPP;
}

void look_at_queues(NicFacts& nic, std::uint32_t ifindex, const KernelFacts& kernel) {
    if (kernel.queue_get) nic.queues = if_told([&] { return queues(ifindex); });
    if (kernel.bind_rx)
        nic.restarts_queues = can_restart_queues(rx_refusal(ifindex), rx_refusal(loopback));
    if (kernel.bind_tx) nic.sends = can_send(tx_refusal(ifindex));
}

// What is mounted on /sys may be of another network namespace, with a NIC of the same name.
void look_at_bus(NicFacts& nic, std::uint32_t ifindex, const fs::path& root) {
    std::error_code none;
    const fs::path folder = root / "sys/class/net" / nic.name;
    const fs::path device = fs::canonical(folder / "device", none);
    if (none || number_in(folder / "ifindex") != ifindex) return;
    nic.pci = pci_path(device);
    nic.accelerators = pci_accelerators(root);
    nic.iommu_group = fs::read_symlink(device / "iommu_group", none).filename();
}

Finding judge_up(const NicFacts& nic) {
    const Thing thing{nic.name, "up", Use::both};
    if (nic.link.up) return thing.ok("up");
    return thing.missing("down", "ip link set " + nic.name + " up");
}

Finding judge_restarts(const NicFacts& nic, const KernelFacts& kernel) {
    const Thing thing{nic.name, "queue-api", Use::receive};
    if (nic.restarts_queues == Answer::yes) return thing.ok("the driver restarts single queues");
    if (nic.restarts_queues == Answer::no)
        return thing.missing("the driver cannot restart single queues",
                             "Take a NIC whose driver has queue_mgmt_ops, or dmnic to try");
    if (!kernel.bind_rx) return thing.unknown("the kernel has no bind-rx", "See kernel receive");
    return thing.unknown("not told, or only to CAP_NET_ADMIN",
                         "Ask as root; if that does not tell, bind: ncdevmem -f " + nic.name);
}

Finding judge_split(const NicFacts& nic) {
    const Thing thing{nic.name, "header-split", Use::receive};
    if (!nic.rings || !nic.rings->data_split)
        return thing.missing("the driver has no tcp-data-split",
                             "Take a NIC that splits headers from payload, or dmnic to try");
    if (nic.rings->data_split == DataSplit::on) return thing.ok("tcp-data-split is on");
    return thing.missing(
        nic.rings->data_split == DataSplit::off ? "tcp-data-split is off" : "not said to be on",
        "ethtool -G " + nic.name +
            " tcp-data-split on (a recent ethtool), or HeaderSplit in a "
            "program");
}

Finding judge_threshold(const NicFacts& nic) {
    const Thing thing{nic.name, "hds-thresh", Use::receive};
    const auto threshold = nic.rings ? nic.rings->hds_thresh : std::nullopt;
    if (!threshold) return thing.ok("no threshold");
    if (*threshold == 0) return thing.ok("0");
    return thing.missing(std::to_string(*threshold) + ": smaller packets are not split",
                         "ethtool -G " + nic.name +
                             " hds-thresh 0 (a recent ethtool), or "
                             "HeaderSplit in a program");
}

Finding judge_ntuple(const NicFacts& nic) {
    const Thing thing{nic.name, "ntuple", Use::receive};
    if (nic.ntuple) return thing.ok("flow rules are on");
    if (nic.ntuple_available)
        return thing.missing("flow rules are off", "ethtool -K " + nic.name + " ntuple on");
    return thing.missing("the NIC has no flow rules",
                         "Take a NIC that steers flows to queues, or dmnic to try");
}

Findings judge_rss(const NicFacts& nic) {
    const Thing table{nic.name, "rss-table", Use::receive};
    const Thing contexts{nic.name, "rss-contexts", Use::extra};
    return {nic.rss_table
                ? table.ok("other traffic can be kept away")
                : table.missing("the NIC has no RSS table",
                                "Nothing keeps other traffic from a bound queue: take another NIC"),
            nic.rss_contexts ? contexts.ok("the NIC has them")
                             : contexts.missing("the NIC has none",
                                                "Only to spread one port's flows over "
                                                "several bound queues; rules work without")};
}

std::size_t count_rx(const NicFacts& nic) {
    if (nic.channels) return nic.channels->receiving();
    if (!nic.queues) return 0;
    return static_cast<std::size_t>(std::ranges::count(*nic.queues, Queue::Type::rx, &Queue::type));
}

Finding judge_count(const NicFacts& nic) {
    const Thing thing{nic.name, "queues", Use::receive};
    const std::size_t count = count_rx(nic);
    const std::string seen = std::to_string(count) + " that receive";
    if (count >= 2) return thing.ok(seen);
    if (count == 0) return thing.unknown("not told", "ethtool -l " + nic.name);
    const bool more = nic.channels && nic.channels->rx_max + nic.channels->combined_max > 1;
    const bool apart = more && nic.channels->rx_max > 1;
    return thing.missing(seen + ", and one must be left for other traffic",
                         more ? "ethtool -L " + nic.name + (apart ? " rx 2" : " combined 2")
                              : "Take a NIC with more queues");
}

std::string holder(const Queue& queue) {
    const std::string id = std::to_string(queue.id);
    if (queue.io_uring) return id + " by io_uring";
    if (queue.xsk) return id + " by AF_XDP";
    return id + " by dmabuf " + std::to_string(queue.dmabuf_id);
}

Finding judge_free(const NicFacts& nic) {
    const Thing thing{nic.name, "free-queues", Use::receive};
    std::string taken;
    std::size_t free = 0;
    for (const Queue& queue : nic.queues.value_or(std::vector<Queue>())) {
        if (queue.type != Queue::Type::rx) continue;
        if (queue.is_free())
            ++free;
        else
            taken += (taken.empty() ? "; taken: " : ", ") + holder(queue);
    }
    const std::string seen = std::to_string(free) + " free" + taken;
    if (free >= 2) return thing.ok(seen);
    if (free == 0 && taken.empty())
        return thing.unknown("not told", nic.link.up ? "See kernel listing" : "Set it up first");
    return thing.missing(seen,
                         "One must be left for other traffic: end a program that holds one, "
                         "or ethtool -L " +
                             nic.name + " for more");
}

Finding judge_xdp(const NicFacts& nic) {
    const Thing thing{nic.name, "xdp", Use::receive};
    if (!nic.link.xdp) return thing.ok("no XDP program");
    return thing.missing("an XDP program is attached", "ip link set " + nic.name + " xdp off");
}

Finding judge_sends(const NicFacts& nic, const KernelFacts& kernel) {
    const Thing thing{nic.name, "netmem-tx", Use::send};
    if (nic.sends == Answer::yes) return thing.ok("the driver sends device memory");
    if (nic.sends == Answer::no)
        return thing.missing("the driver cannot send device memory",
                             "Take a NIC whose driver has netmem_tx; of a VLAN, ask the interface "
                             "below it");
    if (!kernel.bind_tx)
        return thing.unknown("not told: the kernel has no bind-tx", "See kernel send");
    return thing.unknown("not told", "Bind a dmabuf to send from");
}

Finding judge_iommu(const NicFacts& nic) {
    const Thing thing{nic.name, "iommu", Use::extra};
    if (nic.pci.empty()) return thing.ok("not on PCI");
    return thing.ok(nic.iommu_group.empty() ? "none" : "group " + nic.iommu_group);
}

Finding judge_p2p(const NicFacts& nic) {
    const Thing thing{nic.name, "p2p", Use::extra};
    if (nic.pci.empty()) return thing.unknown("not on PCI", "Only a NIC on PCI has peers there");
    if (nic.accelerators.empty())
        return thing.unknown("no accelerator on PCI", "lspci lists what there is");
    const auto hops = [&](const PciPath& path) {
        return pci_hops(nic.pci, path).value_or(UINT32_MAX);
    };
    const PciPath& nearest = *std::ranges::min_element(nic.accelerators, {}, hops);
    if (hops(nearest) != UINT32_MAX)
        return thing.ok(nearest.back() + " is " + std::to_string(hops(nearest)) + " links away");
    return thing.missing(nearest.back() + " is behind the host bridge",
                         "Use a NIC and an accelerator below one PCIe switch: else the kernel may "
                         "refuse, and it may be slow");
}

// The names of what a use needs and is in that state.
std::string names(const Findings& findings, Use use, State state) {
    std::string names;
    for (const Finding& finding : findings)
        if (finding.state == state && (finding.use == use || finding.use == Use::both))
            names += (names.empty() ? "" : ", ") + finding.name;
    return names;
}

std::string readiness(const Findings& findings, Use use, const std::string& verb) {
    if (const std::string missing = names(findings, use, State::missing); !missing.empty())
        return "not ready to " + verb + ": " + missing;
    if (const std::string unknown = names(findings, use, State::unknown); !unknown.empty())
        return "may " + verb + ", unknown: " + unknown;
    return "can " + verb;
}

}  // namespace

NicFacts look_at_nic(std::uint32_t ifindex, const KernelFacts& kernel, const fs::path& root) {
    NicFacts nic{.name = interface_name(ifindex), .link = link_of(ifindex)};
    nic.rings = if_told([&] { return rings(ifindex); });
    nic.channels = if_told([&] { return channels(ifindex); });
    look_at_steering(nic, ifindex);
    look_at_queues(nic, ifindex, kernel);
    look_at_bus(nic, ifindex, root);
    return nic;
}

Findings judge_nic(const NicFacts& nic, const KernelFacts& kernel) {
    Findings all{judge_up(nic), judge_restarts(nic, kernel), judge_split(nic), judge_threshold(nic),
                 judge_ntuple(nic)};
    append(all, judge_rss(nic));
    append(all, {judge_count(nic), judge_free(nic), judge_xdp(nic), judge_sends(nic, kernel),
                 judge_iommu(nic), judge_p2p(nic)});
    return all;
}

State state_for(const Findings& findings, Use use) {
    if (!names(findings, use, State::missing).empty()) return State::missing;
    return names(findings, use, State::unknown).empty() ? State::ok : State::unknown;
}

Finding sum_up_nic(const std::string& name, const Findings& findings) {
    const Thing thing{"nic", name, Use::extra};
    const State receive = state_for(findings, Use::receive);
    const State send = state_for(findings, Use::send);
    const std::string seen = readiness(findings, Use::receive, "receive") + "; " +
                             readiness(findings, Use::send, "send");
    const std::string remedy = "devmem doctor " + name + " tells more";
    if (receive == State::ok && send == State::ok) return thing.ok(seen);
    if (receive == State::missing || send == State::missing) return thing.missing(seen, remedy);
    return thing.unknown(seen, remedy);
}

}  // namespace devmem
