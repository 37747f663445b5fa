// SPDX-License-Identifier: GPL-2.0
// Two network namespaces and the NIC that joins them.
//
//    "there"                          "here", where the test runs
//    dm0p  10.9.0.2  fd09::2  <====>  dm0  10.9.0.1  fd09::1
//
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nic.h"

struct PairOptions {
    unsigned mtu = 1500;
    unsigned queues = 4;
};

class Topology {
  public:
    using Options = PairOptions;

    /// Puts the calling process in a new namespace. Both namespaces end with the last process and
    /// socket in them.
    explicit Topology(const Options& options = {});
    ~Topology();
    Topology(const Topology&) = delete;
    Topology& operator=(const Topology&) = delete;

    /// Makes the NIC, when it has been deleted. It has a link then.
    void make_nic(const Options& options = {});
    /// Deletes it, also where dm0 has moved there.
    void remove_nic() const;
    /// Waits until both ends have a link: a NIC may lose it when a setting of it changes.
    void await_link() const;
    /// Waits until dm0 has one, if it is up. A child process, too, may do this.
    static void await_link_here();
    /// Makes VLAN 5: v5, above dm0p, and above dm0 or what stands on that.
    ///
    ///    v5  10.10.0.2  fd10::2  <====>  v5  10.10.0.1  fd10::1
    void make_vlan(std::string_view above = "dm0") const;
    void here(std::string_view command) const;
    void there(std::string_view command) const;

    [[nodiscard]] int there_fd() const { return there_; }
    /// Lets go of the other namespace: it ends with its last process.
    void forget_there();

    static constexpr const char* v4_here = "10.9.0.1";
    static constexpr const char* v6_here = "fd09::1";
    static constexpr const char* v4_there = "10.9.0.2";
    static constexpr const char* v6_there = "fd09::2";

  private:
    int here_ = -1, there_ = -1;
};

/// Device memory of the kind that this NIC is tested with, in the words of devmem::MemoryKind.
std::string device_memory();

/// An interface in this namespace has a link, and what it is given to send is sent.
bool has_link(const std::string& interface);

/// A count that `ethtool -S` shows for an interface in this namespace; throws if there is none.
std::uint64_t nic_count(const std::string& name, const std::string& interface = "dm0");
/// What a queue of dm0 has counted; `what` is of struct nic_kind.
std::uint64_t queue_count(const char* what, std::uint32_t queue = nic_kind()->queue);
/// Segments that dm0 has cut.
std::uint64_t cut_segments();

/// A count of TCP in this namespace, from /proc/net/netstat; throws if there is none.
std::uint64_t tcp_count(const std::string& name);

/// Modules of this source tree.
bool module_loaded(const std::string& name);
/// The file to load it from, empty if nobody knows.
std::string module_file(const std::string& name);
/// 0 or errno.
int unload_module(const std::string& name);
void load_module(const std::string& file);
