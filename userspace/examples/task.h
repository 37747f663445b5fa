// SPDX-License-Identifier: MIT
// The smallest coroutine: it runs at once, and whoever holds it may destroy it wherever it is. Any
// other type of coroutine does as well.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

class Task {
  public:
    struct promise_type {
        Task get_return_object() {
            return Task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { error = std::current_exception(); }

        std::exception_ptr error;
    };

    Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Task& operator=(Task&&) = delete;
    ~Task() { destroy(); }

    [[nodiscard]] bool done() const { return coroutine_.done(); }
    /// Throws what it threw.
    void check() const {
        if (coroutine_.promise().error) std::rethrow_exception(coroutine_.promise().error);
    }
    void destroy() {
        if (coroutine_) std::exchange(coroutine_, nullptr).destroy();
    }

  private:
    explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}
    std::coroutine_handle<promise_type> coroutine_;
};
