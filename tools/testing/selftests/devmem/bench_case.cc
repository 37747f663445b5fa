// SPDX-License-Identifier: GPL-2.0
#include "bench_case.h"

#include <stdexcept>
#include <vector>

#include <fmt/core.h>

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
constexpr Way send_ways[] = {
    {"copy from the device, send", "copy"},
    {"copy from the device, MSG_ZEROCOPY", "zerocopy"},
    {"devmem, libdevmem", "library"},
};
constexpr unsigned mtus[] = {1500, 4096, 9000};

void add_ways(std::vector<Case>& all, unsigned mtu) {
    for (const Way& way : receive_ways)
        all.push_back({.name = fmt::format("receive/{}/mtu {}", way.name, mtu),
                       .send = "host",
                       .receive = way.by,
                       .mtu = mtu});
    for (const Way& way : send_ways)
        all.push_back({.name = fmt::format("send/{}/mtu {}", way.name, mtu),
                       .send = way.by,
                       .receive = "discard",
                       .mtu = mtu});
}

void add_gro_hw(std::vector<Case>& all, unsigned mtu) {
    for (const Way& way : receive_ways)
        all.push_back({.name = fmt::format("receive/{}/mtu {}, rx-gro-hw", way.name, mtu),
                       .send = "host",
                       .receive = way.by,
                       .mtu = mtu,
                       .gro_hw = true});
}

void add_loop(std::vector<Case>& all, const Way& way, const char* loop, unsigned connections) {
    const char* plural = connections == 1 ? "" : "s";
    all.push_back(
        {.name = fmt::format("receive/{}/{}, {} connection{}", way.name, loop, connections, plural),
         .send = "host",
         .receive = way.by,
         .loop = loop,
         .connections = connections});
}

void add_loops(std::vector<Case>& all, unsigned connections) {
    add_loop(all, receive_ways[0], "epoll", connections);
    add_loop(all, receive_ways[1], "epoll", connections);
    add_loop(all, receive_ways[3], "epoll", connections);
    add_loop(all, receive_ways[3], "io_uring", connections);
}

void add_many_sends(std::vector<Case>& all) {
    for (const Way& way : send_ways)
        all.push_back({.name = fmt::format("send/{}/poll, 16 connections", way.name),
                       .send = way.by,
                       .receive = "discard",
                       .loop = "epoll",
                       .connections = 16});
}

void add_kept(std::vector<Case>& all, unsigned keep) {
    const char* plural = keep == 1 ? "" : "s";
    all.push_back({.name = fmt::format("receive/devmem, libdevmem/{} frag{} kept", keep, plural),
                   .send = "host",
                   .receive = "library",
                   .keep = keep});
}

std::vector<Case> make_cases() {
    std::vector<Case> all;
    for (const unsigned mtu : mtus) add_ways(all, mtu);
    for (const unsigned mtu : mtus) add_gro_hw(all, mtu);
    add_loops(all, 1);
    add_loops(all, 16);
    add_many_sends(all);
    for (const unsigned keep : {1U, 1000U, 10000U, 100000U}) add_kept(all, keep);
    for (const unsigned mebibytes : {1U, 16U, 256U})
        all.push_back({.name = fmt::format("bind/{} MiB", mebibytes),
                       .bind = std::uint64_t{mebibytes} << 20});
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
