// SPDX-License-Identifier: MIT
// An io_uring for coroutines; link with libdevmem-uring. These are the words of
// devmem/coroutine.h, with a Uring for the loop:
//
//     const auto got = co_await receive(receiver, uring);
//     const auto sent = co_await send(sender, binding.id(), extents, uring);
//     const auto error = co_await completed(sender, sent.ticket, uring);
//     const auto again = co_await room(*got.budget, uring);
//
// Nothing is allocated for a wait. One coroutine at a time may wait for a Receiver, and one for a
// Sender, which nobody else uses meanwhile. What is waited for, and extents or bytes to be sent,
// must stay where they are until the wait is over; so must the Uring.
//
// To destroy a coroutine that waits is safe: it takes the call back from the kernel, and does not
// return before the kernel has let go of it. If the call was faster, then what was received comes
// out of the next receive(); but nobody can tell how much of a send went out, so that stream can
// only be closed.
#pragma once

#include <sys/socket.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "devmem/budget.h"
#include "devmem/receive_call.h"
#include "devmem/receiver.h"
#include "devmem/send_call.h"
#include "devmem/sender.h"

namespace devmem {

class UringRing;

/// Makes the system calls of many connections together: one io_uring_enter() a turn.
///
///     Uring uring;
///     while (uring.waiting() > 0) uring.turn();
///
/// Tokens go the same way where the kernel can do that (IORING_OP_URING_CMD with setsockopt(),
/// since 6.7), else by one ordinary call for each connection and turn. A Receiver with budgets has
/// only its waiting done here: a call that waits in the kernel would keep what others could use.
///
/// Belongs to the thread that made it.
class Uring {
  public:
    enum class Wait { no, yes };

    /// entries: calls that are handed over together, at most; more than that only cost another
    /// system call. Throws Error: ENOSYS, EPERM (forbidden here), ENOMEM (locked memory).
    explicit Uring(unsigned entries = 256);
    ~Uring();
    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;

    /// Hands over what was begun, takes what is finished, and resumes whoever waited for it.
    /// Wait::yes waits for something to finish, if anything is under way. An error is of
    /// io_uring_enter(): EINTR, or EAGAIN and EBUSY, which pass.
    std::error_code turn(Wait wait = Wait::yes);

    /// Calls under way.
    [[nodiscard]] std::size_t waiting() const noexcept;
    /// Readable when turn() has something to do, but only once it has handed over what was begun:
    /// to put this into another loop, call turn(Wait::no) before each sleep.
    [[nodiscard]] int fd() const noexcept;
    /// System calls made, also those for tokens.
    [[nodiscard]] std::uint64_t calls() const noexcept;

  private:
    friend class UringWait;
    std::unique_ptr<UringRing> ring_;
};

/// What the awaitables share: calls under way, each with a part of the wait to answer to.
class UringWait {
  public:
    enum class Part : unsigned { call, tokens, poll, errors };

    UringWait(const UringWait&) = delete;
    UringWait& operator=(const UringWait&) = delete;

    bool await_suspend(std::coroutine_handle<> coroutine) noexcept {
        coroutine_ = coroutine;
        return begin();
    }

  protected:
    explicit UringWait(Uring& uring) noexcept : ring_(*uring.ring_) {}
    ~UringWait() = default;
    /// To be called by the destructor of what derives from this, while answer() still works.
    void stop() noexcept;

    /// Begins calls. False if there is nothing to wait for.
    virtual bool begin() noexcept = 0;
    /// One of them returned that, or -errno.
    virtual void answer(Part part, int result) noexcept = 0;
    /// All are answered: was it enough, or must it begin() again?
    virtual bool over() noexcept = 0;

    UringRing& ring_;

  private:
    friend class Uring;
    friend class UringRing;
    void go_on();

    std::coroutine_handle<> coroutine_;
    unsigned open_ = 0;  // a bit for each Part that is to be answered
    UringWait* next_ = nullptr;
    UringWait** link_ = nullptr;
};

/// See receive().
class UringReceive final : public UringWait {
  public:
    UringReceive(Receiver& receiver, Uring& uring) noexcept
        : UringWait(uring), receiver_(receiver), fd_(receiver.fd()), call_(receiver) {}
    ~UringReceive() {
        stop();
        if (result_) call_.keep(*result_);
    }

    bool await_ready() noexcept {
        if (call_.limited()) return over();
        result_ = call_.kept();
        return result_.has_value();
    }
    Receiver::Result await_resume() noexcept {
        const auto result = *result_;
        result_.reset();
        return result;
    }

