/* SPDX-License-Identifier: GPL-2.0 */
/* A frame on the wire, and what its headers say. */
#ifndef _DMNIC_FRAME_H
#define _DMNIC_FRAME_H

#include <linux/types.h>

#include "dma.h"

/* Room for every header that can be split off: Ethernet, two VLAN tags, IP
 * with options or extension headers, TCP with options.
 */
#define DMNIC_HEAD_MAX	256

/**
 * struct dmnic_frame - a frame on the wire
 * @len: all of it, in bytes
 * @head_len: bytes of it in @head
 * @body: where the sender keeps the others
 * @csum_at: where the L4 header is whose checksum the sending hardware has just
 *	     made from scratch, 0 if it did not
 * @queue: the receiving end's queue that the frame before went to, -1: none
 * @pad: puts the IP header on a 4-byte boundary
 * @head: the first bytes
 */
struct dmnic_frame {
	struct dmnic_cursor body;
	u32 len;
	u32 head_len;
	int queue;
	u16 csum_at;
	u8 pad[2] __aligned(4);
	u8 head[DMNIC_HEAD_MAX];
};

/* Addresses and ports; IPv4 addresses are in the first word. */
struct dmnic_tuple {
	__be32 src[4];
	__be32 dst[4];
	__be16 sport;
	__be16 dport;
};

/**
 * struct dmnic_flow - what the hardware makes of a frame's headers
 * @tuple: addresses if @l3 is set, ports if @l4 is set
 * @l3: AF_INET, AF_INET6, or 0: neither
 * @l4: IPPROTO_TCP, IPPROTO_UDP, or 0: neither, or a fragment
 * @l4_off: where the L4 header begins
 * @header_len: L2-L4 headers; 0 if they are incomplete, too long, don't agree
 *		with the frame's length, or have no checksum
 */
struct dmnic_flow {
	struct dmnic_tuple tuple;
	u8 l3;
	u8 l4;
	u16 l4_off;
	u16 header_len;
};

void dmnic_frame_parse(const struct dmnic_frame *frame,
		       struct dmnic_flow *flow);
bool dmnic_frame_csum_good(const struct dmnic_frame *frame,
			   const struct dmnic_flow *flow);
int dmnic_frame_l4_sum(const struct dmnic_frame *frame, u32 l4_off,
		       __wsum *sum);

#endif /* _DMNIC_FRAME_H */
