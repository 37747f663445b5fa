// SPDX-License-Identifier: GPL-2.0
/* inject - send frames of any make, right or wrong, out of a device
 *
 *   inject DEV [KEY=VALUE ...]
 *
 * Unless told otherwise it is one well-formed frame. Keys:
 *
 *   n=COUNT gap=USECS step=sport|dport|id   how many, how fast, what counts up
 *   smac= dmac= vlan=ID
 *   proto=tcp|udp|icmp|arp|raw              raw: ethertype 0x88b5
 *   src= dst=                               both IPv4 or both IPv6
 *   sport= dport= seq= ack= flags=SAFRPUEC win=
 *   len=PAYLOAD ipopt=BYTES tcpopt=BYTES ext=BYTES (IPv6 destination options)
 *   id= ttl= tos= frag=OFFSET[+]            +: more fragments follow; a
 *                                           fragment has a sum of its own
 *   csum=offload gso=SIZE ecn=1             leave that work to the device
 *   zero=1                                  a payload whose checksum comes to 0
 *   bad=ip|l4 iplen=BYTES doff=WORDS        lies
 *   csum=none                               no checksum, which UDP allows
 *   cut=BYTES pad=BYTES                     a shorter or longer frame than said
 *   fuzz=SEED                               frames of every make, then damaged
 *   at=NETNS:DEV                            tell on which queues of that device
 *                                           they landed: 1:5 3:2
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "landing.h"

#ifndef PACKET_VNET_HDR
#define PACKET_VNET_HDR 15
#endif

struct spec {
	const char *smac, *dmac, *proto, *src, *dst, *flags, *frag, *bad;
	const char *csum, *step, *at;
	int n, gap, vlan, sport, dport, win, len, ipopt, tcpopt, ext;
	int id, ttl, tos, gso, ecn, zero, iplen, doff, cut, pad;
	unsigned int seq, ack, fuzz;
};

static struct spec spec = {
	.smac = "02:00:00:00:00:99", .dmac = "ff:ff:ff:ff:ff:ff",
	.proto = "tcp", .src = "192.0.2.1", .dst = "192.0.2.2", .flags = "A",
	.frag = "", .bad = "", .csum = "", .step = "", .at = NULL,
	.n = 1, .vlan = -1, .sport = 1000, .dport = 2000, .win = 8192,
	.len = 100, .id = 1, .ttl = 64, .doff = -1, .iplen = -1, .cut = -1,
};

/* One frame, and where its parts begin. */
static struct {
	struct virtio_net_hdr vnet;
	uint8_t data[FRAME_MAX];
	size_t len;
	struct iphdr *ip4;
	struct ip6_hdr *ip6;
	uint8_t *l4;
	size_t l4_len;
	uint16_t *l4_csum;
	int l4_proto;
} frame;

static void *put(size_t len)
{
	void *p = frame.data + frame.len;

	if (frame.len + len > sizeof(frame.data))
		errx(2, "frame too long");
	frame.len += len;
	return memset(p, 0, len);
}

static void put_payload(uint32_t place)
{
	uint8_t *p = put(spec.len);
	int i;

	for (i = 0; i < spec.len; i++)
		p[i] = payload_byte(place + i);
}

static void put_mac(const char *text)
{
	struct ether_addr *mac = ether_aton(text);

	if (!mac)
		errx(2, "%s is not a MAC address", text);
	memcpy(put(ETH_ALEN), mac, ETH_ALEN);
}

static void put_be16(uint16_t value)
{
	value = htons(value);
	memcpy(put(2), &value, 2);
}

static void put_ethernet(int proto)
{
	put_mac(spec.dmac);
	put_mac(spec.smac);
	if (spec.vlan >= 0) {
		put_be16(ETH_P_8021Q);
		put_be16(spec.vlan);
	}
	put_be16(proto);
}

static int frag_field(void)
{
	int field = atoi(spec.frag);

	return strchr(spec.frag, '+') ? field | IP_MF : field;
}

static void put_ip4(int proto)
{
	struct iphdr *ip = put(sizeof(*ip));

	ip->version = 4;
	ip->ihl = 5 + spec.ipopt / 4;
	ip->tos = spec.tos;
	ip->id = htons(spec.id);
	ip->frag_off = htons(frag_field());
	ip->ttl = spec.ttl;
	ip->protocol = proto;
	if (!inet_pton(AF_INET, spec.src, &ip->saddr) ||
	    !inet_pton(AF_INET, spec.dst, &ip->daddr))
		errx(2, "%s, %s: not IPv4 addresses", spec.src, spec.dst);
	memset(put(spec.ipopt), IPOPT_NOP, spec.ipopt);
	frame.ip4 = ip;
}

