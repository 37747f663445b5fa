// SPDX-License-Identifier: MIT
#include "journal_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <string>

#include "devmem/error.h"

namespace devmem {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view extension = ".journal";
constexpr std::size_t largest_journal = 1 << 20;

Fd open_file(const fs::path& path, int flags) {
    Fd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) throw_errno("open " + path.string());
    return fd;
}

fs::path checked_folder(const fs::path& folder) {
    if (::mkdir(folder.c_str(), 0700) < 0 && errno != EEXIST)
        throw_errno("create journal folder " + folder.string());
    struct stat info {};
    if (::stat(folder.c_str(), &info) < 0) throw_errno("open journal folder " + folder.string());
    if (!S_ISDIR(info.st_mode)) throw Error(ENOTDIR, "open journal folder " + folder.string());
    const bool theirs = info.st_uid != ::geteuid() && info.st_uid != 0;
    if (theirs || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        throw Error(EPERM, "trust journal folder " + folder.string());
    return folder;
}

// Where a lock lies is what it stands for: bit 62 parts sessions, which have a number by chance,
// from NICs.
constexpr std::int64_t session_bit = std::int64_t{1} << 62;

std::int64_t place_of(const NicIdentity& nic) {
    return static_cast<std::int64_t>((nic.netns << 32 | nic.ifindex) &
                                     (static_cast<std::uint64_t>(session_bit) - 1));
}

std::int64_t place_of(std::uint64_t session) {
    return static_cast<std::int64_t>(session & (static_cast<std::uint64_t>(session_bit) - 1)) |
           session_bit;
}

struct flock lock_at(std::int64_t place, int type) {
    struct flock lock {};
    lock.l_type = static_cast<short>(type);
    lock.l_whence = SEEK_SET;
    lock.l_start = place;
    lock.l_len = 1;
    return lock;
}

void set_lock(int locks, std::int64_t place, int type) {
    struct flock lock = lock_at(place, type);
    while (::fcntl(locks, F_OFD_SETLKW, &lock) < 0)
        if (errno != EINTR) throw_errno("lock journal");
}

void write_all(int fd, std::string_view text, const std::string& call) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) throw_errno(call);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string read_all(int fd, const std::string& call) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw_errno(call);
        if (got == 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
        if (text.size() > largest_journal) throw Error(EFBIG, call);
    }
}

void sync(int fd, const std::string& call) {
    if (::fsync(fd) < 0) throw_errno(call);
}

}  // namespace

JournalFolder::JournalFolder(const fs::path& folder)
    : folder_(checked_folder(folder)), locks_(open_file(folder_ / "lock", O_RDWR | O_CREAT)) {}

JournalFolder::Turn::Turn(int locks, std::int64_t place) : locks_(locks), place_(place) {
    set_lock(locks_, place_, F_WRLCK);
}

JournalFolder::Turn::~Turn() {
    struct flock lock = lock_at(place_, F_UNLCK);
    ::fcntl(locks_, F_OFD_SETLK, &lock);
}

JournalFolder::Turn JournalFolder::turn(const NicIdentity& nic) const {
    return {locks_.get(), place_of(nic)};
}

std::uint64_t JournalFolder::join() const {
    std::random_device random;
    const std::uint64_t session = std::uint64_t{random() >> 2} << 32 | random();
    set_lock(locks_.get(), place_of(session), F_WRLCK);
    return session;
}

// A lock of one's own is in nobody's way.
bool JournalFolder::alive(std::uint64_t session) const {
    struct flock lock = lock_at(place_of(session), F_WRLCK);
    if (::fcntl(locks_.get(), F_OFD_GETLK, &lock) < 0) throw_errno("look for session");
    return lock.l_type != F_UNLCK;
}

std::vector<fs::path> JournalFolder::journals() const {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error))
        if (entry.path().extension() == extension) files.push_back(entry.path());
    if (error) throw Error(error.value(), "open journal folder " + folder_.string());
    std::ranges::sort(files);
    return files;
}

fs::path JournalFolder::journal_of(const NicIdentity& nic) const {
    return folder_ /
           (std::to_string(nic.netns) + "-" + std::to_string(nic.ifindex) + std::string(extension));
}

std::optional<Journal> JournalFolder::load(const fs::path& file) {
    const std::string call = "read journal " + file.string();
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.is_open() && errno == ENOENT) return std::nullopt;
    if (!fd.is_open()) throw_errno(call);
    return parse_journal(read_all(fd.get(), call), file.string());
}

void JournalFolder::save(const Journal& journal) const {
    const fs::path file = journal_of(journal.nic);
    const fs::path draft = file.string() + ".tmp";
    const std::string call = "write journal " + file.string();
    Fd fd = open_file(draft, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(fd.get(), format_journal(journal), call);
    sync(fd.get(), call);
    fd.close();
    if (::rename(draft.c_str(), file.c_str()) < 0) throw_errno(call);
    sync(open_file(folder_, O_RDONLY | O_DIRECTORY).get(), call);
}

void JournalFolder::remove(const NicIdentity& nic) const {
    const fs::path file = journal_of(nic);
    if (::unlink(file.c_str()) < 0 && errno != ENOENT) throw_errno("remove " + file.string());
}

}  // namespace devmem
