// SPDX-License-Identifier: MIT
#include "output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "devmem/error.h"

namespace {

bool is_pipe_or_terminal(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode));
}

// A write that blocks would hold up signals. A descriptor is as blocking as all that are copies of
// it, so a pipe is opened anew.
devmem::Fd standard_output() {
    if (is_pipe_or_terminal(STDOUT_FILENO)) {
        devmem::Fd again(::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (again.is_open()) return again;
    }
    return devmem::Fd::duplicate(STDOUT_FILENO);
}

devmem::Fd open_file(const std::string& path) {
    devmem::Fd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666));
    if (!file.is_open()) devmem::throw_errno("open " + path);
    if (is_pipe_or_terminal(file.get())) ::fcntl(file.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
    return file;
}

}  // namespace

Output::Output(const std::string& path)
    : name_(path == "-" ? "standard output" : path),
      file_(path == "-" ? standard_output() : open_file(path)) {}

void Output::write(std::span<const std::byte> bytes, const Waiter& waiter) const {
    if (!file_.is_open()) return;
    while (!bytes.empty()) {
        const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
        if (written >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            waiter.wait(file_.get(), POLLOUT);
        } else if (errno != EINTR) {
            devmem::throw_errno("write to " + name_);
        }
    }
}

void Output::close() try {
    if (file_.is_open()) file_.close();
} catch (const devmem::Error& error) {
    throw devmem::Error(error.code().value(), "close " + name_);
}
