// SPDX-License-Identifier: MIT
#include "devmem/ethtool.h"

#include <cerrno>
#include <string>

#include "attr.h"
#include "devmem/error.h"
#include "devmem/netdev.h"
#include "ethtool_decode.h"
#include "netlink.h"
#include "uapi.h"

namespace devmem {
namespace {

using View = std::span<const std::byte>;

// One request about one interface. The header nest has the same number in every message.
class Question {
  public:
    Question(std::uint32_t ifindex, std::uint8_t command, std::string_view call)
        : call_(std::string(call) + " of " + interface_name(ifindex)),
          request_(socket_.family(ETHTOOL_GENL_NAME), command, ETHTOOL_GENL_VERSION) {
        static_assert(ETHTOOL_A_RINGS_HEADER == 1 && ETHTOOL_A_CHANNELS_HEADER == 1 &&
                      ETHTOOL_A_FEATURES_HEADER == 1);
        request_.nest(ETHTOOL_A_RINGS_HEADER).u32(ETHTOOL_A_HEADER_DEV_INDEX, ifindex).end();
    }

    NetlinkRequest& request() { return request_; }
    void optional_u32(std::uint16_t type, const std::optional<std::uint32_t>& value) {
        if (value) request_.u32(type, *value);
    }
    void send() { socket_.request(call_, request_); }
    Bytes ask() {
        auto replies = socket_.request(call_, request_);
        if (replies.empty()) throw_netlink(EPROTO, call_, "the kernel gave no answer");
        return std::move(replies[0]);
    }
    [[nodiscard]] const std::string& call() const { return call_; }

  private:
    NetlinkSocket socket_;
    std::string call_;
    NetlinkRequest request_;
};

std::optional<std::uint32_t> optional_u32(View attrs, std::uint16_t type) {
    const auto attr = find_attr(attrs, type);
    if (!attr || !attr->number()) return std::nullopt;
    return static_cast<std::uint32_t>(*attr->number());
}

// A bit set without a mask lists the bits that are set: set { bits { bit { name } ... } }.
bool has_bit(View attrs, std::uint16_t set, std::string_view name) {
    const auto nest = find_attr(attrs, set);
    const auto bits = nest ? find_attr(nest->data, ETHTOOL_A_BITSET_BITS) : std::nullopt;
    View rest = bits ? bits->data : View();
    while (auto bit = next_attr(rest)) {
        const auto bit_name = find_attr(bit->data, ETHTOOL_A_BITSET_BIT_NAME);
        if (bit_name && bit_name->string() == name) return true;
    }
    return false;
}

Bytes ask_features(std::uint32_t ifindex) {
    return Question(ifindex, ETHTOOL_MSG_FEATURES_GET, "get features").ask();
}

}  // namespace

Rings decode_rings(View attrs) {
    Rings rings;
    rings.rx = u32_or_0(attrs, ETHTOOL_A_RINGS_RX);
    rings.rx_max = u32_or_0(attrs, ETHTOOL_A_RINGS_RX_MAX);
    rings.tx = u32_or_0(attrs, ETHTOOL_A_RINGS_TX);
    rings.tx_max = u32_or_0(attrs, ETHTOOL_A_RINGS_TX_MAX);
    if (auto split = optional_u32(attrs, ETHTOOL_A_RINGS_TCP_DATA_SPLIT); split && *split <= 2)
        rings.data_split = static_cast<DataSplit>(*split);
    rings.hds_thresh = optional_u32(attrs, uapi::rings_hds_thresh);
    rings.hds_thresh_max = optional_u32(attrs, uapi::rings_hds_thresh_max);
    return rings;
}

Channels decode_channels(View attrs) {
    Channels channels;
    channels.rx = u32_or_0(attrs, ETHTOOL_A_CHANNELS_RX_COUNT);
    channels.rx_max = u32_or_0(attrs, ETHTOOL_A_CHANNELS_RX_MAX);
    channels.tx = u32_or_0(attrs, ETHTOOL_A_CHANNELS_TX_COUNT);
    channels.tx_max = u32_or_0(attrs, ETHTOOL_A_CHANNELS_TX_MAX);
    channels.combined = u32_or_0(attrs, ETHTOOL_A_CHANNELS_COMBINED_COUNT);
    channels.combined_max = u32_or_0(attrs, ETHTOOL_A_CHANNELS_COMBINED_MAX);
    return channels;
}

bool decode_feature(View attrs, std::string_view name) {
    return has_bit(attrs, ETHTOOL_A_FEATURES_ACTIVE, name);
}

bool decode_feature_available(View attrs, std::string_view name) {
    return has_bit(attrs, ETHTOOL_A_FEATURES_HW, name);
}

Rings rings(std::uint32_t ifindex) {
    return decode_rings(Question(ifindex, ETHTOOL_MSG_RINGS_GET, "get rings").ask());
}

void set_rings(std::uint32_t ifindex, const RingsChange& change) {
    Question question(ifindex, ETHTOOL_MSG_RINGS_SET, "set rings");
    question.optional_u32(ETHTOOL_A_RINGS_RX, change.rx);
    question.optional_u32(ETHTOOL_A_RINGS_TX, change.tx);
    if (change.data_split)
        question.request().u8(ETHTOOL_A_RINGS_TCP_DATA_SPLIT,
                              static_cast<std::uint8_t>(*change.data_split));
    question.optional_u32(uapi::rings_hds_thresh, change.hds_thresh);
    question.send();
}

Channels channels(std::uint32_t ifindex) {
    return decode_channels(Question(ifindex, ETHTOOL_MSG_CHANNELS_GET, "get channels").ask());
}

void set_channels(std::uint32_t ifindex, const ChannelsChange& change) {
    Question question(ifindex, ETHTOOL_MSG_CHANNELS_SET, "set channels");
    question.optional_u32(ETHTOOL_A_CHANNELS_RX_COUNT, change.rx);
    question.optional_u32(ETHTOOL_A_CHANNELS_TX_COUNT, change.tx);
    question.optional_u32(ETHTOOL_A_CHANNELS_COMBINED_COUNT, change.combined);
    question.send();
}

bool feature(std::uint32_t ifindex, std::string_view name) {
    return decode_feature(ask_features(ifindex), name);
}

bool feature_available(std::uint32_t ifindex, std::string_view name) {
    return decode_feature_available(ask_features(ifindex), name);
}

// features-set succeeds even where nothing changes, so look afterwards.
void set_feature(std::uint32_t ifindex, std::string_view name, bool on) {
    Question question(ifindex, ETHTOOL_MSG_FEATURES_SET, "set feature " + std::string(name));
    question.request()
        .nest(ETHTOOL_A_FEATURES_WANTED)
        .nest(ETHTOOL_A_BITSET_BITS)
        .nest(ETHTOOL_A_BITSET_BITS_BIT)
        .string(ETHTOOL_A_BITSET_BIT_NAME, name);
    if (on) question.request().flag(ETHTOOL_A_BITSET_BIT_VALUE);
    question.request().end().end().end();
    question.send();
    if (feature(ifindex, name) != on) throw_netlink(EOPNOTSUPP, question.call(), "");
}

}  // namespace devmem