static void put_ip6(int proto)
{
	struct ip6_hdr *ip = put(sizeof(*ip));
	uint8_t *ext;

	ip->ip6_flow = htonl(6 << 28 | spec.tos << 20);
	ip->ip6_hlim = spec.ttl;
	ip->ip6_nxt = proto;
	if (!inet_pton(AF_INET6, spec.src, &ip->ip6_src) ||
	    !inet_pton(AF_INET6, spec.dst, &ip->ip6_dst))
		errx(2, "%s, %s: not IPv6 addresses", spec.src, spec.dst);
	frame.ip6 = ip;

	if (*spec.frag) {
		struct ip6_frag *f = put(sizeof(*f));
		int field = frag_field();

		ip->ip6_nxt = IPPROTO_FRAGMENT;
		f->ip6f_nxt = proto;
		f->ip6f_offlg = htons((field & IP_OFFMASK) << 3 |
				      !!(field & IP_MF));
		f->ip6f_ident = htonl(spec.id);
	} else if (spec.ext) {
		ext = put(spec.ext);
		ip->ip6_nxt = IPPROTO_DSTOPTS;
		ext[0] = proto;
		ext[1] = spec.ext / 8 - 1;
		ext[2] = 1; /* PadN over the rest */
		ext[3] = spec.ext - 4;
	}
}

static void put_tcp(void)
{
	struct tcphdr *tcp = put(sizeof(*tcp));
	const char *f = spec.flags;

	tcp->source = htons(spec.sport);
	tcp->dest = htons(spec.dport);
	tcp->seq = htonl(spec.seq);
	tcp->ack_seq = htonl(spec.ack);
	tcp->window = htons(spec.win);
	tcp->doff = spec.doff >= 0 ? spec.doff : 5 + spec.tcpopt / 4;
	tcp->syn = !!strchr(f, 'S');
	tcp->ack = !!strchr(f, 'A');
	tcp->fin = !!strchr(f, 'F');
	tcp->rst = !!strchr(f, 'R');
	tcp->psh = !!strchr(f, 'P');
	tcp->urg = !!strchr(f, 'U');
	((uint8_t *)tcp)[13] |= (strchr(f, 'E') ? 0x40 : 0) |
				(strchr(f, 'C') ? 0x80 : 0);
	memset(put(spec.tcpopt), TCPOPT_NOP, spec.tcpopt);
	frame.l4_csum = &tcp->check;
	put_payload(spec.seq);
}

static void put_udp(void)
{
	struct udphdr *udp = put(sizeof(*udp));

	udp->source = htons(spec.sport);
	udp->dest = htons(spec.dport);
	udp->len = htons(sizeof(*udp) + spec.len);
	frame.l4_csum = &udp->check;
	put_payload(0);
}

static void put_icmp(void)
{
	struct icmphdr *icmp = put(sizeof(*icmp));

	icmp->type = frame.ip4 ? ICMP_ECHO : 128;
	icmp->un.echo.id = htons(spec.id);
	frame.l4_csum = &icmp->checksum;
	put_payload(0);
}

static void put_arp(void)
{
	struct ether_arp *arp = put(sizeof(*arp));

	arp->arp_hrd = htons(1);
	arp->arp_pro = htons(ETH_P_IP);
	arp->arp_hln = ETH_ALEN;
	arp->arp_pln = 4;
	arp->arp_op = htons(ARPOP_REQUEST);
	memcpy(arp->arp_sha, ether_aton(spec.smac), ETH_ALEN);
	inet_pton(AF_INET, spec.src, arp->arp_spa);
	inet_pton(AF_INET, spec.dst, arp->arp_tpa);
}

static uint32_t l4_pseudo(void)
{
	if (frame.ip4 && frame.l4_proto == IPPROTO_ICMP)
		return 0;
	return csum_pseudo(frame.ip4, frame.ip6, frame.l4_proto, frame.l4_len);
}

/* Turn the first payload bytes into what brings the whole sum to zero. */
static void zero_checksum(void)
{
	uint16_t *spot = (uint16_t *)(frame.l4 + sizeof(struct udphdr));
	uint32_t sum;

	*spot = 0;
	sum = csum_add(l4_pseudo(), frame.l4, frame.l4_len);
	*spot = htons(csum_fold(sum));
}

