// SPDX-License-Identifier: GPL-2.0
// hds-thresh and bindings: payload that stays in host memory for its size must not be, so neither
// is there without the other. And the ring parameters whose numbers are taken before that of
// hds-thresh.
#include <linux/ethtool_netlink.h>

#include <array>
#include <optional>

#include "bound.h"
#include "devmem/error.h"
#include "devmem/ethtool.h"
#include "expect.h"
#include "leftovers.h"
#include "raw_netlink.h"
#include "stock.h"

namespace {

struct Stage {
    Stage() {
        if (!devmem::rings(ifindex).hds_thresh) ktap_skip("this kernel has no hds-thresh");
        set_thresh(0);
    }
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

// ---- numbers of what this kernel lacks -------------------------------------

// As newer kernels have them; the headers here may be older.
struct Parameter {
    std::uint16_t number;
    std::size_t bytes;
};
constexpr Parameter rx_push{14, 1};
constexpr Parameter tx_push_buf_len{15, 4}, tx_push_buf_len_max{16, 4}, hds_thresh_max{18, 4};

// Beside what could be set if it stood alone.
RawReply set_rings_with(std::uint32_t rx, std::optional<Parameter> more) {
    RawSocket socket;
    RawRequest request(socket.family("ethtool"), ETHTOOL_MSG_RINGS_SET);
    request.nest(ETHTOOL_A_RINGS_HEADER)
        .attr(ETHTOOL_A_HEADER_DEV_NAME, "dm0", sizeof("dm0"))
        .end();
    request.u32(ETHTOOL_A_RINGS_RX, rx);
    constexpr std::uint32_t one = 1;
    if (more) request.attr(more->number, &one, more->bytes);
    return socket.ask(request);
}

// Where 6.12 knows a parameter, it is dmnic that does not.
void refuses_reserved_numbers() {
    const Topology topology;
    const auto ifindex = devmem::interface_index("dm0");
    const auto before = devmem::rings(ifindex).rx;
    for (const auto& parameter : {rx_push, tx_push_buf_len, tx_push_buf_len_max, hds_thresh_max}) {
        const auto reply = set_rings_with(before / 2, parameter);
        const auto name = fmt::format("ring parameter {}", parameter.number);
        EXPECT(name + ": refused",
               reply.error == EINVAL || (stock_kernel() && reply.error == EOPNOTSUPP),
               fmt::format("{} \"{}\"", reply.error, reply.message));
        EXPECT_EQUAL(name + ": ring", before, devmem::rings(ifindex).rx);
    }
    EXPECT_EQUAL("errno without any", 0, set_rings_with(before / 2, {}).error);
    EXPECT_EQUAL("ring", before / 2, devmem::rings(ifindex).rx);
}

// ---- points ----------------------------------------------------------------

constexpr std::array tests{
    ktap_test{"with hds-thresh nothing is bound", clean<refuses_bindings>},
    ktap_test{"while something is bound hds-thresh stays 0", clean<stays_zero_while_bound>},
    ktap_test{"hds-thresh has a maximum", clean<has_a_maximum>},
    ktap_test{"ring parameters of newer kernels: refused, nothing changes",
              clean<refuses_reserved_numbers>},
};

}  // namespace

int main(int argc, char** argv) {
    if (!module_loaded("dmnic") || !module_loaded("accelmem"))
        return ktap_skip_all("no dmnic or no accelmem module");
    return run_tests(tests, argc, argv);
}
