// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devmem/export.h"
#include "devmem/flow_rule.h"

namespace devmem {

class SessionCore;

/// Where sessions note what is to be put back, if not told otherwise. A file system that a reboot
/// empties is the right place: a NIC does not remember either.
inline constexpr const char* default_journals = "/run/devmem";

struct NicOptions {
    std::uint32_t queues = 1;                 ///< how many; the highest that nobody uses are taken
    std::vector<std::uint32_t> exactly = {};  ///< these queues instead
    std::vector<Flow> flows = {};             ///< to be steered to them, as steer() does
    std::string journals = default_journals;  ///< a folder, made with mode 0700 if there is none
};

/// A NIC made ready to receive into device memory, for as long as this lives: header split on and
/// hds-thresh 0, queues that RSS leaves alone, and flows steered to them.
///
/// It changes only what is not right already, and puts that back as it was: when it is destroyed,
/// or after a crash or kill -9 when the next session begins on this NIC or restore_abandoned() is
/// called (the command is `devmem restore`). For this it notes each change in a journal on disk
/// before it makes it. If it runs out of queues it adds channels, as many as it lacks.
///
/// Sessions on one NIC, in any number of programs, take different queues as long as they use one
/// journal folder; what they share goes back when the last one ends.
///
/// Make it before the RxBinding and let that go first: the kernel refuses to turn header split off
/// while a queue is bound. Belongs to one thread at a time. Its thread must be in the interface's
/// network namespace, and a child that it forks must not outlive it unless it calls exec: it
/// would keep the session alive.
class DEVMEM_API NicSession {
  public:
    /// Needs CAP_NET_ADMIN. If it throws, the NIC is as before. Throws Error; EOPNOTSUPP (the
    /// driver can't), EBUSY (no queue is free, or one of `exactly` is not), ERANGE (no such queue),
    /// EINVAL (no queue would be left for other traffic), EBADMSG (there is a journal that makes
    /// no sense), and what the kernel refuses a change with.
    explicit NicSession(std::uint32_t ifindex, const NicOptions& options = {});
    /// As restore(); of an error only the journal is left, for restore_abandoned() to try again.
    ~NicSession();
    NicSession(NicSession&& other) noexcept;
    NicSession& operator=(NicSession&& other) noexcept;

    /// The queues to bind, in ascending order.
    [[nodiscard]] std::span<const std::uint32_t> queues() const noexcept;
    /// Steers flows to the queues, for as long as this lives: to queue, which must be one of
    /// queues(). Else RSS spreads them over all queues, in a context of its own; where the NIC
    /// can't do that, one call after the other takes the next queue. Throws Error; EOPNOTSUPP (the
    /// NIC can't steer such flows), ENOSPC (its table is full).
    void steer(const Flow& flow, std::optional<std::uint32_t> queue = {});
    /// Puts all back now. Throws the first Error after it has tried everything; may be called
    /// again then.
    void restore();

  private:
    std::unique_ptr<SessionCore> core_;
};

/// What restore_abandoned() did about one NIC.
struct Restored {
    std::string journal;                   ///< the file
    std::string interface = {};            ///< its name then; empty if the journal makes no sense
    std::vector<std::string> done = {};    ///< what was put back: "header split"
    std::vector<std::string> failed = {};  ///< what was not, and why; the journal stays
};

/// Puts back what sessions have left that ended without doing so, in all NICs of this network
/// namespace. What live sessions use stays as it is. May be called at any time, and again.
///
/// Returns what there was to do: nothing if no session was abandoned. Needs CAP_NET_ADMIN. Throws
/// Error if the folder can't be read; a folder that is not there holds no journals.
DEVMEM_API std::vector<Restored> restore_abandoned(const std::string& journals = default_journals);

}  // namespace devmem
