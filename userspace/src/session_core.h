// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devmem/nic_session.h"
#include "journal_folder.h"
#include "nic.h"

namespace devmem {

/// A NicSession, on any Nic.
class SessionCore {
  public:
    SessionCore(std::unique_ptr<Nic> nic, const NicOptions& options);
    ~SessionCore();
    SessionCore(const SessionCore&) = delete;
    SessionCore& operator=(const SessionCore&) = delete;

    [[nodiscard]] std::span<const std::uint32_t> queues() const noexcept { return queues_; }
    void steer(const Flow& flow, std::optional<std::uint32_t> queue);
    void restore();

  private:
    void begin(const NicOptions& options);
    Journal fresh_journal();
    Journal own_journal() const;
    JournalSession* mine(Journal& journal) const;
    void start_steering(Journal& journal);
    void add_context(Journal& journal);
    void add_rule(Journal& journal, const JournalRule& rule);
    void restore_quietly() noexcept;

    std::unique_ptr<Nic> nic_;
    NicIdentity identity_;
    JournalFolder folder_;
    std::uint64_t id_;
    std::vector<std::uint32_t> queues_;
    std::size_t next_queue_ = 0;
    bool no_contexts_ = false;
    bool over_ = false;
};

/// Whether a NIC is no more. Throws Error (ENODEV) if it is in a network namespace that can't be
/// seen from here.
bool is_gone(Nic& nic, const NicIdentity& was);

}  // namespace devmem
