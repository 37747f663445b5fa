// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "cuda_driver.h"

namespace devmem {

/// A CUDA context that calls are made in one by one: it is current in a thread for the time of a
/// call only, and whatever was current there before is so again.
class CudaContext {
  public:
    /// A device's primary context, which lasts at least as long as this. Throws Error.
    static CudaContext primary(const CudaDriver& driver, cuda::Device device) {
        cuda::Context context = nullptr;
        driver.check(driver.call().primary_retain(&context, device), "retain cuda context");
        return {driver, context, device};
    }
    /// One that the program owns, and keeps longer than this.
    static CudaContext borrowed(const CudaDriver& driver, cuda::Context context) noexcept {
        return {driver, context, none};
    }

    CudaContext(CudaContext&& other) noexcept
        : driver_(other.driver_),
          context_(other.context_),
          retained_(std::exchange(other.retained_, none)) {}
    CudaContext& operator=(CudaContext&&) = delete;
    CudaContext(const CudaContext&) = delete;
    CudaContext& operator=(const CudaContext&) = delete;
    ~CudaContext() {
        if (retained_ != none) driver_.call().primary_release(retained_);
    }

    /// Runs a call, or several, in this context; returns what they return, or why it could not be
    /// entered or left.
    template <class Call>
    cuda::Result with(Call call) const noexcept {
        const auto entered = driver_.call().push(context_);
        if (entered != cuda::success) return entered;
        const auto result = call();
        cuda::Context popped = nullptr;
        const auto left = driver_.call().pop(&popped);
        return result != cuda::success ? result : left;
    }

    [[nodiscard]] const CudaDriver& driver() const noexcept { return driver_; }
    bool operator==(const CudaContext& other) const noexcept { return context_ == other.context_; }

  private:
    static constexpr cuda::Device none = -1;

    CudaContext(const CudaDriver& driver, cuda::Context context, cuda::Device retained) noexcept
        : driver_(driver), context_(context), retained_(retained) {}

    const CudaDriver& driver_;
    cuda::Context context_;
    cuda::Device retained_;
};

/// Something that must be given back in its context, which must outlive it.
template <class Value>
class CudaOwned {
  public:
    using Release = cuda::Result (*)(Value);

    /// release: null if it belongs to somebody else.
    CudaOwned(const CudaContext& context, Value value, Release release) noexcept
        : context_(context), value_(value), release_(release) {}
    CudaOwned(const CudaOwned&) = delete;
    CudaOwned& operator=(const CudaOwned&) = delete;
    ~CudaOwned() {
        if (release_) context_.with([this] { return release_(value_); });
    }

    [[nodiscard]] Value get() const noexcept { return value_; }

  private:
    const CudaContext& context_;
    Value value_;
    Release release_;
};

}  // namespace devmem
