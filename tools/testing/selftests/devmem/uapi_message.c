// SPDX-License-Identifier: GPL-2.0
/* recvmsg() and what it says, and the return of tokens. */
#define _GNU_SOURCE
#include <sys/uio.h>

#include "uapi.h"

#define POISON	0xa5

/* On 64 bit: a header of 16 bytes, no padding. */
_Static_assert(sizeof(struct frag) == 24 && CMSG_LEN(24) == 40, "layout");
_Static_assert(sizeof(struct range) == 8, "layout");

static void read_cmsg(struct message *m, const struct cmsghdr *c)
{
	KTAP_CHECK(c->cmsg_level == SOL_SOCKET);
	KTAP_CHECK(c->cmsg_type == SCM_DEVMEM_LINEAR ||
		   c->cmsg_type == SCM_DEVMEM_DMABUF);
	KTAP_CHECK(c->cmsg_len == CMSG_LEN(sizeof(struct frag)));
	KTAP_NEED(m->pieces < MAX_PIECES);
	m->piece[m->pieces].type = c->cmsg_type;
	memcpy(&m->piece[m->pieces++].frag, CMSG_DATA(c), sizeof(struct frag));
}

static void expect_poison(const unsigned char *bytes, size_t from, size_t to)
{
	for (; from < to && bytes[from] == POISON; from++)
		;
	KTAP_CHECK(from == to);
}

void receive(int fd, struct message *m, size_t len, size_t room, int flags)
{
	union {
		struct cmsghdr align;
		unsigned char bytes[MAX_PIECES * 40 + 64];
	} control;
	struct iovec iov = { m->host, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = room,
	};
	struct cmsghdr *c;

	KTAP_NEED(len <= sizeof(m->host) && room <= sizeof(control));
	memset(&control, POISON, sizeof(control));
	m->pieces = 0;
	errno = 0;
	m->got = recvmsg(fd, &msg, MSG_SOCK_DEVMEM | flags);
	m->error = m->got < 0 ? errno : 0;
	m->flags = msg.msg_flags;
	m->control_len = m->got < 0 ? 0 : msg.msg_controllen;
	KTAP_CHECK(!(m->flags & MSG_CTRUNC));
	if (m->got >= 0)
		for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			read_cmsg(m, c);
	KTAP_CHECK(m->control_len == m->pieces * CMSG_SPACE(sizeof(struct frag)));
	expect_poison(control.bytes, m->control_len, sizeof(control));
}

/* Where in the stream bytes begin, and what they are. */
static void expect_bytes(const unsigned char *bytes, size_t len, uint64_t at)
{
	size_t i;

	for (i = 0; i < len && bytes[i] == stream_byte(at + i); i++)
		;
	KTAP_CHECK(i == len);
}

static void expect_frag(const struct stage *s, const struct frag *frag,
			uint64_t at)
{
	unsigned char bytes[65536];
	int memory = frag->dmabuf_id == s->id ? s->memory : s->other;

	KTAP_NEED(frag->size > 0 && frag->size <= sizeof(bytes));
	KTAP_CHECK(frag->flags == 0);
	KTAP_CHECK(frag->token <= INT32_MAX);
	KTAP_CHECK(frag->dmabuf_id == s->id ||
		   (s->other_id && frag->dmabuf_id == s->other_id));
	KTAP_CHECK(frag->offset + frag->size <= s->size);
	memory_read(memory, frag->offset, bytes, frag->size);
	expect_bytes(bytes, frag->size, at);
}

void expect_stream(struct stage *s, const struct message *m)
{
	uint64_t start = s->read;
	int i;

	KTAP_NEED(m->got > 0);
	if (!m->pieces) {
		expect_bytes(m->host, m->got, s->read);
		s->read += m->got;
	}
	for (i = 0; i < m->pieces; i++) {
		KTAP_CHECK(m->piece[i].type == SCM_DEVMEM_DMABUF);
		expect_frag(s, &m->piece[i].frag, s->read);
		s->read += m->piece[i].frag.size;
	}
	KTAP_CHECK(s->read - start == (uint64_t)m->got);
}

int dontneed(int fd, const struct range *ranges, int count)
{
	return setsockopt(fd, SOL_SOCKET, SO_DEVMEM_DONTNEED, ranges,
			  count * sizeof(*ranges));
}

int dontneed_one(int fd, uint32_t start, uint32_t count)
{
	struct range range = { start, count };

	return dontneed(fd, &range, 1);
}

void give_back(int fd, const struct message *m)
{
	struct range ranges[MAX_PIECES];
	int i, n = 0;

	for (i = 0; i < m->pieces; i++)
		if (m->piece[i].type == SCM_DEVMEM_DMABUF)
			ranges[n++] = (struct range) {
				m->piece[i].frag.token, 1
			};
	if (n)
		KTAP_CHECK(dontneed(fd, ranges, n) == n);
}

void drain(struct stage *s)
{
	struct message m;

	while (stage_waiting(s)) {
		receive(s->here, &m, sizeof(m.host), MAX_PIECES * 40, 0);
		expect_stream(s, &m);
		give_back(s->here, &m);
	}
}

void mint(struct stage *s, uint32_t *tokens, int count)
{
	struct message m;
	int i;

	for (i = 0; i < count; i++) {
		receive(s->here, &m, 1, 40, 0);
		KTAP_NEED(m.got == 1 && m.pieces == 1);
		tokens[i] = m.piece[0].frag.token;
		s->read++;
	}
}
