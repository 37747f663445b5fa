// SPDX-License-Identifier: MIT
// For a file under test that only receives: its system calls go to one FakeKernel.
#pragma once

#include "fake_kernel.h"

namespace devmem::test {

inline FakeKernel* fake_kernel = nullptr;

inline ssize_t fake_recvmsg(int, msghdr* message, int flags) {
    return fake_kernel->recvmsg(message, flags);
}
inline int fake_setsockopt(int, int, int, const void* value, socklen_t length) {
    return fake_kernel->dontneed(value, length);
}
inline int fake_poll(pollfd*, nfds_t count, int) {
    return fake_kernel->poll(count);
}
inline int fake_fcntl(int, int) {
    return fake_kernel->file_flags;
}

}  // namespace devmem::test

#define DEVMEM_SYS(call) ::devmem::test::fake_##call