static void finish_l4(void)
{
	uint16_t sum;

	frame.l4_len = frame.data + frame.len - frame.l4;
	if (spec.zero)
		zero_checksum();
	if (!strcmp(spec.csum, "none"))
		return;
	if (*spec.csum || spec.gso) {
		*frame.l4_csum = htons(~csum_fold(l4_pseudo()));
		frame.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		frame.vnet.csum_start = frame.l4 - frame.data;
		frame.vnet.csum_offset = (uint8_t *)frame.l4_csum - frame.l4;
		return;
	}
	sum = csum_fold(csum_add(l4_pseudo(), frame.l4, frame.l4_len));
	if (!sum && frame.l4_proto == IPPROTO_UDP)
		sum = 0xffff;
	if (!strcmp(spec.bad, "l4"))
		sum ^= 0x5555;
	*frame.l4_csum = htons(sum);
}

static void finish_ip(uint8_t *ip)
{
	int len = frame.data + frame.len - ip;
	uint16_t sum;

	if (spec.iplen >= 0)
		len = spec.iplen;
	if (frame.ip6) {
		if (spec.iplen < 0)
			len -= sizeof(*frame.ip6);
		frame.ip6->ip6_plen = htons(len);
		return;
	}
	frame.ip4->tot_len = htons(len);
	sum = csum_fold(csum_add(0, ip, 20 + spec.ipopt));
	if (!strcmp(spec.bad, "ip"))
		sum ^= 0x5555;
	frame.ip4->check = htons(sum);
}

static void finish_gso(void)
{
	if (!spec.gso)
		return;
	frame.vnet.gso_type = frame.ip4 ? VIRTIO_NET_HDR_GSO_TCPV4 :
					  VIRTIO_NET_HDR_GSO_TCPV6;
	if (spec.ecn)
		frame.vnet.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	frame.vnet.gso_size = spec.gso;
	frame.vnet.hdr_len = frame.len - spec.len;
}

static void put_ip(void)
{
	bool six = strchr(spec.src, ':');
	uint8_t *ip;
	int proto;

	if (!strcmp(spec.proto, "tcp"))
		proto = IPPROTO_TCP;
	else if (!strcmp(spec.proto, "udp"))
		proto = IPPROTO_UDP;
	else if (!strcmp(spec.proto, "icmp"))
		proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	else
		errx(2, "unknown protocol %s", spec.proto);

	put_ethernet(six ? ETH_P_IPV6 : ETH_P_IP);
	ip = frame.data + frame.len;
	if (six)
		put_ip6(proto);
	else
		put_ip4(proto);

	frame.l4 = frame.data + frame.len;
	frame.l4_proto = proto;
	if (proto == IPPROTO_TCP)
		put_tcp();
	else if (proto == IPPROTO_UDP)
		put_udp();
	else
		put_icmp();
	finish_l4();
	finish_ip(ip);
	finish_gso();
}

static void build(void)
{
	memset(&frame.vnet, 0, sizeof(frame.vnet));
	frame.len = 0;
	frame.ip4 = NULL;
	frame.ip6 = NULL;

	if (!strcmp(spec.proto, "arp")) {
		put_ethernet(ETH_P_ARP);
		put_arp();
	} else if (!strcmp(spec.proto, "raw")) {
		put_ethernet(0x88b5);
		put_payload(0);
	} else {
		put_ip();
	}
	memset(put(spec.pad), 0xee, spec.pad);
	if (spec.cut >= 0 && (size_t)spec.cut < frame.len)
		frame.len = spec.cut;
}

/* ---- fuzzing ------------------------------------------------------------ */

static unsigned int dice(unsigned int sides)
{
	static uint64_t state;

	if (!state)
		state = spec.fuzz * 0x9e3779b97f4a7c15ULL + 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 20) % sides;
}

static void random_spec(void)
{
	static const char *const protos[] = {
		"tcp", "tcp", "tcp", "tcp", "udp", "icmp", "arp", "raw",
	};
	bool six = dice(2);

	spec.proto = protos[dice(8)];
	spec.src = six ? "2001:db8::1" : "192.0.2.1";
	spec.dst = six ? "2001:db8::2" : "192.0.2.2";
	if (!strcmp(spec.proto, "arp"))
		spec.src = spec.dst = "192.0.2.2";
	spec.vlan = dice(4) ? -1 : (int)dice(4096);
	spec.len = dice(3) ? dice(64) : dice(1300);
	spec.ipopt = dice(4) ? 0 : 4 * dice(11);
	spec.tcpopt = dice(2) ? 12 : 4 * dice(11);
	spec.ext = dice(4) ? 0 : 8 * (1 + dice(4));
	spec.frag = dice(8) ? "" : dice(2) ? "0+" : "100";
	spec.bad = dice(8) ? "" : dice(2) ? "ip" : "l4";
	spec.doff = dice(8) ? -1 : (int)dice(16);
	spec.iplen = dice(8) ? -1 : (int)dice(1500);
	spec.pad = dice(8) ? 0 : dice(64);
	spec.cut = dice(4) ? -1 : (int)(14 + dice(80));
	spec.sport = dice(65536);
}