  private:
    bool begin() noexcept override;
    void answer(Part part, int result) noexcept override;
    bool over() noexcept override {
        if (call_.limited()) result_ = receiver_.receive();
        return result_ && result_->state != Receiver::State::would_block;
    }

    Receiver& receiver_;
    int fd_;
    ReceiveCall call_;
    std::optional<Receiver::Result> result_;
    bool nap_ = false;  // something else was reported, which may go on for a while
};

/// See room().
class UringRoom final : public UringWait {
  public:
    UringRoom(const Budget& budget, Uring& uring) noexcept : UringWait(uring), fd_(budget.fd()) {}
    ~UringRoom() { stop(); }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[nodiscard]] std::error_code await_resume() const noexcept { return error_; }

  private:
    bool begin() noexcept override;
    void answer(Part part, int result) noexcept override;
    bool over() noexcept override { return true; }

    int fd_;
    std::error_code error_;
};

/// Waits for news on the error queue and reads it: a part of what follows.
class UringErrors {
  public:
    explicit UringErrors(Sender& sender) noexcept : fd_(sender.fd()), call_(sender) {}
    bool begin(UringRing& ring, UringWait& wait) noexcept;
    void read(int result) noexcept;

  private:
    int fd_;
    CompletionCall call_;
    bool nap_ = false;  // poll() reported something else, which may go on for a while
};

/// See send().
class UringSend final : public UringWait {
  public:
    UringSend(Sender& sender, std::uint32_t binding, std::span<const Extent> extents, Uring& uring,
              Sender::More more) noexcept
        : UringWait(uring),
          fd_(sender.fd()),
          call_(sender, binding, extents, more),
          errors_(sender) {}
    UringSend(Sender& sender, std::span<const std::byte> bytes, Uring& uring,
              Sender::More more) noexcept
        : UringWait(uring), fd_(sender.fd()), call_(sender, bytes, more), errors_(sender) {}
    ~UringSend() { stop(); }

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[nodiscard]] Sender::Result await_resume() const noexcept { return result_; }

  private:
    bool begin() noexcept override;
    void answer(Part part, int result) noexcept override;
    bool over() noexcept override {
        return result_.state != Sender::State::would_block &&
               result_.state != Sender::State::no_memory;
    }

    int fd_;
    SendCall call_;
    UringErrors errors_;
    Sender::Result result_;
};

/// See completed().
class UringCompleted final : public UringWait {
  public:
    UringCompleted(Sender& sender, std::optional<Sender::Ticket> ticket, Uring& uring) noexcept
        : UringWait(uring), sender_(sender), ticket_(ticket), errors_(sender) {}
    ~UringCompleted() { stop(); }

    bool await_ready() noexcept { return over(); }
    [[nodiscard]] std::error_code await_resume() const noexcept { return error_; }

  private:
    bool begin() noexcept override;
    void answer(Part part, int result) noexcept override;
    bool over() noexcept override {
        return ticket_ ? sender_.done(*ticket_) : sender_.pending() == 0;
    }

    Sender& sender_;
    std::optional<Sender::Ticket> ticket_;
    UringErrors errors_;
    std::error_code error_;
};

/// co_await gives what Receiver::receive() does, but never would_block.
[[nodiscard]] inline UringReceive receive(Receiver& receiver, Uring& uring) noexcept {
    return {receiver, uring};
}

/// co_await waits until a receive() that was refused, State::starved, may be tried again. An error
/// is the Uring's.
[[nodiscard]] inline UringRoom room(const Budget& budget, Uring& uring) noexcept {
    return {budget, uring};
}

/// co_await gives what Sender::send() does, but neither would_block nor no_memory.
[[nodiscard]] inline UringSend send(Sender& sender, std::uint32_t binding,
                                    std::span<const Extent> extents, Uring& uring,
                                    Sender::More more = Sender::More::no) noexcept {
    return {sender, binding, extents, uring, more};
}
/// The same from host memory.
[[nodiscard]] inline UringSend send(Sender& sender, std::span<const std::byte> bytes, Uring& uring,
                                    Sender::More more = Sender::More::no) noexcept {
    return {sender, bytes, uring, more};
}

/// co_await waits until Sender::done(ticket). An error is the Uring's; the memory is not free then.
[[nodiscard]] inline UringCompleted completed(Sender& sender, Sender::Ticket ticket,
                                              Uring& uring) noexcept {
    return {sender, ticket, uring};
}
/// co_await waits until Sender::pending() is 0.
[[nodiscard]] inline UringCompleted completed(Sender& sender, Uring& uring) noexcept {
    return {sender, std::nullopt, uring};
}

}  // namespace devmem
