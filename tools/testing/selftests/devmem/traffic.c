// SPDX-License-Identifier: GPL-2.0
/* traffic - streams and datagrams whose every byte is checked
 *
 *   traffic serve [-p PORT] [-o FILE]   verify streams and echo datagrams, in
 *                                       the background; prints its pid. At
 *                                       SIGTERM FILE gets a line of each stream
 *                                       that has not ended
 *   traffic tcp ADDR [OPTIONS]          send streams
 *   traffic udp ADDR [OPTIONS]          send datagrams and check their echoes
 *
 * The byte at any offset of a stream follows from the stream's seed, which the
 * sender says first. At the end the server answers with how much it read and
 * where the first wrong byte was, so the sender's line tells the whole story
 * and its exit status is 0 only if all arrived, once, in order and intact.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "background.h"

#define MAGIC		0x6369666661725464ULL
#define NONE		UINT64_MAX
#define MAX_CONNS	1024
#define CHUNK		32768

struct hello {
	uint64_t magic;
	uint64_t seed;
};

struct verdict {
	uint64_t bytes;
	uint64_t bad_at;	/* NONE, or the offset of the first wrong byte */
	uint32_t napi;
	uint32_t unused;
};

struct datagram {
	uint64_t magic;
	uint64_t seed;
	uint64_t index;
};

/* ---- content ------------------------------------------------------------ */

static uint64_t word_at(uint64_t seed, uint64_t index)
{
	uint64_t x = seed + index * 0x9e3779b97f4a7c15ULL;

	return x ^ (x >> 29);
}

static void fill(unsigned char *buf, size_t len, uint64_t seed, uint64_t off)
{
	while (len) {
		uint64_t word = word_at(seed, off / 8);
		size_t skip = off % 8;
		size_t n = 8 - skip < len ? 8 - skip : len;

		memcpy(buf, (unsigned char *)&word + skip, n);
		buf += n;
		off += n;
		len -= n;
	}
}

/* The offset in @buf of the first byte that differs, or -1. */
static ssize_t mismatch(const unsigned char *buf, size_t len, uint64_t seed,
			uint64_t off)
{
	static unsigned char want[1 << 18];
	size_t i;

	fill(want, len, seed, off);
	if (!memcmp(want, buf, len))
		return -1;
	for (i = 0; want[i] == buf[i]; i++)
		;
	return i;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- server ------------------------------------------------------------- */

struct stream {
	struct hello hello;
	size_t hello_len;
	struct verdict verdict;
};

static struct stream *streams[MAX_CONNS + 64];
static volatile sig_atomic_t told_to_end;

static void stream_close(int fd)
{
	free(streams[fd]);
	streams[fd] = NULL;
	close(fd);
}

static void stream_verdict(int fd)
{
	struct verdict *v = &streams[fd]->verdict;
	socklen_t len = sizeof(v->napi);

	getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &v->napi, &len);
	if (write(fd, v, sizeof(*v)) != sizeof(*v))
		warn("verdict");
	stream_close(fd);
}

static void stream_check(struct stream *s, const unsigned char *buf, size_t len)
{
	struct verdict *v = &s->verdict;
	ssize_t at = mismatch(buf, len, s->hello.seed, v->bytes);

	if (at >= 0 && v->bad_at == NONE)
		v->bad_at = v->bytes + at;
	v->bytes += len;
}

static void stream_read(int fd)
{
	static unsigned char buf[1 << 18];
	struct stream *s = streams[fd];
	unsigned char *hello = (unsigned char *)&s->hello;
	ssize_t n, part = 0;

	n = read(fd, buf, sizeof(buf));
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			stream_close(fd);
		return;
	}
	if (!n) {
		stream_verdict(fd);
		return;
	}

	while (s->hello_len < sizeof(s->hello) && part < n)
		hello[s->hello_len++] = buf[part++];
	if (s->hello_len < sizeof(s->hello))
		return;
	if (s->hello.magic != MAGIC)
		s->verdict.bad_at = 0;
	stream_check(s, buf + part, n - part);
}

static void stream_accept(int listener, int poller)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	ev.data.fd = fd;
	if (fd >= MAX_CONNS + 64 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev)) {
		close(fd);
		return;
	}
	streams[fd] = calloc(1, sizeof(*streams[fd]));
	if (!streams[fd])
		err(2, "calloc");
	streams[fd]->verdict.bad_at = NONE;
}

static void echo(int fd)
{
	static char buf[65536];
	struct sockaddr_in6 peer;
	socklen_t len = sizeof(peer);
	ssize_t n;

	n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT,
		     (struct sockaddr *)&peer, &len);
	if (n > 0)
		sendto(fd, buf, n, MSG_DONTWAIT, (struct sockaddr *)&peer, len);
}

