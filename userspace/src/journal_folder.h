// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "devmem/fd.h"
#include "journal.h"

namespace devmem {

/// Where the journals are, one file for each NIC that was changed, and who may write them.
///
/// All is done with record locks on one file that has no content. They belong to this object (open
/// file description locks), so they part threads of one program as well as programs, and they end
/// with the program, however it ends. A child that was forked and runs no other program holds them
/// too. Everything throws Error.
class JournalFolder {
  public:
    /// Makes the folder, 0700, if there is none. Refuses one that others may write: what is in it
    /// is done to NICs.
    explicit JournalFolder(const std::filesystem::path& folder);

    /// The right to change a NIC and its journal.
    class Turn {
      public:
        Turn(int locks, std::int64_t place);
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

      private:
        int locks_;
        std::int64_t place_;
    };
    /// Waits for it. One at a time with each object.
    [[nodiscard]] Turn turn(const NicIdentity& nic) const;

    /// The number of a new session, which is alive for as long as this object.
    [[nodiscard]] std::uint64_t join() const;
    /// Whether a session of another object is.
    [[nodiscard]] bool alive(std::uint64_t session) const;

    /// Those that are there.
    [[nodiscard]] std::vector<std::filesystem::path> journals() const;
    [[nodiscard]] std::filesystem::path journal_of(const NicIdentity& nic) const;
    /// Nothing if there is no such file. Throws Error (EBADMSG) if it makes no sense.
    static std::optional<Journal> load(const std::filesystem::path& file);
    /// Replaces the whole file or, if this fails, nothing.
    void save(const Journal& journal) const;
    void remove(const NicIdentity& nic) const;

  private:
    std::filesystem::path folder_;
    Fd locks_;
};

}  // namespace devmem
