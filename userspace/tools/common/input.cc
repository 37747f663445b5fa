// SPDX-License-Identifier: MIT
#include "input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "devmem/error.h"

namespace {

devmem::Fd open_file(const std::string& path) {
    devmem::Fd file(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
    struct stat info {};
    if (!file.is_open() || ::fstat(file.get(), &info) != 0) devmem::throw_errno("open " + path);
    if (S_ISDIR(info.st_mode)) throw devmem::Error(EISDIR, "open " + path);
    return file;
}

}  // namespace

Input::Input(const std::string& path)
    : name_(path == "-" ? "standard input" : path),
      file_(path == "-" ? devmem::Fd::duplicate(STDIN_FILENO) : open_file(path)) {}

std::size_t Input::read(std::span<std::byte> into, const Waiter& waiter) const {
    for (;;) {
        waiter.wait(file_.get(), POLLIN);
        const ssize_t got = ::read(file_.get(), into.data(), into.size());
        if (got >= 0) return static_cast<std::size_t>(got);
        if (errno != EAGAIN && errno != EINTR) devmem::throw_errno("read " + name_);
    }
}

Outflow::Filler from_input(const Input& input, const devmem::DmaBuf& memory, const Waiter& waiter) {
    return [&, bytes = std::vector<std::byte>()](devmem::Extent slot) mutable {
        bytes.resize(slot.length);
        const auto got = std::span(bytes).first(input.read(bytes, waiter));
        if (const auto error = memory.to_device(slot.offset, got))
            throw std::system_error(error, "copy to device memory");
        return got.size();
    };
}
