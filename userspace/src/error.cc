// SPDX-License-Identifier: MIT
#include "devmem/error.h"

#include <cerrno>

#include "errno_of.h"

namespace devmem {
namespace {

struct Hint {
    std::string_view call;    // the call starts with this
    int error;                // 0: any
    std::string_view extack;  // the kernel's text contains this
    std::string_view advice;
};

// The first match wins, so a row that names a kernel text comes before one that does not.
constexpr Hint hints[] = {
    {"bind-rx", EINVAL, "tcp-data-split",
     "Turn header split on: ethtool -G IF tcp-data-split on, or HeaderSplit"},
    {"bind-rx", EINVAL, "hds-thresh", "Set the threshold to zero: ethtool -G IF hds-thresh 0"},
    {"bind-rx", EEXIST, "XDP", "Detach the XDP program: ip link set IF xdp off"},
    {"bind-rx", EEXIST, "already memory provider",
     "Another program holds this queue; it is free again when that program ends"},
    {"bind-rx", EBUSY, "AF_XDP", "An AF_XDP socket holds this queue; choose another"},
    {"bind-rx", EPERM, "", "Binding needs CAP_NET_ADMIN"},
    {"bind-rx", EOPNOTSUPP, "",
     "The driver of this interface cannot restart single queues, or the kernel has no bind-rx"},
    {"bind-rx", ERANGE, "", "The interface has fewer queues: ethtool -l IF tells, -L IF changes"},
    {"bind-rx", ENODATA, "", "The driver did not take the memory: is header split on?"},
    {"bind-rx", ENODEV, "", "The interface is gone, or lives in another network namespace"},
    {"bind-tx", EOPNOTSUPP, "netmem TX",
     "The driver cannot send device memory; for a VLAN, bind the interface below it"},
    {"bind-tx", EOPNOTSUPP, "support DMA", "Only a NIC that fetches payload itself can send it"},
    {"bind-tx", EOPNOTSUPP, "",
     "This kernel cannot send device memory: Linux 6.16 and later can, and a patched 6.1"},
    {"bind-tx", EINVAL, "PAGE_SIZE", "The exporter must give out whole pages"},
    {"bind-tx", ENODEV, "", "The interface is gone, or lives in another network namespace"},
    {"set SO_ZEROCOPY", 0, "", "Only a TCP socket can send device memory"},
    {"netlink family netdev", ENOENT, "",
     "This kernel has no netdev family: devmem TCP needs Linux 6.12, or a patched 6.1"},
    {"netlink family ethtool", ENOENT, "", "This kernel is built without CONFIG_ETHTOOL_NETLINK"},
    {"set rings", EBUSY, "bound",
     "A dmabuf is bound to a queue of this NIC; end that program, then run devmem restore"},
    {"set rings", EINVAL, "provider",
     "A dmabuf is bound to a queue of this NIC; end that program, then run devmem restore"},
    {"set rings", EOPNOTSUPP, "", "The driver of this interface cannot change header split"},
    {"set rings", EPERM, "", "Changing a NIC needs CAP_NET_ADMIN"},
    {"set channels", EINVAL, "",
     "A bound queue, a steering rule or the RSS table may stand against it: ethtool -n IF, -x IF"},
    {"set RSS table", EINVAL, "no queue",
     "Ask for fewer queues: ethtool -l IF tells how many there are"},
    {"set RSS table", EOPNOTSUPP, "", "The driver of this interface has no RSS table to set"},
    {"set feature", EOPNOTSUPP, "", "The driver of this interface cannot switch it: ethtool -k IF"},
    {"set ", EPERM, "", "Changing a NIC needs CAP_NET_ADMIN"},
    {"add flow rule", EPERM, "", "Changing a NIC needs CAP_NET_ADMIN"},
    {"add flow rule", EOPNOTSUPP, "",
     "The NIC cannot steer such flows, or steering is off: ethtool -K IF ntuple on"},
    {"add flow rule", ENOSPC, "", "The NIC's rule table is full: ethtool -n IF lists it"},
    {"add flow rule", EEXIST, "", "The same rule is there already: ethtool -n IF lists it"},
    {"choose queues", EBUSY, "",
     "Too few are free, and one must be left for other traffic: ethtool -l IF tells how many it "
     "can have, devmem restore frees those of programs that were killed"},
    {"take queue", EBUSY, "", "Another program holds it; choose another"},
    {"take queue", ERANGE, "", "The interface cannot have so many: ethtool -l IF"},
    {"read journal", EBADMSG, "",
     "Nothing was changed. Look at the file, put the NIC back by hand (ethtool), remove the file"},
    {"trust journal folder", EPERM, "", "Only its user may be able to write it: chmod go-w"},
    {"create journal folder", EACCES, "", "Changing a NIC needs root, or name another folder"},
    {"open journal folder", EACCES, "", "Changing a NIC needs root, or name another folder"},
    {"restore ", ENODEV, "", "Run devmem restore in that namespace: ip netns exec"},
    {"open /dev/udmabuf", ENOENT, "", "This kernel has no udmabuf: CONFIG_UDMABUF"},
    {"open /dev/udmabuf", EACCES, "", "Add this user to the group of /dev/udmabuf (often kvm)"},
    {"create udmabuf", EINVAL, "",
     "udmabuf has a limit: /sys/module/udmabuf/parameters/size_limit_mb"},
    {"open /dev/accelmem", ENOENT, "", "Load the module: modprobe accelmem"},
    {"allocate accelmem", ENOSPC, "", "The device is full"},
    {"allocate accelmem", EDQUOT, "", "This is more than one program may hold"},
    {"open /dev/dma_heap/", ENOENT, "",
     "ls /dev/dma_heap shows the heaps there are; CONFIG_DMABUF_HEAPS_SYSTEM makes one"},
    {"open /dev/dma_heap/", EACCES, "", "Run as root, or let this user in: chgrp, chmod g+rw"},
    {"load libcuda.so.1", ELIBACC, "", "It comes with the driver of an NVIDIA GPU"},
    {"load libcuda.so.1", ENOSYS, "", "The driver is too old: CUDA 11.7 and later export dmabufs"},
    {"load libhsa-runtime64.so.1", ELIBACC, "", "It comes with ROCm, for an AMD GPU"},
    {"load libhsa-runtime64.so.1", ENOSYS, "", "ROCm is too old to export dmabufs"},
    {"find cuda device", ENODEV, "", "nvidia-smi lists those that the driver sees"},
    {"find rocm device", ENODEV, "", "rocminfo lists those that the driver sees"},
    {"allocate cuda memory", ENOMEM, "", "nvidia-smi shows who has the GPU's memory"},
    {"export cuda memory", EOPNOTSUPP, "",
     "NVIDIA's open kernel modules export it, on Turing and later"},
    {"export rocm memory", EOPNOTSUPP, "", "The kernel's amdgpu driver is too old for it"},
    {"map dmabuf", 0, "",
     "Its exporter does not let the CPU in: import it with a CopyEngine that can copy"},
};

bool matches(const Hint& hint, int error, std::string_view call, std::string_view extack) {
    return call.starts_with(hint.call) && (hint.error == 0 || hint.error == error) &&
           extack.find(hint.extack) != std::string_view::npos;
}

std::string compose(const std::error_code& code, std::string_view call, std::string_view speaker,
                    std::string_view said) {
    std::string text(call);
    text += ": " + code.message();
    if (!said.empty()) text.append(" (").append(speaker).append(said).append(")");
    for (const Hint& hint : hints) {
        if (!matches(hint, errno_of(code), call, said)) continue;
        text.append(". ").append(hint.advice);
        break;
    }
    return text;
}

}  // namespace

Error::Error(const std::error_code& code, Parts parts)
    : std::system_error(code), parts_(std::make_shared<const Parts>(std::move(parts))) {}

Error::Error(const std::error_code& code, std::string_view call, std::string_view said)
    : Error(code, Parts{std::string(call), {}, compose(code, call, "", said)}) {}

Error::Error(int errno_value, std::string_view call, std::string_view extack)
    : Error(std::error_code(errno_value, std::system_category()),
            Parts{std::string(call), std::string(extack),
                  compose({errno_value, std::system_category()}, call, "kernel: ", extack)}) {}

void throw_errno(std::string_view call) {
    throw Error(errno, call);
}

void throw_netlink(int errno_value, std::string_view call, std::string_view extack) {
    throw Error(errno_value, call, extack);
}

}  // namespace devmem
