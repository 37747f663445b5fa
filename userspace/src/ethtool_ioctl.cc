// SPDX-License-Identifier: MIT
#include "ethtool_ioctl.h"

#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "devmem/error.h"
#include "devmem/fd.h"
#include "devmem/netdev.h"

namespace devmem {

int try_ethtool_ioctl(std::uint32_t ifindex, void* command) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) throw_errno("socket");
    ifreq request{};
    interface_name(ifindex).copy(request.ifr_name, sizeof(request.ifr_name) - 1);
    request.ifr_data = static_cast<char*>(command);
    return ::ioctl(socket.get(), SIOCETHTOOL, &request) < 0 ? errno : 0;
}

void ethtool_ioctl(std::uint32_t ifindex, void* command, std::string_view call) {
    const int error = try_ethtool_ioctl(ifindex, command);
    if (error != 0) throw_netlink(error, std::string(call) + " of " + interface_name(ifindex), "");
}

}  // namespace devmem
