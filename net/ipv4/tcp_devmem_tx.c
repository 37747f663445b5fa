// SPDX-License-Identifier: GPL-2.0
/* Sending from device memory: TCP's part. What a process passes for addresses
 * are offsets in a dmabuf; its bytes go from there to the NIC and nowhere else.
 */
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <net/dst.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>
#include <net/tcp_devmem.h>

#include "../core/devmem.h"

/* Are segments to be signed? The CPU would have to read them. */
static bool tcp_devmem_tx_signed(const struct sock *sk)
{
#ifdef CONFIG_TCP_MD5SIG
	return tcp_sk(sk)->af_specific->md5_lookup(sk, sk);
#else
	return false;
#endif
}

/* On any other way through sendmsg(), offsets would be taken for addresses. */
static bool tcp_devmem_tx_asked(const struct sock *sk, const struct msghdr *msg)
{
	return msg->msg_flags & MSG_ZEROCOPY && sock_flag(sk, SOCK_ZEROCOPY) &&
	       !msg->msg_ubuf && !tcp_sk(sk)->repair;
}

/**
 * tcp_devmem_tx_begin - a process wants to send device memory
 * @sk: with its lock
 * @msg: what sendmsg() was given
 * @id: of the binding
 *
 * Return: the binding, to be given to tcp_devmem_tx_end(); -EINVAL if there is
 * none, or the call does not ask for zerocopy; -EFAULT if @msg leaves the dmabuf
 */
struct net_devmem_tx_binding *tcp_devmem_tx_begin(struct sock *sk,
						  struct msghdr *msg, u32 id)
{
	struct net_devmem_tx_binding *binding;
	int err;

	binding = tcp_devmem_tx_asked(sk, msg) ? net_devmem_tx_get(id) : NULL;
	if (!binding)
		return ERR_PTR(-EINVAL);
	err = net_devmem_tx_check(binding, &msg->msg_iter);
	if (err) {
		net_devmem_tx_put(binding);
		return ERR_PTR(err);
	}
	return binding;
}

void tcp_devmem_tx_end(struct net_devmem_tx_binding *binding)
{
	net_devmem_tx_put(binding);
}

static bool tcp_devmem_tx_reaches(const struct sock *sk,
				  const struct net_device *dev,
				  const struct net_device *bound)
{
	if (is_vlan_dev(dev))
		dev = vlan_dev_real_dev(dev);
	return dev == bound && net_eq(dev_net(dev), sock_net(sk));
}

/* Does the device do what the CPU would have to read the payload for? */
static bool tcp_devmem_tx_spares_cpu(const struct dst_entry *dst,
				     const struct net_device *dev)
{
	__be16 proto = htons(dst->ops->family == AF_INET6 ? ETH_P_IPV6 :
							    ETH_P_IP);

	return dev->features & NETIF_F_SG &&
	       can_checksum_protocol(dev->features, proto) && !dst_xfrm(dst);
}

/**
 * tcp_devmem_tx_route - does the connection go by way of the binding's device?
 * @sk: connected; with its lock
 * @binding: what is to be sent from
 *
 * If it goes elsewhere later, what is queued will not leave; see
 * net_devmem_tx_may_leave(). It will if the route comes back.
 *
 * Return: 0; -EHOSTUNREACH if there is no route; -ENODEV if the route is another
 * device's, or the device is gone; -EOPNOTSUPP if the CPU would have to read
 * the payload, to sign, encrypt, checksum or copy it
 */
int tcp_devmem_tx_route(struct sock *sk,
			const struct net_devmem_tx_binding *binding)
{
	const struct net_device *dev;
	const struct dst_entry *dst;
	int err = 0;

	/* Goes for a new route only if there is none, or it has expired */
	if (inet_csk(sk)->icsk_af_ops->rebuild_header(sk))
		return -EHOSTUNREACH;

	rcu_read_lock();
	dst = __sk_dst_get(sk);
	dev = dst ? READ_ONCE(dst->dev) : NULL;
	if (!dev || !tcp_devmem_tx_reaches(sk, dev, READ_ONCE(binding->map.dev)))
		err = -ENODEV;
	else if (!tcp_devmem_tx_spares_cpu(dst, dev) || tcp_devmem_tx_signed(sk))
		err = -EOPNOTSUPP;
	rcu_read_unlock();
	return err;
}

bool tcp_devmem_tx_fits(const struct sk_buff *skb,
			const struct net_devmem_tx_binding *binding)
{
	return net_devmem_tx_fits(skb, binding);
}

/**
 * tcp_devmem_tx_append - add device memory to the last skb of the write queue
 * @sk: with its lock
 * @skb: where tcp_devmem_tx_fits()
 * @msg: what sendmsg() was given
 * @len: how many bytes at most, at least 1
 * @uarg: whom to tell when they have been sent
 * @binding: whose they are
 *
 * An skb of device memory alone is purely zerocopy, so that it is charged to
 * the send buffer, but not to the host's memory.
 *
 * Return: how many bytes were added; -EMSGSIZE or -EEXIST if another skb is
 * needed
 */
int tcp_devmem_tx_append(struct sock *sk, struct sk_buff *skb,
			 struct msghdr *msg, u32 len, struct ubuf_info *uarg,
			 struct net_devmem_tx_binding *binding)
{
	if (skb_zcopy(skb) && skb_zcopy(skb) != uarg)
		return -EEXIST;
	len = net_devmem_tx_append(binding, skb, &msg->msg_iter, len);
	if (!len)
		return -EMSGSIZE;
	skb->truesize += len;
	sk_wmem_queued_add(sk, len);
	if (!skb_zcopy_pure(skb))
		sk_mem_charge(sk, len);
	skb_zcopy_set(skb, uarg, NULL);
	return len;
}
