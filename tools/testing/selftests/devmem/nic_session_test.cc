// SPDX-License-Identifier: GPL-2.0
// NicSession on a NIC that the kernel knows: what ethtool shows of it afterwards is what it showed
// before, whatever became of the session.
#include <fmt/core.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "devmem/binding.h"
#include "devmem/dmabuf.h"
#include "devmem/error.h"
#include "devmem/netdev.h"
#include "devmem/nic_session.h"
#include "expect.h"
#include "hooked_nic.h"
#include "leftovers.h"
#include "process.h"
#include "restore.h"
#include "session_core.h"
#include "topology.h"

namespace {

using devmem::test::HookedNic;
using Queues = std::vector<std::uint32_t>;

constexpr double patience = 120;

std::string output_of(const std::string& command) {
    std::string output;
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::array<char, 4096> buffer{};
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
        output.append(buffer.data(), got);
    return output;
}

/// A pair, a folder for journals, and what dm0 looks like.
class Stage {
  public:
    /// setup: what somebody did to dm0 before, in the shell.
    explicit Stage(const std::string& setup = ":") {
        topology.here(setup);
        before_ = state();
    }
    ~Stage() { std::filesystem::remove_all(folder); }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    [[nodiscard]] static std::string state() {
        return output_of("for show in g l x n k; do ethtool -$show dm0; done 2>&1");
    }
    void expect_as_before(const std::string& when) const {
        EXPECT_EQUAL("dm0 " + when, before_, state());
        EXPECT_EQUAL("journals " + when, 0, journals());
    }
    [[nodiscard]] int journals() const {
        int count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            count += entry.path().filename() != "lock";
        return count;
    }
    [[nodiscard]] devmem::NicOptions options(devmem::NicOptions options = {}) const {
        options.journals = folder;
        return options;
    }
    [[nodiscard]] devmem::NicSession session(const devmem::NicOptions& wanted = {}) const {
        return devmem::NicSession(ifindex, options(wanted));
    }
    void restore() const {
        for (const auto& report : devmem::restore_abandoned(folder))
            EXPECT_EQUAL("not restored", std::vector<std::string>(), report.failed);
    }

    Topology topology;
    std::uint32_t ifindex = devmem::interface_index("dm0");
    std::string folder = fmt::format("/tmp/nic_session.{}", ::getpid());

