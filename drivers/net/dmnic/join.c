// SPDX-License-Identifier: GPL-2.0
/* The receiving hardware makes one of many frames: rx-gro-hw. What comes out is
 * what GRO would make of them, and can be cut into the same frames again.
 *
 * A queue has one stream in the making. A frame that goes on in it, right after
 * the last, has its payload written behind the last's, in the same buffers; any
 * other frame ends it, and so does a pause on the wire.
 */
#include <linux/tcp.h>
#include <net/tcp.h>

#include "dmnic.h"

/* As long as an IP packet may be: its pages have room in an skb's frags, split
 * or not.
 */
static_assert(DIV_ROUND_UP(ETH_HLEN + U16_MAX, PAGE_SIZE) <= MAX_SKB_FRAGS);

static const struct tcphdr *dmnic_join_tcp(const struct dmnic_frame *frame,
					   const struct dmnic_flow *flow)
{
	return (const struct tcphdr *)(frame->head + flow->l4_off);
}

/* Neither VLAN tag nor IP option, nor anything for TCP but payload that is
 * known to be intact.
 */
bool dmnic_join_takes(const struct dmnic_port *port,
		      const struct dmnic_frame *frame,
		      const struct dmnic_flow *flow,
		      const struct dmnic_completion *done)
{
	const __be32 alone = TCP_RESERVED_BITS | TCP_FLAG_CWR | TCP_FLAG_ECE |
			     TCP_FLAG_URG | TCP_FLAG_RST | TCP_FLAG_SYN |
			     TCP_FLAG_FIN;
	u32 l3_len = flow->l4_off - ETH_HLEN;

	if (!(port->dev->features & NETIF_F_GRO_HW) || !done->csum_ok ||
	    flow->l4 != IPPROTO_TCP || frame->len == flow->header_len)
		return false;
	if (l3_len != (flow->l3 == AF_INET ? sizeof(struct iphdr) :
					     sizeof(struct ipv6hdr)))
		return false;
	return (tcp_flag_word(dmnic_join_tcp(frame, flow)) &
		(alone | TCP_FLAG_ACK)) == TCP_FLAG_ACK;
}

/* The frame's headers, without what says nothing about whether frames belong
 * together.
 */
static void dmnic_join_form(struct dmnic_join_headers *headers,
			    const struct dmnic_frame *frame,
			    const struct dmnic_flow *flow)
{
	struct tcphdr *tcp = (struct tcphdr *)(headers->bytes + flow->l4_off);
	struct ipv6hdr *ip6 = (struct ipv6hdr *)(headers->bytes + ETH_HLEN);
	struct iphdr *ip = (struct iphdr *)(headers->bytes + ETH_HLEN);

	memcpy(headers->bytes, frame->head, flow->header_len);
	tcp->check = 0;
	tcp->psh = 0;
	if (flow->l3 == AF_INET) {
		ip->tot_len = 0;
		ip->check = 0;
	} else {
		ip6->payload_len = 0;
	}
}

/* The frame has been written. All that may differ in the next are the numbers
 * that count on.
 */
static void dmnic_join_took(struct dmnic_rxq *rxq,
			    const struct dmnic_frame *frame,
			    const struct dmnic_flow *flow)
{
	struct dmnic_join *join = &rxq->join;
	u32 len = frame->len - flow->header_len;
	struct tcphdr *tcp;
	struct iphdr *ip;

	tcp = (struct tcphdr *)(join->next.bytes + flow->l4_off);
	ip = (struct iphdr *)(join->next.bytes + ETH_HLEN);
	dmnic_join_form(&join->next, frame, flow);
	be32_add_cpu(&tcp->seq, len);
	if (flow->l3 == AF_INET)
		be16_add_cpu(&ip->id, 1);
	join->done.psh = dmnic_join_tcp(frame, flow)->psh;
	if (join->done.psh || len < join->done.mss)
		dmnic_join_end(rxq);
}

/* The frame is the first, and is written as @done says; @at is where its
 * payload ends.
 */
void dmnic_join_begin(struct dmnic_rxq *rxq, const struct dmnic_frame *frame,
		      const struct dmnic_flow *flow,
		      const struct dmnic_completion *done,
		      const struct dmnic_cursor *at)
{
	struct dmnic_join *join = &rxq->join;

	join->done = *done;
	join->done.mss = frame->len - flow->header_len;
	join->at = *at;
	join->ring = done->payload_len ? &rxq->mem.payload : &rxq->mem.host;
	dmnic_join_took(rxq, frame, flow);
}

static bool dmnic_join_goes_on(const struct dmnic_join *join,
			       const struct dmnic_frame *frame,
			       const struct dmnic_flow *flow)
{
	u32 all = join->done.host_len + join->done.payload_len - ETH_HLEN;
	u32 len = frame->len - flow->header_len;
	struct dmnic_join_headers headers;

	if (flow->header_len != join->done.header_len ||
	    len > join->done.mss || all + len > U16_MAX)
		return false;
	dmnic_join_form(&headers, frame, flow);
	return !memcmp(headers.bytes, join->next.bytes, flow->header_len);
}

/* Writes the frame, which dmnic_join_takes(), behind what is there. Returns
 * -EAGAIN if it does not belong there or finds no room, -EFAULT if the buffers
 * are not what the driver said.
 */
int dmnic_join_add(struct dmnic_rxq *rxq, struct dmnic_frame *frame,
		   const struct dmnic_flow *flow)
{
	u32 len = frame->len - flow->header_len;
	struct dmnic_join *join = &rxq->join;
	struct dmnic_rx_ring *ring = join->ring;
	struct dmnic_cursor at = join->at;
	u32 *filled, bufs;
	int err;

	if (!join->done.frames || !dmnic_join_goes_on(join, frame, flow))
		return -EAGAIN;
	filled = ring == &rxq->mem.payload ? &join->done.payload_len :
					     &join->done.host_len;
	bufs = DIV_ROUND_UP(*filled + len, ring->buf_len) -
	       DIV_ROUND_UP(*filled, ring->buf_len);
	if (dmnic_ring_ready(ring) < bufs)
		return -EAGAIN;

	at.end = dmnic_fault(&rxq->port->faults.rx_dma) ? at.idx :
							  ring->used + bufs;
	err = dmnic_dma_write(&at, frame->head + flow->header_len,
			      frame->head_len - flow->header_len);
	if (!err)
		err = dmnic_dma_copy(&at, &frame->body,
				     frame->len - frame->head_len);
	if (err)
		return err;
	ring->used += bufs;
	*filled += len;
	join->at = at;
	join->done.frames++;
	dmnic_join_took(rxq, frame, flow);
	return 0;
}

/* The driver may have it, if there is any. */
void dmnic_join_end(struct dmnic_rxq *rxq)
{
	if (!rxq->join.done.frames)
		return;
	dmnic_rx_complete(&rxq->mem, &rxq->join.done);
	rxq->join.done.frames = 0;
}
