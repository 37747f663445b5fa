// SPDX-License-Identifier: GPL-2.0
#include "bench_case.h"

#include <fmt/core.h>

#include <stdexcept>
#include <vector>

namespace {

struct Way {
    const char *name, *by;
};

// The headline's: of each way a blocking loop, and one connection.
constexpr Way receive_ways[] = {
    {"recv, copy to the device", "copy"},      {"devmem, a call for each token", "one by one"},
    {"devmem, 128 tokens a call", "batched"},  {"devmem, libdevmem", "library"},
    {"devmem, libdevmem, gathered", "gather"},
};
constexpr Way mapped = {"TCP_ZEROCOPY_RECEIVE, copy to the device", "map"};
constexpr Way send_ways[] = {
    {"copy from the device, send", "copy"},
    {"copy from the device, MSG_ZEROCOPY", "zerocopy"},
    {"devmem, libdevmem", "library"},
};
constexpr unsigned mtus[] = {1500, 4096, 9000};
constexpr unsigned mtu_of_a_page = 4096 + 52;  // the payload is one
constexpr std::uint64_t kibi = 1 << 10, mebi = 1 << 20;

Case receiving(const Way& way, const std::string& how) {
    return {.name = fmt::format("receive/{}/{}", way.name, how), .send = "host", .receive = way.by};
}

Case sending(const Way& way, const std::string& how) {
    return {.name = fmt::format("send/{}/{}", way.name, how), .send = way.by, .receive = "discard"};
}

void add_ways(std::vector<Case>& all, unsigned mtu) {
    for (const Way& way : receive_ways) {
        all.push_back(receiving(way, fmt::format("mtu {}", mtu)));
        all.back().mtu = mtu;
    }
    for (const Way& way : send_ways) {
        all.push_back(sending(way, fmt::format("mtu {}", mtu)));
        all.back().mtu = mtu;
    }
}

void add_gro_hw(std::vector<Case>& all, unsigned mtu) {
    for (const Way& way : receive_ways) {
        all.push_back(receiving(way, fmt::format("mtu {}, rx-gro-hw", mtu)));
        all.back().mtu = mtu;
        all.back().gro_hw = true;
    }
}

// Where a frame's payload is a page, and starts one.
void add_page_sized(std::vector<Case>& all) {
    for (const Way& way : {receive_ways[0], mapped, receive_ways[2], receive_ways[3]}) {
        all.push_back(receiving(way, fmt::format("mtu {}", mtu_of_a_page)));
        all.back().mtu = mtu_of_a_page;
    }
}

void add_large_niovs(std::vector<Case>& all, unsigned mtu, bool gro_hw) {
    for (const Way& way : {receive_ways[2], receive_ways[3]}) {
        all.push_back(receiving(
            way, fmt::format("mtu {}, {}niovs of 64 KiB", mtu, gro_hw ? "rx-gro-hw, " : "")));
        all.back().mtu = mtu;
        all.back().gro_hw = gro_hw;
        all.back().niov = 64 * kibi;
    }
}

void add_loop(std::vector<Case>& all, const Way& way, const char* loop, unsigned connections) {
    const char* plural = connections == 1 ? "" : "s";
    all.push_back(receiving(way, fmt::format("{}, {} connection{}", loop, connections, plural)));
    all.back().loop = loop;
    all.back().connections = connections;
}

void add_loops(std::vector<Case>& all, unsigned connections) {
    add_loop(all, receive_ways[0], "epoll", connections);
    add_loop(all, receive_ways[1], "epoll", connections);
    add_loop(all, receive_ways[2], "epoll", connections);
    add_loop(all, receive_ways[3], "epoll", connections);
    add_loop(all, receive_ways[3], "io_uring", connections);
}

void add_sends(std::vector<Case>& all) {
    for (const Way& way : send_ways) {
        all.push_back(sending(way, "mtu 1500, 1 MiB a call"));
        all.back().piece = mebi;
    }
    for (const Way& way : send_ways) {
        all.push_back(sending(way, "poll, 16 connections"));
        all.back().loop = "epoll";
        all.back().connections = 16;
    }
}

void add_kept(std::vector<Case>& all) {
    all.push_back(receiving(receive_ways[3], "1000 frags kept"));
    all.back().keep = 1000;
}

void add_frags(std::vector<Case>& all, std::uint64_t out) {
    all.push_back({.name = fmt::format("frag/{} tokens out", out),
                   .kind = Case::Kind::frag,
                   .keep = out,
                   .runs = out > 10000 ? 1U : 3U});
}

void add_sockets(std::vector<Case>& all, std::uint64_t sockets) {
    const char* plural = sockets == 1 ? "" : "s";
    all.push_back({.name = fmt::format("frag/{} socket{}", sockets, plural),
                   .kind = Case::Kind::sockets,
                   .connections = sockets,
                   .runs = sockets > 1000 ? 1U : 3U});
}

void add_memory(std::vector<Case>& all) {
    for (const Way& way : {receive_ways[0], receive_ways[2], receive_ways[3]})
        all.push_back({.name = fmt::format("memory/{}", way.name),
                       .kind = Case::Kind::memory,
                       .receive = way.by,
                       .connections = 256});
}

void add_bind(std::vector<Case>& all, std::uint64_t mebibytes, bool scattered) {
    const std::string size = mebibytes < 1024 ? fmt::format("{} MiB", mebibytes)
                                              : fmt::format("{} GiB", mebibytes / 1024);
    all.push_back({.name = fmt::format("bind/{}{}", size, scattered ? ", single pages" : ""),
                   .kind = Case::Kind::bind,
                   .bind = mebibytes * mebi,
                   .scattered = scattered,
                   .runs = mebibytes > 1024 ? 1U : 3U});
}

std::vector<Case> make_cases() {
    std::vector<Case> all;
    for (const unsigned mtu : mtus) add_ways(all, mtu);
    add_page_sized(all);
    for (const unsigned mtu : {1500U, 9000U}) add_gro_hw(all, mtu);
    for (const unsigned mtu : {1500U, 9000U})
        for (const bool gro_hw : {false, true}) add_large_niovs(all, mtu, gro_hw);
    add_loops(all, 1);
    add_loops(all, 16);
    add_sends(all);
    add_kept(all);
    for (const unsigned out : {1, 1000, 100000, 1000000}) add_frags(all, out);
    for (const unsigned sockets : {1, 100, 10000}) add_sockets(all, sockets);
    add_memory(all);
    for (const unsigned mebibytes : {1, 16, 256}) add_bind(all, mebibytes, false);
    for (const unsigned mebibytes : {1, 256, 1024, 4096, 16384}) add_bind(all, mebibytes, true);
    return all;
}

}  // namespace

std::span<const Case> all_cases() {
    static const std::vector<Case> all = make_cases();
    return all;
}

const Case& case_named(const std::string& name) {
    for (const Case& one : all_cases())
        if (one.name == name) return one;
    throw std::runtime_error("no case " + name);
}
