// SPDX-License-Identifier: MIT
#include "nic_undo.h"

#include <algorithm>

#include "devmem/rss_table.h"

namespace devmem {
namespace {

bool contains(std::span<const std::uint32_t> numbers, std::uint32_t number) {
    return std::ranges::find(numbers, number) != numbers.end();
}

// A part of a setting goes back only if it is not as it was: some NICs stop for each change.
template <class Value>
std::optional<Value> if_different(const std::optional<Value>& before, const auto& now) {
    return before && before != now ? before : std::nullopt;
}

}  // namespace

RuleTarget target_of(const JournalRule& rule, const JournalSession& session) {
    if (rule.queue) return {*rule.queue};
    return {.rss_context = session.context ? session.context->id.value_or(0) : 0};
}

std::vector<std::uint32_t> taken_queues(Nic& nic, const Journal& journal) {
    auto taken = nic.bound_queues();
    for (const JournalSession& session : journal.sessions)
        taken.insert(taken.end(), session.queues.begin(), session.queues.end());
    return taken;
}

std::vector<std::uint32_t> spread_table(Nic& nic, const Journal& journal, std::uint32_t receiving) {
    const auto& before = journal.rss_table;
    return rss_without(before.empty() ? nic.rss_table() : before, taken_queues(nic, journal),
                       receiving);
}

void spread_rss(Nic& nic, const Journal& journal) {
    const auto wanted = spread_table(nic, journal, nic.channels().receiving());
    if (wanted != nic.rss_table()) nic.set_rss_table(wanted);
}

void NicUndo::run() {
    const auto over = [&](const JournalSession& session) { return !folder_.alive(session.id); };
    for (JournalSession& session : journal_.sessions)
        if (over(session)) end(session);
    const auto ended = std::erase_if(journal_.sessions, [&](const JournalSession& session) {
        return session.rules.empty() && over(session);
    });
    if (journal_.sessions.empty())
        put_back_shared();
    else if (ended > 0 && !journal_.rss_table.empty())
        attempt("RSS table for the sessions that go on", [&] { spread_rss(nic_, journal_); });

    if (journal_.sessions.empty() && !journal_.changed())
        folder_.remove(journal_.nic);
    else if (!done_.empty() || ended > 0)
        folder_.save(journal_);
}

template <class Step>
bool NicUndo::attempt(const std::string& what, Step step) try {
    step();
    done_.push_back(what);
    return true;
} catch (const Error& error) {
    failed_.push_back(error);
    return false;
}

// A context that a rule sends flows to can't go, so it comes last.
void NicUndo::end(JournalSession& session) {
    std::erase_if(session.rules, [&](const JournalRule& rule) {
        return attempt("steering rule", [&] { remove(rule, session); });
    });
    if (session.context && session.rules.empty() &&
        attempt("RSS context", [&] { remove_context(session); }))
        session.context.reset();
}

// Somebody else may have removed it, and another one may stand in its place.
void NicUndo::remove(const JournalRule& rule, const JournalSession& session) {
    const auto to = target_of(rule, session);
    const auto places = rule.location ? std::vector{*rule.location} : nic_.rules();
    for (const std::uint32_t place : places) {
        if (contains(rule.others, place) || !nic_.has_rule(place, rule.flow, to)) continue;
        nic_.remove_rule(place);
        return;
    }
}

// It is known by its queues, which are this session's alone.
void NicUndo::remove_context(const JournalSession& session) {
    for (const RssContext& context : nic_.rss_contexts()) {
        const bool ours = session.context->id ? context.id == *session.context->id
                                              : !contains(session.context->others, context.id);
        const auto taken = [&](std::uint32_t queue) { return contains(session.queues, queue); };
        if (ours && std::ranges::all_of(context.table, taken)) nic_.remove_rss_context(context.id);
    }
}

void NicUndo::put_back_shared() {
    if ((!journal_.rss_table.empty() || journal_.channels != ChannelsChange{}) &&
        attempt("channels and RSS table", [&] { put_back_queues(); })) {
        journal_.rss_table.clear();
        journal_.channels = {};
    }
    if (journal_.steering_was_off && attempt("n-tuple steering", [&] { nic_.set_steers(false); }))
        journal_.steering_was_off = false;
    if ((journal_.rings.data_split || journal_.rings.hds_thresh) &&
        attempt("header split", [&] { put_back_rings(); }))
        journal_.rings = {};
}

// The table comes before the channels, for a queue that it names can't go. But a table that was set
// by hand pins their number in its turn, so a default is put back as one, afterwards.
void NicUndo::put_back_queues() {
    const auto& table = journal_.rss_table;
    if (journal_.channels != ChannelsChange{}) {
        if (!table.empty()) nic_.set_rss_table(table);
        nic_.set_channels(journal_.channels);
    }
    if (table.empty()) return;
    const bool was_default = rss_is_default(table, nic_.channels().receiving());
    nic_.set_rss_table(was_default ? std::span<const std::uint32_t>() : table);
}

void NicUndo::put_back_rings() {
    const Rings now = nic_.rings();
    const RingsChange change{.data_split = if_different(journal_.rings.data_split, now.data_split),
                             .hds_thresh = if_different(journal_.rings.hds_thresh, now.hds_thresh)};
    if (change != RingsChange{}) nic_.set_rings(change);
}

}  // namespace devmem
