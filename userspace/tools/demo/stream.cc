// SPDX-License-Identifier: MIT
#include "stream.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <random>
#include <system_error>

#include "devmem/error.h"
#include "devmem/fd.h"

namespace {

constexpr std::size_t period = 1048573;

std::span<std::byte> map_file(const std::string& path) {
    const devmem::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd.is_open() || ::fstat(fd.get(), &info) != 0) devmem::throw_errno("open " + path);
    if (info.st_size == 0) throw devmem::Error(EINVAL, "send " + path, "the file is empty");
    const auto size = static_cast<std::size_t>(info.st_size);
    void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (at == MAP_FAILED) devmem::throw_errno("mmap " + path);
    return {static_cast<std::byte*>(at), size};
}

}  // namespace

Stream::Stream(std::uint64_t size) : size_(size), pattern_(2 * period) {
    std::minstd_rand random(1);
    const auto middle = pattern_.begin() + period;
    std::generate(pattern_.begin(), middle, [&] { return static_cast<std::byte>(random() >> 8); });
    std::copy(pattern_.begin(), middle, middle);
}

Stream::Stream(const std::string& path) : size_(0), file_(map_file(path)) {
    size_ = file_.size();
}

Stream::~Stream() {
    if (!file_.empty()) ::munmap(file_.data(), file_.size());
}

std::span<const std::byte> Stream::at(std::uint64_t position, std::size_t most) const {
    const auto left = std::min<std::uint64_t>(size_ - position, most);
    if (!file_.empty()) return file_.subspan(position, left);
    return std::span(pattern_).subspan(position % period, std::min<std::uint64_t>(left, period));
}