static void end(int sig)
{
	(void)sig;
	told_to_end = 1;
}

/* First all that has arrived is read, then each stream is told of. */
static void report_open_streams(void)
{
	uint64_t before;
	int fd;

	for (fd = 0; fd < MAX_CONNS + 64; fd++) {
		do {
			before = streams[fd] ? streams[fd]->verdict.bytes : 0;
			if (streams[fd])
				stream_read(fd);
		} while (streams[fd] && streams[fd]->verdict.bytes > before);
		if (streams[fd])
			printf("open bytes=%llu bad_at=%lld\n",
			       (unsigned long long)streams[fd]->verdict.bytes,
			       (long long)streams[fd]->verdict.bad_at);
	}
}

static int listener(int type, int port)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
	};
	int fd, one = 1, zero = 0, size = 1 << 20;

	fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(2, "socket");
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	}
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		err(2, "bind");
	if (type == SOCK_STREAM && listen(fd, MAX_CONNS))
		err(2, "listen");
	return fd;
}

static void serve(int port, const char *out)
{
	int tcp = listener(SOCK_STREAM, port), udp = listener(SOCK_DGRAM, port);
	struct epoll_event ev[64], on_tcp = { EPOLLIN, { .fd = tcp } };
	struct epoll_event on_udp = { EPOLLIN, { .fd = udp } };
	int poller = epoll_create1(EPOLL_CLOEXEC);
	int i, n;

	if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, tcp, &on_tcp) ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, udp, &on_udp))
		err(2, "epoll");

	go_background(out);
	signal(SIGTERM, end);
	while (!told_to_end) {
		n = epoll_wait(poller, ev, 64, -1);
		for (i = 0; i < n; i++) {
			if (ev[i].data.fd == tcp)
				stream_accept(tcp, poller);
			else if (ev[i].data.fd == udp)
				echo(udp);
			else
				stream_read(ev[i].data.fd);
		}
	}
	report_open_streams();
	exit(0);
}

/* ---- client ------------------------------------------------------------- */

struct options {
	const char *addr;
	int port;
	int conns;
	int source;		/* first source port, 0: any */
	uint64_t bytes;		/* per stream; datagrams: how many in all */
	double secs;		/* send this long instead */
	/* Give up this long after the last progress: longer than TCP may be
	 * silent after a few losses, each of which doubles its time-out.
	 */
	double patience;
	size_t size;		/* of a write or a datagram */
	unsigned int rate;	/* of a stream in bytes a second, 0: any */
	bool ragged;		/* writes of every size up to that */
	bool flood;		/* datagrams: don't wait for echoes */
};

static struct options opt = {
	.port = 7000, .conns = 1, .bytes = 1 << 20, .patience = 60,
};

