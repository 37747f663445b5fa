// SPDX-License-Identifier: MIT
// What a coroutine can wait for, over any event loop:
//
//     const auto got = co_await receive(receiver, loop);
//     const auto sent = co_await send(sender, binding.id(), extents, loop);
//     const auto error = co_await completed(sender, sent.ticket, loop);
//     const auto again = co_await room(*got.budget, loop);
//
// The loop is a Poller of yours, or a Uring (devmem/uring.h), and the coroutine of whatever type
// you like. Nothing is allocated for a wait, and nothing throws. A call is tried first, and only
// one that would block waits, so what is there already is had without a turn of the loop.
//
// One coroutine at a time may wait for a Receiver, and one for a Sender. What is waited for, and
// extents or bytes to be sent, must stay where they are until the wait is over.
//
// To destroy a coroutine that waits is safe, and so cancels the wait: nothing that was received is
// lost, and nothing was sent.
#pragma once

#include <poll.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>

#include "devmem/budget.h"
#include "devmem/poller.h"
#include "devmem/receiver.h"
#include "devmem/sender.h"

namespace devmem {

/// What the awaitables share: a call that is tried again when the loop says so.
class Attempt : Poller::Wait {
  public:
    bool await_suspend(std::coroutine_handle<> coroutine) noexcept {
        coroutine_ = coroutine;
        return suspend();
    }

  protected:
    explicit Attempt(Poller& poller) noexcept : poller_(poller) {}
    ~Attempt() {
        if (waiting_) poller_.cancel(*this);
    }

    using Event = Poller::Event;

    /// Tries. False if it would block; then wait_for() said for what.
    virtual bool attempt() noexcept = 0;
    /// The loop can't wait.
    virtual void fail(std::error_code error) noexcept = 0;
    void wait_for(int descriptor, Event what) noexcept {
        fd = descriptor;
        event = what;
    }

  private:
    bool suspend() noexcept {
        if (const auto error = poller_.start(*this)) {
            fail(error);
            return false;
        }
        waiting_ = true;
        return true;
    }

    void ready() override {
        waiting_ = false;
        if (attempt() || !suspend()) coroutine_.resume();
    }

    Poller& poller_;
    std::coroutine_handle<> coroutine_;
    bool waiting_ = false;
};

/// See receive().
class ReceiveAttempt final : public Attempt {
  public:
    ReceiveAttempt(Receiver& receiver, Poller& poller) noexcept
        : Attempt(poller), receiver_(receiver) {}

    bool await_ready() noexcept { return attempt(); }
    Receiver::Result await_resume() const noexcept { return result_; }

  private:
    bool attempt() noexcept override {
        result_ = receiver_.receive();
        wait_for(receiver_.fd(), Event::readable);
        return result_.state != Receiver::State::would_block;
    }
    void fail(std::error_code error) noexcept override {
        result_ = {Receiver::State::failed, 0, {}, error};
    }

    Receiver& receiver_;
    Receiver::Result result_;
};

/// See room().
class RoomAttempt final : public Attempt {
  public:
    RoomAttempt(const Budget& budget, Poller& poller) noexcept : Attempt(poller), budget_(budget) {}

    bool await_ready() noexcept { return attempt(); }
    std::error_code await_resume() const noexcept { return error_; }

  private:
    bool attempt() noexcept override {
        pollfd room{budget_.fd(), POLLIN, 0};
        wait_for(room.fd, Event::readable);
        return ::poll(&room, 1, 0) != 0;
    }
    void fail(std::error_code error) noexcept override { error_ = error; }

    const Budget& budget_;
    std::error_code error_;
};

/// See send().
class SendAttempt final : public Attempt {
  public:
    SendAttempt(Sender& sender, std::uint32_t binding, std::span<const Extent> extents,
                Poller& poller, Sender::More more) noexcept
        : Attempt(poller), sender_(sender), binding_(binding), extents_(extents), more_(more) {}
    SendAttempt(Sender& sender, std::span<const std::byte> bytes, Poller& poller,
                Sender::More more) noexcept
        : Attempt(poller), sender_(sender), bytes_(bytes), more_(more) {}

    bool await_ready() noexcept { return attempt(); }
    Sender::Result await_resume() const noexcept { return result_; }

  private:
    bool attempt() noexcept override {
        using State = Sender::State;
        result_ = binding_ ? sender_.send(*binding_, extents_, Sender::Wait::no, more_)
                           : sender_.send(bytes_, Sender::Wait::no, more_);
        const bool full = result_.state == State::no_memory;
        wait_for(sender_.fd(), full ? Event::error : Event::writable);
        return !full && result_.state != State::would_block;
    }
    void fail(std::error_code error) noexcept override {
        result_ = {Sender::State::failed, 0, {}, error};
    }

    Sender& sender_;
    std::optional<std::uint32_t> binding_;
    std::span<const Extent> extents_;
    std::span<const std::byte> bytes_;
    Sender::More more_;
    Sender::Result result_;
};

/// See completed().
class CompletedAttempt final : public Attempt {
  public:
    CompletedAttempt(Sender& sender, std::optional<Sender::Ticket> ticket, Poller& poller) noexcept
        : Attempt(poller), sender_(sender), ticket_(ticket) {}

    bool await_ready() noexcept { return attempt(); }
    std::error_code await_resume() const noexcept { return error_; }

  private:
    bool attempt() noexcept override {
        if (done()) return true;
        sender_.complete();
        wait_for(sender_.fd(), Event::error);
        return done();
    }
    [[nodiscard]] bool done() const noexcept {
        return ticket_ ? sender_.done(*ticket_) : sender_.pending() == 0;
    }
    void fail(std::error_code error) noexcept override { error_ = error; }

    Sender& sender_;
    std::optional<Sender::Ticket> ticket_;
    std::error_code error_;
};

/// co_await gives what Receiver::receive() does, but never would_block.
[[nodiscard]] inline ReceiveAttempt receive(Receiver& receiver, Poller& loop) noexcept {
    return {receiver, loop};
}

/// co_await waits until a receive() that was refused, State::starved, may be tried again. An error
/// is the loop's.
[[nodiscard]] inline RoomAttempt room(const Budget& budget, Poller& loop) noexcept {
    return {budget, loop};
}

/// co_await gives what Sender::send() does, but neither would_block nor no_memory: it waits for
/// room in the send buffer, and for earlier sends to be done where there are too many. As ever, not
/// all of the bytes may have been sent.
[[nodiscard]] inline SendAttempt send(Sender& sender, std::uint32_t binding,
                                      std::span<const Extent> extents, Poller& loop,
                                      Sender::More more = Sender::More::no) noexcept {
    return {sender, binding, extents, loop, more};
}
/// The same from host memory.
[[nodiscard]] inline SendAttempt send(Sender& sender, std::span<const std::byte> bytes,
                                      Poller& loop, Sender::More more = Sender::More::no) noexcept {
    return {sender, bytes, loop, more};
}

/// co_await waits until Sender::done(ticket). An error is the loop's; the memory is not free then.
[[nodiscard]] inline CompletedAttempt completed(Sender& sender, Sender::Ticket ticket,
                                                Poller& loop) noexcept {
    return {sender, ticket, loop};
}
/// co_await waits until Sender::pending() is 0.
[[nodiscard]] inline CompletedAttempt completed(Sender& sender, Poller& loop) noexcept {
    return {sender, std::nullopt, loop};
}

}  // namespace devmem
