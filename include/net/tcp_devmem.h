/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NET_TCP_DEVMEM_H
#define _NET_TCP_DEVMEM_H

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/socket.h>
#include <linux/types.h>

struct net_devmem_tx_binding;
struct sk_buff;
struct sock;
struct ubuf_info;

#ifdef CONFIG_NET_DEVMEM
int tcp_recv_devmem(struct sock *sk, const struct sk_buff *skb, u32 offset,
		    struct msghdr *msg, u32 len, int flags);

/* May @skb, just received, be all that its NIC had to receive into? */
bool tcp_devmem_scarce(const struct sk_buff *skb);
#else
static inline int tcp_recv_devmem(struct sock *sk, const struct sk_buff *skb,
				  u32 offset, struct msghdr *msg, u32 len,
				  int flags)
{
	return -EFAULT;
}

static inline bool tcp_devmem_scarce(const struct sk_buff *skb)
{
	return false;
}
#endif

/* Is @msg to be sent from device memory? Then what it has for addresses are
 * none, whatever else is wrong with it.
 */
static inline bool tcp_devmem_tx_wanted(struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return false;
		if (cmsg->cmsg_level == SOL_SOCKET &&
		    cmsg->cmsg_type == SCM_DEVMEM_DMABUF)
			return true;
	}
	return false;
}

#ifdef CONFIG_NET_DEVMEM_TX
/* All with the socket lock. The binding is NULL for a call that sends what is in
 * the caller's memory.
 */
struct net_devmem_tx_binding *tcp_devmem_tx_begin(struct sock *sk,
						  struct msghdr *msg, u32 id);
int tcp_devmem_tx_route(struct sock *sk,
			const struct net_devmem_tx_binding *binding);
bool tcp_devmem_tx_fits(const struct sk_buff *skb,
			const struct net_devmem_tx_binding *binding);
int tcp_devmem_tx_append(struct sock *sk, struct sk_buff *skb,
			 struct msghdr *msg, u32 len, struct ubuf_info *uarg,
			 struct net_devmem_tx_binding *binding);
void tcp_devmem_tx_end(struct net_devmem_tx_binding *binding);
#else
static inline struct net_devmem_tx_binding *
tcp_devmem_tx_begin(struct sock *sk, struct msghdr *msg, u32 id)
{
	return ERR_PTR(-EINVAL);
}

static inline int
tcp_devmem_tx_route(struct sock *sk,
		    const struct net_devmem_tx_binding *binding)
{
	return 0;
}

static inline bool
tcp_devmem_tx_fits(const struct sk_buff *skb,
		   const struct net_devmem_tx_binding *binding)
{
	return true;
}

static inline int
tcp_devmem_tx_append(struct sock *sk, struct sk_buff *skb, struct msghdr *msg,
		     u32 len, struct ubuf_info *uarg,
		     struct net_devmem_tx_binding *binding)
{
	return -EFAULT;
}

static inline void tcp_devmem_tx_end(struct net_devmem_tx_binding *binding)
{
}
#endif

#endif /* _NET_TCP_DEVMEM_H */
