// SPDX-License-Identifier: MIT
#include "session_core.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "devmem/error.h"
#include "devmem/header_split.h"
#include "nic_undo.h"
#include "queue_choice.h"

namespace devmem {
namespace {

bool contains(std::span<const std::uint32_t> queues, std::uint32_t queue) {
    return std::ranges::find(queues, queue) != queues.end();
}

NicIdentity identity_of(Nic& nic) {
    auto identity = nic.identity();
    if (!identity) throw Error(ENODEV, "find interface");
    return *identity;
}

std::uint32_t most_receiving(const Channels& channels) {
    return channels.combined_max > 0 ? channels.rx + channels.combined_max : channels.rx_max;
}

// More queues are of the kind that the NIC has.
ChannelsChange more_receiving(const Channels& now, std::uint32_t queues) {
    if (now.combined_max > 0) return {.combined = queues - now.rx};
    return {.rx = queues};
}

ChannelsChange as_before(const Channels& now) {
    return more_receiving(now, now.receiving());
}

std::vector<std::uint32_t> check_queues(std::vector<std::uint32_t> wanted,
                                        std::span<const std::uint32_t> taken, std::uint32_t most,
                                        const std::string& call) {
    std::ranges::sort(wanted);
    for (const std::uint32_t queue : wanted) {
        if (queue >= most) throw Error(ERANGE, call + std::to_string(queue));
        if (contains(taken, queue)) throw Error(EBUSY, call + std::to_string(queue));
    }
    return wanted;
}

std::vector<std::uint32_t> queues_for(Nic& nic, const Journal& journal, const NicOptions& options) {
    const Channels now = nic.channels();
    const auto taken = taken_queues(nic, journal);
    const std::uint32_t most = most_receiving(now);
    if (!options.exactly.empty())
        return check_queues(options.exactly, taken, most,
                            "take queue of " + journal.nic.name + ", ");
    auto queues = choose_queues(options.queues, taken, now.receiving(), most);
    if (queues.empty()) throw Error(EBUSY, "choose queues of " + journal.nic.name);
    return queues;
}

template <class Value>
void note_once(std::optional<Value>& before, const std::optional<Value>& now) {
    if (!before) before = now;
}

void note_rings(Nic& nic, Journal& journal) {
    const Rings now = nic.rings();
    if (!now.data_split)
        throw Error(EOPNOTSUPP, "set rings of " + journal.nic.name, "no tcp-data-split");
    const RingsChange wanted = wanted_rings(now);
    if (wanted.data_split) note_once(journal.rings.data_split, now.data_split);
    if (wanted.hds_thresh) note_once(journal.rings.hds_thresh, now.hds_thresh);
}

// The driver may spread RSS over new channels, so then the table is noted too.
void note_queues(Nic& nic, Journal& journal, std::uint32_t needed) {
    const Channels now = nic.channels();
    const auto table = nic.rss_table();
    const auto wanted = spread_table(nic, journal, std::max(needed, now.receiving()));
    if (wanted.empty())
        throw Error(EINVAL, "set RSS table of " + journal.nic.name,
                    "no queue would be left for other traffic");
    const bool more = needed > now.receiving();
    if (more && journal.channels == ChannelsChange{}) journal.channels = as_before(now);
    if ((more || wanted != table) && journal.rss_table.empty()) journal.rss_table = table;
}

void change_rings(Nic& nic) {
    const RingsChange wanted = wanted_rings(nic.rings());
    if (wanted != RingsChange{}) nic.set_rings(wanted);
}

void change_queues(Nic& nic, const Journal& journal, std::uint32_t needed) {
    const Channels now = nic.channels();
    if (needed > now.receiving()) nic.set_channels(more_receiving(now, needed));
    spread_rss(nic, journal);
}

}  // namespace

bool is_gone(Nic& nic, const NicIdentity& was) {
    if (was.boot != boot_id()) return true;
    if (was.netns != netns_inode())
        throw Error(ENODEV,
                    "restore " + was.name + " of network namespace " + std::to_string(was.netns));
    const auto now = nic.identity();
    return !now || !same_nic(*now, was);
}

SessionCore::SessionCore(std::unique_ptr<Nic> nic, const NicOptions& options)
    : nic_(std::move(nic)),
      identity_(identity_of(*nic_)),
      folder_(options.journals),
      id_(folder_.join()) {
    try {
        begin(options);
        for (const Flow& flow : options.flows) steer(flow, {});
    } catch (const std::exception&) {
        restore_quietly();
        throw;
    }
}

SessionCore::~SessionCore() {
    restore_quietly();
}

void SessionCore::restore_quietly() noexcept {
    try {
        restore();
    } catch (const std::exception&) {  // nobody left to tell
    }
}

// All that is to be changed is noted at once: to put back what was not changed does no harm.
void SessionCore::begin(const NicOptions& options) {
    const auto turn = folder_.turn(identity_);
    Journal journal = fresh_journal();
    queues_ = queues_for(*nic_, journal, options);
    const std::uint32_t needed = queues_.back() + 1;
    journal.sessions.push_back({.id = id_, .queues = queues_});
    note_rings(*nic_, journal);
    note_queues(*nic_, journal, needed);
    folder_.save(journal);
    change_rings(*nic_);
    change_queues(*nic_, journal, needed);
}

// What goes on, and not what somebody else has left.
Journal SessionCore::fresh_journal() {
    auto journal = JournalFolder::load(folder_.journal_of(identity_));
    if (!journal || !same_nic(journal->nic, identity_)) return {.nic = identity_};
    NicUndo(*nic_, folder_, *journal).run();
    return *journal;
}

Journal SessionCore::own_journal() const {
    const auto file = folder_.journal_of(identity_);
    auto journal = JournalFolder::load(file);
    if (!journal || !mine(*journal)) throw Error(ENOENT, "find session in " + file.string());
    return *journal;
}

JournalSession* SessionCore::mine(Journal& journal) const {
    const auto found = std::ranges::find(journal.sessions, id_, &JournalSession::id);
    return found == journal.sessions.end() ? nullptr : &*found;
}

void SessionCore::steer(const Flow& flow, std::optional<std::uint32_t> queue) {
    if (queue && !contains(queues_, *queue))
        throw Error(EINVAL, "steer to queue " + std::to_string(*queue) + " of " + identity_.name);
    const auto turn = folder_.turn(identity_);
    Journal journal = own_journal();
    start_steering(journal);
    if (!queue && queues_.size() > 1) add_context(journal);
    if (!queue && !mine(journal)->context) queue = queues_[next_queue_++ % queues_.size()];
    add_rule(journal, {.flow = flow, .queue = queue, .others = nic_->rules()});
}

// Few NICs can have one, so any refusal only means to do without.
void SessionCore::add_context(Journal& journal) {
    auto& context = mine(journal)->context;
    if (context || no_contexts_) return;
    context.emplace();
    for (const RssContext& other : nic_->rss_contexts()) context->others.push_back(other.id);
    folder_.save(journal);
    try {
        context->id = nic_->add_rss_context(queues_);
        context->others.clear();
    } catch (const Error&) {
        no_contexts_ = true;
        context.reset();
    }
    folder_.save(journal);
}

void SessionCore::start_steering(Journal& journal) {
    if (nic_->steers()) return;
    journal.steering_was_off = true;
    folder_.save(journal);
    nic_->set_steers(true);
}

// Where the rule will be is known only when it is there.
void SessionCore::add_rule(Journal& journal, const JournalRule& rule) {
    auto& rules = mine(journal)->rules;
    rules.push_back(rule);
    folder_.save(journal);
    try {
        rules.back().location = nic_->add_rule(rule.flow, target_of(rule, *mine(journal)));
    } catch (const Error&) {
        rules.pop_back();
        folder_.save(journal);
        throw;
    }
    rules.back().others.clear();
    folder_.save(journal);
}

void SessionCore::restore() {
    if (over_) return;
    const auto turn = folder_.turn(identity_);
    auto journal = JournalFolder::load(folder_.journal_of(identity_));
    over_ = !journal || is_gone(*nic_, identity_);
    if (!journal) return;
    if (over_) return folder_.remove(identity_);
    NicUndo undo(*nic_, folder_, *journal);
    undo.run();
    if (!undo.failed().empty()) throw undo.failed().front();
    over_ = true;
}

}  // namespace devmem
