// SPDX-License-Identifier: GPL-2.0
/* sniff - write down what frames pass a device, one line each
 *
 *   sniff DEV -o FILE [-n FRAMES] [-t SECS] [-d in|out] [-p PROTO] [-H RXHASH]
 *
 * It captures in the background, prints its pid, and ends after that many
 * frames or seconds. PROTO is tcp, udp, icmp, arp, frag or raw; RXHASH is the
 * hash that the device must have given the frame.
 *
 * A line is words of the form KEY=VALUE. csum= tells what the frame's own
 * bytes say of the L4 checksum: ok, bad, or partial if a device has yet to
 * fill it in; hw=valid that the device vouches for it; content= whether
 * the payload is what inject makes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

#include "background.h"
#include "frame.h"

#ifndef TP_STATUS_CSUM_VALID
#define TP_STATUS_CSUM_VALID (1 << 7)
#endif

struct captured {
	uint8_t data[FRAME_MAX];
	size_t len;
	size_t at;		/* how far it has been read */
	bool outgoing;
	struct tpacket_auxdata aux;
	char line[512];
	size_t line_len;
	const char *proto;
};

static struct captured frame;

static void say(const char *format, ...)
{
	size_t room = sizeof(frame.line) - frame.line_len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(frame.line + frame.line_len, room, format, args);
	va_end(args);
	frame.line_len += (size_t)n < room ? (size_t)n : room - 1;
}

/* The next @len bytes, or NULL at the end of the frame. */
static const void *take(size_t len)
{
	const void *p = frame.data + frame.at;

	if (frame.len - frame.at < len)
		return NULL;
	frame.at += len;
	return p;
}

static void say_payload(uint32_t place)
{
	size_t i, len = frame.len - frame.at;
	const uint8_t *p = take(len);

	for (i = 0; i < len && p[i] == payload_byte(place + i); i++)
		;
	say(" payload=%zu content=%s", len, i == len ? "ok" : "bad");
}

static void say_csum(const struct iphdr *ip4, const struct ip6_hdr *ip6,
		     uint8_t proto)
{
	size_t len = frame.len - frame.at;
	uint32_t sum = 0;

	if (frame.aux.tp_status & TP_STATUS_CSUMNOTREADY) {
		say(" csum=partial");
		return;
	}
	if (!ip4 || proto != IPPROTO_ICMP)
		sum = csum_pseudo(ip4, ip6, proto, len);
	sum = csum_add(sum, frame.data + frame.at, len);
	say(" csum=%s hw=%s", csum_fold(sum) ? "bad" : "ok",
	    frame.aux.tp_status & TP_STATUS_CSUM_VALID ? "valid" : "-");
}

static void say_tcp(void)
{
	static const char letters[] = "FSRPAUEC";
	const struct tcphdr *tcp = take(sizeof(*tcp));
	char flags[9];
	int i, n = 0;

	frame.proto = "tcp";
	if (!tcp)
		return;
	for (i = 0; i < 8; i++)
		if (((const uint8_t *)tcp)[13] & 1 << i)
			flags[n++] = letters[i];
	flags[n] = 0;
	say(" sport=%u dport=%u seq=%u ack=%u flags=%s", ntohs(tcp->source),
	    ntohs(tcp->dest), ntohl(tcp->seq), ntohl(tcp->ack_seq), flags);
	if (tcp->doff >= 5 && take(tcp->doff * 4 - sizeof(*tcp)))
		say_payload(ntohl(tcp->seq));
}

static void say_udp(void)
{
	const struct udphdr *udp = take(sizeof(*udp));

	frame.proto = "udp";
	if (!udp)
		return;
	say(" sport=%u dport=%u check=%04x", ntohs(udp->source),
	    ntohs(udp->dest), ntohs(udp->check));
	say_payload(0);
}

static void say_l4(const struct iphdr *ip4, const struct ip6_hdr *ip6,
		   uint8_t proto)
{
	const uint8_t *ext;

	if (proto == IPPROTO_DSTOPTS) {
		ext = take(8);
		if (!ext || !take(ext[1] * 8))
			return;
		proto = ext[0];
	}
	say_csum(ip4, ip6, proto);
	if (proto == IPPROTO_TCP) {
		say_tcp();
	} else if (proto == IPPROTO_UDP) {
		say_udp();
	} else if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
		frame.proto = "icmp";
		if (take(8))
			say_payload(0);
	} else if (proto == IPPROTO_FRAGMENT) {
		frame.proto = "frag";
	}
}

static void trim(size_t end)
{
	if (end < frame.len)
		frame.len = end;
}

