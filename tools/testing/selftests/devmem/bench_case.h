// SPDX-License-Identifier: GPL-2.0
// What the bench can measure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

/// One stream, or several at once. `name` begins with the direction that is measured.
struct Case {
    std::string name;
    std::string send = {}, receive = {};  ///< see make_send_way(), make_receive_way()
    /// The receiver's: blocking (which is for one connection), epoll or io_uring.
    std::string loop = "blocking";
    unsigned mtu = 1500;
    bool gro_hw = false;  ///< the receiver's NIC has rx-gro-hw on
    unsigned connections = 1;
    std::uint64_t keep = 0;  ///< so many frags, of the newest: for the library's way to receive
    std::uint64_t bind = 0;  ///< only bind and unbind memory of so many bytes
};

std::span<const Case> all_cases();
/// Throws if there is none.
const Case& case_named(const std::string& name);
