// SPDX-License-Identifier: GPL-2.0
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>

#include "frame.h"

/* Returns the @len bytes of header at @off, NULL if they aren't all there. */
static const void *dmnic_frame_at(const struct dmnic_frame *frame, u32 off,
				  u32 len)
{
	return off + len <= frame->head_len ? frame->head + off : NULL;
}

/* Returns where L3 begins, 0 if nowhere. */
static u32 dmnic_parse_ether(const struct dmnic_frame *frame, __be16 *proto)
{
	const struct ethhdr *eth = dmnic_frame_at(frame, 0, sizeof(*eth));
	const struct vlan_hdr *vlan;
	u32 off = sizeof(*eth);
	int tags;

	if (!eth)
		return 0;
	*proto = eth->h_proto;
	for (tags = 0; tags < 2 && eth_type_vlan(*proto); tags++) {
		vlan = dmnic_frame_at(frame, off, sizeof(*vlan));
		if (!vlan)
			return 0;
		*proto = vlan->h_vlan_encapsulated_proto;
		off += sizeof(*vlan);
	}
	return off;
}

/* Both return the L4 protocol, -1 if there is none to be seen; *@exact says
 * that the frame ends where the IP packet does.
 */
static int dmnic_parse_ipv4(const struct dmnic_frame *frame, u32 off,
			    struct dmnic_flow *flow, bool *exact)
{
	const struct iphdr *ip = dmnic_frame_at(frame, off, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return -1;
	flow->l3 = AF_INET;
	flow->tuple.src[0] = ip->saddr;
	flow->tuple.dst[0] = ip->daddr;
	flow->l4_off = off + ip->ihl * 4;
	*exact = off + ntohs(ip->tot_len) == frame->len &&
		 flow->l4_off <= frame->head_len &&
		 !ip_fast_csum(ip, ip->ihl);
	return ip_is_fragment(ip) ? -1 : ip->protocol;
}

static int dmnic_parse_ipv6(const struct dmnic_frame *frame, u32 off,
			    struct dmnic_flow *flow, bool *exact)
{
	const struct ipv6hdr *ip = dmnic_frame_at(frame, off, sizeof(*ip));
	const struct ipv6_opt_hdr *opt;
	u8 next;

	if (!ip || ip->version != 6)
		return -1;
	flow->l3 = AF_INET6;
	memcpy(flow->tuple.src, &ip->saddr, sizeof(ip->saddr));
	memcpy(flow->tuple.dst, &ip->daddr, sizeof(ip->daddr));
	off += sizeof(*ip);
	*exact = off + ntohs(ip->payload_len) == frame->len;
	next = ip->nexthdr;
	while (next == NEXTHDR_HOP || next == NEXTHDR_ROUTING ||
	       next == NEXTHDR_DEST) {
		opt = dmnic_frame_at(frame, off, sizeof(*opt));
		if (!opt)
			return -1;
		next = opt->nexthdr;
		off += ipv6_optlen(opt);
	}
	flow->l4_off = off;
	return next;
}

/* Returns the length of the L4 header, 0 if it isn't whole, has no checksum or
 * disagrees with the frame's length.
 */
static u32 dmnic_parse_l4(const struct dmnic_frame *frame, int proto,
			  struct dmnic_flow *flow)
{
	const struct tcphdr *tcp;
	const struct udphdr *udp;

	switch (proto) {
	case IPPROTO_TCP:
		tcp = dmnic_frame_at(frame, flow->l4_off, sizeof(*tcp));
		if (!tcp || tcp->doff < 5)
			return 0;
		flow->tuple.sport = tcp->source;
		flow->tuple.dport = tcp->dest;
		flow->l4 = IPPROTO_TCP;
		return tcp->doff * 4;
	case IPPROTO_UDP:
		udp = dmnic_frame_at(frame, flow->l4_off, sizeof(*udp));
		if (!udp)
			return 0;
		flow->tuple.sport = udp->source;
		flow->tuple.dport = udp->dest;
		flow->l4 = IPPROTO_UDP;
		if (ntohs(udp->len) != frame->len - flow->l4_off)
			return 0;
		return udp->check ? sizeof(*udp) : 0;
	}
	return 0;
}

void dmnic_frame_parse(const struct dmnic_frame *frame,
		       struct dmnic_flow *flow)
{
	bool exact = false;
	__be16 ethertype;
	int proto = -1;
	u32 off, len;

	memset(flow, 0, sizeof(*flow));
	off = dmnic_parse_ether(frame, &ethertype);
	if (off && ethertype == htons(ETH_P_IP))
		proto = dmnic_parse_ipv4(frame, off, flow, &exact);
	else if (off && ethertype == htons(ETH_P_IPV6))
		proto = dmnic_parse_ipv6(frame, off, flow, &exact);

	len = dmnic_parse_l4(frame, proto, flow);
	if (len && exact && flow->l4_off + len <= frame->head_len)
		flow->header_len = flow->l4_off + len;
}

/* Sums the frame from @l4_off to its end. */
int dmnic_frame_l4_sum(const struct dmnic_frame *frame, u32 l4_off,
		       __wsum *sum)
{
	struct dmnic_cursor body = frame->body;
	u32 in_head = frame->head_len - l4_off;
	__wsum rest = 0;
	int err;

	err = dmnic_dma_csum(&body, frame->len - frame->head_len, &rest);
	if (err)
		return err;
	*sum = csum_partial(frame->head + l4_off, in_head, 0);
	*sum = csum_block_add(*sum, rest, in_head);
	return 0;
}

/* Does the L4 checksum fit? Not asked of frames without a header_len. */
bool dmnic_frame_csum_good(const struct dmnic_frame *frame,
			   const struct dmnic_flow *flow)
{
	const struct dmnic_tuple *tuple = &flow->tuple;
	u32 len = frame->len - flow->l4_off;
	__wsum sum;

	if (dmnic_frame_l4_sum(frame, flow->l4_off, &sum))
		return false;
	if (flow->l3 == AF_INET)
		return !csum_tcpudp_magic(tuple->src[0], tuple->dst[0], len,
					  flow->l4, sum);
	return !csum_ipv6_magic((const struct in6_addr *)tuple->src,
				(const struct in6_addr *)tuple->dst, len,
				flow->l4, sum);
}