static int dial(int type, int index)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = type,
	}, *to;
	int fd, rc, one = 1, probe, room = 1 << 20;
	char port[8];

	snprintf(port, sizeof(port), "%d", opt.port);
	rc = getaddrinfo(opt.addr, port, &hints, &to);
	if (rc)
		errx(2, "%s: %s", opt.addr, gai_strerror(rc));

	fd = socket(to->ai_family, type | SOCK_NONBLOCK, 0);
	if (fd < 0)
		err(2, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (opt.rate)
		setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &opt.rate,
			   sizeof(opt.rate));
	/* A datagram that needs fragments is an error here, never a success. */
	probe = IP_PMTUDISC_PROBE;
	if (type == SOCK_DGRAM && to->ai_family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe,
			   sizeof(probe));
	probe = IPV6_PMTUDISC_PROBE;
	if (type == SOCK_DGRAM && to->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe,
			   sizeof(probe));
	if (opt.source) {
		struct sockaddr_in6 from = {
			.sin6_family = to->ai_family,
			.sin6_port = htons(opt.source + index),
		};

		/* sockaddr_in has family and port in the same places */
		if (bind(fd, (struct sockaddr *)&from, to->ai_addrlen))
			err(2, "bind to port %d", opt.source + index);
	}
	if (connect(fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
		err(1, "connect to %s", opt.addr);
	freeaddrinfo(to);
	return fd;
}

enum state { GREET, SEND, WAIT, PART, DONE, FAILED };

struct conn {
	enum state state;
	uint64_t seed;
	uint64_t sent;
	struct verdict verdict;
};

static struct conn conns[MAX_CONNS];
static struct pollfd polls[MAX_CONNS];

static void conn_end(int i, enum state state, const char *why)
{
	if (state == FAILED)
		fprintf(stderr, "stream %d after %llu bytes: %s\n", i,
			(unsigned long long)conns[i].sent, why);
	conns[i].state = state;
	close(polls[i].fd);
	polls[i].fd = -1;
}

static void conn_greet(int i)
{
	struct conn *c = &conns[i];
	struct hello hello = { MAGIC, c->seed };

	if (write(polls[i].fd, &hello, sizeof(hello)) != sizeof(hello))
		conn_end(i, FAILED, strerror(errno));
	else
		c->state = SEND;
}

static void conn_send(int i, bool timeup)
{
	static unsigned char buf[CHUNK];
	struct conn *c = &conns[i];
	size_t len = opt.size;
	ssize_t n;

	if (timeup || (!opt.secs && c->sent == opt.bytes)) {
		shutdown(polls[i].fd, SHUT_WR);
		polls[i].events = POLLIN;
		c->state = WAIT;
		return;
	}
	if (opt.ragged)
		len = 1 + word_at(c->seed, c->sent) % len;
	if (!opt.secs && len > opt.bytes - c->sent)
		len = opt.bytes - c->sent;

	fill(buf, len, c->seed, c->sent);
	n = write(polls[i].fd, buf, len);
	if (n > 0)
		c->sent += n;
	else if (errno != EAGAIN)
		conn_end(i, FAILED, strerror(errno));
}

static void conn_wait(int i)
{
	struct conn *c = &conns[i];
	struct verdict *v = &c->verdict;
	ssize_t n = read(polls[i].fd, v, sizeof(*v));
	char why[128];

	if (n < 0)
		conn_end(i, FAILED, strerror(errno));
	else if (n != sizeof(*v))
		conn_end(i, FAILED, "no verdict");
	else if (v->bytes != c->sent || v->bad_at != NONE) {
		snprintf(why, sizeof(why), "%llu arrived, first wrong at %lld",
			 (unsigned long long)v->bytes, (long long)v->bad_at);
		conn_end(i, FAILED, why);
	} else {
		c->state = PART;
	}
}

/* With the server's FIN nothing more will be sent: whoever counts or captures
 * frames after this program meets none of its connections.
 */
static void conn_part(int i)
{
	char more;
	ssize_t n = read(polls[i].fd, &more, sizeof(more));

	if (n)
		conn_end(i, FAILED, n < 0 ? strerror(errno) :
			 "more than a verdict");
	else
		conn_end(i, DONE, NULL);
}

static int distinct_napis(int *zero)
{
	int i, j, distinct = 0;

	*zero = 0;
	for (i = 0; i < opt.conns; i++) {
		if (conns[i].state != DONE)
			continue;
		*zero += !conns[i].verdict.napi;
		for (j = 0; j < i; j++)
			if (conns[j].verdict.napi == conns[i].verdict.napi)
				break;
		distinct += j == i;
	}
	return distinct;
}

static int tcp_report(double start)
{
	int i, zero, distinct, done = 0;
	uint64_t bytes = 0;

	for (i = 0; i < opt.conns; i++) {
		done += conns[i].state == DONE;
		bytes += conns[i].verdict.bytes;
	}
	distinct = distinct_napis(&zero);
	printf("tcp streams=%d good=%d bytes=%llu napi_zero=%d napis=%d secs=%.2f\n",
	       opt.conns, done, (unsigned long long)bytes, zero, distinct,
	       now() - start);
	return done != opt.conns;
}

static int tcp(void)
{
	double start = now(), moved = start;
	int i, open = opt.conns;

	for (i = 0; i < opt.conns; i++) {
		conns[i].seed = word_at(getpid(), i + 1);
		polls[i].fd = dial(SOCK_STREAM, i);
		polls[i].events = POLLOUT;
	}
	while (open && now() < moved + opt.patience) {
		bool timeup = opt.secs && now() > start + opt.secs;

		if (poll(polls, opt.conns, 200) > 0)
			moved = now();
		for (i = open = 0; i < opt.conns; i++) {
			struct conn *c = &conns[i];

			if (polls[i].fd >= 0 &&
			    (polls[i].revents || (timeup && c->state == SEND))) {
				if (c->state == GREET)
					conn_greet(i);
				else if (c->state == SEND)
					conn_send(i, timeup);
				else if (c->state == WAIT)
					conn_wait(i);
				else
					conn_part(i);
			}
			open += polls[i].fd >= 0;
		}
	}
	for (i = 0; i < opt.conns; i++)
		if (polls[i].fd >= 0)
			conn_end(i, FAILED, "nothing moves");
	return tcp_report(start);
}

static uint64_t echoes, wrong;

/* Takes one echo, or fails if none comes. */
static bool udp_echo(void)
{
	static unsigned char buf[65536];
	struct datagram head;
	ssize_t n;
	int i;

	if (poll(polls, opt.conns, opt.patience * 1000) <= 0)
		return false;
	for (i = 0; i < opt.conns; i++) {
		if (!polls[i].revents)
			continue;
		n = recv(polls[i].fd, buf, sizeof(buf), 0);
		if (n < 0)
			continue;
		memcpy(&head, buf, sizeof(head));
		if (n != (ssize_t)opt.size || head.magic != MAGIC ||
		    mismatch(buf + sizeof(head), n - sizeof(head),
			     head.seed + head.index, 0) >= 0)
			wrong++;
		else
			echoes++;
		return true;
	}
	return false;
}

static bool udp_send(uint64_t index)
{
	static unsigned char buf[65536];
	struct datagram head = { MAGIC, getpid(), index };

	memcpy(buf, &head, sizeof(head));
	fill(buf + sizeof(head), opt.size - sizeof(head),
	     head.seed + head.index, 0);
	if (send(polls[index % opt.conns].fd, buf, opt.size, 0) >= 0)
		return true;
	if (!opt.flood && errno != EAGAIN && errno != ENOBUFS)
		err(1, "datagram of %zu bytes", opt.size);
	return false;
}

static int udp(void)
{
	uint64_t i, lost, sent = 0;
	double start = now();

	if (opt.size < sizeof(struct datagram) || opt.size > 65507)
		errx(2, "a datagram has %zu to 65507 bytes",
		     sizeof(struct datagram));
	for (i = 0; i < (uint64_t)opt.conns; i++) {
		polls[i].fd = dial(SOCK_DGRAM, i);
		polls[i].events = POLLIN;
	}
	for (i = 0; opt.secs ? now() < start + opt.secs : i < opt.bytes; i++) {
		sent += udp_send(i);
		if (opt.flood && opt.rate)
			usleep(1e6 * opt.size / opt.rate);
		if (!opt.flood && sent - echoes - wrong >= 16 && !udp_echo())
			break;
	}
	while (!opt.flood && echoes + wrong < sent && udp_echo())
		;
	lost = sent - echoes - wrong;
	printf("udp sent=%llu good=%llu wrong=%llu lost=%llu secs=%.2f\n",
	       (unsigned long long)sent, (unsigned long long)echoes,
	       (unsigned long long)wrong, (unsigned long long)lost,
	       now() - start);
	return !opt.flood && (wrong || echoes != sent || !sent);
}

/* ---- main --------------------------------------------------------------- */

static const char usage[] =
	"traffic serve [-p PORT] [-o FILE]\n"
	"traffic tcp ADDR [-p PORT] [-c STREAMS] [-n BYTES | -t SECS] [-s WRITE] [-r]\n"
	"                 [-b FIRST_SOURCE_PORT] [-T PATIENCE] [-R BYTES_PER_SECOND]\n"
	"traffic udp ADDR [-p PORT] [-c SOCKETS] [-n DATAGRAMS | -t SECS] [-s SIZE] [-f]\n"
	"                 [-b FIRST_SOURCE_PORT] [-R BYTES_PER_SECOND]\n"
	"-r: writes of ragged size   -f: flood, don't wait for echoes\n";

static uint64_t number(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 0);

	if (*end == 'k' || *end == 'M')
		n <<= *end++ == 'k' ? 10 : 20;
	if (*end || end == s)
		errx(2, "%s is not a number", s);
	return n;
}

