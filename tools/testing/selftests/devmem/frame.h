/* SPDX-License-Identifier: GPL-2.0 */
/* What inject and sniff agree on: the payload of a frame, and checksums. */
#ifndef SELFTEST_FRAME_H
#define SELFTEST_FRAME_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FRAME_MAX	(1 << 17)

struct vlan_tag {
	uint16_t tci;
	uint16_t proto;
};

/* A payload byte follows from its place: in TCP its sequence number, else its
 * offset in the payload. So a segment can be checked without its neighbours.
 */
static inline uint8_t payload_byte(uint32_t place)
{
	return place * 31 + (place >> 8) * 7 + (place >> 16);
}

static inline uint32_t csum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += p[len - 1] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static inline uint16_t csum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* @ip4 or @ip6 is NULL. */
static inline uint32_t csum_pseudo(const struct iphdr *ip4,
				   const struct ip6_hdr *ip6, uint8_t proto,
				   uint32_t len)
{
	uint32_t sum = proto + (len >> 16) + (len & 0xffff);

	if (ip4)
		return csum_add(sum, &ip4->saddr, 8);
	return csum_add(sum, &ip6->ip6_src, 32);
}

#endif