  private:
    std::string before_;
};

const std::string by_hand =
    "ethtool -X dm0 weight 1 2 3 4 && ethtool -K dm0 ntuple on && "
    "ethtool -N dm0 flow-type tcp4 dst-port 5201 action 1 >/dev/null";
const std::string few_channels =
    "ethtool -L dm0 rx 2 tx 2 && ethtool -K dm0 ntuple off >/dev/null";

void puts_back() {
    for (const auto& setup : {std::string(":"), by_hand, few_channels}) {
        const Stage stage(setup);
        {
            const auto nic = stage.session({.queues = 2, .flows = devmem::flows_to_port(5201)});
            EXPECT_EQUAL("journals", 1, stage.journals());
            const auto memory = devmem::DmaBuf::accelmem(1 << 20);
            const devmem::RxBinding binding(stage.ifindex, nic.queues(), memory);
            EXPECT("a binding", binding.id() > 0, binding.id());
        }
        stage.expect_as_before("after: " + setup);
    }
}

// An exception on the way.
void puts_back_when_something_fails() {
    const Stage stage(few_channels);
    try {
        const auto nic = stage.session({.flows = {{.destination_port = 5201}}});
        const auto memory = devmem::DmaBuf::accelmem(1 << 20);
        const devmem::RxBinding binding(stage.ifindex, Queues{99}, memory);
        EXPECT("queue 99", false, "bound");
    } catch (const devmem::Error& error) {
        EXPECT_EQUAL("what failed", "bind-rx dm0", error.call());
    }
    stage.expect_as_before("after an exception");
}

template <class Call>
void expect_refused(std::string_view words, Call call) {
    try {
        call();
        EXPECT("refused", false, "success");
    } catch (const devmem::Error& why) {
        EXPECT(fmt::format("\"{}\"", words),
               std::string_view(why.what()).find(words) != std::string_view::npos, why.what());
    }
}

void says_why_not() {
    const Stage stage;
    const devmem::Flow two_versions{.source = devmem::IpAddress("10.9.0.2"),
                                    .destination = devmem::IpAddress("fd09::1")};
    expect_refused("one address is IPv4", [&] { (void)stage.session({.flows = {two_versions}}); });
    expect_refused("one must be left", [&] { (void)stage.session({.queues = 4}); });
    expect_refused("ethtool -l", [&] { (void)stage.session({.exactly = {4}}); });
    expect_refused("no queue would be left", [&] {
        (void)stage.session({.exactly = {0, 1, 2, 3}});
    });
    stage.expect_as_before("after refusals");

    auto nic = stage.session();
    const auto memory = devmem::DmaBuf::accelmem(1 << 20);
    auto binding = std::make_unique<devmem::RxBinding>(stage.ifindex, nic.queues(), memory);
    expect_refused("dmabuf", [&] { nic.restore(); });
    EXPECT_EQUAL("journals", 1, stage.journals());
    binding.reset();
    nic.restore();
    stage.expect_as_before("after a second try");
}

void two_at_once() {
    for (const bool in_order : {true, false}) {
        const Stage stage(by_hand);
        auto first = std::make_unique<devmem::NicSession>(
            stage.session({.flows = {{.destination_port = 6000}}}));
        auto second = std::make_unique<devmem::NicSession>(
            stage.session({.queues = 2, .flows = {{.destination_port = 6001}}}));
        EXPECT_EQUAL("the first's queue", 3, first->queues().front());
        EXPECT_EQUAL("the second's queue", 1, second->queues().front());
        auto& other = in_order ? second : first;
        (in_order ? first : second).reset();
        {
            const auto memory = devmem::DmaBuf::accelmem(1 << 20);
            const devmem::RxBinding binding(stage.ifindex, other->queues(), memory);
            EXPECT("the other can bind", binding.id() > 0, binding.id());
        }
        other.reset();
        stage.expect_as_before("after both");
    }
}

// All that can be changed, changed and put back; the hook sees each change, before and after.
void live(const Stage& stage, const HookedNic::Hook& hook) {
    auto nic = std::make_unique<HookedNic>(devmem::kernel_nic(stage.ifindex), hook);
    devmem::SessionCore session(std::move(nic),
                                stage.options({.queues = 2, .flows = devmem::flows_to_port(5201)}));
    session.restore();
}

HookedNic::Hook kill_at(int n) {
    return [n](const char*) mutable {
        if (n-- == 0) ::raise(SIGKILL);
    };
}

bool killed(const Process::Body& body) {
    Process process(-1, body);
    const int status = process.wait(patience);
    EXPECT("status", status == 0 || status == 128 + SIGKILL, status);
    return status != 0;
}

// A NIC without RSS contexts refuses to make one: that is a step too, but no change.
void killed_at_each_step(const std::string& setup, int changes) {
    const Stage stage(setup);
    int step = 0;
    while (killed([&](int) { live(stage, kill_at(step)); })) {
        stage.restore();
        stage.expect_as_before(fmt::format("after kill -9 at step {}", step++));
        stage.restore();
    }
    stage.expect_as_before("after no kill");
    EXPECT_EQUAL("steps", 2 * changes + 1, step);
}

void killed_at_each_step_of_all() {
    killed_at_each_step(few_channels, 13);
}
void killed_at_each_step_by_hand() {
    killed_at_each_step(by_hand, 8);
}

// Each restore gets one step further than the one before it, until one has nothing left to do.
void restore_is_killed_too() {
    const Stage stage(few_channels);
    const auto restore = [&](const HookedNic::Hook& hook) {
        devmem::restore_abandoned(stage.folder, [&](std::uint32_t ifindex) {
            return std::make_unique<HookedNic>(devmem::kernel_nic(ifindex), hook);
        });
    };
    for (int step = 0;; ++step) {
        EXPECT("kill", killed([&](int) { live(stage, kill_at(13)); }), "none");
        if (!killed([&](int) { restore(kill_at(step)); })) break;
        stage.restore();
        stage.expect_as_before(fmt::format("after kill -9 of restore at step {}", step));
    }
    stage.expect_as_before("after no kill");
}

// Bound, and killed: the queues are given back by the kernel, the rest by restore.
void killed_while_bound() {
    const Stage stage;
    Process victim(-1, [&](int say) {
        const auto nic = stage.session({.flows = devmem::flows_to_port(5201)});
        const auto memory = devmem::DmaBuf::accelmem(1 << 20);
        const devmem::RxBinding binding(stage.ifindex, nic.queues(), memory);
        (void)!::write(say, "!", 1);
        ::pause();
    });
    char ready = 0;
    EXPECT("the victim is ready", victim.hear(&ready, 1, patience), "silence");
    EXPECT_EQUAL("restored meanwhile", 0, devmem::restore_abandoned(stage.folder).size());
    victim.kill();
    stage.restore();
    stage.expect_as_before("after kill -9 and restore");
}

void nic_is_gone() {
    const Stage stage;
    EXPECT("kill", killed([&](int) { live(stage, kill_at(6)); }), "none");
    stage.topology.here("ip link del dm0");
    stage.restore();
    EXPECT_EQUAL("journals", 0, stage.journals());

    stage.topology.here(fmt::format("ip link add dm0 index {} type dmnic", stage.ifindex));
    const auto as_made = Stage::state();
    EXPECT("kill", killed([&](int) { live(stage, kill_at(6)); }), "none");
    stage.topology.here(
        fmt::format("ip link del dm0 && ip link add dm0 index {} type dmnic", stage.ifindex));
    stage.restore();
    EXPECT_EQUAL("another dm0 with its number", as_made, Stage::state());
    EXPECT_EQUAL("journals", 0, stage.journals());
}

void malformed_journal() {
    const Stage stage;
    EXPECT("kill", killed([&](int) { live(stage, kill_at(9)); }), "none");
    const auto abandoned = Stage::state();
    for (const auto& entry : std::filesystem::directory_iterator(stage.folder))
        if (entry.path().extension() == ".journal")
            std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry) / 2);
    const auto reports = devmem::restore_abandoned(stage.folder);
    EXPECT_EQUAL("reports", 1, reports.size());
    expect_refused("Nothing was changed", [&] { (void)stage.session(); });
    EXPECT_EQUAL("dm0", abandoned, Stage::state());
}

constexpr std::array tests{
    ktap_test{"a session puts back what it changed", clean<puts_back>},
    ktap_test{"a session puts it back when something fails", clean<puts_back_when_something_fails>},
    ktap_test{"a refusal says why, and what to do", clean<says_why_not>},
    ktap_test{"two sessions at once, either order of leaving", clean<two_at_once>},
    ktap_test{"kill -9 at each step, channels and all", clean<killed_at_each_step_of_all>},
    ktap_test{"kill -9 at each step, a NIC set by hand", clean<killed_at_each_step_by_hand>},
    ktap_test{"kill -9 at each step of restoring", clean<restore_is_killed_too>},
    ktap_test{"kill -9 while a dmabuf is bound", clean<killed_while_bound>},
    ktap_test{"a NIC that is gone, and its successor", clean<nic_is_gone>},
    ktap_test{"a malformed journal changes nothing", clean<malformed_journal>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
