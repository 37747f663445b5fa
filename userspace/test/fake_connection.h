// SPDX-License-Identifier: MIT
// A connection whose both halves are models, with system calls that fail and fall short at random,
// in an order that follows from a seed. Thread-safe. Files under test reach it by descriptor.
#pragma once

#include <sys/eventfd.h>

#include <condition_variable>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <random>

#include "allocations.h"
#include "devmem/fd.h"
#include "fake_kernel.h"
#include "fake_send_kernel.h"

namespace devmem::test {

class FakeConnection {
  public:
    // seed 0: nothing fails.
    explicit FakeConnection(std::uint32_t seed) : fails(seed != 0), random_(seed) {}
    ~FakeConnection() {
        const std::lock_guard lock(all_mutex);
        std::erase_if(all, [this](const auto& entry) { return entry.second == this; });
    }
    FakeConnection(const FakeConnection&) = delete;
    FakeConnection& operator=(const FakeConnection&) = delete;

    static FakeConnection& of(int fd) {
        const std::lock_guard lock(all_mutex);
        return *all.at(fd);
    }

    /// A descriptor to give to what is under test.
    [[nodiscard]] Fd socket() {
        const std::lock_guard lock(all_mutex);
        Fd fd(::eventfd(0, EFD_CLOEXEC));
        all[fd.get()] = this;
        return fd;
    }

    // What a test sets, before there are threads.
    FakeKernel in;
    FakeSendKernel out;
    bool fails;
    bool returns_fail = true;              // giving tokens back, too
    std::function<void()> arrive = [] {};  // with the lock, before each read: what comes in

    ssize_t recvmsg(msghdr* message, int flags) {
        const std::lock_guard lock(mutex_);
        if (flags & MSG_ERRQUEUE) return fault({EINTR, ENOMEM}) ? -1 : out.recvmsg(message, flags);
        if (fault({EINTR, EAGAIN, ENOMEM, EBUSY, ENOBUFS})) return -1;
        arrive();
        message->msg_iov->iov_len = cut(message->msg_iov->iov_len);
        return in.recvmsg(message, flags);
    }

    ssize_t sendmsg(const msghdr* message, int flags) {
        const std::lock_guard lock(mutex_);
        if (fault({EINTR, EAGAIN, ENOBUFS, ENOMEM})) return -1;
        out.room = cut(1 << 16);
        const ssize_t sent = out.sendmsg(message, flags);
        // The NIC is done with some, in any order.
        while (!out.open.empty() && fails && random_() % 3 == 0)
            out.finish(
                *std::next(out.open.begin(), static_cast<long>(random_() % out.open.size())));
        return sent;
    }

    int setsockopt(int name, const void* value, socklen_t length) {
        const std::lock_guard lock(mutex_);
        if (name == SO_ZEROCOPY) return out.setsockopt(SOL_SOCKET, name, value);
        if (returns_fail && fault({ENOMEM, EINTR})) return -1;
        in.frag_limit = cut(1024);
        changed_.notify_all();
        return in.dontneed(value, length);
    }

    int poll(pollfd* fds, nfds_t count, int timeout) {
        std::unique_lock lock(mutex_);
        if (fault({EINTR})) return -1;
        if (fds->events & POLLIN) return wait_in(lock);
        fds->revents = POLLERR;
        return out.open.empty() ? 1 : out.poll(fds, count, timeout);
    }

    int fcntl() {
        const std::lock_guard lock(mutex_);
        return in.file_flags;
    }

  private:
    int wait_in(std::unique_lock<std::mutex>& lock) {
        changed_.wait(lock, [&] {
            arrive();
            return !in.queue.empty() || in.peer_closed;
        });
        return 1;
    }

    // Whether the call is to fail; with errno set to one of these then.
    bool fault(std::initializer_list<int> errors) {
        if (!fails || random_() % 4 != 0) return false;
        errno = *(errors.begin() + random_() % errors.size());
        return true;
    }

    // 1 to size, most often size.
    std::size_t cut(std::size_t size) {
        return fails && random_() % 3 == 0 ? 1 + random_() % size : size;
    }

    static inline std::mutex all_mutex;
    static inline std::map<int, FakeConnection*> all;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::mt19937 random_;
};

inline ssize_t fake_recvmsg(int fd, msghdr* message, int flags) {
    const NotCounted pause;
    return FakeConnection::of(fd).recvmsg(message, flags);
}
inline ssize_t fake_sendmsg(int fd, const msghdr* message, int flags) {
    const NotCounted pause;
    return FakeConnection::of(fd).sendmsg(message, flags);
}
inline int fake_setsockopt(int fd, int, int name, const void* value, socklen_t length) {
    const NotCounted pause;
    return FakeConnection::of(fd).setsockopt(name, value, length);
}
inline int fake_poll(pollfd* fds, nfds_t count, int timeout) {
    const NotCounted pause;
    return count == 0 ? 0 : FakeConnection::of(fds->fd).poll(fds, count, timeout);
}
inline int fake_fcntl(int fd, int) {
    const NotCounted pause;
    return FakeConnection::of(fd).fcntl();
}

}  // namespace devmem::test

#define DEVMEM_SYS(call) ::devmem::test::fake_##call
