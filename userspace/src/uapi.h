// SPDX-License-Identifier: MIT
// Numbers and layouts of the kernel's interface that the host's headers may lack: Debian 12's are
// Linux 6.1's. linux/netdev.h and linux/accelmem.h come with this source tree.
#pragma once

#include <time.h>  // linux/errqueue.h takes it for granted

#include <linux/accelmem.h>
#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/netdev.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#ifndef MSG_SOCK_DEVMEM
#define MSG_SOCK_DEVMEM 0x2000000
#endif

#ifndef SO_DEVMEM_LINEAR
#if defined(__sparc__)
#define SO_DEVMEM_LINEAR 0x0057
#define SO_DEVMEM_DMABUF 0x0058
#define SO_DEVMEM_DONTNEED 0x0059
#elif defined(__hppa__)
#define SO_DEVMEM_LINEAR 0x404E
#define SO_DEVMEM_DMABUF 0x404F
#define SO_DEVMEM_DONTNEED 0x4050
#else
#define SO_DEVMEM_LINEAR 78
#define SO_DEVMEM_DMABUF 79
#define SO_DEVMEM_DONTNEED 80
#endif
#endif

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

#ifndef SCM_DEVMEM_LINEAR
#define SCM_DEVMEM_LINEAR SO_DEVMEM_LINEAR
#define SCM_DEVMEM_DMABUF SO_DEVMEM_DMABUF
#endif

namespace devmem::uapi {

/// The kernel's struct dmabuf_cmsg (linux/uio.h since 6.12), under our own name so that it never
/// collides with a newer host header.
struct dmabuf_cmsg {
    std::uint64_t frag_offset;
    std::uint32_t frag_size;
    std::uint32_t frag_token;
    std::uint32_t dmabuf_id;
    std::uint32_t flags;
};
static_assert(sizeof(dmabuf_cmsg) == 24);
static_assert(offsetof(dmabuf_cmsg, dmabuf_id) == 16);

/// The kernel's struct dmabuf_token.
struct dmabuf_token {
    std::uint32_t token_start;
    std::uint32_t token_count;
};
static_assert(sizeof(dmabuf_token) == 8);

/// Limits of one SO_DEVMEM_DONTNEED call (net/core/sock.c: MAX_DONTNEED_TOKENS, _FRAGS).
inline constexpr std::size_t max_dontneed_ranges = 128;
inline constexpr std::size_t max_dontneed_frags = 1024;

/// Most iovecs of one sendmsg() (linux/uio.h: UIO_MAXIOV).
inline constexpr std::size_t max_iovecs = 1024;

/// What a kernel answers when the control buffer is too small for one message: 6.12 lets its
/// internal ETOOSMALL out, which no userspace header names; others say EMSGSIZE.
inline constexpr int error_too_small = 525;

// Ring attributes that came after the host's headers. Enumerators can't be tested with #ifdef, and
// their values never change, so they get names of their own.
inline constexpr int rings_hds_thresh = 17;      // ETHTOOL_A_RINGS_HDS_THRESH, 6.14
inline constexpr int rings_hds_thresh_max = 18;  // ETHTOOL_A_RINGS_HDS_THRESH_MAX, 6.14

}  // namespace devmem::uapi
