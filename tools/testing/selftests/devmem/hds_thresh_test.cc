// SPDX-License-Identifier: GPL-2.0
// hds-thresh and bindings: payload that stays in host memory for its size must not be, so neither
// is there without the other.
#include <array>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "expect.h"
#include "leftovers.h"
#include "process.h"

namespace {

struct Stage {
    Stage() { set_thresh(0); }
    void set_thresh(std::uint32_t bytes) const {
        devmem::set_rings(ifindex, {.data_split = devmem::DataSplit::on, .hds_thresh = bytes});
    }
    [[nodiscard]] std::uint32_t thresh() const { return devmem::rings(ifindex).hds_thresh.value(); }

    Topology topology;
    std::uint32_t ifindex = devmem::interface_index("dm0");
    devmem::DmaBuf memory = devmem::DmaBuf::accelmem(1 << 20);
    std::array<std::uint32_t, 1> queues{1};
};

template <class Call>
void expect_refused(int error, std::string_view words, Call call) {
    try {
        call();
        EXPECT("refused", false, "success");
    } catch (const devmem::Error& why) {
        EXPECT_EQUAL("errno", error, why.code().value());
        EXPECT(fmt::format("\"{}\"", words),
               std::string_view(why.what()).find(words) != std::string_view::npos, why.what());
    }
}

void refuses_bindings() {
    const Stage stage;
    stage.set_thresh(300);
    expect_refused(EINVAL, "hds-thresh is not zero", [&] {
        const devmem::RxBinding binding(stage.ifindex, stage.queues, stage.memory);
    });
    EXPECT_EQUAL("threshold afterwards", 300, stage.thresh());
    stage.set_thresh(0);
    const devmem::RxBinding binding(stage.ifindex, stage.queues, stage.memory);
    EXPECT("without it, an id from 1 on", binding.id() > 0, binding.id());
}

void stays_zero_while_bound() {
    const Stage stage;
    {
        const devmem::RxBinding binding(stage.ifindex, stage.queues, stage.memory);
        expect_refused(EINVAL, "hds_thresh", [&] { stage.set_thresh(300); });
        EXPECT_EQUAL("threshold afterwards", 0, stage.thresh());
    }
    stage.set_thresh(300);
    EXPECT_EQUAL("threshold when nothing is bound", 300, stage.thresh());
}

// One byte more than is allowed, and as many.
void has_a_maximum() {
    const Stage stage;
    const std::uint32_t most = devmem::rings(stage.ifindex).hds_thresh_max.value();
    expect_refused(ERANGE, "hds-thresh", [&] { stage.set_thresh(most + 1); });
    EXPECT_EQUAL("threshold afterwards", 0, stage.thresh());
    stage.set_thresh(most);
    EXPECT_EQUAL("the largest threshold", most, stage.thresh());
}

bool has_thresh() {
    Process trial(-1, [](int) {
        const Topology topology;
        devmem::rings(devmem::interface_index("dm0")).hds_thresh.value();
    });
    return trial.wait(120) == 0;
}

constexpr std::array tests{
    ktap_test{"with hds-thresh nothing is bound", clean<refuses_bindings>},
    ktap_test{"while something is bound hds-thresh stays 0", clean<stays_zero_while_bound>},
    ktap_test{"hds-thresh has a maximum", clean<has_a_maximum>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    if (!has_thresh()) return ktap_skip_all("this kernel has no hds-thresh");
    return run_tests(tests, argc, argv);
}
