// SPDX-License-Identifier: MIT
// An event loop on epoll, as small as it can be and no concern of devmem but for start() and
// cancel(): those are what a Poller is.
#pragma once

#include <devmem/error.h>
#include <devmem/fd.h>
#include <devmem/poller.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <new>

class EpollLoop final : public devmem::Poller {
  public:
    EpollLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (!epoll_.is_open()) devmem::throw_errno("epoll_create1");
    }

    std::error_code start(Wait& wait) noexcept override {
        try {
            const auto at = static_cast<std::size_t>(wait.fd);
            if (at >= waiting_.size()) waiting_.resize(at + 1);
        } catch (const std::bad_alloc&) {
            return std::make_error_code(std::errc::not_enough_memory);
        }
        put(wait, waiting_[static_cast<std::size_t>(wait.fd)]);
        if (const auto error = arm(wait.fd)) {
            take_out(wait);
            return error;
        }
        ++count_;
        return {};
    }

    void cancel(Wait& wait) noexcept override {
        take_out(wait);
        --count_;
    }

    /// Waits for events and goes on with whoever waited for them.
    void turn() {
        std::array<epoll_event, 64> events;
        const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
        if (count < 0 && errno != EINTR) devmem::throw_errno("epoll_wait");
        for (int i = 0; i < count; ++i)
            end_waits(waiting_[static_cast<std::size_t>(events[i].data.fd)], events[i].events);
        while (Wait* wait = ready_) {
            take_out(*wait);
            --count_;
            wait->ready();  // it may cancel others that are ready
        }
    }

    /// Until nobody waits.
    void run() {
        while (count_ > 0) turn();
    }

  private:
    // Edge-triggered: what nobody waits for wakes nobody twice. But each call of epoll_ctl() looks
    // at the descriptor anew, so what was there before is not missed.
    std::error_code arm(int fd) noexcept {
        epoll_event event{};
        event.events = EPOLLET;
        event.data.fd = fd;
        for (const Wait* wait = waiting_[static_cast<std::size_t>(fd)]; wait; wait = wait->next)
            event.events |= events_of(wait->event);
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
        if (errno == ENOENT && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
        return {errno, std::system_category()};
    }

    static std::uint32_t events_of(Event event) noexcept {
        switch (event) {
            case Event::readable:
                return EPOLLIN | EPOLLHUP;
            case Event::writable:
                return EPOLLOUT | EPOLLHUP;
            case Event::error:
                break;
        }
        return EPOLLERR;
    }

    void end_waits(Wait* wait, std::uint32_t events) noexcept {
        while (wait) {
            Wait* const next = wait->next;
            if (events & events_of(wait->event)) {
                take_out(*wait);
                put(*wait, ready_);
            }
            wait = next;
        }
    }

    static void put(Wait& wait, Wait*& list) noexcept {
        wait.next = list;
        wait.link = &list;
        if (list) list->link = &wait.next;
        list = &wait;
    }

    static void take_out(Wait& wait) noexcept {
        *wait.link = wait.next;
        if (wait.next) wait.next->link = wait.link;
    }

    devmem::Fd epoll_;
    std::deque<Wait*> waiting_;  // by descriptor; they point into it, so it must not move
    Wait* ready_ = nullptr;
    std::size_t count_ = 0;
};
