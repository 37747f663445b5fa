// SPDX-License-Identifier: MIT
#include "c_error.h"
#include "c_options.h"
#include "devmem/nic_session.h"

struct devmem_nic_session {
    devmem::NicSession session;
};

namespace {

using devmem::Flow;
using devmem::guarded;

devmem::NicOptions options_of(const devmem_nic_options* given) {
    const devmem_nic_options known = devmem::read_options(given);
    devmem::NicOptions options;
    if (known.queues > 0) options.queues = static_cast<std::uint32_t>(known.queues);
    if (known.exactly) options.exactly.assign(known.exactly, known.exactly + options.queues);
    if (known.journals) options.journals = known.journals;
    return options;
}

Flow flow_of(const devmem_flow* given) {
    const devmem_flow known = devmem::read_options(given);
    Flow flow;
    if (known.udp) flow.protocol = Flow::Protocol::udp;
    flow.v6 = known.ipv6;
    if (known.source) flow.source.emplace(known.source);
    if (known.destination) flow.destination.emplace(known.destination);
    if (known.source_port > 0) flow.source_port = known.source_port;
    if (known.destination_port > 0) flow.destination_port = known.destination_port;
    return flow;
}

std::optional<std::uint32_t> optional(const uint32_t* queue) {
    return queue ? std::optional(*queue) : std::nullopt;
}

}  // namespace

int devmem_nic_session_new(uint32_t ifindex, const devmem_nic_options* options,
                           devmem_nic_session** session, devmem_error** error) {
    return guarded(error, [&] {
        *session = new devmem_nic_session{devmem::NicSession(ifindex, options_of(options))};
    });
}

size_t devmem_nic_session_queues(const devmem_nic_session* session, const uint32_t** queues) {
    const auto all = session->session.queues();
    *queues = all.data();
    return all.size();
}

int devmem_nic_session_steer(devmem_nic_session* session, const devmem_flow* flow,
                             const uint32_t* queue, devmem_error** error) {
    return guarded(error, [&] { session->session.steer(flow_of(flow), optional(queue)); });
}

int devmem_nic_session_steer_port(devmem_nic_session* session, uint16_t port,
                                  devmem_error** error) {
    return guarded(error, [&] {
        for (const Flow& flow : devmem::flows_to_port(port)) session->session.steer(flow);
    });
}

int devmem_nic_session_steer_socket(devmem_nic_session* session, int socket, const uint32_t* queue,
                                    devmem_error** error) {
    return guarded(error,
                   [&] { session->session.steer(devmem::flow_of(socket), optional(queue)); });
}

int devmem_nic_session_restore(devmem_nic_session* session, devmem_error** error) {
    return guarded(error, [&] { session->session.restore(); });
}

void devmem_nic_session_free(devmem_nic_session* session) {
    delete session;
}
