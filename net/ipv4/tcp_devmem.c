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
 * @area: whose memory the last frag was
 * @dmabuf_id: what that is called
 */
struct tcp_devmem_read {
	struct sock *sk;
	struct msghdr *msg;
	u32 offset;
	u32 len;
	u32 done;
	const struct net_iov_area *area;
	u32 dmabuf_id;
};

/* What put_cmsg_notrunc() does, in fewer instructions. */
static int tcp_devmem_copy_cmsg(struct msghdr *msg, int type,
				const struct dmabuf_cmsg *cmsg)
{
	struct cmsghdr __user *to = msg->msg_control_user;
	struct dmabuf_cmsg __user *data = CMSG_USER_DATA(to);
	size_t len = CMSG_LEN(sizeof(*cmsg));

	if (!to || msg->msg_controllen < len)
		return -EMSGSIZE;
	if (!user_write_access_begin(to, len))
		return -EFAULT;
	unsafe_put_user(len, &to->cmsg_len, efault);
	unsafe_put_user(SOL_SOCKET, &to->cmsg_level, efault);
	unsafe_put_user(type, &to->cmsg_type, efault);
	unsafe_put_user(cmsg->frag_offset, &data->frag_offset, efault);
	unsafe_put_user(cmsg->frag_size, &data->frag_size, efault);
	unsafe_put_user(cmsg->frag_token, &data->frag_token, efault);
	unsafe_put_user(cmsg->dmabuf_id, &data->dmabuf_id, efault);
	unsafe_put_user(cmsg->flags, &data->flags, efault);
	user_write_access_end();

	len = min_t(size_t, CMSG_SPACE(sizeof(*cmsg)), msg->msg_controllen);
	msg->msg_control_user += len;
	msg->msg_controllen -= len;
	return 0;

efault:
	user_write_access_end();
	return -EFAULT;
}

/* All of a control message, or nothing: half of one would lose a token. */
static int tcp_devmem_put_cmsg(struct tcp_devmem_read *read, int type,
			       struct dmabuf_cmsg *cmsg)
{
	struct msghdr *msg = read->msg;
	int err;

	if (likely(msg->msg_control_is_user &&
		   !(msg->msg_flags & MSG_CMSG_COMPAT)))
		err = tcp_devmem_copy_cmsg(msg, type, cmsg);
	else
		err = put_cmsg_notrunc(msg, SOL_SOCKET, type, sizeof(*cmsg),
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

/* How many bytes from @frag on, at @offset in it, lie in one piece of device
 * memory, of @most; *@frags says in how many frags, each of which is a niov.
 * Behind the last niov of one dmabuf may lie the first of another one.
 */
static u32 tcp_devmem_run(const skb_frag_t *frag, const skb_frag_t *end,
			  u32 offset, u32 most, u32 *frags)
{
	struct net_iov *niov = skb_frag_net_iov(frag);
	u32 size = 1U << net_iov_owner(niov)->shift;
	u32 len = skb_frag_size(frag) - offset;
	u32 n = 1;

	while (skb_frag_off(frag) + skb_frag_size(frag) == size &&
	       len < most && ++frag != end) {
		if (skb_frag_netmem(frag) != net_iov_to_netmem(niov + n) ||
		    net_iov_owner(niov + n) != net_iov_owner(niov) ||
		    skb_frag_off(frag))
			break;
		len += skb_frag_size(frag);
		n++;
	}
	*frags = n;
	return min(len, most);
}

/* Frags mostly are of the same dmabuf as the one before. */
static int tcp_devmem_locate(struct tcp_devmem_read *read,
			     const struct net_iov *niov)
{
	int err;

	if (likely(net_iov_owner(niov) == read->area))
		return 0;
	err = net_devmem_locate(niov, &read->dmabuf_id);
	if (!err)
		read->area = net_iov_owner(niov);
	return err;
}

/* Reports the run that begins in @frag. The token is made first, for another
 * thread may use it as soon as the message is written; if the message can't be
 * written, nobody has been told the number, and it is taken back. Returns how many
 * frags the run is in.
 */
static int tcp_devmem_frag(struct tcp_devmem_read *read,
			   const skb_frag_t *frag, const skb_frag_t *end)
{
	struct dmabuf_cmsg cmsg;
	struct net_iov *niov;
	int err, token;
	u32 frags;

	if (!skb_frag_is_net_iov(frag))
		return -ENODEV;
	niov = skb_frag_net_iov(frag);
	err = tcp_devmem_locate(read, niov);
	if (err)
		return err;

	cmsg.frag_offset = net_devmem_offset(niov) + skb_frag_off(frag) +
			   read->offset;
	cmsg.frag_size = tcp_devmem_run(frag, end, read->offset, read->len,
					&frags);
	cmsg.dmabuf_id = read->dmabuf_id;
	cmsg.flags = 0;
	token = devmem_token_add(read->sk, niov, frags);
	if (token < 0)
		return token;
	cmsg.frag_token = token;
	err = tcp_devmem_put_cmsg(read, SCM_DEVMEM_DMABUF, &cmsg);
	if (err) {
		devmem_token_return(read->sk, token);
		return err;
	}
	read->offset = 0;
	return frags;
}

static int tcp_devmem_frags(struct tcp_devmem_read *read,
			    const struct skb_shared_info *shinfo)
{
	const skb_frag_t *frag = shinfo->frags, *end = frag + shinfo->nr_frags;
	int frags;

	for (; read->len && frag != end; frag += frags) {
		if (unlikely(read->offset >= skb_frag_size(frag))) {
			read->offset -= skb_frag_size(frag);
			frags = 1;
			continue;
		}
		frags = tcp_devmem_frag(read, frag, end);
		if (frags < 0)
			return frags;
	}
	return 0;
}

static int tcp_devmem_skb(struct tcp_devmem_read *read,
			  const struct sk_buff *skb)
{
	const struct sk_buff *part;
	int err;

	err = tcp_devmem_linear(read, skb);
	if (!err)
		err = tcp_devmem_frags(read, skb_shinfo(skb));
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