static const char *parse(int argc, char **argv)
{
	const char *out = "/dev/null";
	int c;

	while ((c = getopt(argc, argv, "p:o:c:n:t:s:b:T:R:rf")) != -1) {
		switch (c) {
		case 'p': opt.port = number(optarg); break;
		case 'o': out = optarg; break;
		case 'c': opt.conns = number(optarg); break;
		case 'n': opt.bytes = number(optarg); break;
		case 't': opt.secs = atof(optarg); break;
		case 's': opt.size = number(optarg); break;
		case 'b': opt.source = number(optarg); break;
		case 'T': opt.patience = atof(optarg); break;
		case 'R': opt.rate = number(optarg); break;
		case 'r': opt.ragged = true; break;
		case 'f': opt.flood = true; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (opt.conns < 1 || opt.conns > MAX_CONNS)
		errx(2, "1 to %d streams", MAX_CONNS);
	return out;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 4096, 4096 };
	const char *verb = argc > 1 ? argv[1] : "";
	const char *out;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	if (!strcmp(verb, "serve")) {
		out = parse(argc - 1, argv + 1);
		serve(opt.port, out);
	}
	if (argc < 3 || (strcmp(verb, "tcp") && strcmp(verb, "udp"))) {
		fputs(usage, stderr);
		return 2;
	}

	opt.addr = argv[2];
	parse(argc - 2, argv + 2);
	if (!opt.size)
		opt.size = *verb == 't' ? CHUNK : 1000;
	if (*verb == 't' && opt.size > CHUNK)
		errx(2, "writes have up to %d bytes", CHUNK);
	return *verb == 't' ? tcp() : udp();
}