static void damage(void)
{
	int hits = dice(4);

	/* the addresses stay, or few frames would get past the first test */
	while (hits--)
		if (frame.len > 14)
			frame.data[12 + dice(frame.len < 92 ? frame.len - 12 :
					     80)] = dice(256);
}

/* ---- command line ------------------------------------------------------- */

#define TEXT(key)	{ #key, &spec.key, NULL, NULL }
#define NUMBER(key)	{ #key, NULL, &spec.key, NULL }
#define COUNTER(key)	{ #key, NULL, NULL, &spec.key }

static const struct {
	const char *name;
	const char **text;
	int *number;
	unsigned int *counter;
} keys[] = {
	TEXT(smac), TEXT(dmac), TEXT(proto), TEXT(src), TEXT(dst), TEXT(flags),
	TEXT(frag), TEXT(bad), TEXT(csum), TEXT(step), TEXT(at),
	NUMBER(n), NUMBER(gap), NUMBER(vlan), NUMBER(sport), NUMBER(dport),
	NUMBER(win), NUMBER(len), NUMBER(ipopt), NUMBER(tcpopt), NUMBER(ext),
	NUMBER(id), NUMBER(ttl), NUMBER(tos), NUMBER(gso), NUMBER(ecn),
	NUMBER(zero), NUMBER(iplen), NUMBER(doff), NUMBER(cut), NUMBER(pad),
	COUNTER(seq), COUNTER(ack), COUNTER(fuzz),
};

static void set_key(char *arg)
{
	char *value = strchr(arg, '=');
	size_t i;

	if (!value)
		errx(2, "%s: KEY=VALUE expected", arg);
	*value++ = 0;
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strcmp(keys[i].name, arg))
			continue;
		if (keys[i].text)
			*keys[i].text = value;
		else if (keys[i].number)
			*keys[i].number = strtol(value, NULL, 0);
		else
			*keys[i].counter = strtoul(value, NULL, 0);
		return;
	}
	errx(2, "unknown key %s", arg);
}

static void step(void)
{
	spec.sport += !strcmp(spec.step, "sport");
	spec.dport += !strcmp(spec.step, "dport");
	spec.id += !strcmp(spec.step, "id");
}

static int open_device(const char *name, bool offload)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, room = 8 << 20;

	if (fd < 0)
		err(2, "socket");
	if (!to.sll_ifindex)
		err(2, "%s", name);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)))
		err(2, "bind to %s", name);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (offload && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one,
				  sizeof(one)))
		err(2, "PACKET_VNET_HDR");
	return fd;
}

int main(int argc, char **argv)
{
	int fd, i, sent = 0, error = 0;
	bool offload;
	ssize_t n;

	if (argc < 2)
		errx(2, "usage: inject DEV [KEY=VALUE ...], see inject.c");
	for (i = 2; i < argc; i++)
		set_key(argv[i]);
	offload = !strcmp(spec.csum, "offload") || spec.gso;
	fd = open_device(argv[1], offload);
	if (spec.at)
		landing_open(spec.at);

	for (i = 0; i < spec.n; i++, step()) {
		if (spec.fuzz)
			random_spec();
		build();
		if (spec.fuzz)
			damage();
		if (offload) {
			struct iovec iov[] = {
				{ &frame.vnet, sizeof(frame.vnet) },
				{ frame.data, frame.len },
			};
			struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

			n = sendmsg(fd, &msg, 0);
		} else {
			n = send(fd, frame.data, frame.len, 0);
		}
		if (n >= 0)
			sent++;
		else
			error = errno;
		if (spec.gap)
			usleep(spec.gap);
	}
	if (spec.at) {
		landing_report(sent);
		return 0;
	}
	printf("sent=%d of %d%s%s\n", sent, spec.n, error ? ": " : "",
	       error ? strerror(error) : "");
	return sent != spec.n && !spec.fuzz;
}
