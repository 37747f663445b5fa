// SPDX-License-Identifier: MIT
#include "devmem/cmsg.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <vector>

#include "uapi.h"

namespace devmem {
namespace {

using Control = std::vector<std::byte>;

std::array<std::byte, 4096> host_buffer;
std::array<Piece, 64> pieces;

void append(Control& control, int level, int type, const void* data, std::size_t size,
            std::size_t claimed) {
    const std::size_t at = control.size();
    control.resize(at + CMSG_SPACE(size));
    cmsghdr header{};
    header.cmsg_len = claimed;
    header.cmsg_level = level;
    header.cmsg_type = type;
    std::memcpy(&control[at], &header, sizeof(header));
    std::memcpy(&control[at + CMSG_LEN(0)], data, size);
}

void linear(Control& control, std::uint32_t size) {
    const uapi::dmabuf_cmsg info{0, size, 0, 0, 0};
    append(control, SOL_SOCKET, SCM_DEVMEM_LINEAR, &info, sizeof(info), CMSG_LEN(sizeof(info)));
}

void frag(Control& control, std::uint64_t offset, std::uint32_t size, std::uint32_t token) {
    const uapi::dmabuf_cmsg info{offset, size, token, 9, 0};
    append(control, SOL_SOCKET, SCM_DEVMEM_DMABUF, &info, sizeof(info), CMSG_LEN(sizeof(info)));
}

ParsedPieces parse(std::span<const std::byte> control, std::size_t received) {
    return parse_pieces(control, received, host_buffer, pieces);
}

TEST(CmsgTest, NoMessagesMeansOrdinaryBytes) {
    const auto parsed = parse({}, 100);
    ASSERT_EQ(parsed.count, 1U);
    EXPECT_TRUE(parsed.complete);
    EXPECT_EQ(pieces[0].host.data(), host_buffer.data());
    EXPECT_EQ(pieces[0].host.size(), 100U);
    EXPECT_FALSE(pieces[0].on_device());
}

TEST(CmsgTest, OrderOfMessagesIsOrderOfBytes) {
    Control control;
    linear(control, 10);
    frag(control, 4096, 100, 1);
    linear(control, 5);
    frag(control, 0, 50, 2);
    const auto parsed = parse(control, 165);
    ASSERT_EQ(parsed.count, 4U);
    EXPECT_TRUE(parsed.complete);
    EXPECT_EQ(pieces[0].host.data(), host_buffer.data());
    EXPECT_EQ(pieces[1].offset, 4096U);
    EXPECT_EQ(pieces[1].dmabuf_id, 9U);
    EXPECT_EQ(pieces[1].token, 1U);
    EXPECT_EQ(pieces[2].host.data(), host_buffer.data() + 10);
    EXPECT_EQ(pieces[3].size, 50U);
}

TEST(CmsgTest, OtherMessagesAreSkipped) {
    Control control;
    const int inq = 7;
    frag(control, 0, 50, 2);
    append(control, 6 /* SOL_TCP */, 36 /* TCP_CM_INQ */, &inq, sizeof(inq), CMSG_LEN(sizeof(inq)));
    append(control, SOL_SOCKET, SCM_RIGHTS, &inq, sizeof(inq), CMSG_LEN(sizeof(inq)));
    append(control, 41, SCM_DEVMEM_DMABUF, &inq, sizeof(inq), CMSG_LEN(sizeof(inq)));
    const auto parsed = parse(control, 50);
    EXPECT_EQ(parsed.count, 1U);
    EXPECT_TRUE(parsed.complete);
}

// As before put_cmsg_notrunc: the last message is cut wherever the buffer ends.
TEST(CmsgTest, EveryControlLength) {
    Control control;
    for (std::uint32_t i = 0; i < 5; ++i) frag(control, 0, 10, i + 1);
    ASSERT_EQ(control.size(), 200U);
    for (std::size_t length = 0; length <= 200; ++length) {
        // A copy of exactly this length, so that a sanitizer sees a step too far.
        const Control cut(control.begin(), control.begin() + static_cast<std::ptrdiff_t>(length));
        const auto parsed = parse(cut, 50);
        const std::size_t ordinary = length < sizeof(cmsghdr) ? 1 : 0;
        EXPECT_EQ(parsed.count, length / 40 + ordinary) << length;
        EXPECT_EQ(parsed.complete, length == 200 || length == 0) << length;
    }
}

TEST(CmsgTest, AnyAlignment) {
    Control control(1);
    frag(control, 1, 2, 3);
    const auto parsed = parse(std::span(control).subspan(1), 2);
    ASSERT_EQ(parsed.count, 1U);
    EXPECT_EQ(pieces[0].token, 3U);
}

TEST(CmsgTest, HostileLengths) {
    for (const std::size_t claimed :
         {std::size_t{0}, std::size_t{1}, sizeof(cmsghdr) - 1, sizeof(cmsghdr), sizeof(cmsghdr) + 1,
          std::size_t{39}, std::size_t{41}, std::size_t{1} << 31, SIZE_MAX - 7, SIZE_MAX}) {
        Control control;
        const uapi::dmabuf_cmsg info{0, 10, 1, 9, 0};
        append(control, SOL_SOCKET, SCM_DEVMEM_DMABUF, &info, sizeof(info), claimed);
        frag(control, 0, 10, 2);
        const auto parsed = parse(control, 20);
        EXPECT_LE(parsed.count, 2U);
        EXPECT_FALSE(parsed.complete) << claimed;
    }
}

TEST(CmsgTest, LinearBytesBeyondTheBufferAreRefused) {
    Control control;
    linear(control, 4000);
    linear(control, 97);
    EXPECT_FALSE(parse(control, 4097).complete);
    EXPECT_FALSE(parse({}, 4097).complete);
}

TEST(CmsgTest, MorePiecesThanRoom) {
    Control control;
    for (std::uint32_t i = 0; i < 65; ++i) frag(control, 0, 1, i + 1);
    const auto parsed = parse(control, 65);
    EXPECT_EQ(parsed.count, 64U);
    EXPECT_FALSE(parsed.complete);
}

TEST(CmsgTest, SumsThatDoNotMatch) {
    Control control;
    frag(control, 0, UINT32_MAX, 1);
    frag(control, 0, 1, 2);
    EXPECT_FALSE(parse(control, 0).complete);
    EXPECT_TRUE(parse(control, std::size_t{1} << 32).complete);
}

TEST(CmsgTest, FragOfNoDmabuf) {
    Control control;
    const uapi::dmabuf_cmsg info{0, 10, 1, 0, 0};
    append(control, SOL_SOCKET, SCM_DEVMEM_DMABUF, &info, sizeof(info), CMSG_LEN(sizeof(info)));
    const auto parsed = parse(control, 10);
    EXPECT_EQ(parsed.count, 0U);
    EXPECT_FALSE(parsed.complete);
}

Control completion(const sock_extended_err& error, int level = SOL_IP, int type = IP_RECVERR) {
    Control control;
    append(control, level, type, &error, sizeof(error), CMSG_LEN(sizeof(error)));
    return control;
}

sock_extended_err zerocopy(std::uint32_t first, std::uint32_t last) {
    sock_extended_err error{};
    error.ee_origin = SO_EE_ORIGIN_ZEROCOPY;
    error.ee_info = first;
    error.ee_data = last;
    return error;
}

TEST(CompletionTest, IsTheRunThatTheErrorQueueReports) {
    for (const auto& [level, type] : {std::pair{SOL_IP, IP_RECVERR}, {SOL_IPV6, IPV6_RECVERR}}) {
        const auto run = parse_completion(completion(zerocopy(5, 9), level, type));
        ASSERT_TRUE(run);
        EXPECT_EQ(run->first, 5U);
        EXPECT_EQ(run->last, 9U);
        EXPECT_FALSE(run->copied);
    }
}

TEST(CompletionTest, SaysWhatWasCopied) {
    auto error = zerocopy(0, 0);
    error.ee_code = SO_EE_CODE_ZEROCOPY_COPIED;
    EXPECT_TRUE(parse_completion(completion(error))->copied);
}

TEST(CompletionTest, OtherErrorsAreNone) {
    auto timestamp = zerocopy(1, 1);
    timestamp.ee_origin = SO_EE_ORIGIN_TIMESTAMPING;
    EXPECT_FALSE(parse_completion(completion(timestamp)));
    auto failure = zerocopy(1, 1);
    failure.ee_errno = ENOMSG;
    EXPECT_FALSE(parse_completion(completion(failure)));
    EXPECT_FALSE(parse_completion(completion(zerocopy(1, 1), SOL_SOCKET, IP_RECVERR)));
    EXPECT_FALSE(parse_completion(completion(zerocopy(1, 1), SOL_IP, IPV6_RECVERR)));
    EXPECT_FALSE(parse_completion({}));
}

TEST(CompletionTest, OtherMessagesAreSkipped) {
    Control control;
    const int inq = 7;
    append(control, SOL_SOCKET, SO_TIMESTAMP, &inq, sizeof(inq), CMSG_LEN(sizeof(inq)));
    const Control after = completion(zerocopy(UINT32_MAX, 2));
    control.insert(control.end(), after.begin(), after.end());
    EXPECT_EQ(parse_completion(control)->last, 2U);
}

TEST(CompletionTest, EveryLengthAndHostileOnes) {
    const Control whole = completion(zerocopy(1, 1));
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        const Control cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        EXPECT_EQ(parse_completion(cut).has_value(), length == whole.size()) << length;
    }
    const auto error = zerocopy(1, 1);
    for (const std::size_t claimed : {std::size_t{0}, std::size_t{1}, sizeof(cmsghdr),
                                      CMSG_LEN(sizeof(error)) - 1, std::size_t{1} << 31}) {
        Control control;
        append(control, SOL_IP, IP_RECVERR, &error, sizeof(error), claimed);
        EXPECT_EQ(parse_completion(control).has_value(), claimed > whole.size()) << claimed;
    }
}

}  // namespace
}  // namespace devmem
