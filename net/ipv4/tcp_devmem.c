// SPDX-License-Identifier: GPL-2.0
/* Receiving what the CPU can't read: instead of the bytes, a process gets
 * control messages that say where they are.
 */
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <net/devmem_token.h>
#include <net/sock.h>
#include <net/tcp_devmem.h>

#include "../core/devmem.h"

/**
 * struct tcp_devmem_read - a call of tcp_recv_devmem() on its way
 * @sk: with its lock
 * @msg: where control messages, and bytes that can be read, go
 * @offset: bytes of the skb still to be skipped
 * @len: bytes still wanted
 * @done: bytes reported
 */
struct tcp_devmem_read {
	struct sock *sk;
	struct msghdr *msg;
	u32 offset;
	u32 len;
	u32 done;
};

/* All of a control message, or nothing: half of one would lose a token. */
static int tcp_devmem_put_cmsg(struct tcp_devmem_read *read, int type,
			       struct dmabuf_cmsg *cmsg)
{
	int err;

	err = put_cmsg_notrunc(read->msg, SOL_SOCKET, type, sizeof(*cmsg),
			       cmsg);
	if (err)
		return err;
	read->len -= cmsg->frag_size;
	read->done += cmsg->frag_size;
	return 0;
}

/* The skb's head, if there is payload in it: copied as ever, and reported so
 * that the process knows where it belongs between the frags.
 */
static int tcp_devmem_linear(struct tcp_devmem_read *read,
			     const struct sk_buff *skb)
{
	u32 head = skb_headlen(skb);
	struct dmabuf_cmsg cmsg = {};
	size_t copied;
	int err;

	if (read->offset >= head) {
		read->offset -= head;
		return 0;
	}
	cmsg.frag_size = min(read->len, head - read->offset);
	copied = copy_to_iter(skb->data + read->offset, cmsg.frag_size,
			      &read->msg->msg_iter);
	err = copied == cmsg.frag_size ? 0 : -EFAULT;
	if (!err)
		err = tcp_devmem_put_cmsg(read, SCM_DEVMEM_LINEAR, &cmsg);
	if (err)
		iov_iter_revert(&read->msg->msg_iter, copied);
	read->offset = 0;
	return err;
}

/* How many bytes from frag @i on, at @offset in it, lie in one piece of device
 * memory, of @most; *@niovs says in how many niovs. *@last is the last frag.
 */
static u32 tcp_devmem_run(const struct sk_buff *skb, int i, u32 offset,
			  u32 most, u32 *niovs, int *last)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
	struct net_iov *niov = skb_frag_net_iov(frag);
	u32 size = 1U << net_iov_owner(niov)->shift;
	u32 len = skb_frag_size(frag) - offset;

	*niovs = 1;
	while (len < most && ++i < skb_shinfo(skb)->nr_frags &&
	       skb_frag_off(frag) + skb_frag_size(frag) == size) {
		frag++;
		if (skb_frag_netmem(frag) != net_iov_to_netmem(niov + *niovs) ||
		    skb_frag_off(frag))
			break;
		len += skb_frag_size(frag);
		++*niovs;
		*last = i;
	}
	return min(len, most);
}

/* Reports the run that begins in frag @i. The token is made first, for another
 * thread may use it as soon as the message is written; if the message can't be
 * written, nobody has been told the number, and it is taken back.
 */
static int tcp_devmem_frag(struct tcp_devmem_read *read,
			   const struct sk_buff *skb, int i, int *last)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
	struct dmabuf_cmsg cmsg = {};
	struct dmabuf_token token;
	struct net_iov *niov;
	u32 niovs;
	int err;

	if (!skb_frag_is_net_iov(frag))
		return -ENODEV;
	niov = skb_frag_net_iov(frag);
	err = net_devmem_locate(niov, &cmsg.dmabuf_id, &cmsg.frag_offset);
	if (err)
		return err;
	err = devmem_tokens_reserve(read->sk);
	if (err)
		return err;

	cmsg.frag_offset += skb_frag_off(frag) + read->offset;
	cmsg.frag_size = tcp_devmem_run(skb, i, read->offset, read->len,
					&niovs, last);
	cmsg.frag_token = devmem_token_add(read->sk, niov, niovs);
	err = tcp_devmem_put_cmsg(read, SCM_DEVMEM_DMABUF, &cmsg);
	if (err) {
		token.token_start = cmsg.frag_token;
		token.token_count = 1;
		devmem_tokens_return(read->sk, &token, 1);
	}
	read->offset = 0;
	return err;
}

static int tcp_devmem_skb(struct tcp_devmem_read *read,
			  const struct sk_buff *skb)
{
	const struct sk_buff *part;
	int err, i, last;

	err = tcp_devmem_linear(read, skb);
	for (i = 0; !err && read->len && i < skb_shinfo(skb)->nr_frags;
	     i = last + 1) {
		u32 size = skb_frag_size(&skb_shinfo(skb)->frags[i]);

		last = i;
		if (read->offset >= size)
			read->offset -= size;
		else
			err = tcp_devmem_frag(read, skb, i, &last);
	}
	skb_walk_frags(skb, part) {
		if (err || !read->len)
			break;
		if (read->offset >= part->len)
			read->offset -= part->len;
		else
			err = tcp_devmem_skb(read, part);
	}
	return err;
}

/**
 * tcp_recv_devmem - receive from an unreadable skb
 * @sk: with its lock
 * @skb: in its receive queue
 * @offset: where to begin
 * @msg: what recvmsg() was given
 * @len: how much is wanted, at least 1
 * @flags: of recvmsg()
 *
 * Looking at device memory without taking it is refused: each look would make
 * tokens for the same bytes.
 *
 * Return: how many bytes were reported, or if none were, -EFAULT if the process
 * did not ask for device memory or gave a bad address, -EOPNOTSUPP for
 * MSG_PEEK, -EMSGSIZE if there is no room for a control message, -ENODEV if the
 * memory is no dmabuf's, -ENOMEM
 */
int tcp_recv_devmem(struct sock *sk, const struct sk_buff *skb, u32 offset,
		    struct msghdr *msg, u32 len, int flags)
{
	struct tcp_devmem_read read = {
		.sk = sk,
		.msg = msg,
		.offset = offset,
		.len = len,
	};
	int err;

	if (!(flags & MSG_SOCK_DEVMEM))
		return -EFAULT;
	if (flags & MSG_PEEK)
		return -EOPNOTSUPP;
	err = tcp_devmem_skb(&read, skb);
	return read.done ?: err;
}

/**
 * tcp_devmem_scarce - is it unwise to keep an skb that came out of order?
 * @skb: just received
 *
 * What came out of order stays until what is missing has come. If it takes all
 * the memory that the NIC has, that never comes: so once there is nothing left,
 * what comes out of order must go, to make room.
 */
bool tcp_devmem_scarce(const struct sk_buff *skb)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);

	return !skb_frags_readable(skb) && shinfo->nr_frags &&
	       skb_frag_is_net_iov(&shinfo->frags[0]) &&
	       net_devmem_scarce(skb_frag_net_iov(&shinfo->frags[0]));
}
