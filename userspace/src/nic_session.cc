// SPDX-License-Identifier: MIT
#include "devmem/nic_session.h"

#include "nic.h"
#include "restore.h"
#include "session_core.h"

namespace devmem {

NicSession::NicSession(std::uint32_t ifindex, const NicOptions& options)
    : core_(std::make_unique<SessionCore>(kernel_nic(ifindex), options)) {}

NicSession::~NicSession() = default;
NicSession::NicSession(NicSession&&) noexcept = default;
NicSession& NicSession::operator=(NicSession&&) noexcept = default;

std::span<const std::uint32_t> NicSession::queues() const noexcept {
    return core_->queues();
}

void NicSession::steer(const Flow& flow, std::optional<std::uint32_t> queue) {
    core_->steer(flow, queue);
}

void NicSession::restore() {
    core_->restore();
}

std::vector<Restored> restore_abandoned(const std::string& journals) {
    return restore_abandoned(journals, kernel_nic);
}

}  // namespace devmem
