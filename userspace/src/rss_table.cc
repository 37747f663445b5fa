// SPDX-License-Identifier: MIT
#include "devmem/rss_table.h"

#include <linux/ethtool.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "ethtool_ioctl.h"

namespace devmem {
namespace {

// struct ethtool_rxfh_indir ends in the table, so it lives in words: command, size, entries.
constexpr std::size_t head = offsetof(ethtool_rxfh_indir, ring_index) / sizeof(std::uint32_t);
static_assert(head == 2);

// struct ethtool_rxfh in words, with its table behind it. A size of 0 removes a context.
std::vector<std::uint32_t> rxfh_request(std::uint32_t command, std::uint32_t context,
                                        std::size_t entries) {
    ethtool_rxfh request{};
    static_assert(sizeof(request) % sizeof(std::uint32_t) == 0);
    request.cmd = command;
    request.rss_context = context;
    request.indir_size = static_cast<std::uint32_t>(entries);
    std::vector<std::uint32_t> words(sizeof(request) / sizeof(std::uint32_t) + entries);
    std::memcpy(words.data(), &request, sizeof(request));
    return words;
}

ethtool_rxfh rxfh_answer(const std::vector<std::uint32_t>& words) {
    ethtool_rxfh answer{};
    std::memcpy(&answer, words.data(), sizeof(answer));
    return answer;
}

// 0 or errno. The first question is for the size alone.
int read_context(std::uint32_t ifindex, RssContext& context) {
    auto words = rxfh_request(ETHTOOL_GRSSH, context.id, 0);
    if (const int error = try_ethtool_ioctl(ifindex, words.data())) return error;
    const std::size_t entries = rxfh_answer(words).indir_size;
    words = rxfh_request(ETHTOOL_GRSSH, context.id, entries);
    if (const int error = try_ethtool_ioctl(ifindex, words.data())) return error;
    context.table.assign(words.end() - static_cast<std::ptrdiff_t>(entries), words.end());
    return 0;
}

bool contains(std::span<const std::uint32_t> queues, std::uint32_t queue) {
    return std::ranges::find(queues, queue) != queues.end();
}

}  // namespace

std::vector<std::uint32_t> rss_table(std::uint32_t ifindex) {
    std::vector<std::uint32_t> words{ETHTOOL_GRXFHINDIR, 0};
    ethtool_ioctl(ifindex, words.data(), "get RSS table");  // answers the size
    words.resize(head + words[1]);
    ethtool_ioctl(ifindex, words.data(), "get RSS table");
    words.erase(words.begin(), words.begin() + head);
    return words;
}

void set_rss_table(std::uint32_t ifindex, std::span<const std::uint32_t> table) {
    std::vector<std::uint32_t> words{ETHTOOL_SRXFHINDIR, static_cast<std::uint32_t>(table.size())};
    words.insert(words.end(), table.begin(), table.end());
    ethtool_ioctl(ifindex, words.data(), "set RSS table");
}

// Old kernels can't list them, so each is asked for; NICs have few.
std::vector<RssContext> rss_contexts(std::uint32_t ifindex) {
    constexpr std::uint32_t most = 255;
    std::vector<RssContext> contexts;
    for (std::uint32_t id = 1; id <= most; ++id) {
        RssContext context{id};
        const int error = read_context(ifindex, context);
        if (error == EOPNOTSUPP) break;
        if (error == 0 && !context.table.empty()) contexts.push_back(std::move(context));
    }
    return contexts;
}

std::uint32_t add_rss_context(std::uint32_t ifindex, std::span<const std::uint32_t> queues) {
    const std::size_t entries = rss_table(ifindex).size();
    auto words = rxfh_request(ETHTOOL_SRSSH, ETH_RXFH_CONTEXT_ALLOC, entries);
    const std::size_t table = words.size() - entries;
    for (std::size_t i = 0; i < entries; ++i) words[table + i] = queues[i % queues.size()];
    ethtool_ioctl(ifindex, words.data(), "add RSS context");
    return rxfh_answer(words).rss_context;
}

void remove_rss_context(std::uint32_t ifindex, std::uint32_t id) {
    auto words = rxfh_request(ETHTOOL_SRSSH, id, 0);
    ethtool_ioctl(ifindex, words.data(), "remove RSS context");
}

// As the kernel defines it: ethtool_rxfh_indir_default().
bool rss_is_default(std::span<const std::uint32_t> table, std::uint32_t queues) {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (queues == 0 || table[i] != i % queues) return false;
    return true;
}

std::vector<std::uint32_t> rss_without(std::span<const std::uint32_t> table,
                                       std::span<const std::uint32_t> queues, std::uint32_t total) {
    std::vector<std::uint32_t> others;
    for (std::uint32_t queue = 0; queue < total; ++queue)
        if (!contains(queues, queue)) others.push_back(queue);
    if (others.empty()) return {};

    std::vector<std::uint32_t> result(table.begin(), table.end());
    std::size_t next = 0;
    for (std::uint32_t& entry : result)
        if (contains(queues, entry)) entry = others[next++ % others.size()];
    return result;
}

}  // namespace devmem