static void say_ip4(void)
{
	size_t start = frame.at;
	const struct iphdr *ip = take(sizeof(*ip));
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];

	if (!ip || ip->ihl < 5 || !take(ip->ihl * 4 - sizeof(*ip)))
		return;
	inet_ntop(AF_INET, &ip->saddr, src, sizeof(src));
	inet_ntop(AF_INET, &ip->daddr, dst, sizeof(dst));
	say(" src=%s dst=%s id=%u tos=%u iplen=%u ipcsum=%s", src, dst,
	    ntohs(ip->id), ip->tos, ntohs(ip->tot_len),
	    csum_fold(csum_add(0, ip, ip->ihl * 4)) ? "bad" : "ok");
	if (ip->tot_len)
		trim(start + ntohs(ip->tot_len));
	if (ntohs(ip->frag_off) & (IP_MF | IP_OFFMASK)) {
		frame.proto = "frag";
		say(" frag=%u", ntohs(ip->frag_off) & IP_OFFMASK);
		return;
	}
	say_l4(ip, NULL, ip->protocol);
}

static void say_ip6(void)
{
	const struct ip6_hdr *ip = take(sizeof(*ip));
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

	if (!ip)
		return;
	inet_ntop(AF_INET6, &ip->ip6_src, src, sizeof(src));
	inet_ntop(AF_INET6, &ip->ip6_dst, dst, sizeof(dst));
	say(" src=%s dst=%s iplen=%u", src, dst, 40 + ntohs(ip->ip6_plen));
	if (ip->ip6_plen)
		trim(frame.at + ntohs(ip->ip6_plen));
	say_l4(NULL, ip, ip->ip6_nxt);
}

static void say_ethertype(uint16_t type)
{
	const struct vlan_tag *tag;

	if (type == ETH_P_8021Q) {
		tag = take(sizeof(*tag));
		if (tag) {
			say(" vlan=%u", ntohs(tag->tci) & 0xfff);
			say_ethertype(ntohs(tag->proto));
		}
	} else if (type == ETH_P_IP) {
		say_ip4();
	} else if (type == ETH_P_IPV6) {
		say_ip6();
	} else if (type == ETH_P_ARP) {
		frame.proto = "arp";
	} else {
		frame.proto = "raw";
		say(" type=%04x", type);
		say_payload(0);
	}
}

static void say_frame(void)
{
	const struct ethhdr *eth = take(sizeof(*eth));
	const uint8_t *to;

	if (!eth)
		return;
	to = eth->h_dest;
	say("len=%zu dir=%s dmac=%02x:%02x:%02x:%02x:%02x:%02x", frame.len,
	    frame.outgoing ? "out" : "in", to[0], to[1], to[2], to[3], to[4],
	    to[5]);
	if (frame.aux.tp_status & TP_STATUS_VLAN_VALID)
		say(" vlan=%u", frame.aux.tp_vlan_tci & 0xfff);
	say_ethertype(ntohs(eth->h_proto));
}

static bool capture(int fd)
{
	struct iovec iov = { frame.data, sizeof(frame.data) };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(frame.aux))];
	} control;
	struct sockaddr_ll from;
	struct msghdr msg = {
		.msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return false;
	frame.len = n;
	frame.at = frame.line_len = 0;
	frame.proto = "other";
	frame.outgoing = from.sll_pkttype == PACKET_OUTGOING;
	memset(&frame.aux, 0, sizeof(frame.aux));
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
		memcpy(&frame.aux, CMSG_DATA(c), sizeof(frame.aux));
	return true;
}

static void want_hash(int fd, uint32_t hash)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RXHASH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, hash, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { 4, code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
		       sizeof(program)))
		err(2, "filter");
}

static int open_device(const char *name)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1, room = 16 << 20;

	if (fd < 0)
		err(2, "socket");
	if (!at.sll_ifindex)
		err(2, "%s", name);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		err(2, "bind to %s", name);
	return fd;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const char *out = NULL, *direction = NULL, *proto = NULL;
	long frames = -1, hash = -1;
	double secs = 10, end;
	struct pollfd p;
	int c;

	while ((c = getopt(argc, argv, "o:n:t:d:p:H:")) != -1) {
		switch (c) {
		case 'o': out = optarg; break;
		case 'n': frames = atol(optarg); break;
		case 't': secs = atof(optarg); break;
		case 'd': direction = optarg; break;
		case 'p': proto = optarg; break;
		case 'H': hash = strtoll(optarg, NULL, 0); break;
		default: return 2;
		}
	}
	if (!out || optind != argc - 1)
		errx(2, "usage: sniff DEV -o FILE [OPTIONS], see sniff.c");

	p.fd = open_device(argv[optind]);
	p.events = POLLIN;
	if (hash >= 0)
		want_hash(p.fd, hash);
	go_background(out);

	end = now() + secs;
	while (frames && now() < end) {
		if (poll(&p, 1, (end - now()) * 1000 + 1) <= 0 ||
		    !capture(p.fd))
			continue;
		if (direction && frame.outgoing != !strcmp(direction, "out"))
			continue;
		say_frame();
		if (proto && strcmp(proto, frame.proto))
			continue;
		printf("%s proto=%s\n", frame.line, frame.proto);
		frames--;
	}
	return 0;
}
