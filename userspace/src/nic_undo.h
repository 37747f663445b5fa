// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "devmem/error.h"
#include "journal_folder.h"
#include "nic.h"

namespace devmem {

/// Takes back what a journal says, step by step: a step that fails leaves its part in the journal,
/// and the others are taken all the same. All steps may be repeated: after a crash in the middle
/// the next one starts over. For whoever has the Turn.
class NicUndo {
  public:
    NicUndo(Nic& nic, const JournalFolder& folder, Journal& journal)
        : nic_(nic), folder_(folder), journal_(journal) {}

    /// Ends the sessions of which nobody is alive but the caller, and puts the settings that all
    /// share back if no session is left. Then the journal is as it should be, on disk too. Throws
    /// Error if that can't be written.
    void run();

    /// What was put back.
    [[nodiscard]] const std::vector<std::string>& done() const { return done_; }
    /// Why the rest was not.
    [[nodiscard]] const std::vector<Error>& failed() const { return failed_; }

  private:
    template <class Step>
    bool attempt(const std::string& what, Step step);
    void end(JournalSession& session);
    void remove(const JournalRule& rule, const JournalSession& session);
    void remove_context(const JournalSession& session);
    void put_back_shared();
    void put_back_queues();
    void put_back_rings();

    Nic& nic_;
    const JournalFolder& folder_;
    Journal& journal_;
    std::vector<std::string> done_;
    std::vector<Error> failed_;
};

RuleTarget target_of(const JournalRule& rule, const JournalSession& session);

/// The queues of all sessions, and those that a stranger has bound.
std::vector<std::uint32_t> taken_queues(Nic& nic, const Journal& journal);

/// Keeps RSS away from these.
void spread_rss(Nic& nic, const Journal& journal);

/// The table that does so; empty if no queue would be left for others.
std::vector<std::uint32_t> spread_table(Nic& nic, const Journal& journal, std::uint32_t receiving);

}  // namespace devmem
