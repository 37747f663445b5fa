// SPDX-License-Identifier: MIT
// For a file under test that only sends: its system calls go to one FakeSendKernel.
#pragma once

#include "fake_send_kernel.h"

namespace devmem::test {

inline FakeSendKernel* fake_send_kernel = nullptr;

inline ssize_t fake_sendmsg(int, const msghdr* message, int flags) {
    return fake_send_kernel->sendmsg(message, flags);
}
inline ssize_t fake_recvmsg(int, msghdr* message, int flags) {
    return fake_send_kernel->recvmsg(message, flags);
}
inline int fake_poll(pollfd* fds, nfds_t count, int timeout) {
    return fake_send_kernel->poll(fds, count, timeout);
}
inline int fake_setsockopt(int, int level, int name, const void* value, socklen_t) {
    return fake_send_kernel->setsockopt(level, name, value);
}

}  // namespace devmem::test

#define DEVMEM_SYS(call) ::devmem::test::fake_##call
