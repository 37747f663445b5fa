// SPDX-License-Identifier: GPL-2.0
// What the bench can measure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

/// `name` begins with what is measured: "receive" and "send" are a stream, or several at once.
struct Case {
    enum class Kind { stream, bind, frag, sockets, memory };

    std::string name;
    Kind kind = Kind::stream;
    std::string send = {}, receive = {};  ///< see make_send_way(), make_receive_way()
    /// The receiver's: blocking (which is for one connection), epoll or io_uring.
    std::string loop = "blocking";
    unsigned mtu = 1500;
    bool gro_hw = false;              ///< the receiver's NIC has rx-gro-hw on
    std::uint32_t niov = 0;           ///< bytes of each; 0: a page
    std::uint64_t piece = 256 << 10;  ///< bytes of each call that sends
    std::uint64_t connections = 1;    ///< of a stream; of sockets and memory: that are open
    std::uint64_t keep = 0;           ///< so many frags, of the newest
    std::uint64_t bind = 0;           ///< bytes of the memory that is bound
    bool scattered = false;           ///< it is of single pages
    unsigned runs = 3;
};

std::span<const Case> all_cases();
/// Throws if there is none.
const Case& case_named(const std::string& name);
