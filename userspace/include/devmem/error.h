// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "devmem/export.h"

namespace devmem {

/// Why a piece of setup failed.
///
/// code() is the errno in std::system_category(), or what a GPU's driver said, in a category of its
/// own; both compare with std::errc. what() reads as one message for a person: the call and what it
/// was about, the code's text, the kernel's own explanation if it gave one, and what to do about it
/// where that is known:
///
///     bind-rx eth0: Invalid argument (kernel: tcp-data-split is disabled).
///     Turn header split on: ethtool -G IF tcp-data-split on, or HeaderSplit
///
/// The data path (Receiver, TokenBatch, Frag, copies) never throws.
class DEVMEM_API Error : public std::system_error {
  public:
    /// call: what failed, first the operation ("bind-rx", "open"), then its object.
    /// extack: the kernel's explanation, or empty.
    Error(int errno_value, std::string_view call, std::string_view extack = {});
    /// The same, for a code of any category. said: an explanation that is not the kernel's, or
    /// empty.
    Error(const std::error_code& code, std::string_view call, std::string_view said = {});

    [[nodiscard]] const char* what() const noexcept override { return parts_->what.c_str(); }
    /// The call that failed, with its object.
    [[nodiscard]] const std::string& call() const noexcept { return parts_->call; }
    /// The kernel's explanation, word for word; empty if it gave none.
    [[nodiscard]] const std::string& extack() const noexcept { return parts_->extack; }

  private:
    struct Parts {
        std::string call, extack, what;
    };
    Error(const std::error_code& code, Parts parts);

    std::shared_ptr<const Parts> parts_;  // shared: copying an exception must not throw
};

/// Throws Error for errno as it stands.
[[noreturn]] DEVMEM_API void throw_errno(std::string_view call);

/// Throws Error for a failure that a netlink reply described. errno_value is positive.
[[noreturn]] DEVMEM_API void throw_netlink(int errno_value, std::string_view call,
                                           std::string_view extack);

}  // namespace devmem
