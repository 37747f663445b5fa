// SPDX-License-Identifier: MIT
#include "devmem/fd.h"

#include <fcntl.h>
#include <unistd.h>

#include "devmem/error.h"

namespace devmem {

// Linux frees the descriptor even when close() says EINTR, so it is never called again: by then
// another thread may own the number. See close(2), "Dealing with error returns from close()".
Fd::~Fd() {
    if (is_open()) ::close(fd_);
}

Fd Fd::duplicate(int fd) {
    Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy.is_open()) throw_errno("fcntl(F_DUPFD_CLOEXEC)");
    return copy;
}

void Fd::close() {
    if (is_open() && ::close(release()) < 0) throw_errno("close");
}

}  // namespace devmem
