// SPDX-License-Identifier: MIT
#pragma once

#include <system_error>

namespace devmem {

/// What this library asks of an event loop: say when a descriptor is ready, once. The loop is
/// yours; implement these two functions over it, and devmem/coroutine.h runs on it.
///
/// Everything happens in one thread, that of the loop.
class Poller {
  public:
    enum class Event {
        readable,  ///< poll() would report POLLIN or POLLHUP
        writable,  ///< POLLOUT or POLLHUP
        error,     ///< POLLERR: news on the error queue
    };

    /// A wait. It belongs to whoever waits, which is why nothing need be allocated for it.
    class Wait {
      public:
        Wait(const Wait&) = delete;
        Wait& operator=(const Wait&) = delete;

        /// Goes on. May destroy this and other Waits, and start new ones.
        virtual void ready() = 0;

        int fd = -1;
        Event event = Event::readable;
        // The loop's own, for a list: what comes next, and what points to this.
        Wait* next = nullptr;
        Wait** link = nullptr;

      protected:
        Wait() noexcept = default;
        ~Wait() = default;
    };

    /// From now on, the event is waited for. When it is there, also if it is at once, the loop
    /// forgets the Wait and calls ready(), not from here but on its next turn. There may be several
    /// for one descriptor, also for one event: that event ends all of them.
    ///
    /// To call ready() where there is no news does no harm, but if POLLERR alone ends a wait for
    /// the other two, a socket with completions that nobody has read keeps the loop busy.
    ///
    /// An error: there is no wait.
    virtual std::error_code start(Wait& wait) noexcept = 0;

    /// Forgets a Wait whose ready() has not been called since it was started; it won't be, not even
    /// if this is called from within another's, which came by the same event.
    virtual void cancel(Wait& wait) noexcept = 0;

  protected:
    ~Poller() = default;
};

}  // namespace devmem
