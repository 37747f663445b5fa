// SPDX-License-Identifier: GPL-2.0
#include "topology.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "devmem/fd.h"
#include "process.h"
#include "visit.h"

namespace {

int new_namespace() {
    if (::unshare(CLONE_NEWNET) != 0) throw_errno_of("unshare");
    const int fd = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw_errno_of("open /proc/self/ns/net");
    return fd;
}

class EthtoolSocket {
  public:
    explicit EthtoolSocket(const std::string& interface)
        : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        std::strncpy(request_.ifr_name, interface.c_str(), sizeof(request_.ifr_name) - 1);
    }
    ~EthtoolSocket() { ::close(fd_); }
    EthtoolSocket(const EthtoolSocket&) = delete;
    EthtoolSocket& operator=(const EthtoolSocket&) = delete;

    void call(void* data) {
        request_.ifr_data = static_cast<char*>(data);
        if (::ioctl(fd_, SIOCETHTOOL, &request_) != 0) throw_errno_of("ethtool ioctl");
    }

  private:
    int fd_;
    ifreq request_{};
};

constexpr unsigned lower_up = 0x10000;  // IFF_LOWER_UP, which <net/if.h> lacks

// As netlink has them, lower_up too.
unsigned flags_of(const std::string& interface) {
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) throw_errno_of("getifaddrs");
    const ifaddrs* found = all;
    while (found && interface != found->ifa_name) found = found->ifa_next;
    const std::optional<unsigned> flags =
        found ? std::make_optional(found->ifa_flags) : std::nullopt;
    ::freeifaddrs(all);
    if (!flags) throw std::runtime_error("no interface " + interface);
    return *flags;
}

void await_link_of(const std::string& interface) {
    if (!within(60, [&] { return has_link(interface); }))
        throw std::runtime_error(interface + " has no link");
}

std::uint32_t count_statistics(EthtoolSocket& nic) {
    // struct ethtool_sset_info in words: command, reserved, mask (64 bits), the count
    std::array<std::uint32_t, 6> words{ETHTOOL_GSSET_INFO, 0, 1U << ETH_SS_STATS};
    static_assert(offsetof(ethtool_sset_info, data) == 4 * sizeof(words[0]));
    nic.call(words.data());
    return words[4];
}

}  // namespace

Topology::Topology(const Options& options) {
    there_ = new_namespace();
    here_ = new_namespace();
    make_nic(options);
}

Topology::~Topology() {
    ::close(here_);
    if (there_ >= 0) ::close(there_);
}

void Topology::forget_there() {
    ::close(there_);
    there_ = -1;
}

void Topology::make_nic(const Options& options) {
    nic_make(there_, options.mtu, options.queues);
    here(
        fmt::format("ip -batch - <<-END\n"
                    "link set lo up\n"
                    "addr add {}/24 dev dm0\n"
                    "addr add {}/64 dev dm0 nodad\n"
                    "link set dm0 up\n"
                    "END\n",
                    v4_here, v6_here));
    there(
        fmt::format("ip -batch - <<-END\n"
                    "link set lo up\n"
                    "addr add {}/24 dev dm0p\n"
                    "addr add {}/64 dev dm0p nodad\n"
                    "link set dm0p up\n"
                    "END\n",
                    v4_there, v6_there));
    await_link();
}

void Topology::remove_nic() const {
    std::optional<Visit> there;
    if (::if_nametoindex("dm0") == 0) there.emplace(there_);
    nic_remove();
}

void Topology::await_link_here() {
    if (flags_of("dm0") & IFF_UP) await_link_of("dm0");
}

void Topology::await_link() const {
    await_link_of("dm0");
    const Visit there(there_);
    await_link_of("dm0p");
}

void Topology::make_vlan(std::string_view above) const {
    here(
        fmt::format("ip link add link {} name v5 type vlan id 5 && ip link set v5 up && "
                    "ip addr add 10.10.0.1/24 dev v5 && ip addr add fd10::1/64 dev v5 nodad",
                    above));
    there(
        "ip link add link dm0p name v5 type vlan id 5 && ip link set v5 up &&"
        "ip addr add 10.10.0.2/24 dev v5 && ip addr add fd10::2/64 dev v5 nodad");
}

void Topology::here(std::string_view command) const {
    run_in(here_, command);
}

void Topology::there(std::string_view command) const {
    run_in(there_, command);
}

// The kernel takes note of a new link some time after it is there, and drops what an interface is
// to send until then. It holds RTNL meanwhile; so does ethtool, which waits for the end of it.
bool has_link(const std::string& interface) {
    if (~flags_of(interface) & (IFF_RUNNING | lower_up)) return false;
    ethtool_value link{.cmd = ETHTOOL_GLINK, .data = 0};
    EthtoolSocket(interface).call(&link);
    return link.data != 0;
}

std::uint64_t nic_count(const std::string& name, const std::string& interface) {
    EthtoolSocket nic(interface);
    const std::uint32_t count = count_statistics(nic);
    const std::array<std::uint32_t, 3> ask_names{ETHTOOL_GSTRINGS, ETH_SS_STATS, count};
    const std::array<std::uint32_t, 2> ask_values{ETHTOOL_GSTATS, count};
    std::vector<char> names(sizeof(ask_names) + count * ETH_GSTRING_LEN);
    std::vector<std::uint64_t> values(1 + count);
    std::memcpy(names.data(), ask_names.data(), sizeof(ask_names));
    std::memcpy(values.data(), ask_values.data(), sizeof(ask_values));
    nic.call(names.data());
    nic.call(values.data());
    for (std::uint32_t i = 0; i < count; i++)
        if (name == &names[sizeof(ask_names) + i * ETH_GSTRING_LEN]) return values[1 + i];
    throw std::runtime_error("no statistic " + name);
}

std::uint64_t queue_count(const char* what, std::uint32_t queue) {
    std::array<char, ETH_GSTRING_LEN> name{};
    std::snprintf(name.data(), name.size(), what, queue);
    return nic_count(name.data());
}

std::uint64_t cut_segments() {
    std::uint64_t sum = 0;
    for (const char* const* name = nic_kind()->cut; *name; name++) sum += nic_count(*name);
    return sum;
}

std::string device_memory() {
    const unsigned number = nic_kind()->accelmem;
    return number == 0 ? "accelmem" : fmt::format("accelmem:{}", number);
}

// Two lines for each protocol: names, then numbers.
std::uint64_t tcp_count(const std::string& name) {
    std::ifstream file("/proc/net/netstat");
    std::string names_line, numbers_line;
    while (std::getline(file, names_line) && std::getline(file, numbers_line)) {
        std::istringstream names(names_line), numbers(numbers_line);
        for (std::string key, value; names >> key && numbers >> value;)
            if (key == name) return std::stoull(value);
    }
    throw std::runtime_error("no count " + name);
}

bool module_loaded(const std::string& name) {
    return ::access(("/sys/module/" + name).c_str(), F_OK) == 0;
}

std::string module_file(const std::string& name) {
    std::ifstream list("/run/lab/modules");
    for (std::string line; std::getline(list, line);)
        if (line.ends_with("/" + name + ".ko")) return line;
    return {};
}

int unload_module(const std::string& name) {
    return ::syscall(SYS_delete_module, name.c_str(), O_NONBLOCK) == 0 ? 0 : errno;
}

void load_module(const std::string& file) {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw_errno_of("open " + file);
    const long rc = ::syscall(SYS_finit_module, fd, "", 0);
    const int error = errno;
    ::close(fd);
    errno = error;
    if (rc != 0) throw_errno_of("load " + file);
}
